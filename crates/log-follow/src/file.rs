//! One log file. Only regular files are opened, and a file is recognised by the content that was read.

use std::cell::{Cell, RefCell};
use std::fs::{File, Metadata, OpenOptions};
use std::hash::Hasher as _;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::{AllowPath, Error};

/// A file is identified by this many bytes at its start, as far as they were read.
pub(crate) const HEAD_BYTES: u64 = 1024;
/// This many bytes before the offset identify a file that was truncated and has grown again.
const TAIL_BYTES: u64 = 256;
/// So many files are examined even if the time is over.
const FILES_WITHOUT_DEADLINE: u32 = 200;

/// The fields of `stat` that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Self {
        Self { dev: meta.dev(), ino: meta.ino(), size: meta.size(), mtime: (meta.mtime(), meta.mtime_nsec()) }
    }
}

impl Stat {
    /// Device and inode, which identify a file under any name.
    pub(crate) fn inode(self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Reads the fields for a regular file. Symbolic links are followed.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let meta = std::fs::metadata(path).map_err(|source| stat_error(path, source))?;
        if !meta.is_file() {
            return Err(Error::NotRegular { path: path.into() });
        }
        Ok(Self::from(&meta))
    }
}

fn stat_error(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied { path: path.into(), source },
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::Missing { path: path.into(), source }
        }
        // An unreachable file server (EIO, ESTALE, ETIMEDOUT) does not show whether the file exists.
        _ => Error::Read { path: path.into(), source },
    }
}

/// Opens a log. The path may have changed since it was listed, so all checks use the open file: a FIFO in its place does not
/// block, and a link is checked by its target.
pub(crate) fn open(path: &Path, allow: &AllowPath) -> Result<(File, Stat), Error> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(
        |source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { path: path.into(), source },
            io::ErrorKind::PermissionDenied => Error::Denied { path: path.into(), source },
            _ => Error::Read { path: path.into(), source },
        },
    )?;
    let meta = file.metadata().map_err(|source| Error::Read { path: path.into(), source })?;
    if !meta.is_file() {
        return Err(Error::NotRegular { path: path.into() });
    }
    check_allowed(&file, path, allow)?;
    Ok((file, Stat::from(&meta)))
}

/// Opens the files that are examined for a plan.
///
/// If the time is over, or no descriptor is left, it is not known whether a file is new, a copy, or one that was read. The plan
/// would repeat or lose lines. So it is dropped, and the item does not move.
pub(crate) struct Examination<'a> {
    allow: &'a AllowPath,
    deadline: Instant,
    files: Cell<u32>,
    failure: RefCell<Option<Error>>,
}

impl<'a> Examination<'a> {
    pub(crate) fn new(allow: &'a AllowPath, deadline: Instant) -> Self {
        Self { allow, deadline, files: Cell::new(0), failure: RefCell::new(None) }
    }

    /// Opens a log, as [`open`] does.
    pub(crate) fn open(&self, path: &Path) -> Result<(File, Stat), Error> {
        self.count(path)?;
        let opened = open(path, self.allow);
        if let Err(errno) = opened.as_ref().map_err(Error::exhaustion)
            && let Some(errno) = errno
        {
            self.fail(Error::Read { path: path.into(), source: errno.into() });
        }
        opened
    }

    /// Counts a file. Reports an error if the time is over. A few files are examined in any case, so that a poll with little
    /// time makes progress.
    pub(crate) fn count(&self, path: &Path) -> Result<(), Error> {
        self.files.set(self.files.get().saturating_add(1));
        if self.files.get() <= FILES_WITHOUT_DEADLINE || Instant::now() < self.deadline {
            return Ok(());
        }
        self.fail(Error::TooSlow { path: path.into() });
        Err(Error::TooSlow { path: path.into() })
    }

    fn fail(&self, error: Error) {
        self.failure.borrow_mut().get_or_insert(error);
    }

    /// Returns the error because of which the plan is dropped.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.take()
    }
}

fn check_allowed(file: &File, path: &Path, allow: &AllowPath) -> Result<(), Error> {
    if allow.is_everything() {
        return Ok(());
    }
    let leads_to = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .or_else(|_| path.canonicalize())
        .map_err(|source| Error::Read { path: path.into(), source })?;
    if allow.allows(&leads_to) { Ok(()) } else { Err(Error::NotAllowed { path: path.into(), leads_to }) }
}

#[cfg(test)]
thread_local! {
    /// Replaces the boot id in tests of this thread, unless it is 0.
    pub(crate) static BOOT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Returns a hash of the kernel's boot ID (random(4)). `None` if it cannot be read.
pub(crate) fn boot() -> Option<u64> {
    static ID: OnceLock<Option<u64>> = OnceLock::new();
    #[cfg(test)]
    if BOOT.get() != 0 {
        return Some(BOOT.get());
    }
    *ID.get_or_init(|| {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        let mut hasher = SipHasher13::new();
        hasher.write(&id);
        Some(hasher.finish())
    })
}

/// A fingerprint of the part of a file that was read: its start, and the bytes just before the offset.
///
/// A file of which nothing was read needs no fingerprint: it is read from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    head: u64,
    tail: u64,
}

impl Fingerprint {
    /// Computes the fingerprint of the first `offset` bytes. `None` if the file is shorter.
    pub(crate) fn read(file: &File, offset: u64) -> io::Result<Option<Self>> {
        if offset == 0 {
            return Ok(Some(Self::default()));
        }
        let head = hash(file, 0, offset.min(HEAD_BYTES))?;
        let start = offset.saturating_sub(TAIL_BYTES);
        let tail = hash(file, start, offset - start)?;
        Ok(head.zip(tail).map(|(head, tail)| Self { head, tail }))
    }
}

fn hash(file: &File, start: u64, length: u64) -> io::Result<Option<u64>> {
    let mut buffer = [0_u8; 1024];
    let buffer = &mut buffer[..usize::try_from(length).unwrap_or(0)];
    if read_at(file, buffer, start)? < buffer.len() {
        return Ok(None);
    }
    let mut hasher = SipHasher13::new();
    hasher.write(buffer);
    Ok(Some(hasher.finish()))
}

#[cfg(test)]
thread_local! {
    /// From this offset on, reads fail in tests of this thread.
    pub(crate) static BROKEN_FROM: std::cell::Cell<u64> = const { std::cell::Cell::new(u64::MAX) };
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(test)]
    if offset.saturating_add(buffer.len() as u64) > BROKEN_FROM.get() {
        return Err(rustix::io::Errno::IO.into());
    }
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Returns whether a file is compressed, by its first bytes: gzip, bzip2, xz, zstd, lz4, lzip, compress, zip.
pub(crate) fn is_compressed(file: &File) -> bool {
    const MAGIC: [&[u8]; 8] = [
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"LZIP",
        b"\x1f\x9d",
        b"PK\x03\x04",
    ];
    let mut head = [0; 6];
    match read_at(file, &mut head, 0) {
        Ok(n) => MAGIC.iter().any(|magic| head[..n].starts_with(magic)),
        Err(_) => false,
    }
}
