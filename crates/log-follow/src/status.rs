//! The follower's health and warnings.

use std::path::PathBuf;
use std::time::SystemTime;

/// Counters and health of a [`Follower`](crate::Follower).
#[derive(Debug, Clone)]
pub struct FollowerStatus {
    /// Where positions are stored.
    pub persistence: Persistence,
    /// Items with a position.
    pub items: usize,
    /// Bytes read from logs since the start of the process.
    pub read_bytes: u64,
    /// Lines skipped since the start because the backtracking engine reached its limit of steps.
    pub lines_over_step_limit: u64,
    /// The time of the last write of a position; `None` if there was none since the start.
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
    /// The directory belongs to another process or was opened read-only: positions were read and do not move.
    ReadOnly {
        /// The state directory.
        dir: PathBuf,
    },
    /// The directory cannot be used: positions are lost with this process. They are stored as soon as the directory can be
    /// written again.
    Memory {
        /// The state directory; `None` if there is none.
        dir: Option<PathBuf>,
        /// The reason as a sentence.
        reason: String,
    },
}

/// A warning for the operator. The library does not log: the caller takes warnings and logs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
