//! What the follower has to say about itself.

use std::path::PathBuf;
use std::time::SystemTime;

/// Counters and health of a [`Follower`](crate::Follower), for an item or a self-check to show.
#[derive(Debug, Clone)]
pub struct FollowerStatus {
    /// Where positions live.
    pub persistence: Persistence,
    /// Items with a position.
    pub items: usize,
    /// Bytes read from logs since the start of the process.
    pub read_bytes: u64,
    /// Lines skipped since the start because the backtracking engine reached its limit on them.
    pub lines_over_step_limit: u64,
    /// When a position was last written, `None` when none was since the start.
    pub last_write: Option<SystemTime>,
}

/// Whether positions survive this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// Positions are written to this directory.
    Durable {
        /// The state directory.
        dir: PathBuf,
    },
    /// The directory belongs to another process, or was opened for looking only: positions were read and do not move.
    ReadOnly {
        /// The state directory.
        dir: PathBuf,
    },
    /// The directory cannot be used: positions live as long as this process. They move into the directory as soon as it
    /// can be written again.
    Memory {
        /// The state directory, `None` when none was given.
        dir: Option<PathBuf>,
        /// Why it cannot be used, as a sentence.
        reason: String,
    },
}

/// Something that an operator should read once. The library does not log: the caller takes these and logs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
