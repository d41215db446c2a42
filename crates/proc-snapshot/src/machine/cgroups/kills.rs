//! Processes killed in one cgroup.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::hierarchy::find_hierarchy;
use crate::machine::files::{read_file, value_of};

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
    #[must_use]
    pub fn read(host_root: &Path, path: &str) -> Option<Self> {
        let (version, top) = find_hierarchy(&host_root.join("sys/fs/cgroup"))?;
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let dir = top.join(path.trim_start_matches('/'));
        let inode = std::fs::metadata(&dir).ok()?.ino();
        let oom_kill = value_of(&read_file(&dir.join(version.oom_kill_file())).ok()?, b"oom_kill")?;
        // If the cgroup was created anew in between, the count does not belong to the inode.
        (std::fs::metadata(&dir).ok()?.ino() == inode).then_some(Self { inode, oom_kill })
    }
}
