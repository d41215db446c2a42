//! Whether state survives the process.

use std::time::SystemTime;

/// Whether state survives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// State is written to the directory.
    Durable,
    /// Another process owns the directory, or the caller only reads.
    ReadOnly,
    /// State is in memory only, and is written when a later attempt succeeds.
    Memory {
        /// The time of the first failure since the last successful write.
        since: SystemTime,
        /// The failure, and what to do.
        reason: String,
    },
}

impl Durability {
    /// Returns `durable`, `read-only` or `memory`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::ReadOnly => "read-only",
            Self::Memory { .. } => "memory",
        }
    }

    /// Returns the reason if state is in memory only.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Memory { reason, .. } => Some(reason),
            Self::Durable | Self::ReadOnly => None,
        }
    }

    /// Returns the time of the first failure if state is in memory only.
    #[must_use]
    pub fn not_durable_since(&self) -> Option<SystemTime> {
        match self {
            Self::Memory { since, .. } => Some(*since),
            Self::Durable | Self::ReadOnly => None,
        }
    }
}
