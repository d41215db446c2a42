//! What one walk saw.

use std::time::Instant;

use crate::smaps::Smaps;
use crate::status::Status;

bitflags::bitflags! {
    /// What a walk reads for every process, besides `stat`, which it always reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Needs: u8 {
        /// The command line (`cmdline`).
        const CMDLINE = 1;
        /// Owner and group of the process directory, which are the effective ones of a process that may be dumped.
        const OWNER = 2;
        /// `status`, for questions about nearly all processes. Without it `status` is read for the processes that
        /// are asked about, which is less work when they are few.
        const STATUS = 4;
    }
}

/// Every process that one walk saw, in the order of the directory.
#[derive(Debug)]
pub struct Snapshot {}

impl Snapshot {
    /// What was read for every process.
    #[must_use]
    pub fn needs(&self) -> Needs {
        unimplemented!()
    }

    /// When the walk ended.
    #[must_use]
    pub fn taken(&self) -> Instant {
        unimplemented!()
    }

    /// How many processes were seen, readable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether no process at all was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many process directories were listed whose `stat` could not be read (hidepid=1). Vanished ones do not count.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        unimplemented!()
    }

    /// How many command lines were cut because the whole would have taken more memory than a snapshot may.
    #[must_use]
    pub fn truncated_cmdlines(&self) -> usize {
        unimplemented!()
    }

    /// The processes, in the directory's order.
    pub fn processes(&self) -> impl Iterator<Item = Process<'_>> + '_ {
        std::iter::empty()
    }
}

/// One process of a [`Snapshot`].
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    snapshot: &'a Snapshot,
    index: usize,
}

macro_rules! later { ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => { $($(#[$doc])* #[must_use] pub fn $name(&self) -> $type { unimplemented!() })* } }

impl<'a> Process<'a> {
    later! {
        /// The number of the process.
        pid: u32;
        /// The name the kernel knows (at most 15 bytes), as in `stat`: it may hold spaces, parentheses, newlines and
        /// bytes that are not UTF-8. `None` if `stat` was unreadable.
        comm: Option<&'a [u8]>;
        /// The state letter of `stat`: R, S, D, Z, T, t, I, X. `None` if `stat` was unreadable.
        state: Option<u8>;
        /// The parent.
        ppid: u32;
        /// When the process started, in clock ticks since boot: with the pid it is the identity of a process.
        start_time_ticks: u64;
        /// CPU time in user mode, in clock ticks.
        utime_ticks: u64;
        /// CPU time in the kernel, in clock ticks.
        stime_ticks: u64;
        /// Page faults that needed no disk.
        minor_faults: u64;
        /// Page faults that needed the disk.
        major_faults: u64;
        /// Threads.
        threads: u32;
        /// Virtual memory in bytes, equal to `VmSize`; 0 means that the process has no memory of its own (kernel
        /// threads, zombies).
        vsize_bytes: u64;
        /// Resident pages as `stat` counts them, which can lag behind `VmRSS`.
        rss_pages: u64;
        /// Owner of the process directory; `None` if not asked for ([`Needs::OWNER`]) or unreadable.
        uid: Option<u32>;
        /// Group of the process directory; `None` if not asked for ([`Needs::OWNER`]) or unreadable.
        gid: Option<u32>;
        /// The command line with NUL turned into space and one space cut from the end, as the built-in keys match it;
        /// empty for kernel threads and zombies. `None` if not asked for ([`Needs::CMDLINE`]) or unreadable.
        cmdline: Option<&'a [u8]>;
        /// The last path component of the first argument, as the built-in keys compute it: what follows the last `/`
        /// before the first NUL; the whole data if there is no NUL.
        arg0: Option<&'a [u8]>;
        /// `status`, read on first use and shared by all who hold this snapshot. `None` if the process is gone or the
        /// file unreadable; never another process's.
        status: Option<&'a Status>;
        /// Proportional and unique memory from `smaps_rollup` (or `smaps` before Linux 4.14), read on first use. The
        /// kernel walks the whole address space with the process's memory lock held: 4.5 s were seen at 210 GB.
        smaps: Option<&'a Smaps>;
    }
}
