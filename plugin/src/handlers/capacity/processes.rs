//! The host's processes, as the capacity keys need them.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use agent2_plugin::{ItemError, Request};
use pool_capacity::sizing::{Footprint, Shares};
use pool_capacity::sockets::{Address, ConnectionCounter};
use pool_capacity::{Reading, ServerProcess, apache, mysql, phpfpm};
use proc_snapshot::{Needs, ProcError, Process, Smaps, Snapshot, Visibility};

use crate::deadline::reading_deadline;
use crate::state::PluginState;

/// The largest sample of workers if smaps_rollup is read, because the kernel walks the whole memory of each.
const SAMPLE: usize = 50;
/// Larger than the limits and the environment of any server. The kernel allows 6 MiB for an environment.
const PROC_FILE_BYTES_MAX: usize = 8 << 20;
/// Longer than any line of a connection table.
const TABLE_LINE_BYTES_MAX: u64 = 4096;
/// Arguments of a process of an ordinary user beyond this number count as one. Any user may start thousands of processes with a
/// server's name.
const USERS_ARGUMENTS_MAX: usize = 32;
/// The largest uid of a system account in distributions.
const SYSTEM_UID_MAX: u32 = 999;

/// The processes of one walk.
pub(super) struct Running {
    snapshot: Arc<Snapshot>,
    /// The position of each process in the snapshot, because a server may have thousands of pools with workers.
    positions: HashMap<u32, usize>,
    /// The processes with the name or the title of a server.
    pub(super) processes: Vec<ServerProcess>,
    /// Whether processes of other users are hidden: then an empty list does not show that there are none.
    pub(super) partial: bool,
}

impl Running {
    pub(super) fn read(plugin: &PluginState, request: &Request) -> Result<Self, ItemError> {
        let snapshot = plugin.snapshot(Needs::CMDLINE | Needs::OWNER, request)?;
        let partial = Visibility::new(plugin.walk.root(), &snapshot)?.is_partial();
        // A zombie has ended.
        let alive = snapshot.processes().filter(|process| !matches!(process.state(), Some(b'Z' | b'X')));
        let processes = alive.filter(has_name_of_server).map(|process| process_of(&process)).collect();
        let positions = snapshot.processes().enumerate().map(|(at, process)| (process.pid(), at)).collect();
        Ok(Self { snapshot, positions, processes, partial })
    }

    /// Returns whether there are such processes; absent if that cannot be known.
    pub(super) fn is_running(&self, found: bool) -> Option<bool> {
        (found || !self.partial).then_some(found)
    }

    /// Reads the memory of workers. Those that have ended are left out. With the right to trace them, a sample over all sizes
    /// is read, the smallest and the largest first. `lists` is the number of lists that share the remaining time, of which a
    /// part is kept for the rest of the poll.
    pub(super) fn footprints(
        &self,
        pids: &[u32],
        request: &Request,
        lists: u32,
    ) -> Result<Vec<Footprint>, ProcError> {
        let chosen = self.chosen(pids);
        let stop = Instant::now() + request.time_left() / lists.saturating_add(1);
        let mut traced = Vec::new();
        for process in from_both_ends(sample(&chosen).collect()) {
            if Instant::now() >= stop {
                break;
            }
            let shares = match process.smaps(stop) {
                Err(ProcError::Deadline { .. }) => break,
                smaps => smaps?.map(shares_of),
            };
            let Some(footprint) = footprint(process, shares)? else { continue };
            if footprint.shares.is_none() {
                traced.clear();
                break;
            }
            traced.push(footprint);
        }
        if !traced.is_empty() {
            return Ok(traced);
        }
        self.untraced(pids, request)
    }

    /// Reads the memory of processes as far as every user may. If the time ends, those read so far are a sample.
    pub(super) fn untraced(&self, pids: &[u32], request: &Request) -> Result<Vec<Footprint>, ProcError> {
        let chosen = from_both_ends(self.chosen(pids));
        let deadline = reading_deadline(request);
        let in_time = chosen.take_while(|_| Instant::now() < deadline);
        in_time.filter_map(|process| footprint(&process, None).transpose()).collect()
    }

    /// Returns the processes with these ids.
    pub(super) fn rows(&self, pids: &HashSet<u32>) -> HashMap<u32, Process<'_>> {
        pids.iter().filter_map(|pid| Some((*pid, self.row(*pid)?))).collect()
    }

    /// Reads a file of a process; absent if the process has ended or the file may not be read.
    pub(super) fn file(&self, pid: u32, name: &CStr) -> Option<Vec<u8>> {
        self.row(pid)?.read_file(name, PROC_FILE_BYTES_MAX).ok()?
    }

    /// Counts connections to addresses in the network namespace of a process; on a port only those that `uid` has accepted, if it
    /// is given. Each table is read once.
    pub(super) fn connections(
        &self,
        pid: u32,
        addresses: impl IntoIterator<Item = Address>,
        uid: Option<u32>,
        reading: &Reading<'_>,
    ) -> Result<ConnectionCounter, ItemError> {
        let mut counter = ConnectionCounter::new(addresses, uid);
        let Some(process) = self.row(pid) else { return Ok(counter) };
        for table in counter.tables() {
            let path = PathBuf::from(format!("/proc/{pid}/net/{table}"));
            let Some(file) = process.open_file(&CString::new(format!("net/{table}"))?)? else { continue };
            counter.begin(table);
            let (mut file, mut line) = (BufReader::new(file), Vec::new());
            while (&mut file).take(TABLE_LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
                reading.step(&path)?;
                counter.add(table, &line);
                line.clear();
            }
        }
        Ok(counter)
    }

    fn row(&self, pid: u32) -> Option<Process<'_>> {
        self.snapshot.process_at(*self.positions.get(&pid)?)
    }

    /// Returns the processes with these ids, the smallest first.
    fn chosen(&self, pids: &[u32]) -> Vec<Process<'_>> {
        let mut chosen: Vec<_> = pids.iter().filter_map(|pid| self.row(*pid)).collect();
        chosen.sort_by_key(|process| (process.rss_pages(), process.pid()));
        chosen
    }
}

/// Orders as largest, smallest, second largest and so on, so that a sample that ends early has several sizes.
fn from_both_ends<T>(sorted: Vec<T>) -> impl Iterator<Item = T> {
    let mut sorted = sorted.into_iter();
    let mut largest = false;
    std::iter::from_fn(move || {
        largest = !largest;
        if largest { sorted.next_back() } else { sorted.next() }
    })
}

fn sample<T>(sorted: &[T]) -> impl Iterator<Item = &T> {
    let count = sorted.len().min(SAMPLE);
    // Equal steps from the first to the last.
    (0..count)
        .map(move |i| if count == 1 { &sorted[0] } else { &sorted[i * (sorted.len() - 1) / (count - 1)] })
}

/// Returns `None` for a process that has ended.
fn footprint(process: &Process<'_>, shares: Option<Shares>) -> Result<Option<Footprint>, ProcError> {
    let Some(status) = process.status()? else { return Ok(None) };
    Ok(status.rss_bytes().map(|rss_bytes| Footprint {
        rss_bytes,
        swap_bytes: status.swap_bytes().unwrap_or(0),
        anon_bytes: status.anon_bytes(),
        mapped_bytes: status.mapped_bytes(),
        shares,
    }))
}

fn shares_of(smaps: Smaps) -> Shares {
    Shares { pss_bytes: smaps.pss_bytes, uss_bytes: smaps.uss_bytes, swap_pss_bytes: smaps.swap_pss_bytes }
}

/// Returns whether a process has the name or the title of a server, which any user may give it.
fn has_name_of_server(process: &Process<'_>) -> bool {
    let name = process.comm().unwrap_or_default();
    apache::is_server_name(name)
        || mysql::is_server_name(name)
        || process.cmdline().is_some_and(phpfpm::is_title)
}

fn process_of(process: &Process<'_>) -> ServerProcess {
    // The walk has converted NUL to space, so an argument with spaces becomes several.
    let is_of_system = process.uid().is_some_and(|uid| uid <= SYSTEM_UID_MAX);
    let arguments_max = if is_of_system { usize::MAX } else { USERS_ARGUMENTS_MAX };
    let cmdline = process.cmdline().unwrap_or_default();
    ServerProcess {
        pid: process.pid(),
        ppid: process.ppid(),
        name: process.comm().unwrap_or_default().to_vec(),
        arguments: cmdline.splitn(arguments_max, |&byte| byte == b' ').map(<[u8]>::to_vec).collect(),
        threads: process.threads(),
        uid: process.uid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_may_end_after_any_of_a_sample() {
        let order = |sorted: &[u8]| from_both_ends(sorted.to_vec()).collect::<Vec<_>>();
        assert_eq!(order(&[1, 2, 3, 4, 5]), [5, 1, 4, 2, 3]);
        assert_eq!((order(&[1]), order(&[])), (vec![1], vec![]));
    }

    #[test]
    fn a_sample_has_both_ends() {
        let all: Vec<usize> = (0..1000).collect();
        let chosen: Vec<_> = sample(&all).copied().collect();
        assert_eq!((chosen.len(), chosen[0], chosen[SAMPLE - 1]), (SAMPLE, 0, 999));
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(sample(&[7]).copied().collect::<Vec<_>>(), [7]);
        assert_eq!(sample(&all[..3]).copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(sample::<u8>(&[]).count(), 0);
    }
}
