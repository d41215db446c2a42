//! The kernel's count of OOM kills.

use std::io::BufReader;
use std::path::Path;

use procfs::{FromBufRead, VmStat};

use super::error::MachineError;
use super::files::read_file;

/// Returns the number of processes that the kernel's OOM killer has killed since boot, kills in memory cgroups included:
/// `oom_kill` of `proc/vmstat` below `host_root`. Every user may read it.
///
/// # Errors
///
/// [`MachineError::NoCounter`] before Linux 4.13; [`MachineError::Read`] if there is no `/proc`;
/// [`MachineError::Malformed`] if the file cannot be parsed.
///
/// ```no_run
/// let kills = proc_snapshot::oom_kills(std::path::Path::new("/"))?;
/// # Ok::<(), proc_snapshot::MachineError>(())
/// ```
pub fn oom_kills(host_root: &Path) -> Result<u64, MachineError> {
    let path = host_root.join("proc/vmstat");
    let text = read_file(&path)?;
    let Ok(VmStat(values)) = VmStat::from_buf_read(BufReader::new(&*text)) else {
        return Err(MachineError::Malformed { path, field: "counters" });
    };
    match values.get("oom_kill") {
        Some(kills) => u64::try_from(*kills).map_err(|_| MachineError::Malformed { path, field: "oom_kill" }),
        None => Err(MachineError::NoCounter { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_counter_is_an_error_and_not_zero() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        assert!(matches!(oom_kills(root.path()), Err(MachineError::Read { .. })));
        let vmstat = root.path().join("proc/vmstat");
        std::fs::write(&vmstat, "pgfault 1\nswap_ra 0\n").unwrap();
        let error = oom_kills(root.path()).unwrap_err().to_string();
        assert!(error.contains("proc/vmstat has no line oom_kill: kernels before 4.13"), "{error}");
        std::fs::write(&vmstat, "pgfault 1\noom_kill 12\nswap_ra 0\n").unwrap();
        assert_eq!(oom_kills(root.path()).unwrap(), 12);
    }

    #[test]
    fn a_garbled_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        for text in ["oom_kill many\n", "oom_kill -1\n"] {
            std::fs::write(root.path().join("proc/vmstat"), text).unwrap();
            assert!(matches!(oom_kills(root.path()), Err(MachineError::Malformed { .. })), "{text}");
        }
    }
}
