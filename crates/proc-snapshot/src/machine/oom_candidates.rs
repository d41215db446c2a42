//! Processes that the kernel would kill next.

use std::cmp::Reverse;
use std::path::Path;
use std::time::Instant;

use super::error::MachineError;
use super::files::{read_if_readable, read_number, read_signed};
use crate::status::Status;

/// A process that the OOM killer may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OomCandidate {
    /// Process id.
    pub pid: u32,
    /// The kernel's name: at most 15 bytes, of any value but NUL.
    pub name: Vec<u8>,
    /// The kernel's badness, adjustment included: the process with the largest is killed first.
    pub oom_score: u64,
    /// Adjustment from -1000 (never kill) to 1000.
    pub oom_score_adj: Option<i64>,
    /// Resident memory in bytes.
    pub rss_bytes: Option<u64>,
}

/// Returns the `limit` processes among `pids` with the largest `oom_score`, in the order in which the kernel would choose.
///
/// Processes that have ended are left out, and so are those that the OOM killer never chooses (score 0).
///
/// # Errors
///
/// [`MachineError::Shortage`], [`MachineError::Deadline`]
pub fn oom_candidates(
    host_root: &Path,
    pids: impl IntoIterator<Item = u32>,
    limit: usize,
    deadline: Instant,
) -> Result<Vec<OomCandidate>, MachineError> {
    let proc = host_root.join("proc");
    let mut scores = Vec::new();
    for pid in pids {
        let path = proc.join(pid.to_string()).join("oom_score");
        if Instant::now() >= deadline {
            return Err(MachineError::Deadline { path });
        }
        scores.extend(read_number(&path)?.filter(|score| *score > 0).map(|score| (score, pid)));
    }
    scores.sort_unstable_by_key(|(score, pid)| (Reverse(*score), *pid));
    let read = |(score, pid)| OomCandidate::read(&proc, pid, score).transpose();
    scores.into_iter().filter_map(read).take(limit).collect()
}

impl OomCandidate {
    /// `None` if the process has ended.
    fn read(proc: &Path, pid: u32, oom_score: u64) -> Result<Option<Self>, MachineError> {
        let dir = proc.join(pid.to_string());
        let Some(name) = read_if_readable(&dir.join("comm"))? else { return Ok(None) };
        let status = read_if_readable(&dir.join("status"))?.unwrap_or_default();
        Ok(Some(Self {
            pid,
            name: name.strip_suffix(b"\n").unwrap_or(&name).to_vec(),
            oom_score,
            oom_score_adj: read_signed(&dir.join("oom_score_adj"))?,
            rss_bytes: Status::parse(&status).rss_bytes(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join("proc").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn largest_scores_come_first_and_ended_processes_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (pid, score) in [(10, 5), (11, 900), (12, 0), (13, 30)] {
            write(root.path(), &format!("{pid}/oom_score"), &format!("{score}\n"));
            write(root.path(), &format!("{pid}/comm"), "a (b) c\n");
        }
        write(root.path(), "11/oom_score_adj", "-17\n");
        write(root.path(), "11/status", "Name:\tx\nVmRSS:\t     100 kB\n");
        let found = oom_candidates(root.path(), [10, 11, 12, 13, 14], 2, soon()).unwrap();
        let pids: Vec<_> = found.iter().map(|candidate| candidate.pid).collect();
        assert_eq!(pids, [11, 13]);
        assert_eq!((found[0].oom_score_adj, found[0].rss_bytes), (Some(-17), Some(102_400)));
        assert_eq!((&*found[0].name, found[1].rss_bytes), (&b"a (b) c"[..], None));
    }

    #[test]
    fn processes_that_are_never_killed_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (pid, score) in [(10, 1), (11, 0), (12, 1)] {
            write(root.path(), &format!("{pid}/oom_score"), &format!("{score}\n"));
            write(root.path(), &format!("{pid}/comm"), "x\n");
        }
        let found = oom_candidates(root.path(), [12, 11, 10], 10, soon()).unwrap();
        assert_eq!(found.iter().map(|candidate| candidate.pid).collect::<Vec<_>>(), [10, 12]);
    }

    #[test]
    fn passed_deadline_is_an_error_and_no_shorter_list() {
        let root = tempfile::tempdir().unwrap();
        let error = oom_candidates(root.path(), [10], 1, Instant::now()).unwrap_err().to_string();
        assert!(error.starts_with("deadline passed while reading ") && error.ends_with("/10/oom_score"));
    }
}
