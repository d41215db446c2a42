//! Processes killed in one cgroup.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::hierarchy::find_hierarchy;
use crate::machine::error::MachineError;
use crate::machine::files::{read_if_readable, value_of};

/// The number of processes killed in one cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupKills {
    /// Identity of the cgroup: if it is removed and created again under the same path, the inode differs.
    pub inode: u64,
    /// Processes killed since the cgroup was created, for want of the machine's memory too. v2 includes kills in
    /// cgroups below.
    pub oom_kill: u64,
}

impl CgroupKills {
    /// Reads the count of the cgroup at a path below the mount. `None` if there is no such cgroup or the kernel does not
    /// count its kills.
    ///
    /// # Errors
    ///
    /// [`MachineError::Shortage`]
    pub fn read(host_root: &Path, path: &str) -> Result<Option<Self>, MachineError> {
        let Some((version, top)) = find_hierarchy(&host_root.join("sys/fs/cgroup"))? else { return Ok(None) };
        if path.split('/').any(|part| part == "..") {
            return Ok(None);
        }
        let dir = top.join(path.trim_start_matches('/'));
        let inode = || std::fs::metadata(&dir).map(|metadata| metadata.ino()).ok();
        let before = inode();
        let events = read_if_readable(&dir.join(version.oom_kill_file()))?;
        let oom_kill = events.and_then(|events| value_of(&events, b"oom_kill"));
        // If the cgroup was created anew in between, the count does not belong to the inode.
        Ok(before
            .filter(|_| inode() == before)
            .zip(oom_kill)
            .map(|(inode, oom_kill)| Self { inode, oom_kill }))
    }
}
