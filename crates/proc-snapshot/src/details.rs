//! The data of `proc.get`, field by field as agent 7.0 gives them.
//!
//! Fields have the names and the order of the JSON objects. -1 stands for "absent", as it does there. Names and
//! command lines are bytes; Go's JSON writes U+FFFD for each byte that is not UTF-8.

use std::time::Instant;

use crate::error::ProcError;
use crate::select::Selector;
use crate::snapshot::Snapshot;
use crate::users::Users;

/// A process, as `proc.get[,,,process]` describes it. Amounts of memory are in bytes, CPU times in seconds.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
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
#[allow(missing_docs)]
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

/// All processes of one name, as `proc.get[,,,summary]` sums them up. -1 where one of them has no value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
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
    /// from the first argument where the kernel cut it. The state of the selector is ignored.
    ///
    /// Needs a walk with [`Needs::CMDLINE`](crate::Needs::CMDLINE) and [`Needs::OWNER`](crate::Needs::OWNER).
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`].
    pub fn process_details(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<ProcessDetails>, ProcError> {
        unimplemented!()
    }

    /// The threads of all processes that the selector picks. Needs what [`Snapshot::process_details`] needs.
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`].
    pub fn thread_details(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<ThreadDetails>, ProcError> {
        unimplemented!()
    }

    /// The processes that the selector picks, summed by name in the order of first appearance. Needs what
    /// [`Snapshot::process_details`] needs.
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`].
    pub fn name_summaries(
        &self,
        selector: &Selector,
        users: &Users,
        deadline: Instant,
    ) -> Result<Vec<NameSummary>, ProcError> {
        unimplemented!()
    }
}
