//! Files in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, FileKind, Files};

/// Files in memory, for tests and for captured configurations. Symbolic links are files here.
///
/// ```
/// use std::path::Path;
/// use pool_capacity::{FileKind, Files, Tree};
///
/// let tree = Tree::new().with("/etc/apache2/apache2.conf", "MaxRequestWorkers 150\n");
/// assert_eq!(tree.kind(Path::new("/etc/apache2")), Some(FileKind::Directory));
/// assert_eq!(tree.list(Path::new("/etc")).unwrap(), ["apache2"]);
/// assert!(tree.read(Path::new("/etc/passwd")).unwrap_err().is_absent());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces the one at this path.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    fn below<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a Path> {
        let paths = self.files.keys().map(PathBuf::as_path);
        paths
            .filter_map(move |path| path.strip_prefix(directory).ok())
            .filter(|rest| !rest.as_os_str().is_empty())
    }
}

impl Files for Tree {
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        match self.kind(path) {
            Some(FileKind::File) => Ok(self.files.get(path).cloned().unwrap_or_default()),
            Some(_) => Err(FileError::NotRegular { path: path.to_owned() }),
            None => Err(FileError::read(path, io::ErrorKind::NotFound.into())),
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, FileError> {
        let first = |rest: &Path| rest.iter().next().map(ToOwned::to_owned);
        let names: BTreeSet<OsString> = self.below(directory).filter_map(first).collect();
        if names.is_empty() {
            return Err(FileError::read(directory, io::ErrorKind::NotFound.into()));
        }
        Ok(names.into_iter().collect())
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        if self.files.contains_key(path) {
            return Some(FileKind::File);
        }
        self.below(path).next().map(|_| FileKind::Directory)
    }

    fn is_link(&self, _: &Path) -> bool {
        false
    }
}
