//! `check`: whether this user can read what the items need, and what would mend it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent2_plugin::{ItemError, Request};
use oom_history::{OomSource, Remedy};
use proc_snapshot::{Needs, Snapshot, Visibility};
use rustix::fs::{Access, access};

use crate::handlers::oom::{CheckedSource, checked_sources};
use crate::remedies;
use crate::state::PluginState;

/// One thing that was checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) problem: Option<Problem>,
    /// Others do as well: worth a note, and no failure.
    pub(crate) is_optional: bool,
}

impl Finding {
    fn of(what: &'static str, problem: Option<Problem>) -> Self {
        Self { what, problem, is_optional: false }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.problem.is_some() && !self.is_optional
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    why: String,
    /// Lines to be typed or written.
    mend: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = &self.problem else { return writeln!(f, "ok       {}", self.what) };
        let word = if self.is_optional { "note" } else { "problem" };
        writeln!(f, "{word:<8} {}: {}", self.what, problem.why)?;
        problem.mend.iter().try_for_each(|line| writeln!(f, "           {line}"))
    }
}

/// Looks at everything; writes nothing.
pub(crate) fn findings(
    plugin: &PluginState,
    agent_conf: &str,
    timeout: Duration,
) -> Result<Vec<Finding>, ItemError> {
    let snapshot = plugin.snapshot(Needs::empty(), &Request::new("check", &[], timeout))?;
    let visibility = Visibility::new(plugin.walk.root(), &snapshot);
    let mut findings = vec![
        Finding::of("processes of other users (proc.*)", hidden(&visibility)),
        Finding::of("memory maps of other users (pss, uss)", unreadable_maps(&snapshot)),
        Finding::of("positions in logs (log.*)", unwritable(plugin.logs.state_dir())),
    ];
    if !agent_conf.is_empty() {
        let what = "log text while the server is away (log, logrt)";
        findings.push(Finding::of(what, no_persistent_buffer(agent_conf)));
    }
    findings.extend(sources(checked_sources(plugin, &Request::new("check", &[], timeout))?));
    Ok(findings)
}

/// One source of reports is enough; none is a failure of all.
fn sources(all: Vec<CheckedSource>) -> impl Iterator<Item = Finding> {
    let is_enough = all.iter().any(|checked| checked.source.is_kernel_text() && checked.status.is_readable());
    all.into_iter().map(move |CheckedSource { source, status }| Finding {
        what: what_of(source),
        problem: status.reason.map(|why| Problem { why, mend: remedy_lines(status.remedy) }),
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
        why: format!("/proc is mounted with hidepid={}", visibility.hidepid.unwrap_or_default()),
        mend: vec![
            "add the agent's user to the group of the mount's gid= option:".to_owned(),
            "usermod --append --groups GROUP zabbix && systemctl restart zabbix-agent2".to_owned(),
            "or: mount --options remount,hidepid=0 /proc".to_owned(),
        ],
    })
}

/// A few processes tell: some, such as sealed ones, nobody can read, and reading the maps of a large one takes seconds.
const SAMPLE: usize = 20;

fn unreadable_maps(snapshot: &Snapshot) -> Option<Problem> {
    let with_memory = snapshot.processes().filter(|process| process.vsize_bytes() > 0);
    let (readable, unreadable): (Vec<_>, Vec<_>) =
        with_memory.take(SAMPLE).partition(|process| process.smaps().is_some());
    let all = readable.len() + unreadable.len();
    (unreadable.len() > readable.len()).then(|| Problem {
        why: format!("smaps_rollup of {} of {all} processes cannot be read", unreadable.len()),
        mend: vec![
            "systemctl edit zabbix-agent2, and write:".to_owned(),
            "[Service]".to_owned(),
            "AmbientCapabilities=CAP_SYS_PTRACE".to_owned(),
            "(it lets the agent read the memory of every process; without it use rss)".to_owned(),
        ],
    })
}

fn unwritable(dir: &Path) -> Option<Problem> {
    let place = existing_ancestor(dir);
    let error = access(&place, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(Problem {
        why: format!("{} cannot be written ({error}): positions would be lost at a restart", place.display()),
        mend: vec![format!("install --directory --owner zabbix --group zabbix --mode 750 {}", dir.display())],
    })
}

fn existing_ancestor(dir: &Path) -> PathBuf {
    dir.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// A plugin's values wait in the agent's memory and the oldest are dropped when it is full; counters such as log.total
/// do not suffer from that, text does.
fn no_persistent_buffer(agent_conf: &str) -> Option<Problem> {
    let is_set = |line: &str| {
        line.split_once('=')
            .is_some_and(|(name, value)| name.trim() == "EnablePersistentBuffer" && value.trim() == "1")
    };
    (!agent_conf.lines().any(is_set)).then(|| Problem {
        why: "the agent keeps unsent values in memory and drops the oldest".to_owned(),
        mend: vec![
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
    fn a_problem_is_printed_with_what_mends_it() {
        let fine = Finding::of("this", None);
        assert_eq!(fine.to_string(), "ok       this\n");
        let problem = Problem { why: "broken".to_owned(), mend: vec!["mend it".to_owned()] };
        let finding = Finding::of("that", Some(problem));
        assert_eq!(finding.to_string(), "problem  that: broken\n           mend it\n");
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
    fn the_persistent_buffer_is_looked_for() {
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
