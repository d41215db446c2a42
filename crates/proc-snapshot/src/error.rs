//! What can go wrong, named by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::go_regexp::PatternError;

/// Why a question about processes has no answer.
///
/// A process that vanished, or a file of one process that cannot be read, is never an error: such a process merely
/// does not match what needs that file, and [`Visibility`](crate::Visibility) counts it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcError {
    /// The directory or file of `/proc` itself could not be read: a wrong host root, or no permission.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The deadline passed before the answer was complete; ask again with more time.
    #[error("deadline passed {doing}")]
    Deadline {
        /// What was being done, for example `while walking /proc`, with the process where it matters.
        doing: String,
    },
    /// `/proc/meminfo` lacks a usable `MemTotal`. The built-in `proc.mem[,,,,pmem]` answers 0 here.
    #[error("cannot get the total memory from {}", path.display())]
    NoTotalMemory {
        /// The file that was read.
        path: PathBuf,
    },
    /// The machine reports a `MemTotal` of 0, of which no percentage can be given.
    #[error("Total memory reported is 0.")]
    ZeroTotalMemory,
    /// A line of a process's `status` is there but is not a number with a unit.
    #[error("Cannot obtain amount of {field}: unusable line in the status file of process {pid}")]
    StatusField {
        /// The name in front of the colon, for example `VmRSS`.
        field: &'static str,
        /// Whose status it was.
        pid: u32,
    },
    /// The pattern for the command line does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No such user. What the built-in keys answer depends on key and version: see
    /// [`CpuSampler::utilization`](crate::CpuSampler::utilization).
    #[error("unknown user {name}")]
    UnknownUser {
        /// The name as it was asked for.
        name: String,
    },
    /// The user database could not be asked (for example a directory service that is down).
    #[error("cannot look up user {name}: {source}")]
    UserLookup {
        /// The name as it was asked for.
        name: String,
        /// The answer of the name service.
        source: io::Error,
    },
    /// More different `proc.cpu.util` queries than the sampler keeps histories for.
    #[error("more than {limit} different CPU queries")]
    TooManyQueries {
        /// How many there may be.
        limit: usize,
    },
    /// The sampler stands still, so that what it knows is too old to be told.
    #[error("CPU times have not been read for {seconds} s: the kernel holds their reader at process {pid}")]
    SamplerStalled {
        /// The process whose files were read last.
        pid: u32,
        /// For how long.
        seconds: u64,
    },
    /// No thread could be started for the sampler.
    #[error("cannot start the CPU sampler: {0}")]
    Sampler(io::Error),
}

impl ProcError {
    pub(crate) fn walk_deadline(pid: u32) -> Self {
        Self::Deadline { doing: format!("while walking /proc, at process {pid}") }
    }
}
