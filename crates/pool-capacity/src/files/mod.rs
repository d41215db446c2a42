//! The source of configuration files.

mod host;
mod tree;
mod trusted;

use std::io;
use std::path::{Path, PathBuf};

use crate::BudgetError;
use crate::text::short_path;

pub use host::HostFiles;
pub use tree::Tree;
pub use trusted::TrustedFiles;

/// The type of the file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, FIFO or socket, which is never opened.
    Other,
}

/// Files of a machine, read-only. Paths are absolute and as the machine itself sees them.
pub trait Files {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the file does not exist, is not a regular file, is too large, or may not be read.
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError>;

    /// Lists the names in a directory, sorted by their bytes, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the directory does not exist, has too many entries, or may not be read.
    fn list(&self, directory: &Path) -> Result<Vec<std::ffi::OsString>, FileError>;

    /// Returns the type of the file at a path, with resolved links. `None` if it does not exist or cannot be reached.
    fn kind(&self, path: &Path) -> Option<FileKind>;

    /// Returns whether a path is itself a symbolic link.
    fn is_link(&self, path: &Path) -> bool;
}

/// The reason why a file or directory was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused: it does not exist, or this user may not read it.
    #[error("cannot read {}: {reason}", short_path(path))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's error. The message contains it, so it is not a source.
        reason: io::Error,
    },
    /// It is a directory, FIFO, socket or device.
    #[error("{} is not a regular file", short_path(path))]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than any configuration file.
    #[error("{} is larger than {limit_bytes} bytes", short_path(path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The directory has more entries than any directory of configuration files.
    #[error("{} has more than {limit} entries", short_path(path))]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The read was stopped before this file.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

impl FileError {
    /// Returns whether the file does not exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Read { reason, .. }
            if matches!(reason.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }

    pub(crate) fn read(path: &Path, reason: io::Error) -> Self {
        Self::Read { path: path.to_owned(), reason }
    }
}
