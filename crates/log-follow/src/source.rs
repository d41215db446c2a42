//! Which files: one name with its predecessors, or a directory and a pattern of names; and which may be read at all.

use crate::{Pattern, PatternError};
use std::path::{Path, PathBuf};

/// Where lines come from.
#[derive(Debug, Clone)]
pub enum LogSource {
    /// A fixed name. What rotation made of the file that was read last (`messages.1`, `messages-20240101`) is read to its
    /// end before the new one.
    File(PathBuf),
    /// Every regular file of a directory whose name matches, oldest first.
    Names {
        /// The directory, taken literally.
        directory: PathBuf,
        /// Matched against the name alone, without anchors of its own.
        name: Pattern,
    },
}

/// Why a path with a pattern in its last component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogSourceError {
    /// There is no directory part.
    #[error("Cannot find separator \"/\" in path.")]
    NoSeparator,
    /// Nothing follows the directory.
    #[error("Cannot split path by \"/\".")]
    NoName,
    /// The last component is not a pattern.
    #[error("Cannot compile a regular expression describing filename pattern: {0}")]
    Pattern(#[from] PatternError),
}

impl LogSource {
    /// A file by its name.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    /// The same for the same files.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Names { directory, name } => format!("{}\0{}", directory.to_string_lossy(), name.as_str()),
        }
    }

    /// A path whose last component is a pattern: `/var/log/httpd/^error_log.*$`. The directory is taken literally.
    ///
    /// # Errors
    ///
    /// When there is no `/` or nothing after it, or the last component does not compile.
    pub fn names(path: &str) -> Result<Self, LogSourceError> {
        let (directory, name) = path.rsplit_once('/').ok_or(LogSourceError::NoSeparator)?;
        if name.is_empty() {
            return Err(LogSourceError::NoName);
        }
        let directory = if directory.is_empty() { "/" } else { directory };
        Ok(Self::Names { directory: directory.into(), name: Pattern::without_groups(name)? })
    }
}

/// Which paths may be read: those, symbolic links resolved, that match at least one pattern.
#[derive(Debug, Clone, Default)]
pub struct AllowPath(Option<Vec<Pattern>>);

impl AllowPath {
    /// Everything that the user of this process can read.
    #[must_use]
    pub fn everything() -> Self {
        Self(None)
    }

    /// Only paths that match one of `patterns`. None at all allows nothing.
    #[must_use]
    pub fn only(patterns: Vec<Pattern>) -> Self {
        Self(Some(patterns))
    }

    /// Whether every path is allowed, so that nothing need be resolved.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this path, already resolved, may be read.
    #[must_use]
    pub fn allows(&self, path: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = path.as_os_str().as_bytes();
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|p| p.is_match(bytes)))
    }
}
