//! The cost of a process, CPU time and memory, as the kernel counts it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::Error;

/// CPU time of each thread of a process, with a finer resolution than the clock ticks of `stat`.
///
/// `/proc/PID/schedstat` counts the main thread alone, so each thread is read. If a thread ends between two readings, its
/// cost since the first one is lost. A thread that ends because it was idle has used almost nothing since then.
#[derive(Debug, Clone)]
pub struct CpuTimes(HashMap<OsString, u64>);

impl CpuTimes {
    /// Reads the CPU time used so far.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub fn read(pid: u32) -> Result<Self, Error> {
        let tasks = format!("/proc/{pid}/task");
        let entries = fs::read_dir(&tasks).map_err(Error::file(&tasks))?;
        let times = entries.flatten().filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            Some((entry.file_name(), text.split(' ').next()?.parse().ok()?))
        });
        Ok(Self(times.collect()))
    }

    /// The CPU time since an earlier reading. Threads that ended before this reading are not counted.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or(0);
        let spent = self.0.iter().map(|(thread, nanoseconds)| nanoseconds.saturating_sub(before(thread)));
        Duration::from_nanos(spent.sum())
    }
}

/// The two processes of the plugin.
#[derive(Debug, Clone, Copy)]
pub struct PluginProcesses {
    /// The process that the agent started.
    pub supervisor: u32,
    /// Its child, which runs the items.
    pub worker: u32,
}

impl PluginProcesses {
    /// Finds the worker of a supervisor.
    ///
    /// # Errors
    ///
    /// Returns an error if no worker runs.
    pub fn of_supervisor(supervisor: u32) -> Result<Self, Error> {
        let running = |pid: &u32| state(*pid) != Some('Z');
        let worker = children(supervisor).into_iter().find(running);
        let worker = worker.ok_or(Error::NoWorker { supervisor })?;
        Ok(Self { supervisor, worker })
    }

    /// Reads the CPU time of both used so far.
    ///
    /// # Errors
    ///
    /// Returns an error if one has ended.
    pub fn cpu_times(&self) -> Result<CpuTimes, Error> {
        let mut times = CpuTimes::read(self.supervisor)?;
        times.0.extend(CpuTimes::read(self.worker)?.0);
        Ok(times)
    }

    /// Proportional memory of both in bytes (PSS), so that the program's pages count once.
    ///
    /// # Errors
    ///
    /// Returns an error if one has ended.
    pub fn pss_bytes(&self) -> Result<u64, Error> {
        Ok(pss_bytes(self.supervisor)? + pss_bytes(self.worker)?)
    }

    /// The largest resident memory of the worker so far, in bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if it has ended.
    pub fn peak_rss_bytes(&self) -> Result<u64, Error> {
        peak_rss_bytes(self.worker)
    }
}

/// Proportional memory of a process in bytes (PSS of `/proc/PID/smaps_rollup`).
///
/// # Errors
///
/// Returns an error if the process has ended.
pub fn pss_bytes(pid: u32) -> Result<u64, Error> {
    kib_field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Resident memory of a process in bytes (VmRSS of `/proc/PID/status`).
///
/// # Errors
///
/// Returns an error if the process has ended.
pub fn rss_bytes(pid: u32) -> Result<u64, Error> {
    status_bytes(pid, "VmRSS:")
}

/// The largest resident memory of a process so far, in bytes (VmHWM).
///
/// # Errors
///
/// Returns an error if the process has ended.
pub fn peak_rss_bytes(pid: u32) -> Result<u64, Error> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, field: &str) -> Result<u64, Error> {
    kib_field(&format!("/proc/{pid}/status"), field)
}

fn kib_field(path: &str, field: &str) -> Result<u64, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1024)
}

/// The processes with parent `pid`, zombies included.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    pids().filter(|&child| parent(child) == Some(pid)).collect()
}

/// The ids of all visible processes.
pub fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process's arguments, its own name first; empty if it has ended, is a zombie or is a kernel thread.
pub fn arguments(pid: u32) -> impl Iterator<Item = OsString> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.strip_suffix(b"\0").unwrap_or(&bytes).split(|byte| *byte == 0);
    words.map(|word| OsString::from_vec(word.to_vec())).collect::<Vec<_>>().into_iter()
}

/// The state letter of a process as in proc(5); absent if it has ended.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    stat_fields(pid)?.split(' ').next()?.chars().next()
}

/// A process with its start time: the pid alone may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    start_ticks: u64,
}

impl Process {
    /// The process with this id; absent if there is none.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        Some(Self { pid, start_ticks: start_time(pid)? })
    }

    /// Returns whether it has ended. A zombie has ended: if a plugin's agent is gone, init reaps the plugin, and the init of
    /// a container may be slow.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        start_time(self.pid) != Some(self.start_ticks) || state(self.pid) == Some('Z')
    }
}

fn start_time(pid: u32) -> Option<u64> {
    stat_fields(pid)?.split(' ').nth(19)?.parse().ok()
}

fn parent(pid: u32) -> Option<u32> {
    stat_fields(pid)?.split(' ').nth(1)?.parse().ok()
}

/// The process group of a process; absent if it has ended.
pub(crate) fn group(pid: u32) -> Option<u32> {
    stat_fields(pid)?.split(' ').nth(2)?.parse().ok()
}

/// The fields of `stat` from the state on. The name before them may contain any byte, parentheses and spaces included.
fn stat_fields(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text[text.rfind(')')? + 2..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_costs_and_a_parent() {
        let me = std::process::id();
        let before = CpuTimes::read(me).unwrap();
        let start = std::time::Instant::now();
        std::thread::spawn(move || while start.elapsed() < Duration::from_millis(50) {}).join().unwrap();
        while start.elapsed() < Duration::from_millis(100) {}
        let spent = CpuTimes::read(me).unwrap().since(&before);
        assert!(Duration::ZERO < spent && spent < start.elapsed() * 2, "{spent:?}");
        assert!(rss_bytes(me).unwrap() > 100_000);
        assert!(peak_rss_bytes(me).unwrap() >= rss_bytes(me).unwrap());
        assert!(children(std::os::unix::process::parent_id()).contains(&me));
        assert!(!Process::find(me).unwrap().has_ended());
    }

    #[test]
    fn ended_process_is_an_error() {
        assert!(CpuTimes::read(u32::MAX).is_err());
        assert_eq!((state(u32::MAX), Process::find(u32::MAX)), (None, None));
    }
}
