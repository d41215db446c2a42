//! The result of one walk.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustix::io::Errno;

use crate::error::ProcError;
use crate::root::{
    ProcRoot, SmallPath, WHOLE_FILE_BYTES, is_gone, open_file, read_at, read_to_end, with_buffer,
};
use crate::shortage::{ResourceShortage, if_readable};
use crate::smaps::Smaps;
use crate::stat::Stat;
use crate::status::Status;
use crate::text;

/// Memory limit for the command lines of one snapshot; further ones are truncated.
const CMDLINES_BYTES: usize = 8 * 1024 * 1024;
/// Limit for one command line, so that a few processes cannot use up the limit for all. A single argument has at most
/// 128 KiB.
pub(crate) const CMDLINE_BYTES: usize = 256 * 1024;
/// Bytes kept of each command line beyond that limit.
const CUT_CMDLINE_BYTES: usize = 256;

bitflags::bitflags! {
    /// Files that a walk reads for every process, besides `stat`, which it always reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Needs: u8 {
        /// The command line (`cmdline`).
        const CMDLINE = 1;
        /// Owner and group of the process directory, which are the effective ones of a process that may be dumped.
        const OWNER = 2;
        /// `status`, for items that select nearly all processes. Without it `status` is read on demand, which is cheaper
        /// for few processes although their identity has to be checked again.
        const STATUS = 4;
    }
}

/// All processes that one walk found, in the order of the directory.
///
/// Names and command lines of all processes lie in one block of memory. Command lines are kept up to 256 KiB each and
/// 8 MiB in one snapshot; beyond that they are cut and counted in [`Snapshot::truncated_cmdlines`].
pub struct Snapshot {
    root: Arc<ProcRoot>,
    needs: Needs,
    taken: Instant,
    rows: Box<[ProcessRow]>,
    lazy: Box<[LazyParts]>,
    arena: Box<[u8]>,
    unreadable: usize,
    truncated: usize,
}

/// A process in the snapshot's memory. Offsets point into the arena.
#[derive(Debug, Clone, Copy, Default)]
struct ProcessRow {
    start: u64,
    utime: u64,
    stime: u64,
    minor_faults: u64,
    major_faults: u64,
    vsize: u64,
    rss_pages: u64,
    comm: usize,
    cmdline: usize,
    cmdline_len: u32,
    /// Position of the first NUL of the command line, or its length if there is none: the end of [`Process::arg0`].
    first_end: u32,
    arg0_len: u32,
    pid: u32,
    ppid: u32,
    threads: u32,
    uid: u32,
    gid: u32,
    comm_len: u16,
    state: u8,
    parts: ReadParts,
}

bitflags::bitflags! {
    /// Parts of a process that could be read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    struct ReadParts: u8 {
        const NAME = 1;
        const NUMBERS = 2;
        const CMDLINE = 4;
        const OWNER = 8;
    }
}

/// Files of a process that are read on demand.
#[derive(Debug, Default)]
struct LazyParts {
    status_wanted: AtomicBool,
    /// A shortage of resources is kept as well: it fails all queries of the snapshot in the same way.
    status: OnceLock<Result<Option<Box<Status>>, ResourceShortage>>,
    smaps: Mutex<Option<Option<Smaps>>>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("processes", &self.rows.len()).field("needs", &self.needs).finish()
    }
}

impl ProcessRow {
    /// Returns whether it is a kernel thread, a zombie, or a process that is ending. Its command line is empty and is not
    /// read, which saves most of the work on a machine with few processes.
    fn has_no_memory(&self) -> bool {
        self.parts.contains(ReadParts::NUMBERS) && self.vsize == 0
    }
}

/// A walk in progress.
struct Walk<'a> {
    root: &'a ProcRoot,
    needs: Needs,
    /// Processes whose command line is not read.
    avoid: &'a [u32],
    rows: Vec<ProcessRow>,
    statuses: Vec<Option<Box<Status>>>,
    arena: Vec<u8>,
    buffer: Vec<u8>,
    unreadable: usize,
    truncated: usize,
}

impl Walk<'_> {
    /// Adds one process, unless it is gone.
    fn take(&mut self, pid: u32) -> Result<(), ResourceShortage> {
        let mut row = ProcessRow { pid, ..ProcessRow::default() };
        let taken =
            if self.needs.is_empty() { self.take_stat_only(&mut row) } else { self.take_files(&mut row) };
        match taken {
            Ok(()) => {}
            Err(errno) if is_gone(errno) => return Ok(()),
            Err(errno) => {
                if_readable::<()>(Err(errno))?;
                self.unreadable += 1;
            }
        }
        self.rows.push(row);
        Ok(())
    }

    fn take_stat_only(&mut self, row: &mut ProcessRow) -> Result<(), Errno> {
        let path = SmallPath::new(row.pid, b"/stat");
        read_at(self.root.dir(), path.as_cstr(), &mut self.buffer, WHOLE_FILE_BYTES)?;
        self.take_stat(row)
    }

    /// Several files of one process are read through its directory, so that all are of the same process.
    fn take_files(&mut self, row: &mut ProcessRow) -> Result<(), Errno> {
        let dir = self.root.open_pid(row.pid)?;
        if self.needs.contains(Needs::OWNER)
            && let Ok(stat) = rustix::fs::fstat(&dir)
        {
            (row.uid, row.gid) = (stat.st_uid, stat.st_gid);
            row.parts |= ReadParts::OWNER;
        }
        let stat = read_at(dir.as_fd(), c"stat", &mut self.buffer, WHOLE_FILE_BYTES)
            .and_then(|()| self.take_stat(row));
        if stat.is_err_and(ends_the_walk) {
            return stat;
        }
        if self.needs.contains(Needs::CMDLINE) && !self.avoid.contains(&row.pid) {
            if row.has_no_memory() {
                row.parts |= ReadParts::CMDLINE;
            } else {
                self.take_cmdline(dir.as_fd(), row)?;
            }
        }
        if self.needs.contains(Needs::STATUS) {
            self.statuses.resize_with(self.rows.len(), || None);
            let status = read_status(dir.as_fd(), &mut self.buffer);
            self.statuses.push(status.or_else(unless_short)?);
        }
        stat
    }

    fn take_stat(&mut self, row: &mut ProcessRow) -> Result<(), Errno> {
        let stat = Stat::parse(&self.buffer).ok_or(Errno::INVAL)?;
        row.comm = self.arena.len();
        row.comm_len = u16::try_from(stat.comm.len()).map_err(|_| Errno::INVAL)?;
        self.arena.extend_from_slice(stat.comm);
        row.parts |= ReadParts::NAME;
        row.parts.set(ReadParts::NUMBERS, stat.complete);
        row.state = stat.state;
        row.ppid = stat.ppid;
        row.start = stat.start;
        (row.utime, row.stime) = (stat.utime, stat.stime);
        (row.minor_faults, row.major_faults) = (stat.minor_faults, stat.major_faults);
        (row.threads, row.vsize, row.rss_pages) = (stat.threads, stat.vsize, stat.rss_pages);
        Ok(())
    }

    /// An unreadable command line is absent.
    fn take_cmdline(&mut self, dir: BorrowedFd<'_>, row: &mut ProcessRow) -> Result<(), Errno> {
        let left = CMDLINES_BYTES.saturating_sub(self.arena.len());
        // One byte more than the limit distinguishes a truncated line from one that just fits.
        let limit = CMDLINE_BYTES.min(left.max(CUT_CMDLINE_BYTES));
        if let Err(errno) = read_at(dir, c"cmdline", &mut self.buffer, limit + 1) {
            return unless_short::<()>(errno).map(drop);
        }
        if self.buffer.len() > limit {
            self.buffer.truncate(if limit == CMDLINE_BYTES { limit } else { CUT_CMDLINE_BYTES.min(limit) });
            self.truncated += 1;
        }
        let nul = self.buffer.iter().position(|&byte| byte == 0);
        let first_end = nul.unwrap_or(self.buffer.len());
        let arg0 = text::arg0(&self.buffer[..first_end], nul.is_some());
        row.arg0_len = u32::try_from(arg0.len()).unwrap_or(0);
        let offset = self.arena.len();
        self.arena.extend(self.buffer.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
        let length = text::matched_length(&self.arena[offset..]);
        row.cmdline = offset;
        row.cmdline_len = u32::try_from(length).unwrap_or(0);
        row.first_end = u32::try_from(first_end).unwrap_or(0);
        row.parts |= ReadParts::CMDLINE;
        Ok(())
    }
}

fn ends_the_walk(errno: Errno) -> bool {
    is_gone(errno) || ResourceShortage::from_errno(errno).is_some()
}

/// Returns `None` for an error that concerns one file only.
fn unless_short<T>(errno: Errno) -> Result<Option<T>, Errno> {
    if ResourceShortage::from_errno(errno).is_some() { Err(errno) } else { Ok(None) }
}

fn read_status(dir: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<Option<Box<Status>>, Errno> {
    read_at(dir, c"status", buffer, WHOLE_FILE_BYTES)?;
    Ok(Some(Box::new(Status::parse(buffer))))
}

impl Snapshot {
    /// Walks over all processes. `at` is the process being read, for error messages of waiting requests. The command lines
    /// of processes in `avoid` are not read.
    pub(crate) fn take(
        root: &Arc<ProcRoot>,
        needs: Needs,
        avoid: &[u32],
        deadline: Instant,
        at: &AtomicU32,
    ) -> Result<Self, ProcError> {
        let mut walk = Walk {
            root,
            needs,
            avoid,
            rows: Vec::new(),
            statuses: Vec::new(),
            arena: Vec::new(),
            buffer: Vec::new(),
            unreadable: 0,
            truncated: 0,
        };
        let mut outcome = Ok(());
        root.each_pid(|pid| {
            at.store(pid, Ordering::Relaxed);
            outcome = if Instant::now() < deadline {
                walk.take(pid).map_err(ProcError::Shortage)
            } else {
                Err(ProcError::walk_deadline(pid))
            };
            outcome.is_ok()
        })?;
        outcome?;
        Ok(Self::assemble(root, walk))
    }

    fn assemble(root: &Arc<ProcRoot>, walk: Walk<'_>) -> Self {
        let mut statuses = walk.statuses.into_iter();
        let lazy = walk.rows.iter().map(|_| {
            let lazy = LazyParts::default();
            if walk.needs.contains(Needs::STATUS) {
                let _ = lazy.status.set(Ok(statuses.next().flatten()));
            }
            lazy
        });
        Self {
            root: Arc::clone(root),
            needs: walk.needs,
            taken: Instant::now(),
            lazy: lazy.collect(),
            rows: walk.rows.into_boxed_slice(),
            arena: walk.arena.into_boxed_slice(),
            unreadable: walk.unreadable,
            truncated: walk.truncated,
        }
    }

    /// The directory that was walked.
    #[must_use]
    pub fn root(&self) -> &ProcRoot {
        &self.root
    }

    /// Files that were read for every process.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// When the walk ended.
    #[must_use]
    pub fn taken(&self) -> Instant {
        self.taken
    }

    /// Number of processes, readable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no process at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of listed processes whose `stat` could not be read (hidepid=1), without those that vanished.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Number of command lines truncated because a snapshot would have exceeded its memory limit.
    #[must_use]
    pub fn truncated_cmdlines(&self) -> usize {
        self.truncated
    }

    /// Number of processes whose `status` was requested.
    pub(crate) fn statuses_wanted(&self) -> usize {
        self.lazy.iter().filter(|lazy| lazy.status_wanted.load(Ordering::Relaxed)).count()
    }

    /// The processes, in the directory's order.
    pub fn processes(&self) -> impl Iterator<Item = Process<'_>> + '_ {
        (0..self.rows.len()).map(|index| Process { snapshot: self, index })
    }

    /// The process at a position in [`processes`](Self::processes).
    #[must_use]
    pub fn process_at(&self, index: usize) -> Option<Process<'_>> {
        (index < self.rows.len()).then_some(Process { snapshot: self, index })
    }
}

/// One process of a [`Snapshot`].
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    snapshot: &'a Snapshot,
    index: usize,
}

impl<'a> Process<'a> {
    fn row(&self) -> &'a ProcessRow {
        &self.snapshot.rows[self.index]
    }

    fn parts(&self, what: ReadParts) -> Option<&'a ProcessRow> {
        Some(self.row()).filter(|row| row.parts.contains(what))
    }

    fn bytes(&self, offset: usize, length: usize) -> &'a [u8] {
        self.snapshot.arena.get(offset..offset + length).unwrap_or_default()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.row().pid
    }

    /// The name the kernel knows (at most 15 bytes, more for kernel threads), as in `stat`: it may hold spaces,
    /// parentheses, newlines and bytes that are not UTF-8. `None` if `stat` was unreadable.
    #[must_use]
    pub fn comm(&self) -> Option<&'a [u8]> {
        self.parts(ReadParts::NAME).map(|row| self.bytes(row.comm, usize::from(row.comm_len)))
    }

    /// The state letter of `stat`: R, S, D, Z, T, t, I, X. `None` if `stat` was unreadable.
    #[must_use]
    pub fn state(&self) -> Option<u8> {
        Some(self.row().state).filter(|&state| state != 0)
    }

    /// Process id of the parent.
    #[must_use]
    pub fn ppid(&self) -> u32 {
        self.row().ppid
    }

    /// When the process started, in clock ticks since boot: with the pid it is the identity of a process.
    #[must_use]
    pub fn start_time_ticks(&self) -> u64 {
        self.row().start
    }

    /// CPU time in user mode, in clock ticks.
    #[must_use]
    pub fn utime_ticks(&self) -> u64 {
        self.row().utime
    }

    /// CPU time in the kernel, in clock ticks.
    #[must_use]
    pub fn stime_ticks(&self) -> u64 {
        self.row().stime
    }

    /// Page faults that needed no disk.
    #[must_use]
    pub fn minor_faults(&self) -> u64 {
        self.row().minor_faults
    }

    /// Page faults that needed the disk.
    #[must_use]
    pub fn major_faults(&self) -> u64 {
        self.row().major_faults
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.row().threads
    }

    /// Virtual memory in bytes, equal to `VmSize`; 0 means that the process has no memory of its own (kernel
    /// threads, zombies).
    #[must_use]
    pub fn vsize_bytes(&self) -> u64 {
        self.row().vsize
    }

    /// Resident pages as `stat` counts them. On kernels that keep the counter per CPU it lags behind; `VmRSS` is
    /// exact.
    #[must_use]
    pub fn rss_pages(&self) -> u64 {
        self.row().rss_pages
    }

    /// Owner of the process directory; `None` if not requested ([`Needs::OWNER`]) or unreadable.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.parts(ReadParts::OWNER).map(|row| row.uid)
    }

    /// Group of the process directory; `None` if not requested ([`Needs::OWNER`]) or unreadable.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.parts(ReadParts::OWNER).map(|row| row.gid)
    }

    /// The command line with NUL turned into space and one space cut from the end, as the built-in keys match it;
    /// empty for kernel threads and zombies. `None` if not requested ([`Needs::CMDLINE`]) or unreadable.
    #[must_use]
    pub fn cmdline(&self) -> Option<&'a [u8]> {
        self.parts(ReadParts::CMDLINE).map(|row| self.bytes(row.cmdline, row.cmdline_len as usize))
    }

    /// The last path component of the first argument, as the built-in keys compute it: what follows the last `/`
    /// before the first NUL. Without a NUL (a title set by the process) it is the whole line, slashes and all.
    #[must_use]
    pub fn arg0(&self) -> Option<&'a [u8]> {
        let row = self.parts(ReadParts::CMDLINE)?;
        let (end, length) = (row.first_end as usize, row.arg0_len as usize);
        Some(self.bytes(row.cmdline + end - length, length))
    }

    /// The kernel's name, completed from the command line where the kernel cut it, as `proc.get` does.
    #[must_use]
    pub fn full_name(&self) -> Option<&'a [u8]> {
        self.comm().map(|comm| text::full_name(comm, self.cmdline().unwrap_or_default()))
    }

    /// Returns `status`, read on first use and shared by all users of this snapshot. `None` if the process is gone or the
    /// file unreadable; never another process's.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]
    pub fn status(&self) -> Result<Option<&'a Status>, ProcError> {
        let lazy = &self.snapshot.lazy[self.index];
        lazy.status_wanted.store(true, Ordering::Relaxed);
        let status = lazy.status.get_or_init(|| {
            let Some(dir) = self.reopen()? else { return Ok(None) };
            if_readable(with_buffer(|buffer| read_status(dir.as_fd(), buffer))).map(Option::flatten)
        });
        match status {
            Ok(status) => Ok(status.as_deref()),
            Err(shortage) => Err((*shortage).into()),
        }
    }

    /// Returns proportional and unique memory from `smaps_rollup` (or `smaps` before Linux 4.14), read on first use. The
    /// kernel walks the whole address space with the process's memory lock held: 4.5 s were seen at 210 GB. `None` if
    /// the process is gone or belongs to another user: reading requires ptrace permission.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`], [`ProcError::Deadline`]
    pub fn smaps(&self, deadline: Instant) -> Result<Option<Smaps>, ProcError> {
        let mut known = self.snapshot.lazy[self.index].smaps.lock().unwrap_or_else(PoisonError::into_inner);
        // Another query may have held the lock until the deadline.
        self.check(deadline)?;
        if let Some(smaps) = *known {
            return Ok(smaps);
        }
        let smaps = match self.reopen()? {
            Some(dir) => Smaps::read(dir.as_fd(), deadline)?,
            None => None,
        };
        *known = Some(smaps);
        Ok(smaps)
    }

    /// Reads another file of the process, up to `limit` bytes, such as `cgroup`. `None` if the process is gone or the file
    /// unreadable; never another process's.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]
    pub fn read_file(&self, name: &CStr, limit: usize) -> Result<Option<Vec<u8>>, ProcError> {
        let Some(dir) = self.reopen()? else { return Ok(None) };
        let mut content = Vec::new();
        let read = if_readable(read_to_end(dir.as_fd(), name, &mut content, limit))?;
        Ok(read.map(|()| content))
    }

    /// Opens another file of the process for reading piece by piece, such as `net/unix`. `None` if the process is gone or the
    /// file unreadable; never another process's.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]
    pub fn open_file(&self, name: &CStr) -> Result<Option<File>, ProcError> {
        let Some(dir) = self.reopen()? else { return Ok(None) };
        Ok(if_readable(open_file(dir.as_fd(), name))?.map(File::from))
    }

    /// Opens the directory of the process. `None` if its id belongs to another process by now.
    pub(crate) fn reopen(&self) -> Result<Option<OwnedFd>, ResourceShortage> {
        let Some(row) = self.parts(ReadParts::NUMBERS) else { return Ok(None) };
        let Some(dir) = if_readable(self.snapshot.root.open_pid(row.pid))? else { return Ok(None) };
        let is_same = with_buffer(|buffer| {
            read_at(dir.as_fd(), c"stat", buffer, WHOLE_FILE_BYTES)?;
            Ok(Stat::parse(buffer).is_some_and(|stat| stat.complete && stat.start == row.start))
        });
        Ok(if_readable(is_same)?.unwrap_or(false).then_some(dir))
    }

    /// Returns an error if the deadline has passed.
    pub(crate) fn check(&self, deadline: Instant) -> Result<(), ProcError> {
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(ProcError::Deadline { doing: format!("before process {} was read", self.pid()) })
    }

    /// Whether CPU times and page faults could be read.
    pub(crate) fn has_numbers(&self) -> bool {
        self.row().parts.contains(ReadParts::NUMBERS)
    }
}
