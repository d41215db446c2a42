//! The thread that takes one look a second.

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
    /// Looks taken.
    pub looks: u64,
    /// Looks that ended in a panic or could not list `/proc`.
    pub failed: u64,
    /// Time spent looking.
    pub looking: Duration,
    /// Whether the thread is there.
    pub running: bool,
}

/// Takes one look a second at the CPU times of all processes, while anybody asks.
///
/// The thread begins with the first question and ends when there is nothing left to watch. A look reads `stat` of every
/// process: about 20 ms of CPU time for 2,000 processes (2 cores, Linux 6.18).
#[derive(Debug)]
pub struct CpuSampler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Arc<ProcRoot>,
    users: Arc<Users>,
    epoch: Instant,
    state: Mutex<State>,
    changed: Condvar,
    /// The process whose texts are being read.
    at: AtomicU32,
    /// Makes the next look panic.
    #[cfg(test)]
    panic_once: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    history: CpuHistory,
    ranking: Option<(Duration, CpuRanking)>,
    /// When the last look ended, or the thread began.
    looked: Duration,
    /// When the ranking was last asked for.
    ranking_asked: Option<Duration>,
    stats: SamplerStats,
    stopping: bool,
}

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);
/// A thread that has not ended a look for so long stands still, and its last values say nothing of now.
const STALL: Duration = Duration::from_secs(10);
/// How long rankings go on being made after one was asked for.
const RANKING_UNUSED: Duration = Duration::from_secs(15 * 60);
/// How old a ranking may be; the first look after it is due after one period.
const RANKING_AGE: Duration = Duration::from_millis(2500);
/// How often users are looked up again.
const USERS_AGE: Duration = Duration::from_secs(10);

impl CpuSampler {
    /// A sampler that does nothing until it is asked.
    #[must_use]
    pub fn new(root: Arc<ProcRoot>, users: Arc<Users>) -> Self {
        let shared = Shared {
            root,
            users,
            epoch: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            at: AtomicU32::new(0),
            #[cfg(test)]
            panic_once: false.into(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// CPU utilization in percent of one CPU, rounded to one decimal. `Ok(None)` when the query is new: the built-in
    /// key has no value then either. The query is watched from the first call on, until it is not asked for 25 hours.
    ///
    /// # Errors
    ///
    /// [`ProcError::Pattern`], [`ProcError::TooManyQueries`], [`ProcError::Sampler`]; and from the second look on
    /// [`ProcError::UnknownUser`] or [`ProcError::UserLookup`]. Agents 6.0.14 and 7.0.9 answer those two with an error,
    /// later 7.0 with 0. [`ProcError::SamplerStalled`] where the kernel holds the sampler's thread.
    pub fn utilization(
        &self,
        query: &CpuQuery,
        kind: CpuType,
        window: CpuWindow,
    ) -> Result<Option<f64>, ProcError> {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        self.shared.check_stall(&state, now)?;
        let answer = state.history.ask(now, query, kind, window, self.shared.root.facts().clock_ticks)?;
        self.run(&mut state)?;
        Ok(answer)
    }

    /// Names ranked by CPU over about the last minute. The first who asks waits about a second for two looks.
    ///
    /// # Errors
    ///
    /// [`ProcError::Sampler`], [`ProcError::Deadline`] if the deadline comes before the second look.
    pub fn top(&self, deadline: Instant) -> Result<CpuRanking, ProcError> {
        let mut state = self.shared.lock();
        loop {
            let now = self.shared.now();
            state.ranking_asked = Some(now);
            if let Some((made, ranking)) = &state.ranking
                && now.saturating_sub(*made) <= RANKING_AGE
            {
                return Ok(ranking.clone());
            }
            self.run(&mut state)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ProcError::Deadline { doing: "before the second look at CPU times".to_owned() });
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> SamplerStats {
        let state = self.shared.lock();
        SamplerStats { queries: state.history.len(), ..state.stats }
    }

    /// Starts the thread if it is not there.
    fn run(&self, state: &mut State) -> Result<(), ProcError> {
        if state.stats.running {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("cpu-sampler".to_owned());
        thread.spawn(move || shared.sample()).map_err(ProcError::Sampler)?;
        state.stats.running = true;
        state.looked = self.shared.now();
        Ok(())
    }
}

impl Drop for CpuSampler {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn wants_ranking(&self, now: Duration) -> bool {
        self.ranking_asked.is_some_and(|asked| now.saturating_sub(asked) <= RANKING_UNUSED)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.stopping || (self.history.len() == 0 && !self.wants_ranking(now))
    }
}

/// Marks the thread as gone if it panics outside of a look, so that the next question starts another.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().stats.running = false;
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_stall(&self, state: &State, now: Duration) -> Result<(), ProcError> {
        let still = now.saturating_sub(state.looked);
        if !state.stats.running || still < STALL {
            return Ok(());
        }
        let pid = self.at.load(Ordering::Relaxed);
        Err(ProcError::SamplerStalled { pid, seconds: still.as_secs() })
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The thread: one look a second until there is nothing to watch.
    fn sample(&self) {
        let _running = Running(self);
        let mut eye = Eye::default();
        let mut next = self.now();
        loop {
            {
                let mut state = self.lock();
                state.history.expire(self.now());
                if state.is_idle(self.now()) {
                    // Under the lock, so that a question that comes now finds the thread gone.
                    state.stats.running = false;
                    state.ranking = None;
                    return;
                }
            }
            let look = catch_unwind(AssertUnwindSafe(|| self.look(&mut eye)));
            if !matches!(look, Ok(Ok(()))) {
                self.lock().stats.failed += 1;
            }
            if look.is_err() {
                // What a panic left half done is not built upon.
                eye = Eye::default();
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

    /// Nothing is read while the lock is held: a file of `/proc` or the name service may take its time.
    fn look(&self, eye: &mut Eye) -> Result<(), ProcError> {
        #[cfg(test)]
        assert!(!self.panic_once.swap(false, std::sync::atomic::Ordering::Relaxed), "panics on purpose");
        let began = self.now();
        self.look_up_users(eye, began);
        {
            let state = self.lock();
            let (generation, watches) = state.history.watches();
            eye.tracker.watch(generation, watches);
        }
        eye.tracker.begin(self.now());
        let Eye { tracker, buffer, .. } = eye;
        self.root.each_pid(|pid| {
            let path = SmallPath::of(pid, b"/stat");
            if read_at(self.root.dir(), path.as_cstr(), buffer, WHOLE_FILE_BYTES).is_ok()
                && let Some(stat) = Stat::parse(buffer)
            {
                tracker.take(pid, &stat, || self.texts(pid));
            }
            true
        })?;
        self.publish(eye, began);
        Ok(())
    }

    fn publish(&self, eye: &mut Eye, began: Duration) {
        let now = eye.tracker.now();
        let used = eye.tracker.end().to_vec();
        let mut state = self.lock();
        state.history.observe(now, &used);
        state.looked = self.now();
        state.stats.looks += 1;
        state.stats.looking += self.now().saturating_sub(began);
        let ranking = state.wants_ranking(now).then(|| eye.tracker.ranking(self.root.facts().clock_ticks));
        state.ranking = ranking.flatten().map(|ranking| (self.now(), ranking));
        drop(state);
        self.changed.notify_all();
    }

    /// Command line and owner of a process.
    fn texts(&self, pid: u32) -> Texts {
        self.at.store(pid, Ordering::Relaxed);
        let Ok(dir) = self.root.open_pid(pid) else { return Texts::default() };
        let uid = rustix::fs::fstat(&dir).ok().map(|stat| stat.st_uid);
        let mut raw = Vec::new();
        let read = read_at(dir.as_fd(), c"cmdline", &mut raw, CMDLINE_BYTES);
        Texts { cmdline: read.is_ok().then(|| Cmdline::new(raw)), uid }
    }

    /// Looks up the users of new queries, and of all from time to time: users come and go.
    fn look_up_users(&self, eye: &mut Eye, now: Duration) {
        let all = eye.users_read.is_none_or(|read| now.saturating_sub(read) >= USERS_AGE);
        let due: HashSet<String> = {
            let state = self.lock();
            let watches = state.history.watches().1.iter();
            let due = watches.filter(|watch| match watch.owner {
                Owner::Anybody => false,
                Owner::Pending => true,
                Owner::Known(_) | Owner::Unknown | Owner::Failed(_) => all,
            });
            due.map(|watch| watch.query.user.clone()).collect()
        };
        if all {
            eye.users_read = Some(now);
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

/// How much of a command line is matched each time; it is not kept.
const CMDLINE_BYTES: usize = 4 * 1024 * 1024;

/// What the thread keeps from look to look.
#[derive(Debug, Default)]
struct Eye {
    tracker: Tracker,
    buffer: Vec<u8>,
    users_read: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_sampler_that_stands_still_tells_no_old_values() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        sampler.shared.at.store(42, Ordering::Relaxed);
        let mut state = sampler.shared.lock();
        let later = STALL + Duration::from_secs(1);
        assert!(sampler.shared.check_stall(&state, later).is_ok(), "no thread, no stall");
        state.stats.running = true;
        let error = sampler.shared.check_stall(&state, later).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CPU times have not been read for 11 s: the kernel holds their reader at process 42"
        );
        state.looked = later;
        assert!(sampler.shared.check_stall(&state, later).is_ok());
    }

    #[test]
    fn the_thread_comes_with_the_first_question_and_goes_with_the_sampler() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        let query = CpuQuery { user: "root".to_owned(), ..CpuQuery::default() };
        assert!(!sampler.stats().running);
        assert_eq!(sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1).unwrap(), None);
        assert!(sampler.stats().running);
        let ranking = sampler.top(Instant::now() + Duration::from_secs(30)).unwrap();
        assert!(!ranking.window.is_zero());
        assert!(sampler.stats().looks >= 2);
        let shared = Arc::downgrade(&sampler.shared);
        drop(sampler);
        let patience = Instant::now() + Duration::from_secs(30);
        while shared.strong_count() > 0 {
            assert!(Instant::now() < patience, "the thread is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_panic_in_a_look_ends_neither_thread_nor_histories() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        sampler.shared.panic_once.store(true, Ordering::Relaxed);
        assert!(sampler.top(Instant::now() + Duration::from_secs(30)).is_ok());
        let stats = sampler.stats();
        assert_eq!((stats.failed, stats.running), (1, true));
    }

    #[test]
    fn a_poisoned_lock_is_no_end() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        let shared = Arc::clone(&sampler.shared);
        let poisoned = std::thread::spawn(move || {
            let _guard = shared.lock();
            panic!("poisons the lock on purpose");
        });
        assert!(poisoned.join().is_err());
        assert!(sampler.top(Instant::now() + Duration::from_secs(30)).is_ok());
    }

    #[test]
    fn a_deadline_that_is_too_short_is_told() {
        let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
        let sampler = CpuSampler::new(root, Arc::new(Users::new()));
        assert!(matches!(sampler.top(Instant::now()), Err(ProcError::Deadline { .. })));
    }
}
