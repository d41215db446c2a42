//! State that the thread that follows the bus shares with its callers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::units::{self, OomdKill, Service, ServiceKill, ServiceQuery, TrackedUnit, Units};
use crate::live::words::short_reason;

/// Kills that no caller has taken yet; the oldest are evicted. Enough for every service of the largest machine to end at
/// once.
const NEWS_MAX: usize = units::UNITS_MAX;
/// Callers that come within this time share one scan.
const FRESH: Duration = Duration::from_secs(1);
/// A bus that cannot be reached is tried again only if a caller came within this time. Otherwise nothing wakes up.
const RETRY_FOR: Duration = Duration::from_secs(600);
/// Signals are followed only if a caller came within this time.
const FOLLOW_FOR: Duration = Duration::from_secs(24 * 3600);
/// A scan takes the manager's time as well: at most a tenth of it.
const REST: u32 = 9;

/// A kill that was reported over D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// Reported by the manager.
    Service(ServiceKill),
    /// Reported by systemd-oomd.
    Oomd(OomdKill),
}

/// State of the connection to the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The first attempt has not ended yet.
    Connecting,
    /// Signals are followed.
    Connected {
        /// Whether systemd-oomd is on the bus.
        oomd: bool,
    },
    /// The bus, or the manager on it, cannot be reached. It is tried again within half a minute.
    Broken {
        /// Why.
        reason: String,
        /// The machine has no bus, or the bus has no systemd.
        absent: bool,
    },
}

/// Services, as [`Systemd::services`](super::Systemd::services) returns them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Services {
    /// Why the list is not current; none if it is.
    pub problem: Option<String>,
    /// False if the services were never read. Then the list is empty.
    pub known: bool,
    /// Services with a limit and those that the query names first, then the largest.
    pub list: Vec<Service>,
}

pub(super) struct SharedState {
    pub(super) address: String,
    state: Mutex<FollowerState>,
    /// Signalled if the state has changed.
    changed: Condvar,
    on_news: Box<dyn Fn() + Send + Sync>,
}

pub(super) struct FollowerState {
    pub(super) link: Link,
    pub(super) units: Units,
    /// Whether all services were read.
    is_known: bool,
    /// Number of finished scans.
    pub(super) scans: u64,
    /// End and duration of the last scan.
    last: Option<(Instant, Duration)>,
    covered: ServiceQuery,
    pub(super) requested: Option<ServiceQuery>,
    /// Wakes the following thread when it waits for a request.
    waker: Option<Waker>,
    pub(super) news: VecDeque<News>,
    pub(super) is_over: bool,
    /// When the last caller came.
    called: Instant,
}

impl SharedState {
    pub(super) fn new(address: String, on_news: Box<dyn Fn() + Send + Sync>) -> Self {
        let state = FollowerState {
            link: Link::Connecting,
            units: Units::default(),
            is_known: false,
            scans: 0,
            last: None,
            covered: ServiceQuery::default(),
            requested: None,
            waker: None,
            news: VecDeque::new(),
            is_over: false,
            called: Instant::now(),
        };
        Self { address, state: Mutex::new(state), changed: Condvar::new(), on_news }
    }

    /// Nothing under the lock panics except allocations, and the state is consistent at any time.
    pub(super) fn lock(&self) -> MutexGuard<'_, FollowerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, FollowerState>,
        deadline: Instant,
        until: impl Fn(&FollowerState) -> bool,
    ) -> MutexGuard<'a, FollowerState> {
        while !until(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Notes that a caller came, and wakes a thread that waits for one.
    pub(super) fn note_call(&self) {
        let mut state = self.lock();
        let was_left_alone = !state.is_wanted_within(RETRY_FOR);
        state.called = Instant::now();
        drop(state);
        if was_left_alone {
            self.changed.notify_all();
        }
    }

    /// Waits before the next session, until `pause` is over. If no caller has come for long, waits for the next one.
    /// Returns whether the thread is to end.
    pub(super) fn rest(&self, pause: Duration) -> bool {
        let state = self.lock();
        let mut state = self.wait(state, Instant::now() + pause, |state| state.is_over);
        while !(state.is_over || state.is_wanted_within(RETRY_FOR)) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_over
    }

    /// Ends the following thread.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        state.wake();
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn set_broken(&self, reason: &str, absent: bool) {
        self.lock().link = Link::Broken { reason: short_reason(reason), absent };
        self.changed.notify_all();
    }

    pub(super) fn set_oomd(&self, present: bool) {
        if let Link::Connected { oomd } = &mut self.lock().link {
            *oomd = present;
        }
    }

    pub(super) fn finish_scan(&self, query: ServiceQuery, took: Duration, oomd: bool) {
        let mut state = self.lock();
        state.link = Link::Connected { oomd };
        state.is_known = true;
        state.scans += 1;
        state.last = Some((Instant::now(), took));
        state.covered = query;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn update(&self, unit: &str, change: impl FnOnce(&mut TrackedUnit)) {
        if let Some(unit) = self.lock().units.0.get_mut(unit) {
            change(unit);
        }
    }

    pub(super) fn add_news(&self, news: News) {
        let mut state = self.lock();
        if state.news.len() >= NEWS_MAX {
            state.news.pop_front();
        }
        state.news.push_back(news);
        drop(state);
        (self.on_news)();
    }
}

impl FollowerState {
    pub(super) fn is_fresh(&self, query: &ServiceQuery) -> bool {
        let is_recent = self.last.is_some_and(|(at, took)| at.elapsed() < FRESH.max(took * REST));
        matches!(self.link, Link::Connected { .. }) && is_recent && self.covered.covers(query)
    }

    /// Requests a scan that covers the query.
    pub(super) fn request(&mut self, query: &ServiceQuery) {
        self.requested.get_or_insert_default().widen(query);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn services(&self, query: &ServiceQuery, problem: Option<String>) -> Services {
        let list = if self.is_known { self.units.choose(query) } else { Vec::new() };
        Services {
            problem,
            known: self.is_known,
            list: list.iter().map(|unit| unit.service.clone()).collect(),
        }
    }

    fn is_wanted_within(&self, time: Duration) -> bool {
        self.called.elapsed() < time
    }

    /// Returns the next request to the following thread, or none if the session is to end.
    pub(super) fn next_request(&mut self, waker: &Waker) -> Poll<Option<ServiceQuery>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if !self.is_wanted_within(FOLLOW_FOR) {
            // The next caller waits for a new session.
            self.link = Link::Connecting;
            return Poll::Ready(None);
        }
        if let Some(query) = self.requested.take() {
            return Poll::Ready(Some(query));
        }
        self.waker = Some(waker.clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn state_called(ago: Duration) -> Arc<SharedState> {
        let shared = SharedState::new("unix:path=/none".to_owned(), Box::new(|| {}));
        shared.lock().called = Instant::now().checked_sub(ago).unwrap();
        Arc::new(shared)
    }

    #[test]
    fn broken_bus_is_left_alone_until_the_next_caller_comes() {
        let shared = state_called(RETRY_FOR);
        let resting = Arc::clone(&shared);
        let thread = thread::spawn(move || resting.rest(Duration::ZERO));
        thread::sleep(Duration::from_millis(300));
        assert!(!thread.is_finished(), "no timer wakes it");
        shared.note_call();
        assert!(!thread.join().unwrap());
        assert!(!shared.rest(Duration::ZERO), "a caller came just now");
    }

    #[test]
    fn resting_thread_ends_with_its_owner() {
        for ago in [Duration::ZERO, RETRY_FOR] {
            let shared = state_called(ago);
            let resting = Arc::clone(&shared);
            let thread = thread::spawn(move || resting.rest(SOON));
            shared.end();
            assert!(thread.join().unwrap());
        }
    }

    #[test]
    fn session_without_callers_ends_after_a_day() {
        let shared = state_called(FOLLOW_FOR - Duration::from_secs(60));
        assert!(shared.lock().next_request(Waker::noop()).is_pending());
        let shared = state_called(FOLLOW_FOR);
        assert_eq!(shared.lock().next_request(Waker::noop()), Poll::Ready(None));
        assert_eq!(shared.lock().link, Link::Connecting);
    }

    #[test]
    fn reason_of_a_broken_connection_is_short() {
        let shared = state_called(Duration::ZERO);
        shared.set_broken(&"x\n".repeat(10_000), false);
        let Link::Broken { reason, .. } = shared.lock().link.clone() else { panic!("it is broken") };
        assert!(reason.chars().count() <= 200 && !reason.contains('\n'));
    }
}
