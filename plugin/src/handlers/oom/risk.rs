//! `oom.risk`: how close the next OOM kill is, and which process it would hit.

use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Reply};
use proc_snapshot::{MachineMemory, MemoryPressure, Needs, OomCandidate, Visibility, oom_candidates};
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::json;
use crate::memory_trend::Rate;
use crate::parameters::Arguments;
use crate::state::PluginState;
use crate::text;

const CANDIDATES: usize = 5;
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
    candidates: Option<Vec<CandidateJson>>,
    others_visible: bool,
}

#[derive(Serialize)]
struct RateJson {
    bytes_per_second: i64,
    window_seconds: u64,
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
pub(crate) fn risk(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let host_root = &plugin.oom.host_root;
    let memory = MachineMemory::read(host_root)?;
    let snapshot = plugin.snapshot(Needs::empty(), arguments.request())?;
    let visibility = Visibility::new(plugin.walk.root(), &snapshot)?;
    let candidates = if visibility.others_visible {
        let pids = snapshot.processes().map(|process| process.pid());
        let candidates = oom_candidates(host_root, pids, CANDIDATES, reading_deadline(arguments.request()))?;
        Some(candidates.iter().map(CandidateJson::of).collect())
    } else {
        None
    };
    let left = memory.available_bytes.saturating_add(memory.swap_free_bytes);
    let rate = plugin.memory_trend.sample(Instant::now(), left);
    json::reply(&RiskJson::of(&memory, rate, candidates, visibility.others_visible))
}

impl RiskJson {
    fn of(
        memory: &MachineMemory,
        rate: Option<Rate>,
        candidates: Option<Vec<CandidateJson>>,
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
            seconds_left: rate.and_then(|rate| rate.seconds_left(left)),
            pressure: memory.pressure.as_ref().map(PressureJson::of),
            panic_on_oom: memory.panic_on_oom,
            overcommit_memory: memory.overcommit_memory,
            overcommit_ratio: memory.overcommit_ratio,
            commit_limit_bytes: memory.commit_limit_bytes,
            committed_bytes: memory.committed_bytes,
            candidates,
            others_visible,
        }
    }
}

impl RateJson {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and no memory changes so fast")]
    fn of(rate: Rate) -> Self {
        Self { bytes_per_second: rate.bytes_per_second.round() as i64, window_seconds: rate.window.as_secs() }
    }
}

impl PressureJson {
    fn of(pressure: &MemoryPressure) -> Self {
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
    fn of(candidate: &OomCandidate) -> Self {
        Self {
            pid: candidate.pid,
            name: text::lossy(&candidate.name),
            oom_score: candidate.oom_score,
            oom_score_adj: candidate.oom_score_adj,
            rss_bytes: candidate.rss_bytes,
        }
    }
}
