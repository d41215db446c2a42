//! Errors of reading a log, by what the caller can do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

/// The reason why a poll failed. The texts are those of the agent's own log keys if it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or directory does not exist (yet): poll again later.
    #[error("Cannot obtain information for file \"{}\": {}", path.display(), os_text(source))]
    Missing {
        /// The path of the item.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The user of this process may not read it. Reading resumes when the permission is granted.
    #[error("Cannot open file \"{}\": {}", path.display(), os_text(source))]
    Denied {
        /// The path of the item.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is a directory, FIFO, socket or device: only regular files are read.
    #[error("\"{}\" is not a regular file.", path.display())]
    NotRegular {
        /// The path of the item.
        path: PathBuf,
    },
    /// The path, with links resolved, is not among the allowed ones.
    #[error("Reading of \"{}\" (as \"{}\") is not allowed by AllowPath.", path.display(), leads_to.display())]
    NotAllowed {
        /// The path of the item.
        path: PathBuf,
        /// The path with symbolic links resolved.
        leads_to: PathBuf,
    },
    /// The directory of a rotated log cannot be listed.
    #[error("{}", directory_text(path, source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Reading failed (EIO, ESTALE on NFS and so on). The position stays before the unreadable part: poll again.
    #[error("Cannot read from file \"{}\": {}", path.display(), os_text(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There are too many files to examine in the time of one poll. Nothing moved: poll again with a longer timeout, or with
    /// a directory of fewer files.
    #[error("The files beside \"{}\" cannot be examined within the timeout: there are too many, or the disk is slow.", path.display())]
    TooSlow {
        /// The file at the deadline.
        path: PathBuf,
    },
    /// Another process stores positions in the same state directory: end it, or use another directory. When it has ended, this
    /// process takes over without a restart.
    #[error("Another process follows logs with the state directory \"{}\": each needs its own.", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
    },
    /// Another poll of the same item was running until this poll's deadline.
    #[error("Another poll of the same item was not finished after {} s.", waited.as_secs())]
    Busy {
        /// The time that this poll waited.
        waited: Duration,
    },
}

impl Error {
    /// Returns whether the file or its directory does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Directory { source, .. } => is_absence(source),
            _ => false,
        }
    }

    /// Returns whether the system is out of descriptors or memory, so that nothing is known about the file.
    pub(crate) fn exhaustion(&self) -> Option<Errno> {
        match self {
            Self::Read { source, .. } | Self::Directory { source, .. } => Errno::from_io_error(source)
                .filter(|errno| matches!(*errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)),
            _ => None,
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn directory_text(path: &Path, error: &io::Error) -> String {
    if is_absence(error) {
        return format!("Cannot obtain directory information: {}", os_text(error));
    }
    format!("Cannot open directory \"{}\" for reading: {}", path.display(), os_text(error))
}

/// Formats an error number as the agent does: `[2] No such file or directory`.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            let plain = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
            format!("[{code}] {plain}")
        }
        None => text,
    }
}
