//! What can go wrong while a log is read, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why an item could not be answered. The texts are those of the agent's own log keys where it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or directory is not there (yet): poll again later.
    #[error("Cannot obtain information for file \"{}\": {}", path.display(), os_text(source))]
    Missing {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user of this process may not read it: grant the permission, reading resumes by itself.
    #[error("Cannot open file \"{}\": {}", path.display(), os_text(source))]
    Denied {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, FIFO, socket or device: only regular files are read.
    #[error("\"{}\" is not a regular file.", path.display())]
    NotRegular {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The place where the path leads (links resolved) is not among the allowed ones.
    #[error("Reading of \"{}\" (as \"{}\") is not allowed by AllowPath.", path.display(), leads_to.display())]
    NotAllowed {
        /// The path that was asked for.
        path: PathBuf,
        /// Where it leads, symbolic links resolved.
        leads_to: PathBuf,
    },
    /// The directory of a rotated log cannot be listed.
    #[error("{}", directory_text(path, source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed (EIO, ESTALE on NFS and so on): the position stays before what cannot be read, poll again.
    #[error("Cannot read from file \"{}\": {}", path.display(), os_text(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process keeps positions in the same state directory: end it, or give each its own. Once it has ended this
    /// one takes over by itself.
    #[error("Another process follows logs with the state directory \"{}\": each needs its own.", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
    },
    /// Another poll of the same item was still being answered when this one's time was over.
    #[error("Another poll of the same item was not finished after {} s.", waited.as_secs())]
    Busy {
        /// How long this poll waited.
        waited: Duration,
    },
}

impl Error {
    /// The file, or its directory, is not there.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Directory { source, .. } => is_absence(source),
            _ => false,
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

/// An error number as the agent prints it: `[2] No such file or directory`.
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
