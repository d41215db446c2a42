//! Positions on disk.
//!
//! A state directory contains `positions`: a first line with the version, then one line for each change of an item's record,
//! with a checksum and JSON. A change is one append. If much of the file is obsolete, it is written again beside it
//! (`positions.new`), synced and renamed. The writing process locks `lock`.
//!
//! When an append returns, it is in the page cache and survives the process. It reaches the disk with the next sync, within
//! seconds. After a power failure an item may have an older record, so lines are repeated, but never a newer one, so none is
//! lost.
//!
//! Opening never fails: invalid lines of the file are ignored with a warning.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::Hasher as _;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use siphasher::sip::SipHasher13;

use crate::{Persistence, Warning};

const HEADER: &str = "log-follow positions 1\n";
/// The file is compacted if it is larger than this and four times as large as its valid records.
const COMPACT_BYTES: u64 = 1024 * 1024;
/// A checksum in hexadecimal.
const SUM_BYTES: usize = 16;

/// Records as JSON, by the identity of their item.
type Records = HashMap<String, Box<str>>;

/// The records of all items, in memory and, if possible, on disk.
#[derive(Debug)]
pub(crate) struct Store {
    dir: Option<PathBuf>,
    read_only: bool,
    records: Records,
    records_bytes: u64,
    disk: Disk,
    warnings: Vec<Warning>,
    last_write: Option<SystemTime>,
}

#[derive(Debug)]
enum Disk {
    Open(Journal),
    /// Another process writes, or writing is not wanted.
    ReadOnly,
    Failed(String),
}

#[derive(Debug)]
struct Journal {
    file: File,
    bytes: u64,
    unsynced: bool,
    /// Open for its lock.
    lock: File,
}

impl Store {
    pub(crate) fn open(dir: Option<PathBuf>, read_only: bool) -> Self {
        let mut store = Self {
            dir,
            read_only,
            records: HashMap::new(),
            records_bytes: 0,
            disk: Disk::Failed("no state directory is set".into()),
            warnings: Vec::new(),
            last_write: None,
        };
        store.attach();
        store
    }

    /// Takes the lock, reads the records and prepares the file for appending.
    fn attach(&mut self) {
        let Some(dir) = self.dir.clone() else { return };
        let lock = if self.read_only { Ok(None) } else { take_lock(&dir) };
        match lock {
            Ok(lock) => {
                self.load(&dir);
                self.disk = match lock {
                    None => Disk::ReadOnly,
                    Some(lock) => self.rewrite(&dir, lock),
                };
            }
            Err(e) => {
                self.load(&dir);
                self.disk = Disk::Failed(describe(&dir, &e));
            }
        }
        if let Disk::Failed(reason) = &self.disk {
            self.warnings.push(Warning(format!("Positions in logs are kept in memory only: {reason}")));
        }
    }

    /// Reads the file. If it is missing or not a state file, reads the new file of a process that died before the rename.
    /// Records that are in memory already are newer.
    fn load(&mut self, dir: &Path) {
        let path = dir.join("positions");
        let records = match self.load_file(&path) {
            Some(records) => Some(records),
            None => self.load_file(&dir.join("positions.new")),
        };
        for (identity, json) in records.unwrap_or_default() {
            if !self.records.contains_key(&identity) {
                self.insert(identity, json);
            }
        }
    }

    /// Returns `None` if there is no such file, or nothing in it is usable.
    fn load_file(&mut self, path: &Path) -> Option<Records> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return None;
            }
            Err(e) => {
                self.warn(format!("Cannot read the state file {}", describe(path, &e)));
                return None;
            }
        };
        let Some(lines) = bytes.strip_prefix(HEADER.as_bytes()) else {
            self.warn(format!(
                "The state file \"{}\" is damaged or of another version: positions in it are lost, logs are followed anew.",
                path.display()
            ));
            self.keep_aside(path);
            return None;
        };
        let mut records = Records::new();
        let mut bad = 0;
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match parse(line) {
                Some((identity, "")) => drop(records.remove(&identity)),
                Some((identity, json)) => drop(records.insert(identity, json.into())),
                None => bad += 1,
            }
        }
        if bad > 0 {
            let path = path.display();
            self.warn(format!("{bad} damaged lines of the state file \"{path}\" were left out: lines of logs may be repeated."));
        }
        Some(records)
    }

    /// Keeps a file that another version may be able to read.
    fn keep_aside(&self, path: &Path) {
        if !self.read_only {
            // If this fails, the file is overwritten.
            let _ = std::fs::rename(path, path.with_extension("unreadable"));
        }
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(Warning(text));
    }

    fn insert(&mut self, identity: String, json: Box<str>) {
        let new = (identity.len() + json.len() + 32) as u64;
        let old = self.records.insert(identity, json).map_or(0, |old| old.len() as u64);
        self.records_bytes = (self.records_bytes + new).saturating_sub(old);
    }

    /// Writes all records into a new file and renames it over the old one.
    fn rewrite(&mut self, dir: &Path, lock: File) -> Disk {
        match self.try_rewrite(dir) {
            Ok((file, bytes)) => {
                self.records_bytes = bytes;
                Disk::Open(Journal { file, bytes, unsynced: false, lock })
            }
            Err(e) => Disk::Failed(describe(dir, &e)),
        }
    }

    fn try_rewrite(&self, dir: &Path) -> io::Result<(File, u64)> {
        let (path, new) = (dir.join("positions"), dir.join("positions.new"));
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        let mut file = BufWriter::new(file);
        let mut bytes = HEADER.len();
        file.write_all(HEADER.as_bytes())?;
        for (identity, json) in &self.records {
            let line = line(identity, json);
            file.write_all(line.as_bytes())?;
            bytes += line.len();
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok((file, bytes as u64))
    }

    // ---- records

    pub(crate) fn get(&self, identity: &str) -> Option<&str> {
        self.records.get(identity).map(|json| &**json)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Stores a record, on disk if possible.
    pub(crate) fn put(&mut self, identity: &str, json: String, now: SystemTime) {
        self.insert(identity.into(), json.into_boxed_str());
        let line = line(identity, self.get(identity).unwrap_or_default());
        self.append(&line, now);
    }

    pub(crate) fn remove(&mut self, identity: &str, now: SystemTime) {
        if self.records.remove(identity).is_some() {
            self.append(&line(identity, ""), now);
        }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &str)> {
        self.records.iter().map(|(identity, json)| (&**identity, &**json))
    }

    fn append(&mut self, line: &str, now: SystemTime) {
        let Disk::Open(journal) = &mut self.disk else { return };
        match journal.file.write_all(line.as_bytes()) {
            Ok(()) => {
                journal.bytes += line.len() as u64;
                journal.unsynced = true;
                self.last_write = Some(now);
                let overgrown = journal.bytes > 16 * COMPACT_BYTES && journal.bytes > 4 * self.records_bytes;
                if overgrown {
                    self.reattach();
                }
            }
            Err(e) => self.fail(&e),
        }
    }

    /// Keeps records in memory only, until a later attempt can write all of them. The lock is released with the file.
    pub(crate) fn fail(&mut self, error: &io::Error) {
        let reason = self.dir.as_deref().map_or_else(String::new, |dir| describe(dir, error));
        self.warn(format!("Positions in logs are kept in memory only: {reason}"));
        self.disk = Disk::Failed(reason);
    }

    /// Compacts the file, and retries after an earlier failure. Returns the file to sync: on a busy disk that takes seconds,
    /// and no poll should wait for it.
    pub(crate) fn tidy(&mut self) -> Option<File> {
        let Disk::Open(journal) = &mut self.disk else {
            self.retry();
            return None;
        };
        if journal.bytes > COMPACT_BYTES && journal.bytes > 4 * self.records_bytes {
            self.reattach();
            return None;
        }
        let unsynced = std::mem::take(&mut journal.unsynced);
        unsynced.then(|| journal.file.try_clone().ok()).flatten()
    }

    /// Returns whether positions may move: not while another process stores them, and again as soon as it has ended.
    pub(crate) fn may_move(&mut self) -> bool {
        if matches!(self.disk, Disk::ReadOnly) && !self.read_only {
            self.retry();
            return !matches!(self.disk, Disk::ReadOnly);
        }
        true
    }

    /// The process with the lock may have ended, and the disk may have space again.
    fn retry(&mut self) {
        let Some(dir) = self.dir.clone().filter(|_| !self.read_only) else { return };
        let was_failed = matches!(self.disk, Disk::Failed(_));
        let Ok(Some(lock)) = take_lock(&dir) else { return };
        if !was_failed {
            // No position moved here, and the other process has moved its positions since.
            self.records.clear();
            self.records_bytes = 0;
        }
        self.load(&dir);
        let disk = self.rewrite(&dir, lock);
        if was_failed && matches!(disk, Disk::Open(_)) {
            self.warn(format!("Positions in logs are written to \"{}\" again.", dir.display()));
        }
        self.disk = disk;
    }

    fn reattach(&mut self) {
        let Some(dir) = self.dir.clone() else { return };
        let disk = std::mem::replace(&mut self.disk, Disk::ReadOnly);
        if let Disk::Open(journal) = disk {
            self.disk = self.rewrite(&dir, journal.lock);
        }
        if let Disk::Failed(reason) = &self.disk {
            let text = format!("Positions in logs are kept in memory only: {reason}");
            self.warn(text);
        }
    }

    // ---- health

    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new(""))
    }

    pub(crate) fn persistence(&self) -> Persistence {
        match (&self.disk, &self.dir) {
            (Disk::Open(_), Some(dir)) => Persistence::Durable { dir: dir.clone() },
            (Disk::ReadOnly, Some(dir)) => Persistence::ReadOnly { dir: dir.clone() },
            (Disk::Failed(reason), dir) => Persistence::Memory { dir: dir.clone(), reason: reason.clone() },
            (_, None) => Persistence::Memory { dir: None, reason: "no state directory is set".into() },
        }
    }

    pub(crate) fn last_write(&self) -> Option<SystemTime> {
        self.last_write
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }
}

/// Returns `None` if another process has the lock.
fn take_lock(dir: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(dir)?;
    let options = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).to_owned();
    let file = options.open(dir.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn describe(path: &Path, error: &io::Error) -> String {
    format!("\"{}\": {error}", path.display())
}

/// Checksum, identity as a JSON string, record as JSON (empty for a forgotten item). None of them contains a line end.
fn line(identity: &str, json: &str) -> String {
    let identity = serde_json::Value::from(identity).to_string();
    // A record may have hundreds of kilobytes, so its text is built once.
    let mut line = String::with_capacity(SUM_BYTES + identity.len() + json.len() + 3);
    line.extend([&*"0".repeat(SUM_BYTES), " ", &identity, " ", json]);
    let sum = checksum(&line.as_bytes()[SUM_BYTES + 1..]);
    line.replace_range(..SUM_BYTES, &format!("{sum:016x}"));
    line.push('\n');
    line
}

fn parse(line: &[u8]) -> Option<(String, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (sum, body) = line.split_once(' ')?;
    if u64::from_str_radix(sum, 16).ok()? != checksum(body.as_bytes()) {
        return None;
    }
    let mut identities = serde_json::Deserializer::from_str(body).into_iter::<String>();
    let identity = identities.next()?.ok()?;
    let json = body.get(identities.byte_offset() + 1..)?;
    Some((identity, json))
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
