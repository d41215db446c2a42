//! A kill as JSON, for the command line and the items.

use oom_evidence::Constraint;
use oom_history::{KillRecord, KilledProcess, RunningTask};
use serde::Serialize;

/// What no source reported is absent.
#[derive(Debug, Serialize)]
pub(crate) struct ReportJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Seconds since 1970, if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_boot_seconds: Option<f64>,
    killer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_cgroup: Option<String>,
    /// The systemd unit of the selected process's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// The reason that systemd-oomd gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    panic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kills: Option<u64>,
    victims: Vec<VictimJson>,
    tasks: Vec<TaskJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    units: Vec<String>,
    sources: Vec<&'static str>,
    trust: &'static str,
}

#[derive(Debug, Serialize)]
struct VictimJson {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_vm_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anon_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shmem_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i64>,
}

#[derive(Debug, Serialize)]
struct TaskJson {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    rss_bytes: u64,
}

impl From<&KillRecord> for ReportJson {
    fn from(record: &KillRecord) -> Self {
        Self {
            time: record.time(),
            clock: record.unix_seconds(),
            since_boot_seconds: record.since_boot_seconds,
            killer: record.killer.as_str(),
            invoked_by: record.invoked_by.clone(),
            constraint: record.constraint.map(Constraint::as_str),
            cgroup: record.cgroup.clone(),
            task_cgroup: record.task_cgroup.clone(),
            unit: record.unit.clone(),
            reason: record.reason.clone(),
            panic: record.panic,
            kills: record.kills,
            victims: record.victims.iter().map(VictimJson::from).collect(),
            tasks: record.tasks.iter().map(TaskJson::from).collect(),
            units: record.units.clone(),
            sources: record.sources.iter().map(|source| source.name()).collect(),
            trust: record.trust.as_str(),
        }
    }
}

impl From<&KilledProcess> for VictimJson {
    fn from(victim: &KilledProcess) -> Self {
        Self {
            pid: victim.pid,
            name: victim.name.clone(),
            uid: victim.uid,
            total_vm_bytes: victim.total_vm_bytes,
            anon_rss_bytes: victim.anon_rss_bytes,
            file_rss_bytes: victim.file_rss_bytes,
            shmem_rss_bytes: victim.shmem_rss_bytes,
            oom_score_adj: victim.oom_score_adj,
        }
    }
}

impl From<&RunningTask> for TaskJson {
    fn from(task: &RunningTask) -> Self {
        Self { pid: task.pid, name: task.name.clone(), rss_bytes: task.rss_bytes }
    }
}
