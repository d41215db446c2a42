//! `check`: whether this user can read what the items need, and what would mend it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent2_plugin::{ItemError, Request};
use proc_snapshot::{Needs, Snapshot, Visibility};
use rustix::fs::{Access, access};

use crate::exporter::OomWatch;

/// One thing that was checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) problem: Option<Problem>,
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
        writeln!(f, "problem  {}: {}", self.what, problem.why)?;
        problem.mend.iter().try_for_each(|line| writeln!(f, "           {line}"))
    }
}

/// Looks at everything; writes nothing.
pub(crate) fn findings(
    oomwatch: &OomWatch,
    agent_conf: &str,
    timeout: Duration,
) -> Result<Vec<Finding>, ItemError> {
    let snapshot = oomwatch.snapshot(Needs::empty(), &Request::new("check", &[], timeout))?;
    let mut findings = vec![
        Finding {
            what: "processes of other users (proc.*)",
            problem: hidden(&Visibility::of(oomwatch.walk.root(), &snapshot)),
        },
        Finding { what: "memory maps of other users (pss, uss)", problem: unreadable_maps(&snapshot) },
        Finding { what: "positions in logs (log.*)", problem: unwritable(oomwatch.logs.state_dir()) },
    ];
    if !agent_conf.is_empty() {
        let what = "log text while the server is away (log, logrt)";
        findings.push(Finding { what, problem: no_persistent_buffer(agent_conf) });
    }
    Ok(findings)
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
    use super::*;

    #[test]
    fn a_problem_is_printed_with_what_mends_it() {
        let fine = Finding { what: "this", problem: None };
        assert_eq!(fine.to_string(), "ok       this\n");
        let problem = Problem { why: "broken".to_owned(), mend: vec!["mend it".to_owned()] };
        let finding = Finding { what: "that", problem: Some(problem) };
        assert_eq!(finding.to_string(), "problem  that: broken\n           mend it\n");
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
