//! A report in JSON, as the command line, the items and the state file have it.

use std::borrow::Cow;

use oom_evidence::{Constraint, Report, Task, Time, Trust, Victim};
use serde::{Deserialize, Serialize};

use crate::text;

/// A constant when it is written, a text of its own when it was read from the state file.
pub(crate) type Word = Cow<'static, str>;

/// What the text does not say is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// Seconds since 1970, where the machine's clock is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since_boot_seconds: Option<f64>,
    pub(crate) killer: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) invoked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) constraint: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task_cgroup: Option<String>,
    /// The systemd unit that the cgroup of the selected process belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// Why systemd-oomd killed, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) panic: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kills: Option<u64>,
    pub(crate) victims: Vec<VictimJson>,
    pub(crate) tasks: Vec<TaskJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) units: Vec<String>,
    pub(crate) sources: Vec<Word>,
    pub(crate) trust: Word,
}

impl ReportJson {
    pub(crate) fn of(report: &Report, source: &'static str) -> Self {
        let time = report.time.as_ref();
        Self {
            time: time.map(time_text),
            clock: None,
            since_boot_seconds: time.and_then(|time| time.since_boot).map(|age| age.as_secs_f64()),
            killer: report.killer.as_str().into(),
            invoked_by: optional_text(report.invoked_by.as_deref()),
            constraint: report.constraint.map(Constraint::as_str).map(Word::from),
            cgroup: optional_text(report.cgroup.as_deref()),
            task_cgroup: optional_text(report.task_cgroup.as_deref()),
            unit: None,
            reason: None,
            panic: report.panic,
            kills: report.kills,
            victims: report.victims.iter().map(VictimJson::of).collect(),
            tasks: report.tasks.iter().map(TaskJson::of).collect(),
            units: report.units.iter().map(|unit| text::lossy(unit)).collect(),
            sources: vec![source.into()],
            trust: match report.trust {
                Trust::High => HIGH.into(),
                Trust::Low => "low".into(),
            },
        }
    }
}

impl ReportJson {
    /// Of what D-Bus tells: only the manager and systemd-oomd can say it.
    pub(crate) fn bare(killer: &'static str, source: &'static str) -> Self {
        Self {
            time: None,
            clock: None,
            since_boot_seconds: None,
            killer: killer.into(),
            invoked_by: None,
            constraint: None,
            cgroup: None,
            task_cgroup: None,
            unit: None,
            reason: None,
            panic: false,
            kills: None,
            victims: Vec::new(),
            tasks: Vec::new(),
            units: Vec::new(),
            sources: vec![source.into()],
            trust: HIGH.into(),
        }
    }
}

pub(crate) const HIGH: &str = "high";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VictimJson {
    pub(crate) pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_vm_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anon_rss_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_rss_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shmem_rss_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i64>,
}

impl VictimJson {
    /// Whether both are the same process. A number is given again after a while, but hardly to a process of the same
    /// name and size.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let sizes = self.total_vm_bytes.zip(other.total_vm_bytes);
        self.pid == other.pid && self.name == other.name && sizes.is_none_or(|(ours, theirs)| ours == theirs)
    }

    fn of(victim: &Victim) -> Self {
        Self {
            pid: victim.pid,
            name: optional_text(victim.name.as_deref()),
            uid: victim.uid,
            total_vm_bytes: victim.total_vm_bytes,
            anon_rss_bytes: victim.anon_rss_bytes,
            file_rss_bytes: victim.file_rss_bytes,
            shmem_rss_bytes: victim.shmem_rss_bytes,
            oom_score_adj: victim.oom_score_adj,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskJson {
    pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    rss_bytes: u64,
}

impl TaskJson {
    fn of(task: &Task) -> Self {
        Self { pid: task.pid, name: optional_text(task.name.as_deref()), rss_bytes: task.rss_bytes }
    }
}

fn optional_text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(text::lossy)
}

/// The date as the log has it; else what the kernel's clock says.
pub(crate) fn time_text(time: &Time) -> String {
    if let Some(text) = &time.text {
        return text::lossy(text);
    }
    match (time.since_epoch, time.since_boot) {
        (Some(age), _) => format!("{:.6}", age.as_secs_f64()),
        (None, Some(age)) => format!("{:.6} s since boot", age.as_secs_f64()),
        (None, None) => String::new(),
    }
}
