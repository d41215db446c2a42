//! Memory of the machine.

use std::path::Path;

use super::error::MachineError;
use super::files::{read_file, read_number};
use super::pressure::MemoryPressure;
use crate::text::meminfo_bytes;

/// Memory of the machine, in bytes. Fields that the kernel does not report are `None`.
///
/// ```no_run
/// let memory = proc_snapshot::MachineMemory::read(std::path::Path::new("/"))?;
/// assert!(memory.available_bytes <= memory.total_bytes);
/// # Ok::<(), proc_snapshot::MachineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MachineMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable` (Linux 3.14): memory that is available without swapping.
    pub available_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapFree`.
    pub swap_free_bytes: u64,
    /// `CommitLimit`: limit of committed memory under `vm.overcommit_memory=2`.
    pub commit_limit_bytes: Option<u64>,
    /// `Committed_AS`: committed memory.
    pub committed_bytes: Option<u64>,
    /// `vm.panic_on_oom`: 0, 1 (unless a cgroup, cpuset or policy limits the allocation) or 2 (always).
    pub panic_on_oom: Option<u64>,
    /// `vm.overcommit_memory`: 0 (heuristic), 1 (always) or 2 (never).
    pub overcommit_memory: Option<u64>,
    /// `vm.overcommit_ratio`, in percent.
    pub overcommit_ratio: Option<u64>,
    /// `proc/pressure/memory` (Linux 4.20); `None` also if the kernel has PSI switched off.
    pub pressure: Option<MemoryPressure>,
}

impl MachineMemory {
    /// Reads `proc` below `host_root`.
    ///
    /// # Errors
    ///
    /// [`MachineError::Read`] if `proc/meminfo` cannot be read, [`MachineError::Malformed`] if it lacks `MemTotal` or
    /// `MemAvailable` (before Linux 3.14), [`MachineError::Shortage`].
    pub fn read(host_root: &Path) -> Result<Self, MachineError> {
        let path = host_root.join("proc/meminfo");
        let meminfo = read_file(&path)?;
        let required = |field: &'static str| {
            meminfo_bytes(&meminfo, field)
                .ok_or_else(|| MachineError::Malformed { path: path.clone(), field })
        };
        let setting = |name: &str| read_number(&host_root.join("proc/sys/vm").join(name));
        Ok(Self {
            total_bytes: required("MemTotal")?,
            available_bytes: required("MemAvailable")?,
            swap_total_bytes: meminfo_bytes(&meminfo, "SwapTotal").unwrap_or_default(),
            swap_free_bytes: meminfo_bytes(&meminfo, "SwapFree").unwrap_or_default(),
            commit_limit_bytes: meminfo_bytes(&meminfo, "CommitLimit"),
            committed_bytes: meminfo_bytes(&meminfo, "Committed_AS"),
            panic_on_oom: setting("panic_on_oom")?,
            overcommit_memory: setting("overcommit_memory")?,
            overcommit_ratio: setting("overcommit_ratio")?,
            pressure: MemoryPressure::read(host_root)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join("proc").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    const MEMINFO: &str = "MemTotal: 4000 kB\nMemFree: 1 kB\nMemAvailable: 1000 kB\nSwapTotal: 500 kB\nSwapFree: 20 kB\n\
        CommitLimit: 2500 kB\nCommitted_AS: 9000 kB\n";

    #[test]
    fn lines_that_the_kernel_lacks_are_absent() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(MachineMemory::read(root.path()), Err(MachineError::Read { .. })));
        write(root.path(), "meminfo", "MemTotal: 4000 kB\nMemFree: 1 kB\n");
        let error = MachineMemory::read(root.path()).unwrap_err().to_string();
        assert!(error.ends_with("proc/meminfo has no valid MemAvailable"), "{error}");
        write(root.path(), "meminfo", MEMINFO);
        let memory = MachineMemory::read(root.path()).unwrap();
        assert_eq!((memory.available_bytes, memory.swap_free_bytes), (1_024_000, 20_480));
        assert_eq!(
            (memory.committed_bytes, memory.panic_on_oom, memory.pressure),
            (Some(9_216_000), None, None)
        );
    }

    #[test]
    fn settings_and_pressure_are_read() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "meminfo", MEMINFO);
        write(root.path(), "sys/vm/panic_on_oom", "2\n");
        write(root.path(), "sys/vm/overcommit_memory", "1\n");
        let psi = "some avg10=1.50 avg60=0.25 avg300=0.00 total=920\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=669\n";
        write(root.path(), "pressure/memory", psi);
        let memory = MachineMemory::read(root.path()).unwrap();
        assert_eq!((memory.panic_on_oom, memory.overcommit_memory), (Some(2), Some(1)));
        let pressure = memory.pressure.unwrap();
        assert_eq!((pressure.some_percent, pressure.full_percent[0]), ([1.5, 0.25, 0.0], 0.75));
        assert_eq!((pressure.some_micros, pressure.full_micros), (920, 669));
    }
}
