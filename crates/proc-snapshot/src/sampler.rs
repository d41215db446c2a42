//! The thread that samples CPU times once a second.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::GoPattern;
use crate::cpu::{CpuHistory, CpuQuery, CpuRanking, CpuType, CpuWindow, Owner};
use crate::cpu_interval::CpuIntervals;
use crate::error::ProcError;
use crate::polls::Polls;
use crate::root::{ProcRoot, SmallPath, WHOLE_FILE_BYTES, read_at};
use crate::select::Selector;
use crate::shared::SharedWalk;
use crate::shortage::{ResourceShortage, if_readable};
use crate::snapshot::{CMDLINE_BYTES, Needs};
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
    /// Samples that ended in a panic or could not read `/proc`.
    pub failed: u64,
    /// Time spent on samples.
    pub sampling: Duration,
    /// Whether the thread runs.
    pub running: bool,
}

/// Samples the CPU times of all processes once a second, as long as queries are polled.
///
/// The thread starts with the first query and ends when no further poll is expected: 90 s after the last poll, or twice
/// the interval of the polls if it is longer. A sample reads `stat` of every process: about 20 ms of CPU time for 2,000
/// processes (2 cores, Linux 6.18). A query without samples is measured between two walks.
#[derive(Debug)]
pub struct CpuSampler {
    core: Arc<SamplerCore>,
}

#[derive(Debug)]
struct SamplerCore {
    root: Arc<ProcRoot>,
    users: Arc<Users>,
    intervals: CpuIntervals,
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
    ranking_polls: Option<Polls>,
    stats: SamplerStats,
    stopping: bool,
}

/// Time between two samples.
const PERIOD: Duration = Duration::from_secs(1);
/// After this time without a completed sample the thread counts as stalled, and its last values are stale.
const STALL: Duration = Duration::from_secs(10);
/// Age limit of a ranking. The next sample is due after one period.
const RANKING_AGE: Duration = Duration::from_millis(2500);
/// How often users are sampled up again.
const USERS_AGE: Duration = Duration::from_secs(10);

impl CpuSampler {
    /// Creates a sampler. Its thread starts with the first query.
    #[must_use]
    pub fn new(walks: Arc<SharedWalk>, users: Arc<Users>) -> Self {
        let core = SamplerCore {
            root: Arc::clone(walks.root()),
            users,
            intervals: CpuIntervals::new(walks),
            epoch: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            at: AtomicU32::new(0),
            #[cfg(test)]
            panic_once: false.into(),
        };
        Self { core: Arc::new(core) }
    }

    /// Returns CPU utilization in percent of one CPU, rounded to one decimal.
    ///
    /// A query without two samples waits about a second and returns the use between two walks. The built-in key has no
    /// value then. Queries that are new within a few seconds share these walks.
    ///
    /// # Errors
    ///
    /// [`ProcError::Pattern`], [`ProcError::TooManyQueries`], [`ProcError::Sampler`], [`ProcError::Shortage`],
    /// [`ProcError::IntervalTooShort`], [`ProcError::Deadline`]. [`ProcError::UnknownUser`] or
    /// [`ProcError::UserLookup`]: for those two, agents 6.0.14 and 7.0.9 return an error and later 7.0 returns 0.
    /// [`ProcError::SamplerStalled`] if the kernel blocks the sampler's thread.
    pub fn utilization(
        &self,
        query: &CpuQuery,
        kind: CpuType,
        window: CpuWindow,
        deadline: Instant,
    ) -> Result<f64, ProcError> {
        match self.sampled(query, kind, window)? {
            Some(percent) => Ok(percent),
            None => self.core.first_value(query, kind, deadline),
        }
    }

    /// Returns the value from samples, if there are two. Samples the query from now on.
    fn sampled(&self, query: &CpuQuery, kind: CpuType, window: CpuWindow) -> Result<Option<f64>, ProcError> {
        let mut state = self.core.lock();
        let now = self.core.now();
        self.core.check_stall(&state, now)?;
        let answer =
            state.history.utilization(now, query, kind, window, self.core.root.facts().clock_ticks)?;
        self.run(&mut state)?;
        Ok(answer)
    }

    /// Returns names ranked by CPU over about the last minute. The first request waits about a second and ranks by the use
    /// between two walks.
    ///
    /// # Errors
    ///
    /// [`ProcError::Sampler`], [`ProcError::Shortage`], [`ProcError::IntervalTooShort`], [`ProcError::Deadline`].
    pub fn top(&self, deadline: Instant) -> Result<CpuRanking, ProcError> {
        if let Some(ranking) = self.sampled_ranking()? {
            return Ok(ranking);
        }
        self.core.intervals.measure(Needs::CMDLINE, deadline)?.ranking(deadline)
    }

    fn sampled_ranking(&self) -> Result<Option<CpuRanking>, ProcError> {
        let mut state = self.core.lock();
        let now = self.core.now();
        state.ranking_polls =
            Some(state.ranking_polls.map_or_else(|| Polls::first(now), |polls| polls.again(now)));
        let ranking = state.fresh_ranking(now).cloned();
        self.run(&mut state)?;
        Ok(ranking)
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
        self.ranking_polls.is_some_and(|polls| polls.is_expected(now))
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

    fn first_value(&self, query: &CpuQuery, kind: CpuType, deadline: Instant) -> Result<f64, ProcError> {
        let cmdline =
            (!query.cmdline.is_empty()).then(|| GoPattern::new(query.cmdline.as_bytes())).transpose()?;
        let uid = match &*query.user {
            "" => None,
            name => match self.users.uid(name)? {
                Some(uid) => Some(uid),
                None => return Err(ProcError::UnknownUser { name: name.to_owned() }),
            },
        };
        let name = (!query.name.is_empty()).then(|| query.name.as_bytes().into());
        let selector = Selector { name, uid, cmdline, state: None };
        self.intervals.measure(selector.needs(), deadline)?.utilization(&selector, kind, deadline)
    }

    /// Runs in the thread: takes one sample a second until no further poll is expected.
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
                    drop(state);
                    self.intervals.forget_old();
                    return;
                }
            }
            self.intervals.forget_old();
            let result = catch_unwind(AssertUnwindSafe(|| self.take_sample(&mut sampling)));
            if !matches!(result, Ok(Ok(()))) {
                // The sample is incomplete, and a panic may have left the state inconsistent.
                sampling = SamplingState::default();
                self.note_failure();
            }
            next = (next + PERIOD).max(self.now());
            self.rest_until(next);
        }
    }

    fn note_failure(&self) {
        let mut state = self.lock();
        state.stats.failed += 1;
        state.history.forget_samples();
        state.ranking = None;
        // It has failed, but it does not stall.
        state.sampled = self.now();
    }

    fn rest_until(&self, next: Duration) {
        let mut state = self.lock();
        while !state.stopping {
            let left = next.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
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
        let mut outcome = Ok(());
        self.root.each_pid(|pid| {
            outcome = self.take_process(sampling, pid);
            outcome.is_ok()
        })?;
        outcome?;
        self.publish(sampling, began);
        Ok(())
    }

    fn take_process(&self, sampling: &mut SamplingState, pid: u32) -> Result<(), ResourceShortage> {
        let SamplingState { tracker, buffer, .. } = sampling;
        let path = SmallPath::new(pid, b"/stat");
        let read = if_readable(read_at(self.root.dir(), path.as_cstr(), buffer, WHOLE_FILE_BYTES))?;
        match read.and_then(|()| Stat::parse(buffer)) {
            Some(stat) => tracker.take(pid, &stat, || self.read_texts(pid)),
            None => Ok(()),
        }
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
    }

    /// Reads command line and owner of a process.
    fn read_texts(&self, pid: u32) -> Result<Texts, ResourceShortage> {
        self.at.store(pid, Ordering::Relaxed);
        let Some(dir) = if_readable(self.root.open_pid(pid))? else { return Ok(Texts::default()) };
        let uid = if_readable(rustix::fs::fstat(&dir))?.map(|stat| stat.st_uid);
        let mut raw = Vec::new();
        let read = if_readable(read_at(dir.as_fd(), c"cmdline", &mut raw, CMDLINE_BYTES))?;
        Ok(Texts { cmdline: read.map(|()| Cmdline::new(raw)), uid })
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

    fn sampler() -> CpuSampler {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        CpuSampler::new(Arc::new(SharedWalk::new(root, Duration::from_secs(1))), Arc::new(Users::new()))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn wait_for_samples(sampler: &CpuSampler, count: u64) {
        let deadline = soon();
        while sampler.stats().samples < count {
            assert!(Instant::now() < deadline, "{:?}", sampler.stats());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn stalled_sampler_returns_an_error_and_no_old_values() {
        let sampler = sampler();
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
        let sampler = sampler();
        let query = CpuQuery { user: "root".to_owned(), ..CpuQuery::default() };
        assert!(!sampler.stats().running);
        assert!(sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1, soon()).unwrap() >= 0.0);
        assert!(sampler.stats().running);
        assert!(!sampler.top(soon()).unwrap().window.is_zero());
        wait_for_samples(&sampler, 2);
        let core = Arc::downgrade(&sampler.core);
        drop(sampler);
        let deadline = soon();
        while core.strong_count() > 0 {
            assert!(Instant::now() < deadline, "the thread is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn panic_in_a_sample_does_not_end_the_thread() {
        let sampler = sampler();
        sampler.core.panic_once.store(true, Ordering::Relaxed);
        assert!(sampler.top(soon()).is_ok());
        wait_for_samples(&sampler, 1);
        let stats = sampler.stats();
        assert_eq!((stats.failed, stats.running), (1, true));
    }

    #[test]
    fn sampler_survives_a_poisoned_lock() {
        let sampler = sampler();
        let core = Arc::clone(&sampler.core);
        let poisoned = std::thread::spawn(move || {
            let _guard = core.lock();
            panic!("poisons the lock on purpose");
        });
        assert!(poisoned.join().is_err());
        assert!(sampler.top(soon()).is_ok());
    }

    #[test]
    fn passed_deadline_is_an_error() {
        assert!(matches!(sampler().top(Instant::now()), Err(ProcError::Deadline { .. })));
    }

    #[test]
    fn deadline_without_time_for_two_samples_is_an_error_that_says_so() {
        let deadline = Instant::now() + Duration::from_millis(120);
        let error = sampler().top(deadline).unwrap_err().to_string();
        assert!(
            error.starts_with("CPU use needs two samples at least 100 ms apart, and the poll's"),
            "{error}"
        );
    }

    #[test]
    fn deadline_below_a_second_gives_a_value_of_the_time_that_is_left() {
        let ranking = sampler().top(Instant::now() + Duration::from_millis(900)).unwrap();
        assert!(ranking.window < Duration::from_millis(900), "{ranking:?}");
    }

    #[test]
    fn ranking_is_maintained_while_its_next_poll_is_expected() {
        let polls = Polls::first(Duration::from_secs(100));
        let state = State { ranking_polls: Some(polls), ..State::default() };
        let later = Duration::from_secs(190);
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
        let sampler = sampler();
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
