//! Which files are read: one name with its predecessors, or a directory and a pattern of names; and which may be read at all.

use std::path::{Path, PathBuf};

use crate::{Pattern, PatternError};

/// The files of an item.
#[derive(Debug, Clone)]
pub enum LogSource {
    /// A fixed name. The rotated file of the last poll (`messages.1`, `messages-20240101`) is read to its end before the new
    /// one.
    File(PathBuf),
    /// Every regular file of a directory whose name matches, the oldest first.
    Names {
        /// The directory, taken literally.
        directory: PathBuf,
        /// Matched against the name alone, without added anchors. A name with a line end does not match.
        name: Pattern,
    },
}

/// The reason why a path with a pattern in its last component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogSourceError {
    /// The path has no directory part.
    #[error("Cannot find separator \"/\" in path.")]
    NoSeparator,
    /// The path has nothing after the directory.
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

    /// A text that is equal for the same files.
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
    /// Returns an error if there is no `/` or nothing after it, or if the last component does not compile.
    pub fn names(path: &str) -> Result<Self, LogSourceError> {
        let (directory, name) = path.rsplit_once('/').ok_or(LogSourceError::NoSeparator)?;
        if name.is_empty() {
            return Err(LogSourceError::NoName);
        }
        let directory = if directory.is_empty() { "/" } else { directory };
        Ok(Self::Names { directory: directory.into(), name: Pattern::without_groups(name)? })
    }
}

/// The paths that may be read: those that match at least one pattern, with symbolic links resolved. A path with a line end does
/// not match.
#[derive(Debug, Clone, Default)]
pub struct AllowPath(Option<Vec<Pattern>>);

impl AllowPath {
    /// Allows everything that the user of this process can read.
    #[must_use]
    pub fn everything() -> Self {
        Self(None)
    }

    /// Allows paths that match one of `patterns`. An empty list allows nothing.
    #[must_use]
    pub fn only(patterns: Vec<Pattern>) -> Self {
        Self(Some(patterns))
    }

    /// Returns whether every path is allowed, so that links need not be resolved.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a resolved path may be read.
    #[must_use]
    pub fn allows(&self, path: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = path.as_os_str().as_bytes();
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches_name(bytes)))
    }
}
