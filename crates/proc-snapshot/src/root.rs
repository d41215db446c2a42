//! An open `/proc` directory.

use std::path::Path;

use crate::error::ProcError;

/// Facts of the machine that the numbers of `/proc` are counted in. They are passed in for captured trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineFacts {
    /// Bytes in a page.
    pub page_size: u64,
    /// Clock ticks in a second of CPU time (`sysconf(_SC_CLK_TCK)`, 100 on Linux).
    pub clock_ticks: u64,
}

/// An open `/proc` directory and the facts of its machine.
#[derive(Debug)]
pub struct ProcRoot {}

impl ProcRoot {
    /// Opens `host_root/proc` with the facts of the running machine.
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if the directory cannot be opened.
    pub fn open(host_root: &Path) -> Result<Self, ProcError> {
        unimplemented!()
    }

    /// Opens `host_root/proc` of a captured or made-up tree, with the facts of the machine it stands for.
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if the directory cannot be opened.
    pub fn with_facts(host_root: &Path, facts: MachineFacts) -> Result<Self, ProcError> {
        unimplemented!()
    }

    /// The facts that this tree's numbers are counted in.
    #[must_use]
    pub fn facts(&self) -> MachineFacts {
        unimplemented!()
    }

    /// `MemTotal` of `/proc/meminfo` in bytes.
    ///
    /// # Errors
    ///
    /// [`ProcError::NoTotalMemory`] if the file or the line is missing or unusable.
    pub fn total_memory(&self) -> Result<u64, ProcError> {
        unimplemented!()
    }
}
