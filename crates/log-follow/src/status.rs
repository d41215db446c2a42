//! The follower's health and warnings.

use std::time::SystemTime;

use state_files::Durability;

/// Counters and health of a [`Follower`](crate::Follower).
#[derive(Debug, Clone)]
pub struct FollowerStatus {
    /// Whether positions survive this process.
    pub durability: Durability,
    /// Items with a position.
    pub items: usize,
    /// Bytes read from logs since the start of the process.
    pub read_bytes: u64,
    /// Lines skipped since the start because the backtracking engine reached its limit of steps.
    pub lines_over_step_limit: u64,
    /// The time of the last write of a position; `None` if there was none since the start.
    pub last_write: Option<SystemTime>,
}

/// A warning for the operator. The library does not log: the caller takes warnings and logs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
