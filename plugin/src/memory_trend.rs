//! The rate at which available memory and free swap change, from the polls of the last minutes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Length of the window over which the trend is fitted.
const WINDOW: Duration = Duration::from_secs(600);
/// A shorter window shows noise rather than a trend.
const WINDOW_MIN: Duration = Duration::from_secs(30);
/// Memory that goes within this time goes once, as when a program starts: it does not belong to the trend.
const STEP: Duration = Duration::from_secs(60);
/// Samples that are closer together are dropped, which bounds their number.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// Samples of the memory that is left: when, and bytes.
#[derive(Debug, Default)]
pub(crate) struct MemoryTrend(Mutex<VecDeque<(Instant, u64)>>);

/// The change of the memory that is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) bytes_per_second: f64,
    /// The same without the largest step down.
    steady_bytes_per_second: f64,
    pub(crate) window: Duration,
}

impl MemoryTrend {
    /// Adds a sample and returns the rate, if the samples reach back far enough.
    pub(crate) fn sample(&self, now: Instant, bytes_left: u64) -> Option<Rate> {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SAMPLE_INTERVAL) {
            samples.push_back((now, bytes_left));
        }
        samples.retain(|(at, _)| now.saturating_duration_since(*at) <= WINDOW);
        let first = samples.front()?.0;
        let window = now.saturating_duration_since(first);
        let points = samples
            .iter()
            .map(|(at, left)| (at.saturating_duration_since(first).as_secs_f64(), *left as f64));
        let points: Vec<_> = points.collect();
        if window < WINDOW_MIN || points.len() < 2 {
            return None;
        }
        let (bytes_per_second, steady_bytes_per_second) =
            (slope(&points)?, slope(&without_largest_step(&points))?);
        Some(Rate { bytes_per_second, steady_bytes_per_second, window })
    }
}

impl Rate {
    /// Returns the seconds until nothing is left; `None` if nothing shrinks, or shrank in one step only.
    pub(crate) fn seconds_left(self, bytes_left: u64) -> Option<u64> {
        let seconds = bytes_left as f64 / -self.steady_bytes_per_second;
        (self.steady_bytes_per_second < -1.0)
            .then(|| Duration::try_from_secs_f64(seconds).ok())
            .flatten()
            .map(|left| left.as_secs())
    }
}

/// Returns the slope of the straight line that fits best (least squares), so that a single peak counts for little.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), (x, y)| {
        (over + (x - mean_x) * (y - mean_y), under + (x - mean_x).powi(2))
    });
    (under > 0.0).then_some(over / under)
}

/// Returns the points with the largest step down removed: points before it are lowered by its height.
fn without_largest_step(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rate, rounded to whole bytes per second, after each sample (seconds, bytes left).
    fn rates(samples: &[(u64, u64)]) -> Vec<Option<f64>> {
        let (trend, start) = (MemoryTrend::default(), Instant::now());
        let sample = |&(seconds, left): &(u64, u64)| trend.sample(start + Duration::from_secs(seconds), left);
        samples.iter().map(|at| sample(at).map(|rate| rate.bytes_per_second.round())).collect()
    }

    #[test]
    fn rate_needs_two_samples_half_a_minute_apart() {
        assert_eq!(rates(&[(0, 9000), (1, 5000), (29, 9000), (60, 3000)])[..3], [None, None, None]);
        assert_eq!(rates(&[(0, 9000), (30, 6000), (60, 3000)]), [None, Some(-100.0), Some(-100.0)]);
        assert_eq!(rates(&[(0, 1000), (60, 1600)]), [None, Some(10.0)]);
    }

    #[test]
    fn samples_older_than_ten_minutes_do_not_count() {
        assert_eq!(rates(&[(0, 900_000), (700, 5000), (760, 5000)]), [None, None, Some(0.0)]);
        assert_eq!(rates(&[(0, 7000), (600, 1000)]), [None, Some(-10.0)]);
    }

    #[test]
    fn number_of_samples_is_bounded_at_any_poll_interval() {
        let (trend, start) = (MemoryTrend::default(), Instant::now());
        for millis in 0..100_000 {
            trend.sample(start + Duration::from_millis(millis * 20), 1);
        }
        assert_eq!(trend.0.lock().unwrap().len(), 120);
    }

    #[test]
    fn time_is_left_only_while_memory_shrinks() {
        let rate =
            |steady| Rate { bytes_per_second: -1.0, steady_bytes_per_second: steady, window: WINDOW_MIN };
        assert_eq!(rate(-100.0).seconds_left(6000), Some(60));
        assert_eq!([100.0, 0.0, -1.0].map(|steady| rate(steady).seconds_left(6000)), [None; 3]);
    }

    /// Returns the seconds left after the last of several samples, which are 30 s apart.
    fn left_after(samples: impl Iterator<Item = u64>) -> Option<u64> {
        let (trend, start) = (MemoryTrend::default(), Instant::now());
        let times = (0..).map(|number| start + Duration::from_secs(number * 30));
        let left = times.zip(samples).map(|(now, left)| trend.sample(now, left)?.seconds_left(left));
        left.last().flatten()
    }

    #[test]
    fn memory_that_goes_in_one_step_is_not_a_trend() {
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
    fn steady_loss_is_a_trend_also_with_a_step_in_it() {
        // After a minute and a half, half a minute of it is more than a step.
        assert_eq!(left_after((0..4).map(|number| 1_000_000 - number * 30_000)), Some(3033));
        let steady = |number: u64| 1_000_000 - number * 30_000;
        assert!(left_after((0..20).map(steady)).is_some_and(|left| (430..650).contains(&left)));
        let with_a_step = (0..20).map(|number| steady(number) - if number < 9 { 0 } else { 200_000 });
        assert!(left_after(with_a_step).is_some_and(|left| (200..450).contains(&left)));
    }
}
