//! Why state cannot be read or written.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A longer path is shortened in messages, so that a message has at most 300 characters.
const MAX_PATH_CHARS: usize = 120;

/// Why state cannot be read or written. Each message names the object, the reason and the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The directory's name is that of a symbolic link.
    #[error("the state directory \"{}\" is a symbolic link: configure the directory to which it leads", shown(.0))]
    SymbolicLink(PathBuf),
    /// Accounts besides the owner can write to the directory.
    #[error(
        "the state directory \"{}\" is writable by other accounts (mode {mode:04o}): check its files, then run chmod go-w",
        shown(.dir)
    )]
    WritableByOthers {
        /// The directory.
        dir: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Neither root nor the account of this process owns the directory.
    #[error(
        "the state directory \"{}\" belongs to user id {owner}, and this process runs as {own}: check its files, then run chown",
        shown(.dir)
    )]
    OtherOwner {
        /// The directory.
        dir: PathBuf,
        /// The directory's owner.
        owner: u32,
        /// The user id of this process.
        own: u32,
    },
    /// Another process has the lock.
    #[error("another process writes to the state directory \"{}\"", shown(.0))]
    InUse(PathBuf),
    /// The file or its directory was removed or moved while it was open.
    #[error("the state file \"{}\" was removed or moved", shown(.0))]
    Removed(PathBuf),
    /// The name belongs to a pipe, a device, a socket, a directory or a symbolic link.
    #[error("\"{}\" is not a regular file: remove it", shown(.0))]
    NotRegular(PathBuf),
    /// The file is larger than its format permits.
    #[error("the state file \"{}\" has {bytes} bytes, more than {max}: remove it", shown(.path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The system refused an operation.
    #[error("cannot {action} \"{}\": {source}{}", shown(.path), next_step(.source))]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The file or the directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl StateError {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// Returns whether the file or its directory was removed, so that everything has to be written again.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Removed(_))
    }

    /// Returns whether another process owns the directory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse(_))
    }
}

/// Returns the path, or its end if it is long.
fn shown(path: &Path) -> String {
    let path = path.display().to_string();
    let surplus = path.chars().count().saturating_sub(MAX_PATH_CHARS);
    if surplus == 0 { path } else { std::iter::once('…').chain(path.chars().skip(surplus + 1)).collect() }
}

fn next_step(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => ": free space on its file system",
        Some(Errno::ROFS) => ": mount its file system read-write",
        Some(Errno::ACCESS | Errno::PERM) => ": give the directory to the account of this process",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_object_the_reason_and_the_next_step() {
        let full = StateError::io("write", Path::new("/var/lib/x/positions"), Errno::NOSPC);
        assert_eq!(
            full.to_string(),
            "cannot write \"/var/lib/x/positions\": No space left on device (os error 28): free space on its file system"
        );
    }

    #[test]
    fn messages_have_at_most_300_characters() {
        let dir = PathBuf::from(format!("/{}", "ディレクトリ/".repeat(500)));
        let path = dir.clone();
        for error in [
            StateError::SymbolicLink(dir.clone()),
            StateError::WritableByOthers { dir: dir.clone(), mode: 0o777 },
            StateError::OtherOwner { dir: dir.clone(), owner: u32::MAX, own: u32::MAX },
            StateError::InUse(dir.clone()),
            StateError::TooLarge { path, bytes: u64::MAX, max: u64::MAX },
            StateError::io("open the directory", &dir, Errno::ACCESS),
        ] {
            let message = error.to_string();
            assert!(message.chars().count() <= 300, "{message}");
        }
    }
}
