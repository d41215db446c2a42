//! How a follower is opened.

use std::path::PathBuf;

use crate::AllowPath;

/// How a [`Follower`](crate::Follower) is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory for positions, created if it is absent; `None` keeps positions in memory.
    pub state_dir: Option<PathBuf>,
    /// Reads the positions of another process and writes nothing.
    pub read_only: bool,
    /// The files that may be read.
    pub allow: AllowPath,
}

impl Settings {
    /// Positions in `state_dir`, every file allowed.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(state_dir.into()), read_only: false, allow: AllowPath::everything() }
    }

    /// Positions in memory, every file allowed.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { state_dir: None, read_only: false, allow: AllowPath::everything() }
    }
}
