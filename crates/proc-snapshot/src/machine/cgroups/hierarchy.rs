//! The hierarchy of cgroups that has the memory controller, and its version.

use std::path::{Path, PathBuf};

use crate::machine::error::MachineError;
use crate::machine::files::read_if_readable;

/// In v1 a cgroup without a limit reports the largest number of whole pages: 9223372036854771712 with pages of 4 KiB.
pub(super) const NO_LIMIT: u64 = 1 << 62;

/// Version of the kernel's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// `memory.limit_in_bytes` and similar files.
    V1,
    /// `memory.max` and similar files.
    V2,
}

impl CgroupVersion {
    /// Returns the name of the file that counts OOM kills.
    pub(super) fn oom_kill_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.oom_control",
            Self::V2 => "memory.events",
        }
    }
}

/// Finds the top directory of the memory controller below `sys/fs/cgroup`.
///
/// A machine may have both versions mounted (`sys/fs/cgroup/unified`), but a controller belongs to one of them.
///
/// # Errors
///
/// [`MachineError::Shortage`]
pub(super) fn find_hierarchy(mount: &Path) -> Result<Option<(CgroupVersion, PathBuf)>, MachineError> {
    for dir in [mount.to_owned(), mount.join("unified")] {
        let controllers = read_if_readable(&dir.join("cgroup.controllers"))?.unwrap_or_default();
        if controllers.split(u8::is_ascii_whitespace).any(|name| name == b"memory") {
            return Ok(Some((CgroupVersion::V2, dir)));
        }
    }
    let v1 = Some(mount.join("memory")).filter(|dir| dir.join("memory.usage_in_bytes").exists());
    Ok(v1.map(|dir| (CgroupVersion::V1, dir)))
}
