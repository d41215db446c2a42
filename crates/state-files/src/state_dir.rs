//! A state directory that this process owns.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags, fchmod, flock, fsync, renameat, unlinkat};
use rustix::io::Errno;

use crate::append_file::AppendFile;
use crate::checked_dir::{CheckedDir, FILE_MODE, inode_of_file, inode_of_path};
use crate::error::StateError;

/// Digits of the random part of a temporary file's name.
const RANDOM_DIGITS: usize = 16;
const TEMPORARY: &str = ".tmp";

/// A state directory, and the lock that makes this process its owner.
#[derive(Debug)]
pub struct StateDir {
    dir: CheckedDir,
    lock_name: String,
    /// Open for its lock.
    lock: File,
}

impl StateDir {
    /// Creates the directory if it is absent, checks it, and takes the lock file `lock_name`.
    ///
    /// # Errors
    /// If the directory cannot be used, or another process has the lock.
    pub fn open(path: &Path, lock_name: &str) -> Result<Self, StateError> {
        let dir = CheckedDir::create(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE;
        let absent = || StateError::Removed(dir.path_of(lock_name));
        let lock = dir.open_file(lock_name, flags)?.ok_or_else(absent)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { dir, lock_name: lock_name.to_owned(), lock }),
            Err(Errno::WOULDBLOCK) => Err(StateError::InUse(dir.path)),
            Err(errno) => Err(StateError::io("lock", &dir.path_of(lock_name), errno)),
        }
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir.path
    }

    /// Returns whether the directory's path still leads to this directory and its lock.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let now = inode_of_path(&self.dir.path_of(&self.lock_name));
        now.is_some() && now == inode_of_file(&self.lock)
    }

    /// Reads a whole file of at most `max` bytes. `None` if it is absent.
    ///
    /// # Errors
    /// If the file cannot be read, is not a regular file, or is larger.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
        self.dir.read(name, max)
    }

    /// Gives a file another name, for example to keep a damaged one.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<(), StateError> {
        renameat(&self.dir.fd, name, &self.dir.fd, new_name)
            .map_err(|errno| StateError::io("rename", &self.dir.path_of(name), errno))
    }

    /// Replaces a file as a whole by what `write` writes. When this returns, the new file is on the disk. It can be appended to.
    ///
    /// # Errors
    /// If the directory was removed or moved, or the system refuses an operation. The old file is still complete then.
    pub fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<AppendFile, StateError> {
        if !self.is_in_place() {
            return Err(StateError::Removed(self.dir.path_of(name)));
        }
        self.remove_leftovers(name);
        let temporary = Temporary::create(&self.dir, name)?;
        let failed = |error| StateError::io("write", &self.dir.path_of(name), error);
        let bytes = temporary.fill(write).map_err(failed)?;
        let file = temporary.rename_to(name)?;
        fsync(&self.dir.fd).map_err(|errno| StateError::io("sync the directory", &self.dir.path, errno))?;
        let inode = inode_of_file(&file).unwrap_or_default();
        Ok(AppendFile::new(file, name, inode, bytes))
    }

    /// Appends a record. When this returns, the record is in the page cache and survives the process.
    ///
    /// # Errors
    /// If the file or the directory was removed or moved, or the system refuses the write. A part of the record may be in the
    /// file then, so the file has to be replaced before the next append.
    pub fn append(&self, file: &mut AppendFile, record: &[u8]) -> Result<(), StateError> {
        let path = self.dir.path_of(&file.name);
        if !self.is_in_place() || self.dir.inode_of(&file.name) != Some(file.inode) {
            return Err(StateError::Removed(path));
        }
        file.write(record).map_err(|error| StateError::io("write", &path, error))
    }

    /// Removes temporary files of a process that died. Only the owner of the lock makes such files.
    fn remove_leftovers(&self, name: &str) {
        let Ok(entries) = Dir::read_from(&self.dir.fd) else { return };
        for entry in entries.filter_map(Result::ok) {
            if is_temporary_of(name, entry.file_name().to_bytes()) {
                let _ = unlinkat(&self.dir.fd, entry.file_name(), AtFlags::empty());
            }
        }
    }
}

/// A file that gets its name when it is complete, and is removed otherwise.
struct Temporary<'d> {
    dir: &'d CheckedDir,
    name: String,
    /// `None` after the rename.
    file: Option<File>,
}

impl<'d> Temporary<'d> {
    fn create(dir: &'d CheckedDir, name: &str) -> Result<Self, StateError> {
        let random = RandomState::new().hash_one(name);
        let name = format!(".{name}.{random:0RANDOM_DIGITS$x}{TEMPORARY}");
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let file = dir.open_file(&name, flags)?.ok_or_else(|| StateError::Removed(dir.path_of(&name)))?;
        Ok(Self { dir, name, file: Some(file) })
    }

    /// Writes and syncs the content. Returns its length.
    fn fill(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        // The umask may have removed the owner's permissions.
        fchmod(file, FILE_MODE)?;
        let mut buffer = BufWriter::new(file);
        write(&mut buffer)?;
        buffer.flush()?;
        drop(buffer);
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }

    fn rename_to(mut self, name: &str) -> Result<File, StateError> {
        let path = self.dir.path_of(name);
        renameat(&self.dir.fd, &*self.name, &self.dir.fd, name)
            .map_err(|errno| StateError::io("replace", &path, errno))?;
        self.file.take().ok_or(StateError::Removed(path))
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = unlinkat(&self.dir.fd, &*self.name, AtFlags::empty());
        }
    }
}

fn is_temporary_of(name: &str, file_name: &[u8]) -> bool {
    let random = file_name
        .strip_prefix(b".")
        .and_then(|rest| rest.strip_prefix(name.as_bytes()))
        .and_then(|rest| rest.strip_prefix(b"."))
        .and_then(|rest| rest.strip_suffix(TEMPORARY.as_bytes()));
    random.is_some_and(|random| random.len() == RANDOM_DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}
