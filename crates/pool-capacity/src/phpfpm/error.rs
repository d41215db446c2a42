//! Errors of a php-fpm configuration.

use std::path::PathBuf;

use crate::text::{short, short_name, short_path};
use crate::{BudgetError, ConfigError, FileError};

/// php-fpm's own limit: the main file and four files that are included within each other.
pub(super) const DEPTH_MAX: usize = 5;

/// The reason why php-fpm would not start with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or has a faulty line.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Files include each other, or are nested deeper than php-fpm allows.
    #[error("{}:{line}: php-fpm follows no more than {} includes within each other: {}", short_path(path), DEPTH_MAX, short(chain.clone()))]
    Depth {
        /// The file with the `include`.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The files from the main one on.
        chain: String,
    },
    /// A pool that php-fpm refuses.
    #[error("{}: pool {}: {reason}", short_path(path), short_name(name))]
    Pool {
        /// The main file.
        path: PathBuf,
        /// The pool.
        name: String,
        /// The fault.
        reason: PoolError,
    },
    /// `process.max` is negative.
    #[error("{}: process.max is negative", short_path(path))]
    ProcessMax {
        /// The main file.
        path: PathBuf,
    },
    /// There is no pool.
    #[error("{}: no pool is defined", short_path(path))]
    NoPool {
        /// The main file.
        path: PathBuf,
    },
}

impl Error {
    /// Returns whether the read was stopped at a limit or at the deadline, so that nothing more can be read.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Config(ConfigError::Budget(_)))
    }
}

impl From<BudgetError> for Error {
    fn from(error: BudgetError) -> Self {
        Self::Config(error.into())
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Config(error.into())
    }
}

/// The fault of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There is no `listen`.
    #[error("listen is missing")]
    NoListen,
    /// There is no `pm`.
    #[error("pm is missing (static, dynamic or ondemand)")]
    NoManager,
    /// `pm.max_children` is missing or not positive.
    #[error("pm.max_children must be positive and is {0}")]
    MaxChildren(i64),
    /// One of the spare servers' numbers is missing or not positive.
    #[error("{name} must be positive and is {value}")]
    Spare {
        /// The entry.
        name: &'static str,
        /// Its value.
        value: i64,
    },
    /// More spare servers than servers.
    #[error(
        "pm.min_spare_servers ({min}) and pm.max_spare_servers ({max}) must not be greater than pm.max_children ({children})"
    )]
    SpareAboveChildren {
        /// `pm.min_spare_servers`
        min: i64,
        /// `pm.max_spare_servers`
        max: i64,
        /// `pm.max_children`
        children: i64,
    },
    /// The two limits are in the wrong order.
    #[error("pm.max_spare_servers ({max}) must not be less than pm.min_spare_servers ({min})")]
    SpareCrossed {
        /// `pm.min_spare_servers`
        min: i64,
        /// `pm.max_spare_servers`
        max: i64,
    },
    /// `pm.start_servers` is not between the spare ones.
    #[error(
        "pm.start_servers ({start}) must be between pm.min_spare_servers ({min}) and pm.max_spare_servers ({max})"
    )]
    Start {
        /// `pm.start_servers`
        start: i64,
        /// `pm.min_spare_servers`
        min: i64,
        /// `pm.max_spare_servers`
        max: i64,
    },
}
