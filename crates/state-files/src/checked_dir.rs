//! A directory that was opened and checked, and its files.

use std::fs::{DirBuilder, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::StateError;

const DIRECTORY_MODE: u32 = 0o750;
pub(crate) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// A file is opened without following a link, and without waiting for the other end of a pipe.
pub(crate) const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Device and inode.
pub(crate) type Inode = (u64, u64);

/// A directory that was opened and checked. All files are opened relative to it.
#[derive(Debug)]
pub(crate) struct CheckedDir {
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
}

impl CheckedDir {
    /// Opens a directory for writing, and creates it if it is absent.
    pub(crate) fn create(path: &Path) -> Result<Self, StateError> {
        let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
        let dir = Self::open(path);
        if let (Err(source), Err(StateError::Io { .. })) = (created, &dir) {
            return Err(StateError::Io { action: "create the directory", path: path.to_owned(), source });
        }
        let dir = dir?;
        dir.check_owner()?;
        Ok(dir)
    }

    /// Opens a directory for reading. Its owner may be another account: root shows the state of a service.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(|errno| not_opened(path, errno))?;
        let dir = Self { path: path.to_owned(), fd };
        let mode = dir.stat()?.st_mode & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(StateError::WritableByOthers { dir: dir.path, mode });
        }
        Ok(dir)
    }

    fn check_owner(&self) -> Result<(), StateError> {
        let (owner, own) = (self.stat()?.st_uid, geteuid().as_raw());
        if owner == own || owner == 0 {
            return Ok(());
        }
        Err(StateError::OtherOwner { dir: self.path.clone(), owner, own })
    }

    fn stat(&self) -> Result<rustix::fs::Stat, StateError> {
        fstat(&self.fd).map_err(|errno| StateError::io("examine the directory", &self.path, errno))
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a regular file. `None` if it is absent.
    pub(crate) fn open_file(&self, name: &str, flags: OFlags) -> Result<Option<File>, StateError> {
        let file = match openat(&self.fd, name, flags | SAFELY, FILE_MODE) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(StateError::NotRegular(self.path_of(name))),
            Err(errno) => return Err(StateError::io("open", &self.path_of(name), errno)),
        };
        let stat = fstat(&file).map_err(|errno| StateError::io("examine", &self.path_of(name), errno))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok(Some(file))
        } else {
            Err(StateError::NotRegular(self.path_of(name)))
        }
    }

    /// Reads a whole file of at most `max` bytes. `None` if it is absent.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
        let Some(file) = self.open_file(name, OFlags::RDONLY)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let limit = max.saturating_add(1);
        let read = file.take(limit).read_to_end(&mut bytes);
        let length = read.map_err(|error| StateError::io("read", &self.path_of(name), error))? as u64;
        if length > max {
            return Err(StateError::TooLarge { path: self.path_of(name), bytes: length, max });
        }
        Ok(Some(bytes))
    }

    /// Returns the inode that has this name now.
    pub(crate) fn inode_of(&self, name: &str) -> Option<Inode> {
        inode_at(&self.fd, Path::new(name))
    }
}

/// Returns the inode that has this path now.
pub(crate) fn inode_of_path(path: &Path) -> Option<Inode> {
    inode_at(CWD, path)
}

fn inode_at(dir: impl std::os::fd::AsFd, path: &Path) -> Option<Inode> {
    let stat = statat(dir, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

pub(crate) fn inode_of_file(file: &File) -> Option<Inode> {
    fstat(file).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

fn not_opened(path: &Path, errno: Errno) -> StateError {
    if path.is_symlink() {
        return StateError::SymbolicLink(path.to_owned());
    }
    StateError::io("open the directory", path, errno)
}

/// Reads a file of a state directory without owning it. `None` if the file or the directory is absent.
///
/// # Errors
/// If the file cannot be read, is larger than `max` bytes, or accounts besides the owner can write to the directory.
pub fn read(dir: &Path, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
    match CheckedDir::open(dir) {
        Ok(dir) => dir.read(name, max),
        Err(StateError::Io { source, .. }) if is_absence(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
