//! The data of `proc.get`, field by field as agent 7.0 returns them.
//!
//! Fields have the names and the order of the JSON objects. -1 means "absent", as in `proc.get`. Names
//! and command lines are bytes; Go's JSON writes U+FFFD for each byte that is not UTF-8.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::error::ProcError;
use crate::memory::to_float;
use crate::root::{MachineFacts, SmallPath, WHOLE_FILE_BYTES, each_number, open_dir, read_at, with_buffer};
use crate::select::Selector;
use crate::shortage::{ResourceShortage, if_readable};
use crate::snapshot::{Process, Snapshot};
use crate::stat::Stat;
use crate::status::Status;
use crate::text;
use crate::users::Users;

/// A process, as `proc.get[,,,process]` describes it. Amounts of memory are in bytes, CPU times in seconds.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "fields are named as in the JSON of proc.get")]
pub struct ProcessDetails {
    pub pid: u64,
    pub ppid: i64,
    pub name: Vec<u8>,
    pub cmdline: Vec<u8>,
    pub user: String,
    pub group: String,
    pub uid: i64,
    pub gid: i64,
    pub vsize: i64,
    pub pmem: f64,
    pub rss: i64,
    pub data: i64,
    pub exe: i64,
    pub hwm: i64,
    pub lck: i64,
    pub lib: i64,
    pub peak: i64,
    pub pin: i64,
    pub pte: i64,
    pub size: i64,
    pub stk: i64,
    pub swap: i64,
    pub cputime_user: f64,
    pub cputime_system: f64,
    pub state: Vec<u8>,
    pub ctx_switches: i64,
    pub threads: i64,
    pub page_faults: i64,
    pub pss: i64,
}

/// A thread, as `proc.get[,,,thread]` describes it. CPU times are in seconds.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "fields are named as in the JSON of proc.get")]
pub struct ThreadDetails {
    pub pid: i64,
    pub ppid: i64,
    pub name: Vec<u8>,
    pub user: String,
    pub group: String,
    pub uid: i64,
    pub gid: i64,
    pub tid: u64,
    pub tname: Vec<u8>,
    pub cputime_user: f64,
    pub cputime_system: f64,
    pub state: Vec<u8>,
    pub ctx_switches: i64,
    pub page_faults: i64,
}

/// All processes of one name, as `proc.get[,,,summary]` sums them. -1 if one of them has no value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "fields are named as in the JSON of proc.get")]
pub struct NameSummary {
    pub name: Vec<u8>,
    pub processes: i64,
    pub vsize: i64,
    pub pmem: f64,
    pub rss: i64,
    pub data: i64,
    pub exe: i64,
    pub lck: i64,
    pub lib: i64,
    pub pin: i64,
    pub pte: i64,
    pub size: i64,
    pub stk: i64,
    pub swap: i64,
    pub cputime_user: f64,
    pub cputime_system: f64,
    pub ctx_switches: i64,
    pub threads: i64,
    pub page_faults: i64,
    pub pss: i64,
}

impl Snapshot {
    /// The processes that the selector picks, by `proc.get`'s own naming: a name is the `Name` of `status`, completed
    /// from the first argument if the kernel truncated it. The state of the selector is ignored.
    ///
    /// Needs a walk with [`Needs::CMDLINE`](crate::Needs::CMDLINE) and [`Needs::OWNER`](crate::Needs::OWNER).
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`], [`ProcError::Shortage`].
    pub fn process_details(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<ProcessDetails>, ProcError> {
        let reader = DetailsReader::new(self, users, deadline)?;
        let mut details = Vec::new();
        for process in self.processes() {
            process.check(deadline)?;
            if selects(selector, &process) {
                details.extend(reader.process(&process)?);
            }
        }
        Ok(details)
    }

    /// Returns the threads of all selected processes. Has the same needs as [`Snapshot::process_details`] needs.
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`], [`ProcError::Shortage`].
    pub fn thread_details(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<ThreadDetails>, ProcError> {
        let reader = DetailsReader::new(self, users, deadline)?;
        let mut details = Vec::new();
        for process in self.processes() {
            process.check(deadline)?;
            // The pattern can be decided for the process: threads share its command line. Name and owner are their own.
            if selector.cmdline_matches(seen_cmdline(&process)) {
                details.extend(reader.threads(&process, selector)?);
            }
        }
        Ok(details)
    }

    /// Returns the selected processes, summed by name in the order of first appearance. Needs what
    /// [`Snapshot::process_details`] needs.
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`], [`ProcError::Shortage`].
    pub fn name_summaries(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<NameSummary>, ProcError> {
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut summaries: Vec<NameSummary> = Vec::new();
        for details in self.process_details(selector, users, deadline)? {
            match places.get(&details.name) {
                Some(&place) => summaries[place].add(&details),
                None => {
                    places.insert(details.name.clone(), summaries.len());
                    summaries.push(NameSummary::from(details));
                }
            }
        }
        Ok(summaries)
    }
}

/// Returns the command line as the built-in key sees it: an unreadable one is empty.
fn seen_cmdline<'a>(process: &Process<'a>) -> Option<&'a [u8]> {
    Some(process.cmdline().unwrap_or_default())
}

/// Returns whether `proc.get` selects the process. Its name is decided from `stat`, so that nothing more has to be read of
/// the others.
fn selects(selector: &Selector, process: &Process<'_>) -> bool {
    selector.owner_matches(process)
        && selector.cmdline_matches(seen_cmdline(process))
        && selector.name.as_deref().is_none_or(|name| {
            process.comm().is_some_and(|comm| *shown_name(&text::status_name(comm), process) == *name)
        })
}

/// The name that `proc.get` shows: none at all if the command line cannot be read.
fn shown_name<'a>(status_name: &'a [u8], process: &Process<'a>) -> &'a [u8] {
    process.cmdline().map_or(b"", |cmdline| text::full_name(status_name, cmdline))
}

/// Reads details; holds the values that all processes share.
struct DetailsReader<'a> {
    users: &'a Users,
    deadline: Instant,
    facts: MachineFacts,
    total_memory: Option<u64>,
}

impl<'a> DetailsReader<'a> {
    fn new(snapshot: &Snapshot, users: &'a Users, deadline: Instant) -> Result<Self, ProcError> {
        let root = snapshot.root();
        let total_memory = match root.total_memory() {
            Ok(total) => Some(total).filter(|&total| total > 0),
            Err(error @ ProcError::Shortage(_)) => return Err(error),
            Err(_) => None,
        };
        Ok(Self { users, deadline, facts: root.facts(), total_memory })
    }

    /// `None` if the process is gone.
    fn process(&self, process: &Process<'_>) -> Result<Option<ProcessDetails>, ProcError> {
        let Some(status) = process.status()? else { return Ok(None) };
        let amount = |key| status.amount(key).or_minus_one();
        let (data, exe, stk) = (amount("VmData"), amount("VmExe"), amount("VmStk"));
        let rss = amount("VmRSS");
        let owner = self.owner(process.uid(), process.gid())?;
        let (cputime_user, cputime_system, page_faults) = self.times(
            process.has_numbers(),
            process.utime_ticks(),
            process.stime_ticks(),
            process.major_faults(),
        );
        Ok(Some(ProcessDetails {
            pid: process.pid().into(),
            ppid: status.ppid,
            name: shown_name(&status.name, process).to_vec(),
            cmdline: process.cmdline().unwrap_or_default().to_vec(),
            user: owner.user,
            group: owner.group,
            uid: owner.uid,
            gid: owner.gid,
            vsize: amount("VmSize"),
            pmem: self.percentage(rss),
            rss,
            data,
            exe,
            hwm: amount("VmHWM"),
            lck: amount("VmLck"),
            lib: amount("VmLib"),
            peak: amount("VmPeak"),
            pin: amount("VmPin"),
            pte: amount("VmPTE"),
            size: plus(plus(exe, data), stk),
            stk,
            swap: amount("VmSwap"),
            cputime_user,
            cputime_system,
            state: status.state.to_vec(),
            ctx_switches: status.ctx_switches,
            threads: status.threads,
            page_faults,
            pss: self.pss(process, rss)?,
        }))
    }

    fn percentage(&self, rss: i64) -> f64 {
        match (u64::try_from(rss), self.total_memory) {
            (Ok(rss), Some(total)) => to_float(rss) / to_float(total) * 100.0,
            _ => -1.0,
        }
    }

    /// Returns the built-in key's pss: 0 for a process without memory (the key stops earlier), else from `smaps`, else the
    /// resident pages of `statm`, else -1.
    fn pss(&self, process: &Process<'_>, rss: i64) -> Result<i64, ProcError> {
        if rss < 0 || self.total_memory.is_none() {
            return Ok(0);
        }
        let bytes = match process.smaps(self.deadline)? {
            Some(smaps) => Some(smaps.builtin_pss_bytes),
            None => self.resident(process)?,
        };
        Ok(bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1))
    }

    fn resident(&self, process: &Process<'_>) -> Result<Option<u64>, ResourceShortage> {
        let Some(dir) = process.reopen()? else { return Ok(None) };
        let resident = with_buffer(|buffer| {
            read_at(dir.as_fd(), c"statm", buffer, WHOLE_FILE_BYTES)?;
            let pages = buffer.split(|&byte| byte == b' ').nth(1).and_then(text::number);
            Ok(pages.and_then(|pages| pages.checked_mul(self.facts.page_size)))
        });
        if_readable(resident).map(Option::flatten)
    }

    /// User time, system time, page faults.
    fn times(&self, known: bool, utime: u64, stime: u64, faults: u64) -> (f64, f64, i64) {
        if !known {
            return (-1.0, -1.0, -1);
        }
        let hertz = to_float(self.facts.clock_ticks);
        (to_float(utime) / hertz, to_float(stime) / hertz, i64::try_from(faults).unwrap_or(-1))
    }

    fn owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<Owner, ProcError> {
        Ok(match (uid, gid) {
            (Some(uid), Some(gid)) => Owner {
                user: self.users.user_name(uid)?,
                group: self.users.group_name(gid)?,
                uid: uid.into(),
                gid: gid.into(),
            },
            _ => Owner { user: "-1".to_owned(), group: "-1".to_owned(), uid: -1, gid: -1 },
        })
    }

    fn threads(&self, process: &Process<'_>, selector: &Selector) -> Result<Vec<ThreadDetails>, ProcError> {
        let mut threads = Vec::new();
        let Some(dir) = process.reopen()? else { return Ok(threads) };
        let Some(task) = if_readable(open_dir(dir.as_fd(), c"task"))? else { return Ok(threads) };
        let mut outcome = Ok(());
        let listed = each_number(task.as_fd(), c".", |tid| {
            outcome = process
                .check(self.deadline)
                .and_then(|()| self.thread(process, task.as_fd(), tid, selector))
                .map(|thread| threads.extend(thread));
            outcome.is_ok()
        });
        // Another error while listing means that the process is ending. The threads listed so far are kept.
        if_readable(listed)?;
        outcome.map(|()| threads)
    }

    /// `None` if the thread is gone or not selected.
    fn thread(
        &self,
        process: &Process<'_>,
        task: BorrowedFd<'_>,
        tid: u32,
        selector: &Selector,
    ) -> Result<Option<ThreadDetails>, ProcError> {
        let Some(dir) = if_readable(open_dir(task, SmallPath::new(tid, b"").as_cstr()))? else {
            return Ok(None);
        };
        let stat = rustix::fs::fstat(&dir).ok();
        let (uid, gid) = (stat.map(|stat| stat.st_uid), stat.map(|stat| stat.st_gid));
        if selector.uid.is_some_and(|wanted| uid != Some(wanted)) {
            return Ok(None);
        }
        let status = with_buffer(|buffer| {
            read_at(dir.as_fd(), c"status", buffer, WHOLE_FILE_BYTES)?;
            Ok(Status::parse(buffer))
        });
        let Some(status) = if_readable(status)? else { return Ok(None) };
        let name = shown_name(&status.name, process).to_vec();
        if selector.name.as_deref().is_some_and(|wanted| *wanted != *name) {
            return Ok(None);
        }
        let (cputime_user, cputime_system, page_faults) = self.thread_times(dir.as_fd())?;
        let owner = self.owner(uid, gid)?;
        Ok(Some(ThreadDetails {
            pid: status.tgid,
            ppid: status.ppid,
            name,
            user: owner.user,
            group: owner.group,
            uid: owner.uid,
            gid: owner.gid,
            tid: tid.into(),
            tname: status.name.into_vec(),
            cputime_user,
            cputime_system,
            state: status.state.into_vec(),
            ctx_switches: status.ctx_switches,
            page_faults,
        }))
    }

    fn thread_times(&self, dir: BorrowedFd<'_>) -> Result<(f64, f64, i64), ResourceShortage> {
        with_buffer(|buffer| {
            let read = if_readable(read_at(dir, c"stat", buffer, WHOLE_FILE_BYTES))?;
            let stat = read.and_then(|()| Stat::parse(buffer)).unwrap_or_default();
            Ok(self.times(stat.complete, stat.utime, stat.stime, stat.major_faults))
        })
    }
}

struct Owner {
    user: String,
    group: String,
    uid: i64,
    gid: i64,
}

/// Adds two values; the sum is absent if one of them is.
fn plus(sum: i64, value: i64) -> i64 {
    if sum == -1 || value == -1 { -1 } else { sum.saturating_add(value) }
}

#[expect(clippy::float_cmp, reason = "-1 is a sentinel that is never computed")]
fn plus_float(sum: f64, value: f64) -> f64 {
    if sum == -1.0 || value == -1.0 { -1.0 } else { sum + value }
}

impl NameSummary {
    fn add(&mut self, other: &ProcessDetails) {
        self.processes += 1;
        // The built-in key adds the threads up as they are, -1 included.
        self.threads += other.threads;
        let pairs = [
            (&mut self.vsize, other.vsize),
            (&mut self.rss, other.rss),
            (&mut self.data, other.data),
            (&mut self.exe, other.exe),
            (&mut self.lck, other.lck),
            (&mut self.lib, other.lib),
            (&mut self.pin, other.pin),
            (&mut self.pte, other.pte),
            (&mut self.size, other.size),
            (&mut self.stk, other.stk),
            (&mut self.swap, other.swap),
            (&mut self.ctx_switches, other.ctx_switches),
            (&mut self.page_faults, other.page_faults),
            (&mut self.pss, other.pss),
        ];
        for (sum, value) in pairs {
            *sum = plus(*sum, value);
        }
        self.pmem = plus_float(self.pmem, other.pmem);
        self.cputime_user = plus_float(self.cputime_user, other.cputime_user);
        self.cputime_system = plus_float(self.cputime_system, other.cputime_system);
    }
}

impl From<ProcessDetails> for NameSummary {
    fn from(first: ProcessDetails) -> Self {
        Self {
            name: first.name,
            processes: 1,
            vsize: first.vsize,
            pmem: first.pmem,
            rss: first.rss,
            data: first.data,
            exe: first.exe,
            lck: first.lck,
            lib: first.lib,
            pin: first.pin,
            pte: first.pte,
            size: first.size,
            stk: first.stk,
            swap: first.swap,
            cputime_user: first.cputime_user,
            cputime_system: first.cputime_system,
            ctx_switches: first.ctx_switches,
            threads: first.threads,
            page_faults: first.page_faults,
            pss: first.pss,
        }
    }
}
