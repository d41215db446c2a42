//! Errors of reading files about the whole machine.

use std::io;
use std::path::{Path, PathBuf};

use crate::shortage::ResourceShortage;

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
    /// A resource of the system is exhausted.
    #[error("cannot read {}: {shortage}", path.display())]
    Shortage {
        /// Path of the file.
        path: PathBuf,
        /// The exhausted resource.
        shortage: ResourceShortage,
    },
    /// The deadline passed before the result was complete. Retry with more time.
    #[error("deadline passed while reading {}", path.display())]
    Deadline {
        /// Path of the next file.
        path: PathBuf,
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
        move |source| {
            let path = path.to_owned();
            match ResourceShortage::from_io(&source) {
                Some(shortage) => Self::Shortage { path, shortage },
                None => Self::Read { path, source },
            }
        }
    }

    /// Returns whether the error says something about the file. An exhausted resource says nothing about it.
    pub(super) fn concerns_the_file(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::NoCounter { .. } | Self::Malformed { .. })
    }
}
