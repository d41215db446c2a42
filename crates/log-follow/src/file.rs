//! One log file: opened so that nothing but a regular file is ever read, and recognised by what was read from it.

use crate::{AllowPath, Error};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::Hasher as _;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

/// So much of the start of a file tells it from others, as far as it was read.
pub(crate) const HEAD_BYTES: u64 = 1024;
/// So much before the position tells a file that was truncated and has grown again.
const TAIL_BYTES: u64 = 256;

/// What `stat` says, as far as it matters here.
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
    /// Which file it is, under whatever name.
    pub(crate) fn inode(self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Of a regular file, symbolic links followed.
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
        // A file server that is gone (EIO, ESTALE, ETIMEDOUT) says nothing about whether the file is.
        _ => Error::Read { path: path.into(), source },
    }
}

/// Opens a log. The path may have changed since it was listed, so everything is checked on what was opened: a FIFO that came
/// in its place does not block, and a link is judged by where it led.
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
    /// What this thread takes for the start of the machine, unless it is 0: no test can start it anew.
    pub(crate) static BOOT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Which start of the machine this is, from the kernel's boot ID (random(4)). `None` where there is none.
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

/// What was read from a file, by its content: the start, and the bytes just before the position.
///
/// A file of which nothing was read has no fingerprint and needs none: whatever it is, it is read from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    head: u64,
    tail: u64,
}

impl Fingerprint {
    /// Of the first `offset` bytes. `None` when the file has fewer.
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
    /// From here on this thread's files cannot be read: no disk is broken where a test needs it.
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

/// Whether a file is compressed, by its first bytes: gzip, bzip2, xz, zstd, lz4, lzip, compress, zip.
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
