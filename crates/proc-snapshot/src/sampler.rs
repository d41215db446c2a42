//! The thread that samples CPU times once a second.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cpu::{CpuHistory, CpuQuery, CpuRanking, CpuType, CpuWindow, Owner};
use crate::error::ProcError;
use crate::root::{ProcRoot, SmallPath, WHOLE_FILE_BYTES, read_at};
use crate::stat::Stat;
use crate::text::Cmdline;
use crate::tracker::{Texts, Tracker};
use crate::users::Users;

/// Counts since the start, for the `self` item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SamplerStats {
    /// Queries with a history.
    pub queries: usize,
    /// Completed samples.
    pub samples: u64,
    /// Samples that ended in a panic or could not list `/proc`.
    pub failed: u64,
    /// Time spent on samples.
    pub sampling: Duration,
    /// Whether the thread runs.
    pub running: bool,
}

/// Samples the CPU times of all processes once a second, as long as queries are polled.
///
/// The thread starts with the first query and ends when no query is left. A sample reads `stat` of every
/// process: about 20 ms of CPU time for 2,000 processes (2 cores, Linux 6.18).
#[derive(Debug)]
pub struct CpuSampler {
    core: Arc<SamplerCore>,
}

#[derive(Debug)]
struct SamplerCore {
    root: Arc<ProcRoot>,
    users: Arc<Users>,
    epoch: Instant,
    state: Mutex<State>,
    changed: Condvar,
    /// The process whose command line is being read.
    at: AtomicU32,
    /// Makes the next sample panic.
    #[cfg(test)]
    panic_once: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    history: CpuHistory,
    ranking: Option<(Duration, CpuRanking)>,
    /// End of the last sample, or start of the thread.
    sampled: Duration,
    /// Time of the last request for the ranking.
    ranking_requested: Option<Duration>,
    stats: SamplerStats,
    stopping: bool,
}

/// Time between two samples.
const PERIOD: Duration = Duration::from_secs(1);
/// After this time without a completed sample the thread counts as stalled, and its last values are stale.
const STALL: Duration = Duration::from_secs(10);
/// How long rankings are kept up to date after the last request.
const RANKING_UNUSED: Duration = Duration::from_secs(15 * 60);
/// Age limit of a ranking. The next sample is due after one period.
const RANKING_AGE: Duration = Duration::from_millis(2500);
/// How often users are sampled up again.
const USERS_AGE: Duration = Duration::from_secs(10);

impl CpuSampler {
    /// Creates a sampler. Its thread starts with the first query.
    #[must_use]
    pub fn new(root: Arc<ProcRoot>, users: Arc<Users>) -> Self {
        let core = SamplerCore {
            root,
            users,
            epoch: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            at: AtomicU32::new(0),
            #[cfg(test)]
            panic_once: false.into(),
        };
        Self { core: Arc::new(core) }
    }

    /// Returns CPU utilization in percent of one CPU, rounded to one decimal. `Ok(None)` for a new query: the built-in
    /// key has no value then either. The query is watched from the first call until 25 hours pass without a poll.
    ///
    /// # Errors
    ///
    /// [`ProcError::Pattern`], [`ProcError::TooManyQueries`], [`ProcError::Sampler`]; and from the second sample on
    /// [`ProcError::UnknownUser`] or [`ProcError::UserLookup`]. For those two, agents 6.0.14 and 7.0.9 return an error and
    /// later 7.0 returns 0. [`ProcError::SamplerStalled`] if the kernel blocks the sampler's thread.
    pub fn utilization(
        &self,
        query: &CpuQuery,
        kind: CpuType,
        window: CpuWindow,
    ) -> Result<Option<f64>, ProcError> {
        let mut state = self.core.lock();
        let now = self.core.now();
        self.core.check_stall(&state, now)?;
        let answer =
            state.history.utilization(now, query, kind, window, self.core.root.facts().clock_ticks)?;
        self.run(&mut state)?;
        Ok(answer)
    }

    /// Returns names ranked by CPU over about the last minute. The first request waits about a second for two samples.
    ///
    /// # Errors
    ///
    /// [`ProcError::Sampler`], [`ProcError::Deadline`] if the deadline passes before the second sample.
    pub fn top(&self, deadline: Instant) -> Result<CpuRanking, ProcError> {
        let mut state = self.core.lock();
        loop {
            let now = self.core.now();
            state.ranking_requested = Some(now);
            if let Some(ranking) = state.fresh_ranking(now) {
                return Ok(ranking.clone());
            }
            self.run(&mut state)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ProcError::Deadline {
                    doing: "before the second sample of CPU times".to_owned(),
                });
            }
            state = self.core.wait(state, left);
        }
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> SamplerStats {
        let state = self.core.lock();
        SamplerStats { queries: state.history.len(), ..state.stats }
    }

    /// Starts the thread if it does not run.
    fn run(&self, state: &mut State) -> Result<(), ProcError> {
        if state.stats.running {
            return Ok(());
        }
        let core = Arc::clone(&self.core);
        let thread = std::thread::Builder::new().name("cpu-sampler".to_owned());
        thread.spawn(move || core.sample()).map_err(ProcError::Sampler)?;
        state.stats.running = true;
        state.sampled = self.core.now();
        Ok(())
    }
}

impl Drop for CpuSampler {
    fn drop(&mut self) {
        self.core.lock().stopping = true;
        self.core.changed.notify_all();
    }
}

impl State {
    fn wants_ranking(&self, now: Duration) -> bool {
        self.ranking_requested.is_some_and(|requested| now.saturating_sub(requested) <= RANKING_UNUSED)
    }

    fn fresh_ranking(&self, now: Duration) -> Option<&CpuRanking> {
        let (made, ranking) = self.ranking.as_ref()?;
        (now.saturating_sub(*made) <= RANKING_AGE).then_some(ranking)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.stopping || (self.history.len() == 0 && !self.wants_ranking(now))
    }
}

/// Records that the thread has ended if it panics outside of a sample, so that the next query starts another.
struct Running<'a>(&'a SamplerCore);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().stats.running = false;
        }
    }
}

impl SamplerCore {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_stall(&self, state: &State, now: Duration) -> Result<(), ProcError> {
        let still = now.saturating_sub(state.sampled);
        if !state.stats.running || still < STALL {
            return Ok(());
        }
        let pid = self.at.load(Ordering::Relaxed);
        Err(ProcError::SamplerStalled { pid, seconds: still.as_secs() })
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Runs in the thread: takes one sample a second until there is no query.
    fn sample(&self) {
        let _running = Running(self);
        let mut sampling = SamplingState::default();
        let mut next = self.now();
        loop {
            {
                let mut state = self.lock();
                state.history.expire(self.now());
                if state.is_idle(self.now()) {
                    // Under the lock, so that a concurrent query starts a new thread.
                    state.stats.running = false;
                    state.ranking = None;
                    return;
                }
            }
            let result = catch_unwind(AssertUnwindSafe(|| self.take_sample(&mut sampling)));
            if !matches!(result, Ok(Ok(()))) {
                self.lock().stats.failed += 1;
            }
            if result.is_err() {
                // A panic may have left the state inconsistent.
                sampling = SamplingState::default();
            }
            next = (next + PERIOD).max(self.now());
            self.rest_until(next);
        }
    }

    fn rest_until(&self, next: Duration) {
        let mut state = self.lock();
        while !state.stopping {
            let left = next.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// No file is read while the lock is held, because `/proc` and the name service may block.
    fn take_sample(&self, sampling: &mut SamplingState) -> Result<(), ProcError> {
        #[cfg(test)]
        assert!(!self.panic_once.swap(false, std::sync::atomic::Ordering::Relaxed), "panics on purpose");
        let began = self.now();
        self.refresh_users(sampling, began);
        {
            let state = self.lock();
            let (generation, watches) = state.history.watches();
            sampling.tracker.watch(generation, watches);
        }
        sampling.tracker.begin(self.now());
        let SamplingState { tracker, buffer, .. } = sampling;
        self.root.each_pid(|pid| {
            let path = SmallPath::new(pid, b"/stat");
            if read_at(self.root.dir(), path.as_cstr(), buffer, WHOLE_FILE_BYTES).is_ok()
                && let Some(stat) = Stat::parse(buffer)
            {
                tracker.take(pid, &stat, || self.read_texts(pid));
            }
            true
        })?;
        self.publish(sampling, began);
        Ok(())
    }

    fn publish(&self, sampling: &mut SamplingState, began: Duration) {
        let now = sampling.tracker.now();
        let used = sampling.tracker.end().to_vec();
        let mut state = self.lock();
        state.history.record(now, &used);
        state.sampled = self.now();
        state.stats.samples += 1;
        state.stats.sampling += self.now().saturating_sub(began);
        let ranking =
            state.wants_ranking(now).then(|| sampling.tracker.ranking(self.root.facts().clock_ticks));
        state.ranking = ranking.flatten().map(|ranking| (self.now(), ranking));
        drop(state);
        self.changed.notify_all();
    }

    /// Reads command line and owner of a process.
    fn read_texts(&self, pid: u32) -> Texts {
        self.at.store(pid, Ordering::Relaxed);
        let Ok(dir) = self.root.open_pid(pid) else { return Texts::default() };
        let uid = rustix::fs::fstat(&dir).ok().map(|stat| stat.st_uid);
        let mut raw = Vec::new();
        let read = read_at(dir.as_fd(), c"cmdline", &mut raw, CMDLINE_BYTES);
        Texts { cmdline: read.is_ok().then(|| Cmdline::new(raw)), uid }
    }

    /// Resolves the users of new queries, and those of all queries every [`USERS_AGE`].
    fn refresh_users(&self, sampling: &mut SamplingState, now: Duration) {
        let all = sampling.users_refreshed.is_none_or(|read| now.saturating_sub(read) >= USERS_AGE);
        let due: HashSet<String> = {
            let state = self.lock();
            let watches = state.history.watches().1.iter();
            let due = watches.filter(|watch| match watch.owner {
                Owner::AnyUser => false,
                Owner::Pending => true,
                Owner::Known(_) | Owner::Unknown | Owner::Failed(_) => all,
            });
            due.map(|watch| watch.query.user.clone()).collect()
        };
        if all {
            sampling.users_refreshed = Some(now);
        }
        for user in due {
            let owner = match self.users.uid(&user) {
                Ok(Some(uid)) => Owner::Known(uid),
                Err(ProcError::UserLookup { source, .. }) => {
                    Owner::Failed(source.raw_os_error().unwrap_or(0))
                }
                Ok(None) | Err(_) => Owner::Unknown,
            };
            self.lock().history.set_owner(&user, owner);
        }
    }
}

/// Limit for a command line that is matched; it is not kept.
const CMDLINE_BYTES: usize = 4 * 1024 * 1024;

/// State of the thread between two samples.
#[derive(Debug, Default)]
struct SamplingState {
    tracker: Tracker,
    buffer: Vec<u8>,
    users_refreshed: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn stalled_sampler_returns_an_error_and_no_old_values() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        sampler.core.at.store(42, Ordering::Relaxed);
        let mut state = sampler.core.lock();
        let later = STALL + Duration::from_secs(1);
        assert!(sampler.core.check_stall(&state, later).is_ok(), "no thread, no stall");
        state.stats.running = true;
        let error = sampler.core.check_stall(&state, later).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CPU times have not been read for 11 s: the kernel blocks the sampler at process 42"
        );
        state.sampled = later;
        assert!(sampler.core.check_stall(&state, later).is_ok());
    }

    #[test]
    fn thread_starts_with_the_first_query_and_ends_with_the_sampler() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        let query = CpuQuery { user: "root".to_owned(), ..CpuQuery::default() };
        assert!(!sampler.stats().running);
        assert_eq!(sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1).unwrap(), None);
        assert!(sampler.stats().running);
        let ranking = sampler.top(Instant::now() + Duration::from_secs(30)).unwrap();
        assert!(!ranking.window.is_zero());
        assert!(sampler.stats().samples >= 2);
        let core = Arc::downgrade(&sampler.core);
        drop(sampler);
        let deadline = Instant::now() + Duration::from_secs(30);
        while core.strong_count() > 0 {
            assert!(Instant::now() < deadline, "the thread is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn panic_in_a_sample_ends_neither_thread_nor_histories() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        sampler.core.panic_once.store(true, Ordering::Relaxed);
        assert!(sampler.top(Instant::now() + Duration::from_secs(30)).is_ok());
        let stats = sampler.stats();
        assert_eq!((stats.failed, stats.running), (1, true));
    }

    #[test]
    fn sampler_survives_a_poisoned_lock() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        let core = Arc::clone(&sampler.core);
        let poisoned = std::thread::spawn(move || {
            let _guard = core.lock();
            panic!("poisons the lock on purpose");
        });
        assert!(poisoned.join().is_err());
        assert!(sampler.top(Instant::now() + Duration::from_secs(30)).is_ok());
    }

    #[test]
    fn passed_deadline_is_an_error() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        assert!(matches!(sampler.top(Instant::now()), Err(ProcError::Deadline { .. })));
    }

    #[test]
    fn ranking_is_maintained_for_15_minutes_after_the_last_request() {
        let requested = Duration::from_secs(100);
        let state = State { ranking_requested: Some(requested), ..State::default() };
        let later = requested + Duration::from_secs(15 * 60);
        assert!(state.wants_ranking(later) && !state.is_idle(later));
        let too_late = later + Duration::from_millis(1);
        assert!(!state.wants_ranking(too_late) && state.is_idle(too_late));
        assert!(!State::default().wants_ranking(Duration::ZERO));
    }

    #[test]
    fn ranking_is_fresh_for_two_and_a_half_seconds() {
        let ranking = CpuRanking { window: Duration::from_secs(60), names: Vec::new() };
        let made = Duration::from_secs(100);
        let state = State { ranking: Some((made, ranking)), ..State::default() };
        assert!(state.fresh_ranking(made + Duration::from_millis(2500)).is_some());
        assert!(state.fresh_ranking(made + Duration::from_millis(2501)).is_none());
    }

    #[test]
    fn known_users_are_resolved_again_after_ten_seconds() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        let core = &sampler.core;
        let query = CpuQuery { user: "root".to_owned(), ..CpuQuery::default() };
        core.lock()
            .history
            .utilization(Duration::ZERO, &query, CpuType::Total, CpuWindow::Avg1, 100)
            .unwrap();
        let owner = || core.lock().history.watches().1[0].owner;
        let mut sampling = SamplingState::default();
        core.refresh_users(&mut sampling, Duration::from_secs(5));
        assert_eq!(owner(), Owner::Known(0));
        core.lock().history.set_owner("root", Owner::Unknown);
        core.refresh_users(&mut sampling, Duration::from_millis(14_999));
        assert_eq!(owner(), Owner::Unknown);
        core.refresh_users(&mut sampling, Duration::from_secs(15));
        assert_eq!(owner(), Owner::Known(0));
    }
}
