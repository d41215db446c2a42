//! Errors, one variant for each reaction that a caller may want.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::PatternError;
use crate::shortage::ResourceShortage;

/// The reason why a query about processes failed.
///
/// A process that vanished, or a file of one process that cannot be read, is never an error: such a process
/// does not match criteria that need the file, and [`Visibility`](crate::Visibility) counts it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcError {
    /// The directory or file of `/proc` itself could not be read: a wrong host root, or no permission.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A resource of the system is exhausted, so any result would be incomplete.
    #[error("cannot read the files of processes: {0}")]
    Shortage(ResourceShortage),
    /// The deadline passed before the result was complete. Retry with more time.
    #[error("deadline passed {doing}")]
    Deadline {
        /// The step that was interrupted, for example `while walking /proc`, with the process if it matters.
        doing: String,
    },
    /// CPU use cannot be measured within the deadline.
    #[error(
        "CPU use needs two samples at least {} ms apart, and the poll's timeout left {} ms: raise the timeout",
        needed.as_millis(), left.as_millis()
    )]
    IntervalTooShort {
        /// The shortest interval.
        needed: Duration,
        /// The interval that the deadline allows.
        left: Duration,
    },
    /// `/proc/meminfo` lacks a usable `MemTotal`. The built-in `proc.mem[,,,,pmem]` returns 0 here.
    #[error("cannot get the total memory from {}", path.display())]
    NoTotalMemory {
        /// The file that was read.
        path: PathBuf,
    },
    /// The machine reports a `MemTotal` of 0, so percentages are undefined.
    #[error("Total memory reported is 0.")]
    ZeroTotalMemory,
    /// A line of a process's `status` is not a number with a unit.
    #[error("Cannot obtain amount of {field}: unusable line in the status file of process {pid}")]
    StatusField {
        /// The name in front of the colon, for example `VmRSS`.
        field: &'static str,
        /// Process id.
        pid: u32,
    },
    /// The pattern for the command line does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No such user. The value of the built-in keys depends on key and version: see
    /// [`CpuSampler::utilization`](crate::CpuSampler::utilization).
    #[error("unknown user {name}")]
    UnknownUser {
        /// The requested name.
        name: String,
    },
    /// The user database could not be queried (for example a directory service that is down).
    #[error("cannot look up user {name}: {source}")]
    UserLookup {
        /// The requested name.
        name: String,
        /// Error of the name service.
        source: io::Error,
    },
    /// More different `proc.cpu.util` queries than the sampler keeps histories for.
    #[error("more than {limit} different CPU queries")]
    TooManyQueries {
        /// Limit for queries.
        limit: usize,
    },
    /// The sampler has stalled, so its values are stale.
    #[error("CPU times have not been read for {seconds} s: the kernel blocks the sampler at process {pid}")]
    SamplerStalled {
        /// The process whose files are being read.
        pid: u32,
        /// Seconds since the last completed sample.
        seconds: u64,
    },
    /// No thread could be started for the sampler.
    #[error("cannot start the CPU sampler: {0}")]
    Sampler(io::Error),
}

/// Not derived: a derived conversion makes the shortage the source, and its text would stand twice in reports that add sources.
impl From<ResourceShortage> for ProcError {
    fn from(shortage: ResourceShortage) -> Self {
        Self::Shortage(shortage)
    }
}

impl ProcError {
    pub(crate) fn walk_deadline(pid: u32) -> Self {
        Self::Deadline { doing: format!("while walking /proc, at process {pid}") }
    }
}
