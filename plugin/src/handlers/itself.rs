//! `self`: state and statistics of the plugin.

use agent2_plugin::{ItemError, Reply, Supervision};
use oom_history::Durability;
use proc_snapshot::{Needs, OwnUsage, ProcError, Visibility};
use serde::Serialize;

use crate::json;
use crate::parameters::Arguments;
use crate::state::PluginState;

/// `self`
pub(crate) fn status(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    json::reply(&SelfJson {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: plugin.since.elapsed().as_secs(),
        process: OwnUsage::read()?.into(),
        worker: plugin.context.supervision.as_ref().map(WorkerJson::from),
        exports: ExportsJson::new(plugin),
        walks: WalksJson::new(plugin),
        cpu_sampler: SamplerJson::new(plugin),
        state: StateJson::new(plugin),
        logs: plugin.logs.status().map(|status| LogsJson::new(&status)),
        oom: plugin.oom.durability().map(|durability| OomJson::new(&durability)),
        processes: ProcessesJson::new(plugin, arguments)?,
    })
}

#[derive(Serialize)]
struct SelfJson {
    version: &'static str,
    uptime_seconds: u64,
    process: ProcessJson,
    worker: Option<WorkerJson>,
    exports: ExportsJson,
    walks: WalksJson,
    cpu_sampler: SamplerJson,
    state: StateJson,
    logs: Option<LogsJson>,
    oom: Option<OomJson>,
    processes: ProcessesJson,
}

/// This process.
#[derive(Serialize)]
struct ProcessJson {
    rss_bytes: u64,
    cpu_user_seconds: f64,
    cpu_system_seconds: f64,
    threads: u64,
}

impl From<OwnUsage> for ProcessJson {
    fn from(usage: OwnUsage) -> Self {
        Self {
            rss_bytes: usage.rss_bytes,
            cpu_user_seconds: usage.cpu_user_seconds,
            cpu_system_seconds: usage.cpu_system_seconds,
            threads: usage.threads,
        }
    }
}

/// Null if no agent polls.
#[derive(Serialize)]
struct WorkerJson {
    ended_before: u64,
    last_end_age_seconds: Option<u64>,
    last_end_cause: Option<String>,
}

impl From<&Supervision> for WorkerJson {
    fn from(report: &Supervision) -> Self {
        let last = report.last_end.as_ref();
        let age = last.and_then(|end| end.time.elapsed().ok());
        Self {
            ended_before: report.ended_workers,
            last_end_age_seconds: age.map(|age| age.as_secs()),
            last_end_cause: last.map(|end| end.cause.clone()),
        }
    }
}

#[derive(Serialize)]
struct ExportsJson {
    total: u64,
    errors: u64,
    timeouts: u64,
    panics: u64,
    running_past_deadline: u64,
    log_lines_dropped: u64,
}

impl ExportsJson {
    fn new(plugin: &PluginState) -> Self {
        let stats = &plugin.context.stats;
        Self {
            total: stats.exports(),
            errors: stats.errors(),
            timeouts: stats.timeouts(),
            panics: stats.panics(),
            running_past_deadline: stats.hanging(),
            log_lines_dropped: stats.log_lines_dropped(),
        }
    }
}

#[derive(Serialize)]
struct WalksJson {
    total: u64,
    failed: u64,
    shared: u64,
    seconds: f64,
    last_seconds: f64,
}

impl WalksJson {
    fn new(plugin: &PluginState) -> Self {
        let stats = plugin.walk.stats();
        Self {
            total: stats.walks,
            failed: stats.failed,
            shared: stats.shared,
            seconds: stats.walking.as_secs_f64(),
            last_seconds: stats.last.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
struct SamplerJson {
    queries: usize,
    samples: u64,
    failed: u64,
    seconds: f64,
}

impl SamplerJson {
    fn new(plugin: &PluginState) -> Self {
        let stats = plugin.sampler.stats();
        Self {
            queries: stats.queries,
            samples: stats.samples,
            failed: stats.failed,
            seconds: stats.sampling.as_secs_f64(),
        }
    }
}

/// The state of all items together: log positions and the history of OOM kills.
#[derive(Serialize)]
struct StateJson {
    persistence: &'static str,
    reason: Option<String>,
    not_durable_seconds: Option<u64>,
}

impl StateJson {
    /// State that no item has used yet is durable.
    fn new(plugin: &PluginState) -> Self {
        let logs = plugin.logs.status().map(|status| status.durability);
        let worst =
            [logs, plugin.oom.durability()].into_iter().flatten().max_by_key(|durability| match durability {
                Durability::Memory { .. } => 2,
                Durability::ReadOnly => 1,
                Durability::Durable => 0,
            });
        let durability = worst.unwrap_or(Durability::Durable);
        let age = durability.not_durable_since().and_then(|since| since.elapsed().ok());
        Self {
            persistence: durability.name(),
            reason: durability.reason().map(str::to_owned),
            not_durable_seconds: age.map(|age| age.as_secs()),
        }
    }
}

/// Null before the first log item.
#[derive(Serialize)]
struct LogsJson {
    persistence: &'static str,
    reason: Option<String>,
    not_durable_seconds: Option<u64>,
    items: usize,
    read_bytes: u64,
    lines_over_step_limit: u64,
    last_write_age_seconds: Option<u64>,
}

impl LogsJson {
    fn new(status: &log_follow::FollowerStatus) -> Self {
        let durability = &status.durability;
        let not_durable = durability.not_durable_since().and_then(|since| since.elapsed().ok());
        let age = status.last_write.and_then(|time| time.elapsed().ok());
        Self {
            persistence: durability.name(),
            reason: durability.reason().map(str::to_owned),
            not_durable_seconds: not_durable.map(|age| age.as_secs()),
            items: status.items,
            read_bytes: status.read_bytes,
            lines_over_step_limit: status.lines_over_step_limit,
            last_write_age_seconds: age.map(|age| age.as_secs()),
        }
    }
}

/// The history of OOM kills. Null before the first OOM item.
#[derive(Serialize)]
struct OomJson {
    persistence: &'static str,
    reason: Option<String>,
    not_durable_seconds: Option<u64>,
}

impl OomJson {
    fn new(durability: &Durability) -> Self {
        let age = durability.not_durable_since().and_then(|since| since.elapsed().ok());
        Self {
            persistence: durability.name(),
            reason: durability.reason().map(str::to_owned),
            not_durable_seconds: age.map(|age| age.as_secs()),
        }
    }
}

#[derive(Serialize)]
struct ProcessesJson {
    total: usize,
    unreadable: usize,
    hidepid: Option<u8>,
    others_visible: bool,
    cmdlines_truncated: usize,
}

impl ProcessesJson {
    fn new(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Self, ProcError> {
        let snapshot = plugin.snapshot(Needs::empty(), arguments.request())?;
        let visibility = Visibility::new(plugin.walk.root(), &snapshot)?;
        Ok(Self {
            total: snapshot.len(),
            unreadable: visibility.unreadable,
            hidepid: visibility.hidepid,
            others_visible: visibility.others_visible,
            cmdlines_truncated: snapshot.truncated_cmdlines(),
        })
    }
}
