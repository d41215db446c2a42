//! Errors which say that a resource of the system is exhausted.
//!
//! Such an error of one file says nothing about its process. It must fail the query: otherwise the process would be taken for
//! one that has ended or is hidden, and a count or a sum would be too small.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// A resource that opening and reading files needs, and that is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceShortage {
    /// EMFILE: this process has as many open files as it may have.
    #[error("too many open files: the plugin's limit is {limit}; raise LimitNOFILE= of the agent's unit")]
    OwnFiles {
        /// `RLIMIT_NOFILE`.
        limit: u64,
    },
    /// ENFILE: the whole machine has as many open files as it may have.
    #[error("too many open files on the machine: raise sysctl fs.file-max")]
    AllFiles,
    /// ENOMEM: the kernel could not allocate memory.
    #[error("not enough memory (ENOMEM): free memory, or raise MemoryMax= of the agent's unit")]
    Memory,
}

impl ResourceShortage {
    /// Returns the shortage that an error of the operating system reports, `None` for any other error.
    pub(crate) fn from_errno(errno: Errno) -> Option<Self> {
        match errno {
            Errno::MFILE => Some(Self::OwnFiles { limit: files_limit() }),
            Errno::NFILE => Some(Self::AllFiles),
            Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    pub(crate) fn from_io(error: &io::Error) -> Option<Self> {
        Errno::from_io_error(error).and_then(Self::from_errno)
    }
}

/// Without a limit EMFILE does not occur.
fn files_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns `None` for an error of a file that is absent, forbidden or garbled.
///
/// # Errors
///
/// [`ResourceShortage`]
pub(crate) fn if_readable<T>(read: rustix::io::Result<T>) -> Result<Option<T>, ResourceShortage> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(errno) => ResourceShortage::from_errno(errno).map_or(Ok(None), Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exhausted_resources_are_shortages() {
        for errno in [Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM, Errno::IO] {
            assert_eq!(if_readable::<()>(Err(errno)), Ok(None), "{errno:?}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            let shortage = if_readable::<()>(Err(errno)).unwrap_err();
            assert_eq!(ResourceShortage::from_io(&errno.into()), Some(shortage));
        }
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert_eq!(
            ResourceShortage::from_errno(Errno::MFILE).unwrap().to_string(),
            format!(
                "too many open files: the plugin's limit is {limit}; raise LimitNOFILE= of the agent's unit"
            )
        );
    }
}
