//! Memory and CPU time of this process.

use procfs::FromRead;
use procfs::process::{Stat, Status};

use super::error::MachineError;

/// Memory, CPU time and threads of this process.
///
/// ```
/// let usage = proc_snapshot::OwnUsage::read()?;
/// assert!(usage.rss_bytes > 0 && usage.threads > 0);
/// # Ok::<(), proc_snapshot::MachineError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OwnUsage {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// CPU time in user mode.
    pub cpu_user_seconds: f64,
    /// CPU time in the kernel.
    pub cpu_system_seconds: f64,
    /// Number of threads.
    pub threads: u64,
}

impl OwnUsage {
    /// Reads `/proc/self`. There is no parameter for the root: under another root this process has another number.
    ///
    /// # Errors
    ///
    /// [`MachineError::Read`] if `/proc` is not mounted, [`MachineError::Malformed`] if a file cannot be parsed.
    pub fn read() -> Result<Self, MachineError> {
        let status: Status = parse("/proc/self/status")?;
        let stat: Stat = parse("/proc/self/stat")?;
        let ticks_per_second = crate::memory::to_float(rustix::param::clock_ticks_per_second());
        let seconds = |ticks: u64| crate::memory::to_float(ticks) / ticks_per_second;
        Ok(Self {
            rss_bytes: status.vmrss.unwrap_or_default() * 1024,
            cpu_user_seconds: seconds(stat.utime),
            cpu_system_seconds: seconds(stat.stime),
            threads: status.threads,
        })
    }
}

fn parse<T: FromRead>(path: &'static str) -> Result<T, MachineError> {
    let text = super::files::read_file(path.as_ref())?;
    T::from_read(&*text).map_err(|_| MachineError::Malformed { path: path.into(), field: "fields" })
}
