//! The kernel's count of OOM kills.

use std::path::Path;

use super::{LiveError, read_file, value_of};

/// Processes that the kernel's OOM killer has killed since boot, in memory cgroups, too: `oom_kill` of `proc/vmstat`
/// below `host_root`. Anybody may read it.
///
/// # Errors
///
/// [`LiveError::NoCounter`] before 4.13, never 0 for want of the line; [`LiveError::Read`] where there is no `/proc`.
///
/// ```no_run
/// let kills = oom_evidence::oom_kills(std::path::Path::new("/"))?;
/// # Ok::<(), oom_evidence::LiveError>(())
/// ```
pub fn oom_kills(host_root: &Path) -> Result<u64, LiveError> {
    let path = host_root.join("proc/vmstat");
    value_of(&read_file(&path)?, b"oom_kill").ok_or(LiveError::NoCounter { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_counter_has_no_kills_to_tell() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        assert!(matches!(oom_kills(root.path()), Err(LiveError::Read { .. })));
        let vmstat = root.path().join("proc/vmstat");
        std::fs::write(&vmstat, "pgfault 1\nswap_ra 0\n").unwrap();
        let error = oom_kills(root.path()).unwrap_err().to_string();
        assert!(error.contains("proc/vmstat has no line oom_kill: kernels before 4.13"), "{error}");
        std::fs::write(&vmstat, "pgfault 1\noom_kill 12\nswap_ra 0\n").unwrap();
        assert_eq!(oom_kills(root.path()).unwrap(), 12);
    }
}
