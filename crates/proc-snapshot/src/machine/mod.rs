//! Facts about the whole machine: memory, pressure, cgroups, OOM kills, and the processes that the kernel would kill next.
//!
//! `procfs` parses what it can: pressure, vmstat, and the status of this process. The files that it refuses although
//! they are valid are read here; each module says why.

mod cgroups;
mod error;
mod files;
mod memory;
mod oom_candidates;
mod oom_kills;
mod own_usage;
mod pressure;

#[cfg(feature = "fuzzing")]
pub(crate) use cgroups::path_in;
pub use cgroups::{Cgroup, CgroupError, CgroupKills, CgroupLimit, CgroupLimitError, CgroupVersion, Cgroups};
pub use error::MachineError;
#[cfg(feature = "fuzzing")]
pub(crate) use files::value_of;
pub use memory::MachineMemory;
pub use oom_candidates::{OomCandidate, oom_candidates};
pub use oom_kills::oom_kills;
pub use own_usage::OwnUsage;
pub use pressure::MemoryPressure;
