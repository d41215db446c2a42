//! One OOM kill, as the history keeps it.

use std::time::SystemTime;

use oom_evidence::{Constraint, Killer, OomdKill, Report, ServiceKill, Task, Time, Trust, Victim};
use serde::{Deserialize, Serialize};

use crate::clocks::{self, Clocks};
use crate::source::OomSource;

const VICTIMS_MAX: usize = 20;
const TASKS_MAX: usize = 10;

/// An OOM kill, or a storm of kills that the kernel reports as one. What no source reported is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KillRecord {
    /// Boot id; absent if the text does not name its boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot: Option<String>,
    /// Time since 1970 in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unix_micros: Option<i64>,
    /// Uncertainty of `unix_micros`.
    #[serde(default)]
    pub(crate) error_micros: u64,
    /// Main process of the service that systemd reported as killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) main_pid: Option<u32>,
    /// Kills as the kernel counts them: in a group the chosen process may be killed, and counted, twice.
    #[serde(default)]
    pub(crate) counted_kills: u64,
    /// The time as the text has it. Kept only if no time since 1970 follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_text: Option<String>,
    /// Time since boot by the kernel's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_boot_seconds: Option<f64>,
    /// The killer. systemd does not know it and reports every kill as the kernel's.
    pub killer: Killer,
    /// Name of the process whose request for memory started the killer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    /// The limit that was hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// The cgroup whose limit was hit, or that systemd-oomd killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The cgroup of the selected process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_cgroup: Option<String>,
    /// The systemd unit of that cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The reason that systemd-oomd gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The machine went down in a panic.
    pub panic: bool,
    /// Killed processes; absent if the text does not say how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kills: Option<u64>,
    /// Killed processes that the text names, at most 20.
    pub victims: Vec<KilledProcess>,
    /// The largest processes at that time, at most 10.
    pub tasks: Vec<RunningTask>,
    /// Units that systemd named, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// The sources that reported the kill, each once.
    pub sources: Vec<OomSource>,
    /// Whether an ordinary user could have forged the report.
    pub trust: Trust,
}

/// A killed process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KilledProcess {
    /// Process id.
    pub pid: u32,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Virtual size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_vm_bytes: Option<u64>,
    /// Resident anonymous memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anon_rss_bytes: Option<u64>,
    /// Resident file pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_rss_bytes: Option<u64>,
    /// Resident shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shmem_rss_bytes: Option<u64>,
    /// -1000 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
}

/// A process of the kernel's table of processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningTask {
    /// Process id.
    pub pid: u32,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Resident memory.
    pub rss_bytes: u64,
}

impl KillRecord {
    /// Converts a report as it is. The time is that of the text, because no clock is known here.
    #[must_use]
    pub fn from_report(report: &Report, source: OomSource) -> Self {
        let time = report.time.as_ref();
        let counted_kills = match report.killer {
            Killer::Kernel => report.kill_lines.max(report.kills.unwrap_or_default()),
            _ => 0,
        };
        Self {
            counted_kills,
            time_text: time.map(time_text),
            since_boot_seconds: time.and_then(|time| time.since_boot).map(|age| age.as_secs_f64()),
            invoked_by: report.invoked_by.as_deref().map(lossy),
            constraint: report.constraint,
            cgroup: report.cgroup.as_deref().map(lossy),
            task_cgroup: report.task_cgroup.as_deref().map(lossy),
            panic: report.panic,
            kills: report.kills,
            victims: report.victims.iter().map(KilledProcess::from_victim).collect(),
            tasks: report.tasks.iter().map(RunningTask::from_task).collect(),
            units: report.units.iter().map(|unit| lossy(unit)).collect(),
            trust: report.trust,
            ..Self::empty(report.killer, source)
        }
    }

    /// Converts a report, bounds it, and sets its time and its unit. `boot` is the boot that the source names.
    pub(crate) fn dated(report: &Report, source: OomSource, boot: Option<&str>, clocks: &Clocks) -> Self {
        let is_of_this_boot = source == OomSource::Kmsg;
        let now = clocks::now_micros();
        let time = report.time.as_ref().and_then(|time| clocks.wall_time(time, is_of_this_boot, now));
        let mut record = Self::from_report(report, source);
        record.boot = boot.map(str::to_owned);
        // A report dated into the future would stay the latest one for ever.
        record.unix_micros = time.map(|time| time.micros.min(now));
        record.error_micros = time.map_or(0, |time| time.error_micros);
        if record.unix_micros.is_some() {
            record.time_text = None;
        }
        record.victims.truncate(VICTIMS_MAX);
        record.tasks.truncate(TASKS_MAX);
        record.units.truncate(VICTIMS_MAX);
        record.unit = record.task_cgroup.as_deref().or(record.cgroup.as_deref()).and_then(unit_of_cgroup);
        record
    }

    /// systemd reports that a service ended in a kill. It reports neither the victim nor the killer.
    pub(crate) fn from_service_kill(kill: &ServiceKill, boot: &str) -> Self {
        let record = Self::empty(Killer::Kernel, OomSource::Systemd);
        Self { unit: Some(kill.unit.clone()), main_pid: kill.main_pid, ..record.at(kill.at, boot) }
    }

    pub(crate) fn from_oomd_kill(kill: &OomdKill, boot: &str) -> Self {
        let record = Self::empty(Killer::SystemdOomd, OomSource::SystemdOomd);
        Self {
            unit: unit_of_cgroup(&kill.cgroup),
            cgroup: Some(kill.cgroup.clone()),
            reason: Some(kill.reason.clone()),
            ..record.at(kill.at, boot)
        }
    }

    fn empty(killer: Killer, source: OomSource) -> Self {
        Self {
            boot: None,
            unix_micros: None,
            error_micros: 0,
            main_pid: None,
            counted_kills: 0,
            time_text: None,
            since_boot_seconds: None,
            killer,
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
            sources: vec![source],
            // Only the manager and systemd-oomd can send their signals.
            trust: Trust::High,
        }
    }

    fn at(self, at: SystemTime, boot: &str) -> Self {
        let boot = Some(boot).filter(|boot| !boot.is_empty()).map(str::to_owned);
        // systemd does not count processes: one is certain.
        Self { boot, unix_micros: clocks::micros(at), counted_kills: 1, ..self }
    }

    /// The time in RFC 3339 (UTC, milliseconds); as the text has it if no clock is known.
    #[must_use]
    pub fn time(&self) -> Option<String> {
        self.unix_micros.and_then(clocks::rfc_3339).or_else(|| self.time_text.clone())
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix_seconds(&self) -> Option<i64> {
        self.unix_micros.map(clocks::seconds)
    }

    pub(crate) fn is_reported_by(&self, source: OomSource) -> bool {
        self.sources.contains(&source)
    }

    /// Whether nothing is left of a report, as after a kill that was recorded before the end of its header.
    pub(crate) fn is_empty(&self) -> bool {
        self.victims.is_empty()
            && self.invoked_by.is_none()
            && !self.panic
            && self.units.is_empty()
            && self.unit.is_none()
    }
}

impl KilledProcess {
    /// Whether both are the same process. The kernel reuses process ids, but hardly for a process of the same name and
    /// size.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let sizes = self.total_vm_bytes.zip(other.total_vm_bytes);
        self.pid == other.pid && self.name == other.name && sizes.is_none_or(|(ours, theirs)| ours == theirs)
    }

    fn from_victim(victim: &Victim) -> Self {
        Self {
            pid: victim.pid,
            name: victim.name.as_deref().map(lossy),
            uid: victim.uid,
            total_vm_bytes: victim.total_vm_bytes,
            anon_rss_bytes: victim.anon_rss_bytes,
            file_rss_bytes: victim.file_rss_bytes,
            shmem_rss_bytes: victim.shmem_rss_bytes,
            oom_score_adj: victim.oom_score_adj,
        }
    }
}

impl RunningTask {
    fn from_task(task: &Task) -> Self {
        Self { pid: task.pid, name: task.name.as_deref().map(lossy), rss_bytes: task.rss_bytes }
    }
}

/// Formats the time of a report: the date as the log has it, else the kernel's clock.
#[must_use]
pub fn time_text(time: &Time) -> String {
    if let Some(text) = &time.text {
        return lossy(text);
    }
    match (time.since_epoch, time.since_boot) {
        (Some(age), _) => format!("{:.6}", age.as_secs_f64()),
        (None, Some(age)) => format!("{:.6} s since boot", age.as_secs_f64()),
        (None, None) => String::new(),
    }
}

/// Replaces each byte that is not UTF-8 by U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Returns the last part of the path that is a unit.
fn unit_of_cgroup(cgroup: &str) -> Option<String> {
    let is_unit =
        |part: &&str| [".service", ".scope", ".slice", ".socket"].iter().any(|end| part.ends_with(end));
    cgroup.rsplit('/').find(is_unit).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use oom_evidence::{Origin, parse_all};

    use super::*;

    fn clocks() -> Clocks {
        Clocks { boot: Some(1_700_000_000), zone: TimeZone::UTC, suspended: Duration::ZERO }
    }

    fn dated(text: &str, source: OomSource) -> KillRecord {
        KillRecord::dated(&parse_all(Origin::Text, text.as_bytes())[0], source, None, &clocks())
    }

    #[test]
    fn lists_are_bounded() {
        let mut text = String::from("x invoked oom-killer: gfp_mask=0x0, order=0\n");
        text += "[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name\n";
        for pid in 1..=30 {
            text += &format!("[ {pid}]    0  {pid}   1000   {pid}   1       0             0 p{pid}\n");
        }
        for pid in 1..=30 {
            text += &format!("Memory cgroup out of memory: Killed process {pid} (p{pid}) total-vm:8kB\n");
            if pid == 1 {
                text += "Tasks in /a.service are going to be killed due to memory.oom.group set\n";
            }
        }
        for unit in 1..=30 {
            text += &format!(
                "systemd[1]: u{unit}.service: A process of this unit has been killed by the OOM killer.\n"
            );
        }
        let record = dated(&text, OomSource::File);
        assert_eq!((record.victims.len(), record.tasks.len(), record.units.len()), (20, 10, 20));
        assert_eq!((record.kills, record.counted_kills), (Some(30), 30));
    }

    #[test]
    fn time_since_boot_counts_only_for_the_ring_buffer() {
        let text = "[   10.000000] Out of memory: Killed process 7 (hog) total-vm:8kB\n";
        assert_eq!(dated(text, OomSource::Kmsg).unix_seconds(), Some(1_700_000_010));
        let of_file = dated(text, OomSource::File);
        assert_eq!(
            (of_file.unix_seconds(), of_file.time().as_deref()),
            (None, Some("10.000000 s since boot"))
        );
        assert_eq!(dated(text, OomSource::Journal).unix_seconds(), None);
    }

    #[test]
    fn future_dates_count_as_now() {
        let text =
            "2099-01-01T00:00:00+00:00 web kernel: Out of memory: Killed process 7 (hog) total-vm:8kB\n";
        let now = clocks::now_micros();
        let at = dated(text, OomSource::File).unix_micros.unwrap();
        assert!(at >= now && at <= clocks::now_micros());
    }

    #[test]
    fn record_is_empty_only_without_any_detail() {
        let empty = KillRecord::empty(Killer::Kernel, OomSource::File);
        assert!(empty.is_empty());
        assert!(!KillRecord { panic: true, ..empty.clone() }.is_empty());
        assert!(!KillRecord { unit: Some("a.service".to_owned()), ..empty.clone() }.is_empty());
        assert!(!KillRecord { units: vec!["a.service".to_owned()], ..empty.clone() }.is_empty());
        assert!(!KillRecord { invoked_by: Some("x".to_owned()), ..empty }.is_empty());
    }

    #[test]
    fn units_are_found_in_paths() {
        assert_eq!(
            unit_of_cgroup("/system.slice/php-fpm.service/worker").as_deref(),
            Some("php-fpm.service")
        );
        assert_eq!(unit_of_cgroup("/a.slice/b.socket").as_deref(), Some("b.socket"));
        assert_eq!(unit_of_cgroup("/a.slice/b.scope").as_deref(), Some("b.scope"));
        assert_eq!(unit_of_cgroup("/owtest"), None);
    }

    #[test]
    fn each_byte_that_is_not_utf_8_is_replaced() {
        assert_eq!(lossy(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(lossy(&"あ".as_bytes()[..2]), "\u{fffd}\u{fffd}");
    }
}
