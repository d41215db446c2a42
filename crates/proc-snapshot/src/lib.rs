//! Processes and machine facts from `/proc` and cgroups, with one walk shared by many queries.
//!
//! The nouns, from the outside in:
//!
//! * [`ProcRoot`] is an open `/proc` directory with the machine's page size and clock ticks.
//! * [`SharedWalk`] makes walks over it and returns [`Snapshot`]s; requests that come close together share one walk.
//! * A [`Snapshot`] holds one [`Process`] per process directory, in the directory's order. What was read for all of
//!   them is given by [`Needs`]; other files are read on first use.
//! * A [`Selector`] picks processes by name, owner, command line ([`GoPattern`]) and state, as the built-in keys of
//!   Zabbix agent 2 do.
//! * Results: [`Snapshot::count`] (proc.num), [`Snapshot::memory`] (proc.mem), [`Snapshot::process_details`],
//!   [`Snapshot::thread_details`] and [`Snapshot::name_summaries`] (proc.get), [`Snapshot::top`], and
//!   [`CpuSampler`] (proc.cpu.util and the ranking by CPU).
//! * [`Visibility`] reports whether processes may be missing.
//! * Facts about the whole machine: [`MachineMemory`] with [`MemoryPressure`], [`Cgroups`], the [`CgroupLimit`] of a
//!   process, [`oom_kills`] (the kernel's count), and [`oom_candidates`] (the processes it would kill next).
//!
//! Memory and number of the processes called `httpd`:
//!
//! ```
//! use std::{path::Path, sync::Arc, time::{Duration, Instant}};
//! use proc_snapshot::{MemType, Needs, ProcRoot, Selector, SharedWalk};
//!
//! # fn main() -> Result<(), proc_snapshot::ProcError> {
//! let root = Arc::new(ProcRoot::open(Path::new("/"))?);
//! let walks = SharedWalk::new(root, Duration::from_secs(1));
//! let deadline = Instant::now() + Duration::from_secs(3);
//!
//! let httpd = Selector::by_name("httpd");
//! let snapshot = walks.snapshot(httpd.needs(), deadline)?;
//! let memory = snapshot.memory(&httpd, MemType::Rss, deadline)?;
//! let count = snapshot.count(&httpd, deadline)?;
//! println!("{count} processes, {} bytes, on average {:?}", memory.sum, memory.avg());
//! # Ok(())
//! # }
//! ```
//!
//! # Why not the procfs crate
//!
//! In a walk it is too slow: it parses every field of every file into owned values, while a poll needs a few. Off the
//! hot path it is used: pressure, vmstat, and the status of this process. CPU time of one walk over
//! 2,000 sleeping processes (`cargo bench -p proc-snapshot`; 2 cores, Linux 6.18, median of 15):
//!
//! | files read | bare loop that only opens and reads | this crate | procfs crate |
//! |---|---|---|---|
//! | `stat` | 22.2 ms | 21.5 ms (0.97) | 31.3 ms (1.41) |
//! | `stat`, `cmdline` | 37.8 ms | 38.9 ms (1.03) | 49.4 ms (1.31) |
//! | `stat`, `cmdline`, `status` | 61.7 ms | 64.1 ms (1.04) | 108.5 ms (1.76) |
//!
//! The rest is the kernel's work. This crate can be faster than a bare loop because it opens files relative to the
//! open directory. A walk that reads several files of a process goes through the process's own directory
//! descriptor, so that they are all of the same process even if the number is used again in between.
//!
//! # Names, bytes and absence
//!
//! Names and command lines are bytes: the kernel lets any byte but NUL into them. A process that vanished, or a file
//! that may not be read, is not an error; unreadable parts are absent and counted. An exhausted resource is an error
//! ([`ResourceShortage`]): a smaller count would be wrong.

mod cpu;
mod cpu_interval;
mod details;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod machine;
mod memory;
mod polls;
mod root;
mod sampler;
mod select;
mod shared;
mod shortage;
mod smaps;
mod snapshot;
mod stat;
mod status;
mod text;
mod top;
mod tracker;
mod users;
mod visibility;

pub use cpu::{CpuQuery, CpuRanking, CpuType, CpuWindow};
pub use details::{NameSummary, ProcessDetails, ThreadDetails};
pub use error::ProcError;
pub use machine::{Cgroup, CgroupError, CgroupKills, CgroupLimit, CgroupLimitError, CgroupVersion, Cgroups};
pub use machine::{MachineError, MachineMemory, MemoryPressure, OwnUsage};
pub use machine::{OomCandidate, oom_candidates, oom_kills};
pub use memory::{MemSummary, MemType};
pub use regex_dialects::go::{Pattern as GoPattern, PatternError, PatternErrorKind};
pub use root::{MachineFacts, ProcRoot};
pub use sampler::{CpuSampler, SamplerStats};
pub use select::{Selector, StateFilter};
pub use shared::{SharedWalk, WalkStats};
pub use shortage::ResourceShortage;
pub use smaps::Smaps;
pub use snapshot::{Needs, Process, Snapshot};
pub use status::Status;
pub use top::{NameTotal, TopBy};
pub use users::Users;
pub use visibility::Visibility;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
