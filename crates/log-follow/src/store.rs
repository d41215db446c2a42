//! Positions on disk.
//!
//! The state directory contains `positions`, whose lines are described in `journal`. A change of an item is one append. If much
//! of the file is obsolete, it is replaced as a whole. The writing process owns the lock file `lock`.
//!
//! When an append returns, it is in the page cache and survives the process. It reaches the disk with the next sync, within
//! seconds. After a power failure an item may have an older record, so lines are repeated, but never a newer one, so none is
//! lost.
//!
//! Opening never fails: invalid lines of the file are ignored with a warning. If the directory was removed, the next change
//! writes all records again. If it cannot be written, records stay in memory, and a later change writes all of them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use state_files::{AppendFile, Durability, StateError, StateOwner};

use crate::Warning;
use crate::change::RecordChange;
use crate::journal::{self, Journal};
use crate::record::Record;

const NAME: &str = "positions";
const LOCK: &str = "lock";
/// A larger file is not a state file of this program.
const MAX_BYTES: u64 = 256 << 20;
/// The file is replaced if more than this is obsolete, and more than the half of it.
const GARBAGE_BYTES: u64 = 1024 * 1024;
/// The same for the process that appends: it waits for the disk if no other thread replaces the file in time.
const MAX_GARBAGE_BYTES: u64 = 2 * GARBAGE_BYTES;
/// After a failure the next attempt is this much later.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The records of all items, in memory and, if possible, on disk.
#[derive(Debug)]
pub(crate) struct Store {
    /// `None` if positions are kept in memory.
    owner: Option<StateOwner>,
    read_only: bool,
    opened: SystemTime,
    records: HashMap<Arc<str>, Stored>,
    last_number: u64,
    disk: Disk,
    warnings: Vec<Warning>,
    last_write: Option<SystemTime>,
}

/// A record, and the number of its item in the file with the number of changes since its whole record.
#[derive(Debug)]
struct Stored {
    record: Record,
    number: u64,
    changes: u64,
}

#[derive(Debug)]
enum Disk {
    Open(OpenJournal),
    /// Another process writes, or writing is not wanted.
    ReadOnly,
    /// The next attempt follows at this time.
    Failed(Instant),
}

#[derive(Debug)]
struct OpenJournal {
    file: AppendFile,
    /// The file's length when it was replaced.
    whole_bytes: u64,
    is_synced: bool,
}

impl OpenJournal {
    fn has_garbage(&self, bytes: u64) -> bool {
        self.file.bytes() - self.whole_bytes > bytes.max(self.whole_bytes)
    }
}

impl Store {
    pub(crate) fn open(dir: Option<PathBuf>, read_only: bool) -> Self {
        let mut store = Self {
            owner: dir.map(|dir| StateOwner::new(dir, LOCK)),
            read_only,
            opened: SystemTime::now(),
            records: HashMap::new(),
            last_number: 0,
            disk: Disk::ReadOnly,
            warnings: Vec::new(),
            last_write: None,
        };
        store.attach();
        store
    }

    /// Takes the lock, reads the records and replaces the file. Records that are in memory are newer than those of the file.
    fn attach(&mut self) {
        let Some(owner) = &mut self.owner else { return };
        let acquired = if self.read_only { Ok(()) } else { owner.acquire().map(drop) };
        let is_retry = matches!(self.disk, Disk::Failed(_));
        // A directory that another account owns or can write to is not read.
        if acquired.is_ok()
            || (!is_retry && matches!(acquired, Err(StateError::Io { .. } | StateError::InUse(_))))
        {
            self.load();
        }
        match acquired {
            Ok(()) if self.read_only => {}
            Ok(()) => self.rewrite(),
            Err(error) => self.fail(&error),
        }
    }

    fn load(&mut self) {
        let Some(owner) = &self.owner else { return };
        let path = owner.path().join(NAME);
        let bytes = match state_files::read(owner.path(), NAME, MAX_BYTES) {
            Ok(None) => return,
            Ok(Some(bytes)) => bytes,
            Err(error) => return self.warn(format!("Positions in logs are not read: {error}")),
        };
        let Some(journal) = Journal::parse(&bytes) else {
            let path = path.display();
            self.warn(format!(
                "The state file \"{path}\" is damaged or of another version: positions in it are lost, logs are followed anew."
            ));
            return self.keep_aside();
        };
        if journal.bad_lines > 0 {
            let (lines, path) = (journal.bad_lines, path.display());
            self.warn(format!(
                "{lines} damaged lines of the state file \"{path}\" were left out: lines of logs may be repeated."
            ));
        }
        for (identity, record) in journal.records {
            self.records.entry(identity).or_insert(Stored { record, number: 0, changes: 0 });
        }
    }

    /// Keeps a file that another version may be able to read. If this fails, the file is overwritten.
    fn keep_aside(&self) {
        if let Some(dir) = self.owner.as_ref().and_then(StateOwner::dir) {
            let _ = dir.rename(NAME, "positions.unreadable");
        }
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(Warning(text));
    }

    /// Replaces the file by one with the whole record of each item.
    fn rewrite(&mut self) {
        match self.try_rewrite() {
            Ok(file) => {
                let whole_bytes = file.bytes();
                self.disk = Disk::Open(OpenJournal { file, whole_bytes, is_synced: true });
                self.recover();
            }
            Err(error) => self.fail(&error),
        }
    }

    fn try_rewrite(&mut self) -> Result<AppendFile, StateError> {
        let Some(owner) = &mut self.owner else { return Err(StateError::Removed(PathBuf::new())) };
        for (stored, number) in self.records.values_mut().zip(1..) {
            (stored.number, stored.changes, self.last_number) = (number, 0, number);
        }
        let records = &self.records;
        owner.acquire()?.replace(NAME, |file| {
            file.write_all(journal::HEADER.as_bytes())?;
            for (identity, stored) in records {
                let line = journal::record_line(stored.number, identity, &stored.record)?;
                file.write_all(line.as_bytes())?;
            }
            Ok(())
        })
    }

    fn recover(&mut self) {
        let Some(owner) = &mut self.owner else { return };
        let had_failed = owner.durability().not_durable_since().is_some();
        owner.note_success();
        if had_failed {
            let text = format!("Positions in logs are written to \"{}\" again.", owner.path().display());
            self.warn(text);
        }
    }

    /// Keeps records in memory only, until a later attempt can write all of them.
    fn fail(&mut self, error: &StateError) {
        if let Some(owner) = &mut self.owner {
            owner.note_failure(error);
        }
        if error.is_in_use() {
            self.disk = Disk::ReadOnly;
            return;
        }
        let was_known = matches!(self.disk, Disk::Failed(_));
        self.disk = Disk::Failed(Instant::now() + RETRY_AFTER);
        if !was_known {
            self.warn(format!("Positions in logs are kept in memory only: {error}"));
        }
    }

    pub(crate) fn fail_sync(&mut self, error: io::Error) {
        let path = self.dir().join(NAME);
        self.fail(&StateError::Io { action: "sync", path, source: error });
    }

    // ---- records

    pub(crate) fn get(&self, identity: &str) -> Option<&Record> {
        self.records.get(identity).map(|stored| &stored.record)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Stores a record, on disk if possible.
    pub(crate) fn put(&mut self, identity: &Arc<str>, record: &Record, now: SystemTime) {
        let line = self.set(identity, record);
        self.append(line, now);
    }

    /// Stores a record in memory. Returns its line for the file.
    fn set(&mut self, identity: &Arc<str>, record: &Record) -> serde_json::Result<String> {
        let Some(stored) = self.records.get_mut(identity) else {
            self.last_number += 1;
            let stored = Stored { record: record.clone(), number: self.last_number, changes: 0 };
            self.records.insert(Arc::clone(identity), stored);
            return journal::record_line(self.last_number, identity, record);
        };
        let change = RecordChange::between(&stored.record, record);
        stored.record = record.clone();
        if let Some(change) = change {
            stored.changes += 1;
            return journal::change_line(stored.number, stored.changes, &change);
        }
        stored.changes = 0;
        journal::record_line(stored.number, identity, record)
    }

    pub(crate) fn remove(&mut self, identity: &str, now: SystemTime) {
        if let Some(stored) = self.records.remove(identity) {
            self.append(Ok(journal::removal_line(stored.number)), now);
        }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        self.records.iter().map(|(identity, stored)| (identity, &stored.record))
    }

    fn append(&mut self, line: serde_json::Result<String>, now: SystemTime) {
        match &self.disk {
            Disk::ReadOnly => return,
            Disk::Failed(retry_at) if Instant::now() < *retry_at => return,
            Disk::Failed(_) => self.attach(),
            Disk::Open(_) => match line {
                Ok(line) => self.append_line(&line),
                // Not possible for strings, numbers, and maps with string keys; the whole file has the same content.
                Err(_) => self.rewrite(),
            },
        }
        if matches!(self.disk, Disk::Open(_)) {
            self.last_write = Some(now);
        }
    }

    fn append_line(&mut self, line: &str) {
        let Disk::Open(journal) = &mut self.disk else { return };
        let Some(dir) = self.owner.as_ref().and_then(StateOwner::dir) else { return };
        match dir.append(&mut journal.file, line.as_bytes()) {
            Ok(()) => {
                journal.is_synced = false;
                if journal.has_garbage(MAX_GARBAGE_BYTES) {
                    self.rewrite();
                }
            }
            Err(error) if error.is_removal() => {
                self.warn(format!("Positions in logs are written again: {error}"));
                self.attach();
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Replaces the file if much of it is obsolete, and retries after an earlier failure. Returns the file to sync: on a busy
    /// disk that takes seconds, and no poll should wait for it.
    pub(crate) fn tidy(&mut self) -> Option<File> {
        match &mut self.disk {
            Disk::ReadOnly => None,
            Disk::Failed(_) => {
                self.attach();
                None
            }
            Disk::Open(journal) if journal.has_garbage(GARBAGE_BYTES) => {
                self.rewrite();
                None
            }
            Disk::Open(journal) => {
                let was_synced = std::mem::replace(&mut journal.is_synced, true);
                (!was_synced).then(|| journal.file.try_clone().ok()).flatten()
            }
        }
    }

    /// Returns whether records wait for a disk that can be written.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.disk, Disk::Failed(_)) && self.owner.is_some()
    }

    /// Returns whether positions may move: not while another process stores them, and again as soon as it has ended.
    pub(crate) fn may_move(&mut self) -> bool {
        if self.owner.is_none() || self.read_only || !matches!(self.disk, Disk::ReadOnly) {
            return true;
        }
        if self.owner.as_mut().is_some_and(|owner| owner.acquire().is_err()) {
            return false;
        }
        // No position moved here, and the other process has moved its positions since.
        self.records.clear();
        self.attach();
        !matches!(self.disk, Disk::ReadOnly)
    }

    // ---- health

    pub(crate) fn dir(&self) -> &Path {
        self.owner.as_ref().map_or(Path::new(""), StateOwner::path)
    }

    pub(crate) fn durability(&self) -> Durability {
        let without =
            || Durability::Memory { since: self.opened, reason: "no state directory is set".into() };
        self.owner.as_ref().map_or_else(without, |owner| owner.durability().clone())
    }

    pub(crate) fn last_write(&self) -> Option<SystemTime> {
        self.last_write
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }
}
