//! `check`: checks whether this user can read the files that the items need, and prints remedies.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Request};
use oom_history::{OomSource, Remedy};
use proc_snapshot::{Needs, ProcError, Snapshot, Visibility};
use rustix::fs::{Access, access};

use crate::handlers::oom::{CheckedSource, checked_sources};
use crate::remedies;
use crate::state::PluginState;

/// The result of one check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) problem: Option<Problem>,
    /// Other sources are sufficient: the problem is a note and not a failure.
    pub(crate) is_optional: bool,
}

impl Finding {
    fn required(what: &'static str, problem: Option<Problem>) -> Self {
        Self { what, problem, is_optional: false }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.problem.is_some() && !self.is_optional
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    reason: String,
    /// Commands to run, or lines to write.
    remedy: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = &self.problem else { return writeln!(f, "ok       {}", self.what) };
        let word = if self.is_optional { "note" } else { "problem" };
        writeln!(f, "{word:<8} {}: {}", self.what, problem.reason)?;
        problem.remedy.iter().try_for_each(|line| writeln!(f, "           {line}"))
    }
}

/// Runs all checks. Writes nothing.
pub(crate) fn findings(
    plugin: &PluginState,
    agent_conf: &str,
    timeout: Duration,
) -> Result<Vec<Finding>, ItemError> {
    let snapshot = plugin.snapshot(Needs::empty(), &Request::new("check", &[], timeout))?;
    let visibility = Visibility::new(plugin.walk.root(), &snapshot)?;
    let mut findings = vec![
        Finding::required("processes of other users (proc.*)", hidden(&visibility)),
        Finding::required(
            "memory maps of other users (pss, uss)",
            unreadable_maps(&snapshot, Instant::now() + timeout)?,
        ),
        Finding::required("positions in logs (log.*)", unwritable(plugin.logs.state_dir())),
    ];
    if !agent_conf.is_empty() {
        let what = "log text while the server is away (log, logrt)";
        findings.push(Finding::required(what, no_persistent_buffer(agent_conf)));
    }
    findings.extend(sources(checked_sources(plugin, &Request::new("check", &[], timeout))?));
    Ok(findings)
}

/// One readable source of reports is sufficient. If none is readable, each of them is a failure.
fn sources(all: Vec<CheckedSource>) -> impl Iterator<Item = Finding> {
    let is_enough = all.iter().any(|checked| checked.source.is_kernel_text() && checked.status.is_readable());
    all.into_iter().map(move |CheckedSource { source, status }| Finding {
        what: what_of(source),
        problem: status.reason.map(|reason| Problem { reason, remedy: remedy_lines(status.remedy) }),
        is_optional: is_enough || !source.is_kernel_text(),
    })
}

fn remedy_lines(remedy: Option<Remedy>) -> Vec<String> {
    remedy.map_or(&[][..], remedies::lines).iter().map(ToString::to_string).collect()
}

fn what_of(source: OomSource) -> &'static str {
    match source {
        OomSource::Kmsg => "OOM reports in /dev/kmsg (oom.*)",
        OomSource::Journal => "OOM reports in the journal (oom.*)",
        OomSource::File => "OOM reports in log files (oom.*)",
        OomSource::Systemd => "systemd over D-Bus (systemd.units, oom.*)",
        OomSource::SystemdOomd => "systemd-oomd over D-Bus (oom.*)",
    }
}

fn hidden(visibility: &Visibility) -> Option<Problem> {
    visibility.is_partial().then(|| Problem {
        reason: format!("/proc is mounted with hidepid={}", visibility.hidepid.unwrap_or_default()),
        remedy: vec![
            "add the agent's user to the group of the mount's gid= option:".to_owned(),
            "usermod --append --groups GROUP zabbix && systemctl restart zabbix-agent2".to_owned(),
            "or: mount --options remount,hidepid=0 /proc".to_owned(),
        ],
    })
}

/// Number of processes to try: reading the maps of a large process takes seconds. Sealed processes are readable by no user, so
/// more than half of the sample must be unreadable.
const SAMPLE: usize = 20;

fn unreadable_maps(snapshot: &Snapshot, deadline: Instant) -> Result<Option<Problem>, ProcError> {
    let with_memory = snapshot.processes().filter(|process| process.vsize_bytes() > 0);
    let is_readable = |process: proc_snapshot::Process<'_>| Ok(process.smaps(deadline)?.is_some());
    let readable: Vec<bool> = with_memory.take(SAMPLE).map(is_readable).collect::<Result<_, ProcError>>()?;
    let unreadable = readable.iter().filter(|readable| !**readable).count();
    Ok((unreadable * 2 > readable.len()).then(|| Problem {
        reason: format!("smaps_rollup of {unreadable} of {} processes cannot be read", readable.len()),
        remedy: vec![
            "systemctl edit zabbix-agent2, and write:".to_owned(),
            "[Service]".to_owned(),
            "AmbientCapabilities=CAP_SYS_PTRACE".to_owned(),
            "(it lets the agent read the memory of every process; without it use rss)".to_owned(),
        ],
    }))
}

fn unwritable(dir: &Path) -> Option<Problem> {
    let ancestor = existing_ancestor(dir);
    let error = access(&ancestor, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(Problem {
        reason: format!(
            "{} cannot be written ({error}): positions would be lost at a restart",
            ancestor.display()
        ),
        remedy: vec![format!(
            "install --directory --owner zabbix --group zabbix --mode 750 {}",
            dir.display()
        )],
    })
}

fn existing_ancestor(dir: &Path) -> PathBuf {
    dir.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// Without the persistent buffer, the agent drops the oldest unsent values when its memory buffer is full. Log text is lost
/// then; counters such as log.total are not affected.
fn no_persistent_buffer(agent_conf: &str) -> Option<Problem> {
    let is_set = |line: &str| {
        line.split_once('=')
            .is_some_and(|(name, value)| name.trim() == "EnablePersistentBuffer" && value.trim() == "1")
    };
    (!agent_conf.lines().any(is_set)).then(|| Problem {
        reason: "the agent keeps unsent values in memory and drops the oldest".to_owned(),
        remedy: vec![
            "in the agent's configuration:".to_owned(),
            "EnablePersistentBuffer=1".to_owned(),
            "PersistentBufferFile=/var/lib/zabbix/zabbix_agent2.db".to_owned(),
        ],
    })
}

#[cfg(test)]
mod tests {
    use oom_history::{SourceState, SourceStatus};

    use super::*;

    #[test]
    fn problem_is_printed_with_its_remedy() {
        let fine = Finding::required("this", None);
        assert_eq!(fine.to_string(), "ok       this\n");
        let problem = Problem { reason: "broken".to_owned(), remedy: vec!["repair it".to_owned()] };
        let finding = Finding::required("that", Some(problem));
        assert_eq!(finding.to_string(), "problem  that: broken\n           repair it\n");
    }

    #[test]
    fn one_source_of_reports_is_enough() {
        let all = |journal: Option<&str>| {
            let status = |reason: Option<&str>, remedy| SourceStatus {
                state: if reason.is_some() { SourceState::Forbidden } else { SourceState::Readable },
                reason: reason.map(str::to_owned),
                remedy: reason.and(Some(remedy)),
            };
            let checked = |source, status| CheckedSource { source, status };
            sources(vec![
                checked(OomSource::Kmsg, status(Some("not allowed"), Remedy::ReadKmsg)),
                checked(OomSource::Journal, status(journal, Remedy::ReadJournal)),
                checked(OomSource::Systemd, status(Some("no bus"), Remedy::ReachBus)),
            ])
            .collect::<Vec<_>>()
        };
        assert_eq!(all(None).iter().filter(|finding| finding.is_failure()).count(), 0);
        let none = all(Some("not seen"));
        assert_eq!(none.iter().map(Finding::is_failure).collect::<Vec<_>>(), [true, true, false]);
        let text = none[1].to_string();
        let command = "usermod --append --groups systemd-journal zabbix && systemctl restart zabbix-agent2";
        assert_eq!(
            text,
            format!("problem  OOM reports in the journal (oom.*): not seen\n           {command}\n")
        );
        assert!(
            none[2].to_string().starts_with("note     systemd over D-Bus (systemd.units, oom.*): no bus\n")
        );
    }

    #[test]
    fn persistent_buffer_is_checked() {
        assert_eq!(no_persistent_buffer("A=1\n EnablePersistentBuffer = 1\n"), None);
        assert!(no_persistent_buffer("# EnablePersistentBuffer=1\n").is_some());
        assert!(no_persistent_buffer("EnablePersistentBuffer=0").is_some());
    }

    #[test]
    fn a_state_directory_needs_a_parent_that_can_be_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(unwritable(&directory.path().join("a/b")), None);
        // /proc takes no directories, not even root's.
        assert!(unwritable(Path::new("/proc/1/no/such")).is_some() || cfg!(not(target_os = "linux")));
    }
}
