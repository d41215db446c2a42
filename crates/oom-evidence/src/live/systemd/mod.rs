//! systemd and systemd-oomd over D-Bus: a thread that follows the bus, and what others ask it.

mod bus;
mod units;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use units::{Known, Units};
pub use units::{OomdKill, Service, ServiceKill, Wanted};

/// What nobody has taken yet; the oldest give way. Enough for every service of the largest machine to end at once.
const NEWS_MAX: usize = units::UNITS_MAX;
/// Callers that come together share one look around.
const FRESH: Duration = Duration::from_secs(1);
/// A look around takes the manager's time, too: at most a tenth of it.
const REST: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// The manager says so.
    Service(ServiceKill),
    /// systemd-oomd says so.
    Oomd(OomdKill),
}

/// How it stands with the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The first attempt has not ended yet.
    Connecting,
    /// Signals are followed.
    Connected {
        /// Whether systemd-oomd is there.
        oomd: bool,
    },
    /// The bus, or the manager on it, cannot be reached. It is tried again, at the latest after half a minute.
    Broken {
        /// Why.
        why: String,
        /// There is no bus at all, or no systemd on it.
        absent: bool,
    },
}

/// What a caller is told of services.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Services {
    /// Why this is not how things stand now.
    pub problem: Option<String>,
    /// False where services were never read; then there are none in the list.
    pub known: bool,
    /// With a limit or asked for first, then the largest.
    pub list: Vec<Service>,
}

/// systemd of a machine, followed over D-Bus.
///
/// Nothing is started before the first question. Then one thread connects to the bus, subscribes to the manager's
/// signals and notes each OOM kill, also of a service that is started again at once. When the bus goes away it is looked
/// for again and again, at growing distances. No question waits longer than its deadline, whatever the bus does.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use oom_evidence::{Systemd, Wanted};
///
/// let systemd = Systemd::of(std::path::Path::new("/"), || println!("somebody was killed"));
/// let services = systemd.services(&Wanted { count: 10, ..Wanted::default() }, Instant::now() + Duration::from_secs(3));
/// for service in &services.list {
///     println!("{} {:?}", service.name, service.memory_current_bytes);
/// }
/// ```
pub struct Systemd {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    address: String,
    state: Mutex<State>,
    /// The state is another.
    changed: Condvar,
    on_news: Box<dyn Fn() + Send + Sync>,
}

struct State {
    link: Link,
    units: Units,
    /// Whether all services were looked at.
    known: bool,
    /// How many looks around have ended.
    looks: u64,
    /// The end of the last one, and how long it took.
    last: Option<(Instant, Duration)>,
    covered: Wanted,
    wanted: Option<Wanted>,
    /// Of the thread that follows, while it waits for what is wanted.
    waker: Option<Waker>,
    news: VecDeque<News>,
    over: bool,
}

impl Systemd {
    /// The manager of the machine whose root is at `host_root`. `on_news` is called, from the thread that follows the bus,
    /// when there is something to [`take`](Self::take); it must not wait for anything.
    ///
    /// The bus is at `run/dbus/system_bus_socket`; of the machine itself `DBUS_SYSTEM_BUS_ADDRESS` may name another.
    pub fn of(host_root: &Path, on_news: impl Fn() + Send + Sync + 'static) -> Self {
        let state = State {
            link: Link::Connecting,
            units: Units::default(),
            known: false,
            looks: 0,
            last: None,
            covered: Wanted::default(),
            wanted: None,
            waker: None,
            news: VecDeque::new(),
            over: false,
        };
        let shared = Shared {
            address: bus::address(host_root),
            state: Mutex::new(state),
            changed: Condvar::new(),
            on_news: Box::new(on_news),
        };
        Self { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// The services that are wanted, as they are now. Where the manager does not tell until `deadline`, as they were last
    /// known to be.
    pub fn services(&self, wanted: &Wanted, deadline: Instant) -> Services {
        self.start();
        let mut state = self.shared.lock();
        if !state.is_fresh(wanted) {
            let looks = state.looks;
            state.want(wanted);
            state = self.shared.wait(state, deadline, |state| {
                state.looks != looks || matches!(state.link, Link::Broken { .. })
            });
            if state.looks == looks && !matches!(state.link, Link::Broken { .. }) {
                return state.services(wanted, Some("systemd gave no answer in time".to_owned()));
            }
        }
        let problem = match &state.link {
            Link::Broken { why, .. } => Some(why.clone()),
            _ => None,
        };
        state.services(wanted, problem)
    }

    /// How it stands with the bus, when the first attempt has ended or at `deadline`.
    pub fn link(&self, deadline: Instant) -> Link {
        self.start();
        let state = self.shared.lock();
        self.shared.wait(state, deadline, |state| state.link != Link::Connecting).link.clone()
    }

    /// What was killed since the last call, oldest first.
    pub fn take(&self) -> Vec<News> {
        self.shared.lock().news.drain(..).collect()
    }

    /// A thread that ended, against all intent, is replaced.
    fn start(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("systemd".to_owned()).spawn(move || shared.follow()) {
            Ok(started) => *thread = Some(started),
            Err(error) => self.shared.broken(format!("no thread can be started: {error}"), false),
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.wake();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Systemd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Systemd").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing that panics is done under the lock but for allocations, and what it guards is whole at any time.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        until: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !until(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// The thread: one session on the bus after the other.
    fn follow(&self) {
        let _ending = Ending(self);
        let mut pause = FIRST_PAUSE;
        loop {
            let looks = self.lock().looks;
            if let Err(error) = bus::session(self) {
                self.broken(error.to_string(), error.is_absence());
            }
            let state = self.lock();
            if state.looks != looks {
                pause = FIRST_PAUSE;
            }
            if self.wait(state, Instant::now() + pause, |state| state.over).over {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn broken(&self, why: String, absent: bool) {
        self.lock().link = Link::Broken { why, absent };
        self.changed.notify_all();
    }

    fn oomd_is(&self, present: bool) {
        if let Link::Connected { oomd } = &mut self.lock().link {
            *oomd = present;
        }
    }

    fn update(&self, unit: &str, how: impl FnOnce(&mut Known)) {
        if let Some(known) = self.lock().units.0.get_mut(unit) {
            how(known);
        }
    }

    fn add_news(&self, news: News) {
        let mut state = self.lock();
        if state.news.len() >= NEWS_MAX {
            state.news.pop_front();
        }
        state.news.push_back(news);
        drop(state);
        (self.on_news)();
    }
}

/// Tells that the thread has ended, if it is torn down by a panic.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.broken("the thread that follows the bus has failed".to_owned(), false);
        }
    }
}

impl State {
    fn is_fresh(&self, wanted: &Wanted) -> bool {
        let is_recent = self.last.is_some_and(|(at, took)| at.elapsed() < FRESH.max(took * REST));
        matches!(self.link, Link::Connected { .. }) && is_recent && self.covered.covers(wanted)
    }

    fn want(&mut self, wanted: &Wanted) {
        self.wanted.get_or_insert_default().widen(wanted);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn services(&self, wanted: &Wanted, problem: Option<String>) -> Services {
        let list = if self.known { self.units.choose(wanted) } else { Vec::new() };
        Services {
            problem,
            known: self.known,
            list: list.iter().map(|known| known.service.clone()).collect(),
        }
    }

    /// For the thread that follows: what is wanted next, or none where it is over.
    fn next_wanted(&mut self, waker: &Waker) -> Poll<Option<Wanted>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(wanted) = self.wanted.take() {
            return Poll::Ready(Some(wanted));
        }
        self.waker = Some(waker.clone());
        Poll::Pending
    }

    fn looked(&mut self, wanted: Wanted, took: Duration, oomd: bool) {
        self.link = Link::Connected { oomd };
        self.known = true;
        self.looks += 1;
        self.last = Some((Instant::now(), took));
        self.covered = wanted;
    }
}
