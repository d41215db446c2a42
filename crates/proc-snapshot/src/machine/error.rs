//! Errors of reading files about the whole machine.

use std::io;
use std::path::{Path, PathBuf};

/// The reason why a fact about the machine cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A file cannot be opened or read: the kernel has no such file, or this user lacks permission.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The kernel does not count OOM kills.
    #[error("{} has no line oom_kill: kernels before 4.13 do not count OOM kills", path.display())]
    NoCounter {
        /// Path of `proc/vmstat`.
        path: PathBuf,
    },
    /// A file of the kernel lacks a field or does not have the expected form.
    #[error("{} has no valid {field}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
    },
}

impl MachineError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}
