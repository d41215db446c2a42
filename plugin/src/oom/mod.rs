//! The keys about the OOM killer: `oom.count` and its kin.

use std::path::PathBuf;

use agent2_plugin::{ItemError, Reply};

use crate::arguments::Arguments;
use crate::config::Config;
use crate::exporter::OomWatch;

/// What the `oom` keys share.
pub(crate) struct Oom {
    host_root: PathBuf,
}

impl Oom {
    pub(crate) fn new(config: &Config) -> Self {
        Self { host_root: config.host_root.clone() }
    }
}

/// `oom.count`
pub(crate) fn count(oomwatch: &OomWatch, _: Arguments<'_>) -> Result<Reply, ItemError> {
    Ok(oom_evidence::oom_kills(&oomwatch.oom.host_root)?.into())
}
