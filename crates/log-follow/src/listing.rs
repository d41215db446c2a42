//! The directory of a log with a fixed name.

use std::cell::OnceCell;
use std::path::Path;

use crate::Error;
use crate::file::{Examination, Stat};
use crate::rotation::{self, Entry};

/// The log's directory at one time, read at first use: the log itself and its rotated files.
pub(crate) struct Listing<'p> {
    pub(crate) path: &'p Path,
    files: &'p Examination<'p>,
    entries: OnceCell<Vec<Entry>>,
}

impl<'p> Listing<'p> {
    pub(crate) fn new(path: &'p Path, files: &'p Examination<'p>) -> Self {
        Self { path, files, entries: OnceCell::new() }
    }

    fn read(&self) -> Result<Vec<Entry>, Error> {
        let path = self.path;
        let is_of_log = |entry: &Entry| entry.path == path || rotation::is_rotated(path, &entry.path);
        let mut entries = rotation::list(path, self.files, is_of_log)?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    pub(crate) fn entries(&self) -> Result<&[Entry], Error> {
        if self.entries.get().is_none() {
            let _ = self.entries.set(self.read()?);
        }
        Ok(self.entries.get().map_or(&[], Vec::as_slice))
    }

    /// Returns whether the directory and the log itself are unchanged. During a rename a file may be listed twice or not at
    /// all.
    pub(crate) fn was_quiet(&self, before: Option<Stat>) -> Result<bool, Error> {
        let Some(entries) = self.entries.get() else { return Ok(true) };
        let after = Stat::of(self.path).ok();
        let same = match (before, after) {
            (Some(before), Some(after)) => before.inode() == after.inode() && before.size <= after.size,
            (before, after) => before.is_none() && after.is_none(),
        };
        Ok(same && *entries == self.read()?)
    }
}
