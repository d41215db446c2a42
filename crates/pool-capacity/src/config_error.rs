//! Errors of configuration files that php-fpm's and MySQL's readers share.

use std::path::{Path, PathBuf};

use crate::text::short_path;
use crate::{BudgetError, FileError};

/// The reason why a configuration file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The main file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The server refuses a line.
    #[error("{}:{line}: {reason}", short_path(path))]
    Line {
        /// The file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// The fault.
        reason: String,
    },
    /// An included file or directory cannot be read.
    #[error("{}:{line}: {error}", short_path(path))]
    Include {
        /// The file with the include.
        path: PathBuf,
        /// Its line number, from 1.
        line: usize,
        /// The error of the included file. The message contains it, so it is not a source.
        error: FileError,
    },
    /// The read was stopped at a limit or at the deadline.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

impl ConfigError {
    /// Returns the error of an include in a line.
    pub(crate) fn include(path: &Path, line: usize, error: FileError) -> Self {
        match error {
            FileError::Budget(error) => Self::Budget(error),
            error => Self::Include { path: path.to_owned(), line, error },
        }
    }
}

impl From<FileError> for ConfigError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Budget(error) => Self::Budget(error),
            error => Self::File(error),
        }
    }
}
