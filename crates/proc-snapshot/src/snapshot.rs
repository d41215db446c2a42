//! What one walk saw.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::io::Errno;

use crate::error::ProcError;
use crate::root::{ProcRoot, SmallPath, WHOLE_FILE_BYTES, is_gone, read_at, with_buffer};
use crate::smaps::Smaps;
use crate::stat::Stat;
use crate::status::Status;
use crate::text;

/// How much memory the command lines of one snapshot may take before further ones are cut.
const CMDLINES_BYTES: usize = 16 * 1024 * 1024;
/// What is kept of each command line once that is spent.
const CUT_CMDLINE_BYTES: usize = 256;

bitflags::bitflags! {
    /// What a walk reads for every process, besides `stat`, which it always reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Needs: u8 {
        /// The command line (`cmdline`).
        const CMDLINE = 1;
        /// Owner and group of the process directory, which are the effective ones of a process that may be dumped.
        const OWNER = 2;
        /// `status`, for questions about nearly all processes. Without it `status` is read for the processes that
        /// are asked about, which is less work when they are few: identity has to be checked again then.
        const STATUS = 4;
    }
}

/// Every process that one walk saw, in the order of the directory.
///
/// Names and command lines of all processes lie in one piece of memory. Command lines are kept whole up to 16 MiB in
/// one snapshot; beyond that each is cut to 256 bytes and counted in [`Snapshot::truncated_cmdlines`].
pub struct Snapshot {
    root: Arc<ProcRoot>,
    needs: Needs,
    taken: Instant,
    entries: Box<[Entry]>,
    lazy: Box<[Lazy]>,
    arena: Box<[u8]>,
    unreadable: usize,
    truncated: usize,
}

/// A process in the snapshot's memory. Offsets point into the arena.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
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
    /// Where the first NUL of the command line was, its length if there was none: the end of [`Process::arg0`].
    first_end: u32,
    arg0_len: u32,
    pid: u32,
    ppid: u32,
    threads: u32,
    uid: u32,
    gid: u32,
    comm_len: u16,
    state: u8,
    known: Known,
}

bitflags::bitflags! {
    /// What could be read of a process.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    struct Known: u8 {
        const NAME = 1;
        const NUMBERS = 2;
        const CMDLINE = 4;
        const OWNER = 8;
    }
}

/// What is read of a process when somebody asks.
#[derive(Debug, Default)]
struct Lazy {
    status_wanted: AtomicBool,
    status: OnceLock<Option<Box<Status>>>,
    smaps: OnceLock<Option<Box<Smaps>>>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("processes", &self.entries.len())
            .field("needs", &self.needs)
            .finish()
    }
}

impl Entry {
    /// A thread of the kernel, a zombie, or a process that is ending: its command line is empty, and need not be read for
    /// that. On a machine with few processes that spares most of the work.
    fn has_no_memory(&self) -> bool {
        self.known.contains(Known::NUMBERS) && self.vsize == 0
    }
}

/// A walk under way.
struct Walk<'a> {
    root: &'a ProcRoot,
    needs: Needs,
    /// Processes whose command line is not read.
    avoid: &'a [u32],
    entries: Vec<Entry>,
    statuses: Vec<Option<Box<Status>>>,
    arena: Vec<u8>,
    buffer: Vec<u8>,
    unreadable: usize,
    truncated: usize,
}

impl Walk<'_> {
    /// Takes in one process; one that is gone leaves nothing behind.
    fn take(&mut self, pid: u32) {
        let mut entry = Entry { pid, ..Entry::default() };
        let taken =
            if self.needs.is_empty() { self.take_stat_only(&mut entry) } else { self.take_files(&mut entry) };
        match taken {
            Ok(()) => {}
            Err(errno) if is_gone(errno) => return,
            Err(_) => self.unreadable += 1,
        }
        self.entries.push(entry);
    }

    fn take_stat_only(&mut self, entry: &mut Entry) -> Result<(), Errno> {
        let path = SmallPath::of(entry.pid, b"/stat");
        read_at(self.root.dir(), path.as_cstr(), &mut self.buffer, WHOLE_FILE_BYTES)?;
        self.take_stat(entry)
    }

    /// Several files of one process are read through its directory, so that all are of the same process.
    fn take_files(&mut self, entry: &mut Entry) -> Result<(), Errno> {
        let dir = self.root.open_pid(entry.pid)?;
        if self.needs.contains(Needs::OWNER)
            && let Ok(stat) = rustix::fs::fstat(&dir)
        {
            (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
            entry.known |= Known::OWNER;
        }
        let stat = read_at(dir.as_fd(), c"stat", &mut self.buffer, WHOLE_FILE_BYTES)
            .and_then(|()| self.take_stat(entry));
        if stat.is_err_and(is_gone) {
            return stat;
        }
        if self.needs.contains(Needs::CMDLINE) && !self.avoid.contains(&entry.pid) {
            if entry.has_no_memory() {
                entry.known |= Known::CMDLINE;
            } else {
                self.take_cmdline(dir.as_fd(), entry);
            }
        }
        if self.needs.contains(Needs::STATUS) {
            self.statuses.resize_with(self.entries.len(), || None);
            self.statuses.push(read_status(dir.as_fd(), &mut self.buffer));
        }
        stat
    }

    fn take_stat(&mut self, entry: &mut Entry) -> Result<(), Errno> {
        let stat = Stat::parse(&self.buffer).ok_or(Errno::INVAL)?;
        entry.comm = self.arena.len();
        entry.comm_len = u16::try_from(stat.comm.len()).map_err(|_| Errno::INVAL)?;
        self.arena.extend_from_slice(stat.comm);
        entry.known |= Known::NAME;
        entry.known.set(Known::NUMBERS, stat.complete);
        entry.state = stat.state;
        entry.ppid = stat.ppid;
        entry.start = stat.start;
        (entry.utime, entry.stime) = (stat.utime, stat.stime);
        (entry.minor_faults, entry.major_faults) = (stat.minor_faults, stat.major_faults);
        (entry.threads, entry.vsize, entry.rss_pages) = (stat.threads, stat.vsize, stat.rss_pages);
        Ok(())
    }

    fn take_cmdline(&mut self, dir: BorrowedFd<'_>, entry: &mut Entry) {
        let limit = CMDLINES_BYTES.saturating_sub(self.arena.len()).max(CUT_CMDLINE_BYTES);
        // One byte more than may be kept tells a cut line from one that just fits.
        if read_at(dir, c"cmdline", &mut self.buffer, limit + 1).is_err() {
            return;
        }
        if self.buffer.len() > limit {
            self.buffer.truncate(limit.min(CUT_CMDLINE_BYTES));
            self.truncated += 1;
        }
        let nul = self.buffer.iter().position(|&byte| byte == 0);
        let first_end = nul.unwrap_or(self.buffer.len());
        let arg0 = text::arg0(&self.buffer[..first_end], nul.is_some());
        entry.arg0_len = u32::try_from(arg0.len()).unwrap_or(0);
        let offset = self.arena.len();
        self.arena.extend(self.buffer.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
        let length = text::matched_length(&self.arena[offset..]);
        entry.cmdline = offset;
        entry.cmdline_len = u32::try_from(length).unwrap_or(0);
        entry.first_end = u32::try_from(first_end).unwrap_or(0);
        entry.known |= Known::CMDLINE;
    }
}

fn read_status(dir: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Option<Box<Status>> {
    read_at(dir, c"status", buffer, WHOLE_FILE_BYTES).ok()?;
    Some(Box::new(Status::parse(buffer)))
}

impl Snapshot {
    /// Walks over all processes. `at` tells which process is being read, for whoever waits; of those in `avoid` the command
    /// line is not read.
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
            entries: Vec::new(),
            statuses: Vec::new(),
            arena: Vec::new(),
            buffer: Vec::new(),
            unreadable: 0,
            truncated: 0,
        };
        let mut late = false;
        root.each_pid(|pid| {
            at.store(pid, Ordering::Relaxed);
            late = Instant::now() >= deadline;
            if !late {
                walk.take(pid);
            }
            !late
        })?;
        if late {
            return Err(ProcError::walk_deadline(at.load(Ordering::Relaxed)));
        }
        Ok(Self::assemble(root, walk))
    }

    fn assemble(root: &Arc<ProcRoot>, walk: Walk<'_>) -> Self {
        let mut statuses = walk.statuses.into_iter();
        let lazy = walk.entries.iter().map(|_| {
            let lazy = Lazy::default();
            if walk.needs.contains(Needs::STATUS) {
                let _ = lazy.status.set(statuses.next().flatten());
            }
            lazy
        });
        Self {
            root: Arc::clone(root),
            needs: walk.needs,
            taken: Instant::now(),
            lazy: lazy.collect(),
            entries: walk.entries.into_boxed_slice(),
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

    /// What was read for every process.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// When the walk ended.
    #[must_use]
    pub fn taken(&self) -> Instant {
        self.taken
    }

    /// How many processes were seen, readable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no process at all was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many processes were listed whose `stat` could not be read (hidepid=1). Vanished ones do not count.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// How many command lines were cut because the whole would have taken more memory than a snapshot may.
    #[must_use]
    pub fn truncated_cmdlines(&self) -> usize {
        self.truncated
    }

    /// How many processes' `status` somebody has asked for.
    pub(crate) fn statuses_wanted(&self) -> usize {
        self.lazy.iter().filter(|lazy| lazy.status_wanted.load(Ordering::Relaxed)).count()
    }

    /// The processes, in the directory's order.
    pub fn processes(&self) -> impl Iterator<Item = Process<'_>> + '_ {
        (0..self.entries.len()).map(|index| Process { snapshot: self, index })
    }
}

/// One process of a [`Snapshot`].
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    snapshot: &'a Snapshot,
    index: usize,
}

impl<'a> Process<'a> {
    fn entry(&self) -> &'a Entry {
        &self.snapshot.entries[self.index]
    }

    fn known(&self, what: Known) -> Option<&'a Entry> {
        Some(self.entry()).filter(|entry| entry.known.contains(what))
    }

    fn bytes(&self, offset: usize, length: usize) -> &'a [u8] {
        self.snapshot.arena.get(offset..offset + length).unwrap_or_default()
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.entry().pid
    }

    /// The name the kernel knows (at most 15 bytes, more for kernel threads), as in `stat`: it may hold spaces,
    /// parentheses, newlines and bytes that are not UTF-8. `None` if `stat` was unreadable.
    #[must_use]
    pub fn comm(&self) -> Option<&'a [u8]> {
        self.known(Known::NAME).map(|entry| self.bytes(entry.comm, usize::from(entry.comm_len)))
    }

    /// The state letter of `stat`: R, S, D, Z, T, t, I, X. `None` if `stat` was unreadable.
    #[must_use]
    pub fn state(&self) -> Option<u8> {
        Some(self.entry().state).filter(|&state| state != 0)
    }

    /// The parent.
    #[must_use]
    pub fn ppid(&self) -> u32 {
        self.entry().ppid
    }

    /// When the process started, in clock ticks since boot: with the pid it is the identity of a process.
    #[must_use]
    pub fn start_time_ticks(&self) -> u64 {
        self.entry().start
    }

    /// CPU time in user mode, in clock ticks.
    #[must_use]
    pub fn utime_ticks(&self) -> u64 {
        self.entry().utime
    }

    /// CPU time in the kernel, in clock ticks.
    #[must_use]
    pub fn stime_ticks(&self) -> u64 {
        self.entry().stime
    }

    /// Page faults that needed no disk.
    #[must_use]
    pub fn minor_faults(&self) -> u64 {
        self.entry().minor_faults
    }

    /// Page faults that needed the disk.
    #[must_use]
    pub fn major_faults(&self) -> u64 {
        self.entry().major_faults
    }

    /// Threads.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.entry().threads
    }

    /// Virtual memory in bytes, equal to `VmSize`; 0 means that the process has no memory of its own (kernel
    /// threads, zombies).
    #[must_use]
    pub fn vsize_bytes(&self) -> u64 {
        self.entry().vsize
    }

    /// Resident pages as `stat` counts them. `VmRSS` is exact where this may lag behind, on kernels that keep the
    /// counter per CPU.
    #[must_use]
    pub fn rss_pages(&self) -> u64 {
        self.entry().rss_pages
    }

    /// Owner of the process directory; `None` if not asked for ([`Needs::OWNER`]) or unreadable.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.known(Known::OWNER).map(|entry| entry.uid)
    }

    /// Group of the process directory; `None` if not asked for ([`Needs::OWNER`]) or unreadable.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.known(Known::OWNER).map(|entry| entry.gid)
    }

    /// The command line with NUL turned into space and one space cut from the end, as the built-in keys match it;
    /// empty for kernel threads and zombies. `None` if not asked for ([`Needs::CMDLINE`]) or unreadable.
    #[must_use]
    pub fn cmdline(&self) -> Option<&'a [u8]> {
        self.known(Known::CMDLINE).map(|entry| self.bytes(entry.cmdline, entry.cmdline_len as usize))
    }

    /// The last path component of the first argument, as the built-in keys compute it: what follows the last `/`
    /// before the first NUL. Without a NUL (a title set by the process) it is the whole line, slashes and all.
    #[must_use]
    pub fn arg0(&self) -> Option<&'a [u8]> {
        let entry = self.known(Known::CMDLINE)?;
        let (end, length) = (entry.first_end as usize, entry.arg0_len as usize);
        Some(self.bytes(entry.cmdline + end - length, length))
    }

    /// The kernel's name, completed from the command line where the kernel cut it, as `proc.get` does.
    #[must_use]
    pub fn full_name(&self) -> Option<&'a [u8]> {
        self.comm().map(|comm| text::full_name(comm, self.cmdline().unwrap_or_default()))
    }

    /// `status`, read on first use and shared by all who hold this snapshot. `None` if the process is gone or the
    /// file unreadable; never another process's.
    #[must_use]
    pub fn status(&self) -> Option<&'a Status> {
        let lazy = &self.snapshot.lazy[self.index];
        lazy.status_wanted.store(true, Ordering::Relaxed);
        let status = lazy.status.get_or_init(|| {
            let dir = self.reopen()?;
            with_buffer(|buffer| read_status(dir.as_fd(), buffer))
        });
        status.as_deref()
    }

    /// Proportional and unique memory from `smaps_rollup` (or `smaps` before Linux 4.14), read on first use. The
    /// kernel walks the whole address space with the process's memory lock held: 4.5 s were seen at 210 GB. `None` if
    /// the process is gone or is another user's: reading takes the right to trace it.
    #[must_use]
    pub fn smaps(&self) -> Option<&'a Smaps> {
        let lazy = &self.snapshot.lazy[self.index];
        lazy.smaps.get_or_init(|| Smaps::read(self.reopen()?.as_fd()).map(Box::new)).as_deref()
    }

    /// The directory of this very process: the number may belong to another by now.
    pub(crate) fn reopen(&self) -> Option<OwnedFd> {
        let entry = self.known(Known::NUMBERS)?;
        let dir = self.snapshot.root.open_pid(entry.pid).ok()?;
        let same = with_buffer(|buffer| {
            read_at(dir.as_fd(), c"stat", buffer, WHOLE_FILE_BYTES).ok()?;
            Stat::parse(buffer).map(|stat| stat.complete && stat.start == entry.start)
        });
        (same == Some(true)).then_some(dir)
    }

    /// An error if the deadline has passed before this process was looked at.
    pub(crate) fn check(&self, deadline: Instant) -> Result<(), ProcError> {
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(ProcError::Deadline { doing: format!("before process {} was read", self.pid()) })
    }

    /// Whether CPU times and page faults could be read.
    pub(crate) fn has_numbers(&self) -> bool {
        self.entry().known.contains(Known::NUMBERS)
    }
}
