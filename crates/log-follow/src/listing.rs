//! The directory of a log with a fixed name.

use std::cell::OnceCell;
use std::path::Path;

use crate::Error;
use crate::file::Stat;
use crate::rotation::{self, Entry};

/// The log's directory at one time, read at first use: the log itself and its rotated files.
pub(crate) struct Listing<'p> {
    pub(crate) path: &'p Path,
    entries: OnceCell<Vec<Entry>>,
}

impl<'p> Listing<'p> {
    pub(crate) fn new(path: &'p Path) -> Self {
        Self { path, entries: OnceCell::new() }
    }

    pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, Error> {
        let mut entries = rotation::list(path)?;
        entries.retain(|entry| entry.path == path || rotation::is_rotated(path, &entry.path));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    pub(crate) fn entries(&self) -> Result<&[Entry], Error> {
        if self.entries.get().is_none() {
            let _ = self.entries.set(Self::read(self.path)?);
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
        Ok(same && *entries == Self::read(self.path)?)
    }
}
