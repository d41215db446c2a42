//! Why the server would not start with a configuration.

use std::path::PathBuf;

use crate::FileError;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The main file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that the server does not understand.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// An included directory cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    Include {
        /// The file with the `!includedir`.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What cannot be read.
        reason: FileError,
    },
    /// An argument of the running server.
    #[error("argument {argument}: {why}")]
    Argument {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        why: String,
    },
    /// More files than any configuration has.
    #[error("{}: more than {} files are included", path.display(), super::option_file::FILES_MAX)]
    Files {
        /// The file whose include is one too many.
        path: PathBuf,
    },
}
