//! Errors of configuration files that php-fpm's and MySQL's readers share.

use std::path::PathBuf;

use crate::FileError;

/// The reason why a configuration file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The main file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The server refuses a line.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// The fault.
        reason: String,
    },
    /// An included file or directory cannot be read.
    #[error("{}:{line}: {error}", path.display())]
    Include {
        /// The file with the include.
        path: PathBuf,
        /// Its line number, from 1.
        line: usize,
        /// The error of the included file. The message contains it, so it is not a source.
        error: FileError,
    },
    /// The configuration includes more files than any real one.
    #[error("{}: more than {limit} files are included", path.display())]
    TooManyFiles {
        /// The file whose include exceeds the limit.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}
