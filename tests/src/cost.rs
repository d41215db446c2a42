//! What a process has cost so far: CPU time and memory, as the kernel counts them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::Error;

/// CPU time of each thread of a process at one moment, finer than the clock ticks of `stat`.
///
/// `/proc/PID/schedstat` counts the main thread alone, so the threads are read one by one. A thread that ends between two
/// readings takes with it what it cost since the first; one that ends because it was idle has cost next to nothing then.
#[derive(Debug, Clone)]
pub struct CpuTimes(HashMap<OsString, u64>);

impl CpuTimes {
    /// What the threads have cost until now.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let tasks = format!("/proc/{pid}/task");
        let entries = fs::read_dir(&tasks).map_err(Error::file(&tasks))?;
        let times = entries.flatten().filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            Some((entry.file_name(), text.split(' ').next()?.parse().ok()?))
        });
        Ok(Self(times.collect()))
    }

    /// What they have cost since an earlier reading; what a thread cost that has ended before it does not count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or(0);
        let spent = self.0.iter().map(|(thread, nanoseconds)| nanoseconds.saturating_sub(before(thread)));
        Duration::from_nanos(spent.sum())
    }
}

/// Resident memory of a process in bytes (VmRSS of `/proc/PID/status`).
///
/// # Errors
///
/// When the process is gone.
pub fn rss_bytes(pid: u32) -> Result<u64, Error> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process has had so far, in bytes (VmHWM).
///
/// # Errors
///
/// When the process is gone.
pub fn peak_rss_bytes(pid: u32) -> Result<u64, Error> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, field: &str) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1024)
}

/// The processes whose parent is `pid`, zombies included.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    pids().filter(|&child| parent(child) == Some(pid)).collect()
}

/// The ids of all processes that can be seen.
pub fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process's arguments, its own name first; none when it is gone, a zombie or a kernel thread.
pub fn arguments(pid: u32) -> impl Iterator<Item = OsString> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.strip_suffix(b"\0").unwrap_or(&bytes).split(|byte| *byte == 0);
    words.map(|word| OsString::from_vec(word.to_vec())).collect::<Vec<_>>().into_iter()
}

/// The state letter of a process as in proc(5); nothing when it is gone.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    stat_fields(pid)?.split(' ').next()?.chars().next()
}

/// A process that was there: a pid alone could be another's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    start_ticks: u64,
}

impl Process {
    /// The process that has this id now; nothing when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start_ticks: start_time(pid)? })
    }

    /// Whether it has ended. A zombie has, however long its parent takes to notice: when a plugin's agent is gone that is
    /// init, and the init of a container may be slow.
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

/// The process group of a process; nothing when it is gone.
pub(crate) fn group(pid: u32) -> Option<u32> {
    stat_fields(pid)?.split(' ').nth(2)?.parse().ok()
}

/// The fields of `stat` from the state on: the name before them may hold anything, parentheses and spaces included.
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
        let before = CpuTimes::of(me).unwrap();
        let start = std::time::Instant::now();
        std::thread::spawn(move || while start.elapsed() < Duration::from_millis(50) {}).join().unwrap();
        while start.elapsed() < Duration::from_millis(100) {}
        let spent = CpuTimes::of(me).unwrap().since(&before);
        assert!(Duration::ZERO < spent && spent < start.elapsed() * 2, "{spent:?}");
        assert!(rss_bytes(me).unwrap() > 100_000);
        assert!(peak_rss_bytes(me).unwrap() >= rss_bytes(me).unwrap());
        assert!(children(std::os::unix::process::parent_id()).contains(&me));
        assert!(!Process::of(me).unwrap().has_ended());
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(CpuTimes::of(u32::MAX).is_err());
        assert_eq!((state(u32::MAX), Process::of(u32::MAX)), (None, None));
    }
}
