//! The exporter: what all items share.

use std::sync::Arc;
use std::time::Instant;

use agent2_plugin::{Context, Exporter, ItemError, OptionError, Plugin, Reply, Request, Stats};
use proc_snapshot::{CpuSampler, Needs, ProcError, ProcRoot, SharedWalk, Snapshot, Users};

use crate::arguments::Arguments;
use crate::config::Options;
use crate::keys::{KEYS, Key};

/// The plugin as an agent or the command line uses it.
pub struct OomWatch {
    pub(crate) walk: SharedWalk,
    pub(crate) sampler: CpuSampler,
    pub(crate) users: Arc<Users>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) since: Instant,
}

/// The plugin's name, as in `Plugins.OomWatch.System.Path`.
pub(crate) const NAME: &str = "OomWatch";

/// The plugin with its metrics, which are the table's keys.
#[must_use]
pub fn plugin() -> Plugin {
    KEYS.iter().fold(Plugin::new(NAME), |plugin, key| plugin.metric(key.name, key.summary))
}

impl OomWatch {
    pub(crate) fn new(options: &Options, stats: Arc<Stats>) -> Result<Self, ItemError> {
        let config = options.check()?;
        let root = Arc::new(ProcRoot::open(&config.host_root)?);
        let users = Arc::new(Users::new());
        Ok(Self {
            walk: SharedWalk::new(Arc::clone(&root), config.proc_max_age),
            sampler: CpuSampler::new(root, Arc::clone(&users)),
            users,
            stats,
            since: Instant::now(),
        })
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
        Self::new(&options, context.stats)
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        let key = Key::find(request.key())
            .ok_or_else(|| ItemError::new(format!("OomWatch has no key {}", request.key())))?;
        (key.handler)(self, Arguments::of(key, request)?)
    }
}
