//! Where configuration comes from.

mod host;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use host::HostFiles;
pub use tree::Tree;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, FIFO or socket. Nothing of that kind is ever opened.
    Other,
}

/// Files of a machine, read only. Paths are absolute and as the machine itself sees them.
pub trait Files {
    /// A file's content.
    ///
    /// # Errors
    ///
    /// [`FileError`] if there is no such file, it is no regular file, it is too large, or it may not be read.
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError>;

    /// The names in a directory, sorted by their bytes, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FileError`] if there is no such directory, it has too many entries, or it may not be read.
    fn list(&self, directory: &Path) -> Result<Vec<std::ffi::OsString>, FileError>;

    /// What a path names, symbolic links followed; `None` where it names nothing or cannot be reached.
    fn kind(&self, path: &Path) -> Option<FileKind>;

    /// Whether a path is itself a symbolic link.
    fn is_link(&self, path: &Path) -> bool;
}

/// Why a file or directory has not been read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system's own reason: it does not exist, or this user may not read it.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says. It is in the message already, so it is not its cause.
        reason: io::Error,
    },
    /// It is a directory, FIFO, socket or device.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than any configuration is.
    #[error("{} is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How much would have been read.
        limit_bytes: u64,
    },
    /// The directory has more entries than any configuration's.
    #[error("{} has more than {limit} entries", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many would have been listed.
        limit: usize,
    },
}

impl FileError {
    /// Whether the reason is that there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Read { reason, .. }
            if matches!(reason.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }

    pub(crate) fn read(path: &Path, reason: io::Error) -> Self {
        Self::Read { path: path.to_owned(), reason }
    }
}
