//! How a follower is opened.

use std::path::PathBuf;

use crate::AllowPath;

/// How a [`Follower`](crate::Follower) is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where positions are kept; `None` keeps them in memory. Created when it is absent.
    pub state_dir: Option<PathBuf>,
    /// Look at the positions of another process and write nothing.
    pub read_only: bool,
    /// Which files may be read.
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
