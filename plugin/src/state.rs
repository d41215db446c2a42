//! What all handlers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use agent2_plugin::{Context, ItemError, Request};
use proc_snapshot::{CpuSampler, Needs, ProcError, ProcRoot, SharedWalk, Snapshot, Users};

use crate::config::{Confs, Options};
use crate::deadline::reading_deadline;
use crate::logs::Logs;
use crate::memory_trend::MemoryTrend;
use crate::mysql_version::MysqlVersion;
use crate::oom::Oom;
use crate::purpose::Purpose;

/// The configuration, the walk over `/proc`, the CPU sampler, positions in logs and the history of OOM kills.
pub(crate) struct PluginState {
    pub(crate) walk: Arc<SharedWalk>,
    pub(crate) sampler: CpuSampler,
    pub(crate) users: Arc<Users>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) oom: Arc<Oom>,
    pub(crate) memory_trend: MemoryTrend,
    pub(crate) confs: Confs,
    pub(crate) mysql_version: MysqlVersion,
    pub(crate) purpose: Purpose,
    host_root: PathBuf,
    /// Counters of the session, and the supervisor's report.
    pub(crate) context: Context,
    pub(crate) since: Instant,
}

impl PluginState {
    /// # Errors
    /// If an option is wrong or `/proc` cannot be opened.
    pub(crate) fn new(options: &Options, purpose: Purpose, context: Context) -> Result<Self, ItemError> {
        let config = options.check()?;
        let root = Arc::new(ProcRoot::open(&config.host_root)?);
        let walk = Arc::new(SharedWalk::new(root, config.proc_max_age));
        let users = Arc::new(Users::new());
        Ok(Self {
            sampler: CpuSampler::new(Arc::clone(&walk), Arc::clone(&users)),
            walk,
            users,
            oom: Oom::new(&config, purpose),
            memory_trend: MemoryTrend::default(),
            confs: config.confs.clone(),
            mysql_version: MysqlVersion::default(),
            purpose,
            host_root: config.host_root.clone(),
            logs: Logs::new(config, purpose),
            context,
            since: Instant::now(),
        })
    }

    /// Returns the path at which the root of the watched machine is mounted.
    pub(crate) fn host_root(&self) -> &Path {
        &self.host_root
    }

    /// Returns a snapshot that covers `needs`, made for this poll or shared with other polls.
    pub(crate) fn snapshot(&self, needs: Needs, request: &Request) -> Result<Arc<Snapshot>, ProcError> {
        self.walk.snapshot(needs, reading_deadline(request))
    }
}
