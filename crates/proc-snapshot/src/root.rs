//! An open `/proc` directory and functions that read its files.

use std::cell::RefCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::error::ProcError;
use crate::shortage::{ResourceShortage, if_readable};
use crate::text;

/// Buffer for one `getdents64` call: about 1,000 processes.
const LISTING_BYTES: usize = 32 * 1024;
/// Initial capacity of a read buffer, and the capacity kept between two reads.
const BUFFER_BYTES: usize = 16 * 1024;
/// Limit for files that are read as a whole (`stat`, `status`, `meminfo`, `mountinfo`). They are far shorter.
pub(crate) const WHOLE_FILE_BYTES: usize = 1024 * 1024;

/// Units of the numbers in `/proc`. For a captured tree the caller passes those of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineFacts {
    /// Bytes in a page.
    pub page_size: u64,
    /// Clock ticks in a second of CPU time (`sysconf(_SC_CLK_TCK)`, 100 on Linux).
    pub clock_ticks: u64,
}

impl MachineFacts {
    fn here() -> Self {
        Self {
            page_size: rustix::param::page_size() as u64,
            clock_ticks: rustix::param::clock_ticks_per_second(),
        }
    }
}

/// An open `/proc` directory and the facts of its machine.
///
/// The directory stays open: files are opened relative to it, so the kernel resolves `12345/stat` and not the whole
/// path for each of thousands of files.
#[derive(Debug)]
pub struct ProcRoot {
    dir: OwnedFd,
    path: PathBuf,
    facts: MachineFacts,
}

impl ProcRoot {
    /// Opens `host_root/proc` with the facts of the running machine.
    ///
    /// ```
    /// # fn main() -> Result<(), proc_snapshot::ProcError> {
    /// let root = proc_snapshot::ProcRoot::open(std::path::Path::new("/"))?;
    /// assert!(root.total_memory()? > 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if the directory cannot be opened.
    pub fn open(host_root: &Path) -> Result<Self, ProcError> {
        Self::with_facts(host_root, MachineFacts::here())
    }

    /// Opens `host_root/proc` of a captured or made-up tree, with the facts of the machine it stands for.
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if the directory cannot be opened.
    pub fn with_facts(host_root: &Path, facts: MachineFacts) -> Result<Self, ProcError> {
        let path = host_root.join("proc");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(dir) => Ok(Self { dir, path, facts }),
            Err(errno) => Err(read_error(path, errno)),
        }
    }

    /// The facts that this tree's numbers are counted in.
    #[must_use]
    pub fn facts(&self) -> MachineFacts {
        self.facts
    }

    /// The directory's path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `MemTotal` of `/proc/meminfo` in bytes.
    ///
    /// # Errors
    ///
    /// [`ProcError::NoTotalMemory`] if the file or the line is missing or unusable, [`ProcError::Shortage`].
    pub fn total_memory(&self) -> Result<u64, ProcError> {
        let meminfo = self.read_whole(c"meminfo")?;
        let total = meminfo.and_then(|data| text::meminfo_bytes(&data, "MemTotal"));
        total.ok_or_else(|| ProcError::NoTotalMemory { path: self.path.join("meminfo") })
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Reads a file that does not belong to a process. `None` if it is absent or may not be read.
    pub(crate) fn read_whole(&self, name: &CStr) -> Result<Option<Vec<u8>>, ResourceShortage> {
        let mut data = Vec::new();
        let read = if_readable(read_to_end(self.dir(), name, &mut data, WHOLE_FILE_BYTES))?;
        Ok(read.map(|()| data))
    }

    /// Calls `each` with every process number, in the directory's order, until it returns false.
    pub(crate) fn each_pid(&self, each: impl FnMut(u32) -> bool) -> Result<(), ProcError> {
        each_number(self.dir(), c".", each).map_err(|errno| read_error(self.path.clone(), errno))
    }

    /// Opens the directory of a process. When the process has ended, reads through the directory fail, even if its id is
    /// used again.
    pub(crate) fn open_pid(&self, pid: u32) -> rustix::io::Result<OwnedFd> {
        open_dir(self.dir(), SmallPath::new(pid, b"").as_cstr())
    }
}

fn read_error(path: PathBuf, errno: Errno) -> ProcError {
    ResourceShortage::from_errno(errno)
        .map_or_else(|| ProcError::Read { path, source: errno.into() }, ProcError::Shortage)
}

/// Opens a directory as a base for opening files. `O_PATH` avoids the cost of preparing to list it.
pub(crate) fn open_dir(at: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Calls `each` with every entry of a directory that is a number, until it returns false.
pub(crate) fn each_number(
    at: BorrowedFd<'_>,
    path: &CStr,
    mut each: impl FnMut(u32) -> bool,
) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listing = rustix::fs::openat(at, path, flags, Mode::empty())?;
    let mut space = vec![MaybeUninit::uninit(); LISTING_BYTES];
    let mut entries = RawDir::new(listing, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            continue;
        }
        let number = text::number(entry.file_name().to_bytes()).and_then(|number| u32::try_from(number).ok());
        if number.is_some_and(|number| !each(number)) {
            break;
        }
    }
    Ok(())
}

/// A path such as `12345/stat`, made without allocation.
pub(crate) struct SmallPath {
    bytes: [u8; 32],
}

impl SmallPath {
    /// Creates the path of `number` followed by `rest`, which has at most 21 bytes.
    pub(crate) fn new(number: u32, rest: &[u8]) -> Self {
        let mut digits = [0_u8; 10];
        let mut start = digits.len();
        let mut left = number;
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        let digits = &digits[start..];
        let mut bytes = [0; 32];
        bytes[..digits.len()].copy_from_slice(digits);
        bytes[digits.len()..digits.len() + rest.len()].copy_from_slice(rest);
        Self { bytes }
    }

    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// Reads a file that the kernel returns in one piece (`stat`, `status`, `cmdline`). A read that leaves room in the buffer
/// is the last, which saves a second call. At most `limit` bytes are read.
pub(crate) fn read_at(
    at: BorrowedFd<'_>,
    path: &CStr,
    into: &mut Vec<u8>,
    limit: usize,
) -> rustix::io::Result<()> {
    read_pieces(at, path, into, limit, false)
}

/// Reads a file to its end, in any number of pieces. At most `limit` bytes are read.
pub(crate) fn read_to_end(
    at: BorrowedFd<'_>,
    path: &CStr,
    into: &mut Vec<u8>,
    limit: usize,
) -> rustix::io::Result<()> {
    read_pieces(at, path, into, limit, true)
}

fn read_pieces(
    at: BorrowedFd<'_>,
    path: &CStr,
    into: &mut Vec<u8>,
    limit: usize,
    to_the_end: bool,
) -> rustix::io::Result<()> {
    into.clear();
    // No O_NOCTTY or O_NONBLOCK: a captured tree holds regular files.
    let file = rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    while into.len() < limit {
        if into.capacity() - into.len() < BUFFER_BYTES / 4 {
            into.reserve(BUFFER_BYTES.max(into.len()));
        }
        let room = into.capacity() - into.len();
        let got = match rustix::io::read(&file, rustix::buffer::spare_capacity(into)) {
            Err(Errno::INTR) => continue,
            got => got?,
        };
        if got == 0 || (!to_the_end && got < room) {
            break;
        }
    }
    into.truncate(limit);
    Ok(())
}

/// Opens a file for reading in pieces by the caller.
pub(crate) fn open_file(at: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Returns whether an error of a process's file means that the process has ended.
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::SRCH)
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's reading buffer. A nested call gets a buffer of its own.
pub(crate) fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    BUFFER.with(|kept| {
        let mut buffer = kept.try_borrow_mut().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default();
        let result = work(&mut buffer);
        if buffer.capacity() <= 2 * BUFFER_BYTES {
            kept.replace(buffer);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_path_is_number_and_rest() {
        assert_eq!(SmallPath::new(0, b"").as_cstr(), c"0");
        assert_eq!(SmallPath::new(u32::MAX, b"/smaps_rollup").as_cstr(), c"4294967295/smaps_rollup");
    }

    #[test]
    fn read_stops_at_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("long"), vec![b'x'; 100_000]).unwrap();
        let at = std::fs::File::open(dir.path()).unwrap();
        let mut data = Vec::new();
        read_at(at.as_fd(), c"long", &mut data, 70_000).unwrap();
        assert_eq!(data.len(), 70_000);
        read_to_end(at.as_fd(), c"long", &mut data, usize::MAX).unwrap();
        assert_eq!(data.len(), 100_000);
    }

    #[test]
    fn error_names_the_missing_directory() {
        let error = ProcRoot::open(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nonexistent/proc: "), "{error}");
    }

    #[test]
    fn total_memory_is_in_bytes_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        let root = ProcRoot::open(dir.path()).unwrap();
        assert!(matches!(root.total_memory(), Err(ProcError::NoTotalMemory { .. })));
        std::fs::write(dir.path().join("proc/meminfo"), "MemFree: 1 kB\nMemTotal:    2048 kB\n").unwrap();
        assert_eq!(root.total_memory().unwrap(), 2048 * 1024);
    }
}
