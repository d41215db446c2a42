//! What memory is left, and whom the kernel would kill next.

use std::path::Path;

use super::{LiveError, read_file, value_of};
use crate::scan;

/// The machine's memory. What the kernel does not tell is absent; amounts are in bytes.
///
/// ```no_run
/// let memory = oom_evidence::Memory::read(std::path::Path::new("/"))?;
/// assert!(memory.available_bytes <= memory.total_bytes);
/// # Ok::<(), oom_evidence::LiveError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable` (3.14): what can be had without swapping.
    pub available_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapFree`.
    pub swap_free_bytes: u64,
    /// `CommitLimit`: what may be promised under `vm.overcommit_memory=2`.
    pub commit_limit_bytes: Option<u64>,
    /// `Committed_AS`: what was promised.
    pub committed_bytes: Option<u64>,
    /// `vm.panic_on_oom`: 0, 1 (unless a cgroup, cpuset or policy limits) or 2 (always).
    pub panic_on_oom: Option<u64>,
    /// `vm.overcommit_memory`: 0 (heuristic), 1 (always) or 2 (never).
    pub overcommit_memory: Option<u64>,
    /// `vm.overcommit_ratio`, in percent.
    pub overcommit_ratio: Option<u64>,
    /// `proc/pressure/memory` (4.20); absent where the kernel has it switched off, too.
    pub pressure: Option<Pressure>,
}

/// Shares of time in which tasks waited for memory, in percent, and the time since boot in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Pressure {
    /// At least one task waited: over 10, 60 and 300 seconds.
    pub some_percent: [f64; 3],
    /// All tasks waited.
    pub full_percent: [f64; 3],
    /// At least one task waited, since boot.
    pub some_micros: u64,
    /// All tasks waited, since boot.
    pub full_micros: u64,
}

impl Memory {
    /// Reads `/proc` of the machine whose root is at `host_root`.
    ///
    /// # Errors
    ///
    /// When `proc/meminfo` cannot be read or does not tell what is available (before 3.14).
    pub fn read(host_root: &Path) -> Result<Self, LiveError> {
        let path = host_root.join("proc/meminfo");
        let text = read_file(&path)?;
        let kib = |name: &str| value_of(&text, name.as_bytes())?.checked_mul(1024);
        let needed = |name: &'static str| {
            kib(name).ok_or_else(|| LiveError::Malformed { path: path.clone(), what: name })
        };
        let setting = |name: &str| {
            let text = read_file(&host_root.join("proc/sys/vm").join(name)).ok()?;
            scan::number(&text).map(|(value, _)| value)
        };
        Ok(Self {
            total_bytes: needed("MemTotal")?,
            available_bytes: needed("MemAvailable")?,
            swap_total_bytes: kib("SwapTotal").unwrap_or_default(),
            swap_free_bytes: kib("SwapFree").unwrap_or_default(),
            commit_limit_bytes: kib("CommitLimit"),
            committed_bytes: kib("Committed_AS"),
            panic_on_oom: setting("panic_on_oom"),
            overcommit_memory: setting("overcommit_memory"),
            overcommit_ratio: setting("overcommit_ratio"),
            pressure: read_file(&host_root.join("proc/pressure/memory"))
                .ok()
                .and_then(|text| pressure(&text)),
        })
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=920` and the same with `full`.
fn pressure(text: &[u8]) -> Option<Pressure> {
    let text = std::str::from_utf8(text).ok()?;
    let of = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let value = |name: &str| line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
        let percent = |name| value(name)?.parse::<f64>().ok();
        let shares = [percent("avg10=")?, percent("avg60=")?, percent("avg300=")?];
        Some((shares, value("total=")?.parse().ok()?))
    };
    let ((some_percent, some_micros), (full_percent, full_micros)) = (of("some ")?, of("full ")?);
    Some(Pressure { some_percent, full_percent, some_micros, full_micros })
}

/// A process that the killer may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Process id.
    pub pid: u32,
    /// Name, at most 15 bytes of any kind.
    pub name: Vec<u8>,
    /// The kernel's badness with the adjustment in it: the largest is killed first.
    pub oom_score: u64,
    /// -1000 (never) to 1000.
    pub oom_score_adj: Option<i64>,
    /// Resident memory in bytes.
    pub rss_bytes: Option<u64>,
}

/// The `most` processes among `pids` with the largest `oom_score`, in the order in which the kernel would choose. A
/// process that has ended meanwhile is left out, and one that the killer never takes (score 0), too.
#[must_use]
pub fn candidates(host_root: &Path, pids: impl IntoIterator<Item = u32>, most: usize) -> Vec<Candidate> {
    let proc = host_root.join("proc");
    let score = |pid: u32| {
        let text = read_file(&proc.join(pid.to_string()).join("oom_score")).ok()?;
        scan::number(&text).map(|(score, _)| (score, pid)).filter(|(score, _)| *score > 0)
    };
    let mut scores: Vec<_> = pids.into_iter().filter_map(score).collect();
    scores.sort_unstable_by_key(|(score, pid)| (std::cmp::Reverse(*score), *pid));
    scores.into_iter().filter_map(|(score, pid)| candidate(&proc, pid, score)).take(most).collect()
}

fn candidate(proc: &Path, pid: u32, oom_score: u64) -> Option<Candidate> {
    let dir = proc.join(pid.to_string());
    let name = read_file(&dir.join("comm")).ok()?;
    let status = read_file(&dir.join("status")).unwrap_or_default();
    let adj = read_file(&dir.join("oom_score_adj")).ok();
    Some(Candidate {
        pid,
        name: name.strip_suffix(b"\n").unwrap_or(&name).to_vec(),
        oom_score,
        oom_score_adj: adj.and_then(|text| scan::signed(&text).map(|(adj, _)| adj)),
        rss_bytes: value_of(&status, b"VmRSS").and_then(|kib| kib.checked_mul(1024)),
    })
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
    fn what_the_kernel_does_not_tell_is_absent() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(Memory::read(root.path()), Err(LiveError::Read { .. })));
        write(root.path(), "meminfo", "MemTotal: 4000 kB\nMemFree: 1 kB\n");
        let error = Memory::read(root.path()).unwrap_err().to_string();
        assert!(error.ends_with("proc/meminfo has no valid MemAvailable"), "{error}");
        write(root.path(), "meminfo", MEMINFO);
        let memory = Memory::read(root.path()).unwrap();
        assert_eq!((memory.available_bytes, memory.swap_free_bytes), (1_024_000, 20_480));
        assert_eq!(
            (memory.committed_bytes, memory.panic_on_oom, memory.pressure),
            (Some(9_216_000), None, None)
        );
    }

    #[test]
    fn settings_and_pressure() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "meminfo", MEMINFO);
        write(root.path(), "sys/vm/panic_on_oom", "2\n");
        write(root.path(), "sys/vm/overcommit_memory", "1\n");
        let psi = "some avg10=1.50 avg60=0.25 avg300=0.00 total=920\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=669\n";
        write(root.path(), "pressure/memory", psi);
        let memory = Memory::read(root.path()).unwrap();
        assert_eq!((memory.panic_on_oom, memory.overcommit_memory), (Some(2), Some(1)));
        let pressure = memory.pressure.unwrap();
        assert_eq!((pressure.some_percent, pressure.full_percent[0]), ([1.5, 0.25, 0.0], 0.75));
        assert_eq!((pressure.some_micros, pressure.full_micros), (920, 669));
    }

    #[test]
    fn the_worst_scores_come_first_and_ended_processes_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        for (pid, score) in [(10, 5), (11, 900), (12, 0), (13, 30)] {
            write(root.path(), &format!("{pid}/oom_score"), &format!("{score}\n"));
            write(root.path(), &format!("{pid}/comm"), "a (b) c\n");
        }
        write(root.path(), "11/oom_score_adj", "-17\n");
        write(root.path(), "11/status", "Name:\tx\nVmRSS:\t     100 kB\n");
        let found = candidates(root.path(), [10, 11, 12, 13, 14], 2);
        let pids: Vec<_> = found.iter().map(|candidate| candidate.pid).collect();
        assert_eq!(pids, [11, 13]);
        assert_eq!((found[0].oom_score_adj, found[0].rss_bytes), (Some(-17), Some(102_400)));
        assert_eq!((&*found[0].name, found[1].rss_bytes), (&b"a (b) c"[..], None));
    }
}
