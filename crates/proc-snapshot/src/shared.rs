//! One walk for requests that come at about the same time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ProcError;
use crate::root::ProcRoot;
use crate::snapshot::{Needs, Snapshot};

/// Counts since the start, for the `self` item and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalkStats {
    /// Walks that were completed.
    pub walks: u64,
    /// Walks that ended in an error or a panic.
    pub failed: u64,
    /// Requests that used a walk made for another request.
    pub shared: u64,
    /// Time spent in completed walks.
    pub walking: Duration,
    /// Time of the last completed walk.
    pub last: Duration,
    /// Processes found by the last completed walk.
    pub processes: usize,
}

/// Walks over one `/proc`, shared by requests that come close together.
///
/// A hundred items that are polled at once cost one walk:
///
/// ```
/// # fn main() -> Result<(), proc_snapshot::ProcError> {
/// use std::{path::Path, sync::Arc, time::{Duration, Instant}};
/// use proc_snapshot::{Needs, ProcRoot, SharedWalk};
///
/// let walks = SharedWalk::new(Arc::new(ProcRoot::open(Path::new("/"))?), Duration::from_secs(60));
/// let deadline = Instant::now() + Duration::from_secs(60);
/// for _ in 0..100 {
///     assert!(!walks.snapshot(Needs::CMDLINE, deadline)?.is_empty());
/// }
/// assert_eq!((walks.stats().walks, walks.stats().shared), (1, 99));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SharedWalk {
    root: Arc<ProcRoot>,
    max_age: Duration,
    state: Mutex<State>,
    ended: Condvar,
}

/// A walk in progress.
#[derive(Debug, Clone)]
struct CurrentWalk {
    number: u64,
    reads: Needs,
    /// The process that the walk is reading.
    at: Arc<AtomicU32>,
}

#[derive(Debug, Default)]
struct State {
    /// The last completed walk and its number.
    current: Option<(u64, Arc<Snapshot>)>,
    walking: Option<CurrentWalk>,
    /// Stalled walks: their number, and the process at which they stall.
    stalled: Vec<(u64, u32)>,
    started: u64,
    /// When each of [`REMEMBERED_NEEDS`] was last requested.
    requested: [Option<Instant>; REMEMBERED_NEEDS.len()],
    stats: WalkStats,
}

/// Files that were requested within this time are read by every walk if they are cheap, so that items with different
/// needs, polled every few minutes, do not cause a walk each.
const NEEDS_AGE_MAX: Duration = Duration::from_secs(600);
/// After this time at one process a walk is given up, and the next walk skips that process's command line.
///
/// To read a command line the kernel takes the lock of the process's memory. A process that hangs in a page fault (its
/// swap or NFS is unreachable) can hold it for minutes, and then `ps` hangs, too.
const STALL: Duration = Duration::from_secs(1);
const REMEMBERED_NEEDS: [Needs; 2] = [Needs::CMDLINE, Needs::OWNER];

impl State {
    fn note(&mut self, needs: Needs, now: Instant) {
        for (requested, need) in self.requested.iter_mut().zip(REMEMBERED_NEEDS) {
            if needs.contains(need) {
                *requested = Some(now);
            }
        }
    }

    /// Reading `status` process by process costs more: the directory is opened again and the start time compared. A
    /// hundred names with twenty processes each took 95 ms that way and 75 ms in the walk. So if most of the last
    /// walk's were requested for, the next walk reads them.
    fn likely_needs(&self) -> Needs {
        let most = |snapshot: &Snapshot| snapshot.statuses_wanted() * 2 > snapshot.len();
        let expected = self.current.as_ref().is_some_and(|(_, snapshot)| most(snapshot));
        if expected { Needs::STATUS } else { Needs::empty() }
    }

    fn recent_needs(&self, now: Instant) -> Needs {
        let recent = self.requested.iter().zip(REMEMBERED_NEEDS).filter(|(requested, _)| {
            requested.is_some_and(|requested| now.saturating_duration_since(requested) < NEEDS_AGE_MAX)
        });
        recent.map(|(_, need)| need).collect()
    }

    /// Returns the last walk if it covers the needs and is fresh, or is the one that this request waited for.
    fn usable(&self, needs: Needs, max_age: Duration, joined: Option<u64>) -> Option<&Arc<Snapshot>> {
        let (number, snapshot) = self.current.as_ref()?;
        let fresh = joined == Some(*number) || snapshot.taken().elapsed() <= max_age && !max_age.is_zero();
        (fresh && covers(snapshot.needs(), needs)).then_some(snapshot)
    }

    fn begin(&mut self, reads: Needs) -> CurrentWalk {
        self.started += 1;
        let walking = CurrentWalk { number: self.started, reads, at: Arc::default() };
        self.walking = Some(walking.clone());
        walking
    }

    /// Stops waiting for the walk if it is still the current one.
    fn give_up(&mut self, stalled: &CurrentWalk) {
        if self.walking.as_ref().is_some_and(|walking| walking.number == stalled.number) {
            self.walking = None;
            self.stalled.push((stalled.number, stalled.at.load(Ordering::Relaxed)));
        }
    }

    /// Records the end of a walk. The snapshot of a stalled walk does not replace a later one.
    fn end(&mut self, number: u64, snapshot: Option<Arc<Snapshot>>) {
        if self.walking.as_ref().is_some_and(|walking| walking.number == number) {
            self.walking = None;
        }
        self.stalled.retain(|&(stalled, _)| stalled != number);
        if let Some(snapshot) = snapshot
            && self.current.as_ref().is_none_or(|&(current, _)| current < number)
        {
            self.current = Some((number, snapshot));
        }
    }
}

/// Returns whether a walk that read `have` suffices for `needs`. `status` can be read later, process by process, which is
/// cheaper than another walk.
fn covers(have: Needs, needs: Needs) -> bool {
    have.contains(needs.difference(Needs::STATUS))
}

impl SharedWalk {
    /// Creates a walker whose walks are shared until `max_age` after their end.
    #[must_use]
    pub fn new(root: Arc<ProcRoot>, max_age: Duration) -> Self {
        Self { root, max_age, state: Mutex::default(), ended: Condvar::new() }
    }

    /// The directory that is walked.
    #[must_use]
    pub fn root(&self) -> &Arc<ProcRoot> {
        &self.root
    }

    /// Returns a snapshot that covers `needs`: from a walk in progress, from one that ended at most `max_age` ago, or from
    /// a new one, made by the calling thread.
    ///
    /// [`Needs::STATUS`] is only a hint: a snapshot without it is shared too, because [`Process::status`] reads the file
    /// when needed.
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if `/proc` cannot be listed, [`ProcError::Shortage`], [`ProcError::Deadline`].
    ///
    /// [`Process::status`]: crate::Process::status
    pub fn snapshot(&self, needs: Needs, deadline: Instant) -> Result<Arc<Snapshot>, ProcError> {
        self.find_snapshot(None, needs, deadline)
    }

    /// As [`SharedWalk::snapshot`], of a walk that ended at `since` or later.
    pub(crate) fn snapshot_since(
        &self,
        since: Instant,
        needs: Needs,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, ProcError> {
        self.find_snapshot(Some(since), needs, deadline)
    }

    fn find_snapshot(
        &self,
        since: Option<Instant>,
        needs: Needs,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, ProcError> {
        let mut state = self.lock();
        state.note(needs.difference(Needs::STATUS), Instant::now());
        let mut joined = None;
        loop {
            let usable = state.usable(needs, self.max_age, joined);
            if let Some(snapshot) = usable.filter(|usable| since.is_none_or(|since| usable.taken() >= since))
            {
                let snapshot = Arc::clone(snapshot);
                state.stats.shared += 1;
                return Ok(snapshot);
            }
            let Some(walking) = state.walking.clone() else { break };
            if covers(walking.reads, needs) {
                joined = Some(walking.number);
            }
            state = self.wait(state, &walking, deadline)?;
        }
        let now = Instant::now();
        let needs = needs | state.recent_needs(now) | state.likely_needs();
        let walking = state.begin(needs);
        let avoid: Vec<u32> = state.stalled.iter().map(|&(_, pid)| pid).collect();
        drop(state);
        self.walk(&walking, &avoid, deadline)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the current walk ends or stalls. The kernel can block a reader of `/proc` without limit, so the error
    /// names the process at which it blocks.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        walking: &CurrentWalk,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, State>, ProcError> {
        let at = walking.at.load(Ordering::Relaxed);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ProcError::walk_deadline(at));
        }
        let waited = self.ended.wait_timeout(state, left.min(STALL));
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && left >= STALL && walking.at.load(Ordering::Relaxed) == at {
            state.give_up(walking);
        }
        Ok(state)
    }

    fn walk(
        &self,
        walking: &CurrentWalk,
        avoid: &[u32],
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, ProcError> {
        let mut ending = WalkEnd { shared: self, number: walking.number, began: Instant::now(), made: None };
        let snapshot = Snapshot::take(&self.root, walking.reads, avoid, deadline, &walking.at)?;
        Ok(Arc::clone(ending.made.insert(Arc::new(snapshot))))
    }

    /// Drops the last snapshot if it is older than `age`, so that an idle plugin holds no memory for it.
    pub fn forget_if_older(&self, age: Duration) {
        let mut state = self.lock();
        if state.current.as_ref().is_some_and(|(_, snapshot)| snapshot.taken().elapsed() > age) {
            state.current = None;
        }
    }

    /// Returns counts since the start.
    #[must_use]
    pub fn stats(&self) -> WalkStats {
        self.lock().stats
    }
}

/// Records the end of a walk on drop, so that an error or a panic does not leave other requests waiting.
struct WalkEnd<'a> {
    shared: &'a SharedWalk,
    number: u64,
    began: Instant,
    made: Option<Arc<Snapshot>>,
}

impl Drop for WalkEnd<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        match &self.made {
            Some(snapshot) => {
                state.stats.walks += 1;
                state.stats.last = self.began.elapsed();
                state.stats.walking += self.began.elapsed();
                state.stats.processes = snapshot.len();
            }
            None => state.stats.failed += 1,
        }
        state.end(self.number, self.made.take());
        drop(state);
        self.shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use super::*;

    fn walks() -> SharedWalk {
        SharedWalk::new(Arc::new(ProcRoot::open(Path::new("/")).unwrap()), Duration::from_secs(60))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn panic_in_a_walk_leaves_no_request_waiting() {
        let walks = walks();
        let number = walks.lock().begin(Needs::empty()).number;
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| walks.snapshot(Needs::empty(), soon()).map(|snapshot| snapshot.len()));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _ending = WalkEnd { shared: &walks, number, began: Instant::now(), made: None };
                panic!("on purpose");
            }));
            assert!(panicked.is_err());
            assert!(waiting.join().unwrap().unwrap() > 0);
        });
        assert_eq!((walks.stats().walks, walks.stats().failed), (1, 1));
    }

    #[test]
    fn error_of_a_stalled_walk_names_the_process() {
        let walks = walks();
        walks.lock().begin(Needs::empty()).at.store(42, Ordering::Relaxed);
        let error = walks.snapshot(Needs::empty(), Instant::now() + Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.to_string(), "deadline passed while walking /proc, at process 42");
    }

    #[test]
    fn status_of_most_processes_is_read_by_the_next_walk_only() {
        let walks = SharedWalk::new(Arc::new(ProcRoot::open(Path::new("/")).unwrap()), Duration::ZERO);
        let few = walks.snapshot(Needs::empty(), soon()).unwrap();
        assert!(few.processes().next().unwrap().status().unwrap().is_some());
        let all = walks.snapshot(Needs::empty(), soon()).unwrap();
        assert!(!all.needs().contains(Needs::STATUS));
        let read = all.processes().filter(|process| process.status().unwrap().is_some());
        assert!(read.count() * 2 > all.len());
        let next = walks.snapshot(Needs::empty(), soon()).unwrap();
        assert!(next.needs().contains(Needs::STATUS));
        assert!(next.processes().next().unwrap().status().unwrap().is_some());
        let unasked = walks.snapshot(Needs::empty(), soon()).unwrap();
        assert!(!unasked.needs().contains(Needs::STATUS));
    }

    #[test]
    fn missing_status_does_not_cause_another_walk() {
        assert!(covers(Needs::CMDLINE, Needs::CMDLINE | Needs::STATUS));
        assert!(!covers(Needs::STATUS, Needs::OWNER));
    }

    #[test]
    fn needs_are_remembered_for_ten_minutes() {
        let mut state = State::default();
        let now = Instant::now();
        state.note(Needs::CMDLINE | Needs::STATUS, now);
        state.note(Needs::OWNER, now + Duration::from_secs(1));
        assert_eq!(state.recent_needs(now + Duration::from_secs(599)), Needs::CMDLINE | Needs::OWNER);
        assert_eq!(state.recent_needs(now + Duration::from_secs(600)), Needs::OWNER);
        assert_eq!(state.recent_needs(now + Duration::from_secs(601)), Needs::empty());
    }
}
