//! `oom.risk`: how far it is to the next OOM kill, and whom it would hit.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Reply};
use oom_evidence::{Candidate, Memory, Pressure, candidates};
use proc_snapshot::{Needs, Visibility};
use serde::Serialize;

use crate::arguments::Arguments;
use crate::exporter::OomWatch;
use crate::json;

const CANDIDATES: usize = 5;
/// The trend is that of so long a time.
const KEPT: Duration = Duration::from_secs(600);
/// Two samples that are closer tell of noise.
const SHORTEST: Duration = Duration::from_secs(30);
/// What goes in so short a time goes once, as when a program starts: it is no trend.
const STEP: Duration = Duration::from_secs(60);
/// Samples that are closer are one, which bounds how many there are.
const APART: Duration = Duration::from_secs(5);

/// What was left at the polls of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Trend(Mutex<VecDeque<(Instant, u64)>>);

/// How what is left changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    bytes_per_second: f64,
    /// The same without the largest step.
    steady_bytes_per_second: f64,
    over: Duration,
}

impl Trend {
    /// Adds a sample and returns the rate, if the samples reach back far enough.
    fn sample(&self, now: Instant, left: u64) -> Option<Rate> {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= APART) {
            samples.push_back((now, left));
        }
        samples.retain(|(at, _)| now.saturating_duration_since(*at) <= KEPT);
        let first = samples.front()?.0;
        let over = now.saturating_duration_since(first);
        let points = samples
            .iter()
            .map(|(at, left)| (at.saturating_duration_since(first).as_secs_f64(), *left as f64));
        let points: Vec<_> = points.collect();
        if over < SHORTEST || points.len() < 2 {
            return None;
        }
        let (bytes_per_second, steady_bytes_per_second) = (slope(&points)?, slope(&without_a_step(&points))?);
        Some(Rate { bytes_per_second, steady_bytes_per_second, over })
    }
}

/// Of the straight line that fits best: a single peak counts for little.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), (x, y)| {
        (over + (x - mean_x) * (y - mean_y), under + (x - mean_x).powi(2))
    });
    (under > 0.0).then_some(over / under)
}

/// As if the largest step down, from one level to a lower one, had never been.
fn without_a_step(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let is_near = |from: f64, to: f64| to > from && to - from <= STEP.as_secs_f64();
    let steps = points.iter().flat_map(|from| {
        points
            .iter()
            .filter(move |to| is_near(from.0, to.0))
            .map(move |to| (from.1 - to.1, from.0, to.0, to.1))
    });
    let largest = steps.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(height, ..)| *height > 0.0);
    let Some((height, from, to, level)) = largest else { return points.to_vec() };
    let lowered = |&(at, left): &(f64, f64)| match at {
        at if at <= from => (at, left - height),
        at if at < to => (at, level),
        at => (at, left),
    };
    points.iter().map(lowered).collect()
}

#[derive(Serialize)]
struct RiskJson {
    mem_total_bytes: u64,
    mem_available_bytes: u64,
    #[serde(serialize_with = "json::number")]
    mem_available_percent: f64,
    swap_total_bytes: u64,
    swap_free_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pressure: Option<PressureJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panic_on_oom: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overcommit_memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overcommit_ratio: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_bytes: Option<u64>,
    /// Absent where the processes of others are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Vec<CandidateJson>>,
    others_visible: bool,
}

#[derive(Serialize)]
struct RateJson {
    bytes_per_second: i64,
    over_seconds: u64,
}

#[derive(Serialize)]
struct PressureJson {
    some: ShareJson,
    full: ShareJson,
}

#[derive(Serialize)]
struct ShareJson {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total_seconds: f64,
}

#[derive(Serialize)]
struct CandidateJson {
    pid: u32,
    name: String,
    oom_score: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
}

/// `oom.risk`
pub(crate) fn risk(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let host_root = &oomwatch.oom.host_root;
    let memory = Memory::read(host_root)?;
    let snapshot = oomwatch.snapshot(Needs::empty(), arguments.request())?;
    let visibility = Visibility::of(oomwatch.walk.root(), &snapshot);
    let next = visibility.others_visible.then(|| {
        let pids = snapshot.processes().map(|process| process.pid());
        candidates(host_root, pids, CANDIDATES).iter().map(CandidateJson::of).collect()
    });
    let left = memory.available_bytes.saturating_add(memory.swap_free_bytes);
    let rate = oomwatch.oom.trend.sample(Instant::now(), left);
    json::reply(&RiskJson::of(&memory, rate, next, visibility.others_visible))
}

impl RiskJson {
    fn of(
        memory: &Memory,
        rate: Option<Rate>,
        next: Option<Vec<CandidateJson>>,
        others_visible: bool,
    ) -> Self {
        let left = memory.available_bytes.saturating_add(memory.swap_free_bytes);
        let percent = memory.available_bytes as f64 * 100.0 / memory.total_bytes.max(1) as f64;
        Self {
            mem_total_bytes: memory.total_bytes,
            mem_available_bytes: memory.available_bytes,
            mem_available_percent: (percent * 100.0).round() / 100.0,
            swap_total_bytes: memory.swap_total_bytes,
            swap_free_bytes: memory.swap_free_bytes,
            rate: rate.map(RateJson::of),
            seconds_left: rate.and_then(|rate| seconds_left(left, rate)),
            pressure: memory.pressure.as_ref().map(PressureJson::of),
            panic_on_oom: memory.panic_on_oom,
            overcommit_memory: memory.overcommit_memory,
            overcommit_ratio: memory.overcommit_ratio,
            commit_limit_bytes: memory.commit_limit_bytes,
            committed_bytes: memory.committed_bytes,
            next,
            others_visible,
        }
    }
}

/// None while nothing shrinks, or only went at once.
fn seconds_left(left: u64, rate: Rate) -> Option<u64> {
    let seconds = left as f64 / -rate.steady_bytes_per_second;
    (rate.steady_bytes_per_second < -1.0)
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
        .map(|d| d.as_secs())
}

impl RateJson {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and no memory changes so fast")]
    fn of(rate: Rate) -> Self {
        Self { bytes_per_second: rate.bytes_per_second.round() as i64, over_seconds: rate.over.as_secs() }
    }
}

impl PressureJson {
    fn of(pressure: &Pressure) -> Self {
        let share = |[avg10, avg60, avg300]: [f64; 3], micros: u64| {
            let total_seconds = Duration::from_micros(micros).as_secs_f64();
            ShareJson { avg10, avg60, avg300, total_seconds }
        };
        Self {
            some: share(pressure.some_percent, pressure.some_micros),
            full: share(pressure.full_percent, pressure.full_micros),
        }
    }
}

impl CandidateJson {
    fn of(candidate: &Candidate) -> Self {
        Self {
            pid: candidate.pid,
            name: json::text(&candidate.name),
            oom_score: candidate.oom_score,
            oom_score_adj: candidate.oom_score_adj,
            rss_bytes: candidate.rss_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(samples: &[(u64, u64)]) -> Vec<Option<i64>> {
        let (trend, start) = (Trend::default(), Instant::now());
        let sample = |&(seconds, left): &(u64, u64)| trend.sample(start + Duration::from_secs(seconds), left);
        samples.iter().map(|at| sample(at).map(|rate| RateJson::of(rate).bytes_per_second)).collect()
    }

    #[test]
    fn a_rate_needs_two_samples_half_a_minute_apart() {
        assert_eq!(rates(&[(0, 9000), (1, 5000), (29, 9000), (60, 3000)])[..3], [None, None, None]);
        assert_eq!(rates(&[(0, 9000), (30, 6000), (60, 3000)]), [None, Some(-100), Some(-100)]);
        assert_eq!(rates(&[(0, 1000), (60, 1600)]), [None, Some(10)]);
    }

    #[test]
    fn what_is_older_than_ten_minutes_does_not_count() {
        assert_eq!(rates(&[(0, 900_000), (700, 5000), (760, 5000)]), [None, None, Some(0)]);
    }

    #[test]
    fn samples_are_bounded_however_often_they_are_taken() {
        let (trend, start) = (Trend::default(), Instant::now());
        for millis in 0..100_000 {
            trend.sample(start + Duration::from_millis(millis * 20), 1);
        }
        assert!(trend.0.lock().unwrap().len() <= 121);
    }

    #[test]
    fn time_is_left_only_while_memory_shrinks() {
        let rate = |steady| Rate { bytes_per_second: -1.0, steady_bytes_per_second: steady, over: SHORTEST };
        assert_eq!(seconds_left(6000, rate(-100.0)), Some(60));
        assert_eq!([seconds_left(6000, rate(100.0)), seconds_left(6000, rate(0.0))], [None, None]);
    }

    /// What is left of 1,000,000 at each half minute, and the seconds that are told with the last.
    fn left_after(samples: impl Iterator<Item = u64>) -> Option<u64> {
        let (trend, start) = (Trend::default(), Instant::now());
        let moments = (0..).map(|number| start + Duration::from_secs(number * 30));
        let told = moments.zip(samples).map(|(now, left)| seconds_left(left, trend.sample(now, left)?));
        told.last().flatten()
    }

    #[test]
    fn what_a_program_takes_at_once_is_no_trend() {
        for step in 1..20 {
            let once = (0..20).map(|number| if number < step { 1_000_000 } else { 300_000 });
            assert_eq!(left_after(once), None, "after {step} samples");
            let in_a_minute = (0..20).map(|number: u64| match number.saturating_sub(step) {
                0 => 1_000_000,
                1 => 650_000,
                _ => 300_000,
            });
            assert_eq!(left_after(in_a_minute), None, "within a minute, after {step} samples");
        }
    }

    #[test]
    fn what_shrinks_on_and_on_is_a_trend_with_a_step_in_it_too() {
        // After a minute and a half, half a minute of it is more than a step.
        assert_eq!(left_after((0..4).map(|number| 1_000_000 - number * 30_000)), Some(3033));
        let steady = |number: u64| 1_000_000 - number * 30_000;
        assert!(left_after((0..20).map(steady)).is_some_and(|left| (430..650).contains(&left)));
        let with_a_step = (0..20).map(|number| steady(number) - if number < 9 { 0 } else { 200_000 });
        assert!(left_after(with_a_step).is_some_and(|left| (200..450).contains(&left)));
    }
}
