//! The exporter: what all items share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use agent2_plugin::{Context, Exporter, ItemError, OptionError, Plugin, Reply, Request, Stats};
use proc_snapshot::{CpuSampler, Needs, ProcError, ProcRoot, SharedWalk, Snapshot, Users};

use crate::arguments::Arguments;
use crate::capacity::Versions;
use crate::config::{Confs, Options};
use crate::keys::{KEYS, Key};
use crate::logs::Logs;
use crate::oom::Oom;

/// The plugin as an agent or the command line uses it.
pub struct OomWatch {
    pub(crate) walk: SharedWalk,
    pub(crate) sampler: CpuSampler,
    pub(crate) users: Arc<Users>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) confs: Confs,
    pub(crate) versions: Versions,
    host_root: PathBuf,
    pub(crate) oom: Arc<Oom>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) since: Instant,
}

/// What the answers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A server gets them: positions in logs move.
    Serve,
    /// Somebody wants to see what a server would get: nothing moves and nothing is written.
    Look,
}

impl Purpose {
    /// An agent that was called with `-t` or `-p` asks as any other, in a process beside the running agent's. Its
    /// command line is what tells them apart.
    fn of_parent() -> Self {
        let arguments = rustix::process::getppid()
            .and_then(|parent| std::fs::read(format!("/proc/{}/cmdline", parent.as_raw_pid())).ok())
            .unwrap_or_default();
        if is_test_run(&arguments) { Self::Look } else { Self::Serve }
    }
}

fn is_test_run(arguments: &[u8]) -> bool {
    let is_test = |argument: &[u8]| {
        matches!(argument, b"-t" | b"--test" | b"-p" | b"--print") || argument.starts_with(b"--test=")
    };
    arguments.split(|&byte| byte == 0).skip(1).any(is_test)
}

/// The plugin's name, as in `Plugins.OomWatch.System.Path`.
pub(crate) const NAME: &str = "OomWatch";

/// The plugin with its metrics, which are the table's keys.
#[must_use]
pub fn plugin() -> Plugin {
    KEYS.iter().fold(Plugin::new(NAME), |plugin, key| plugin.metric(key.name, key.summary))
}

impl OomWatch {
    pub(crate) fn new(options: &Options, stats: Arc<Stats>, purpose: Purpose) -> Result<Self, ItemError> {
        let config = options.check()?;
        let root = Arc::new(ProcRoot::open(&config.host_root)?);
        let users = Arc::new(Users::new());
        Ok(Self {
            walk: SharedWalk::new(Arc::clone(&root), config.proc_max_age),
            sampler: CpuSampler::new(root, Arc::clone(&users)),
            users,
            oom: Oom::new(&config, purpose),
            confs: config.confs.clone(),
            versions: Versions::default(),
            host_root: config.host_root.clone(),
            logs: Logs::new(config, purpose),
            stats,
            since: Instant::now(),
        })
    }

    /// Where the watched machine's `/` is.
    pub(crate) fn host_root(&self) -> &Path {
        &self.host_root
    }

    /// A snapshot that covers `needs`, made for this poll or shared with others.
    pub(crate) fn snapshot(&self, needs: Needs, request: &Request) -> Result<Arc<Snapshot>, ProcError> {
        self.walk.snapshot(needs, request.deadline())
    }
}

impl Exporter for OomWatch {
    type Options = Options;

    fn validate(options: &Options) -> Result<(), OptionError> {
        options.check().map(drop)
    }

    fn configure(options: Options, context: Context) -> Result<Self, ItemError> {
        Self::new(&options, context.stats, Purpose::of_parent())
    }

    /// An agent that says goodbye has sent its values, or keeps them.
    fn stop(&self) {
        self.logs.settle();
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        let key = Key::find(request.key())
            .ok_or_else(|| ItemError::new(format!("OomWatch has no key {}", request.key())))?;
        (key.handler)(self, Arguments::of(key, request)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_run_of_an_agent_is_told_by_its_arguments() {
        assert!(is_test_run(b"zabbix_agent2\0-c\0a.conf\0-t\0oomwatch.log[x]\0"));
        assert!(is_test_run(b"zabbix_agent2\0--test=oomwatch.log[x]\0"));
        assert!(is_test_run(b"zabbix_agent2\0-p\0"));
        assert!(!is_test_run(b"zabbix_agent2\0-c\0/etc/zabbix/zabbix_agent2.conf\0-f\0"));
        assert!(!is_test_run(b"-t\0"));
        assert!(!is_test_run(b""));
    }
}
