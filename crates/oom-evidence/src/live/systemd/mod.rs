//! systemd and systemd-oomd over D-Bus. One thread follows the bus, and callers read what it has collected.

mod bus;
mod state;
mod units;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use state::SharedState;

pub use state::{Link, News, Services};
pub use units::{OomdKill, Service, ServiceKill, ServiceQuery};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// systemd of a machine, followed over D-Bus.
///
/// The first call starts a thread. It connects to the bus, subscribes to the manager's signals and notes each OOM kill,
/// also of a service that is started again at once. If the connection breaks, the thread connects again, with growing
/// pauses. No call waits longer than its deadline, even if the bus hangs.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use oom_evidence::{ServiceQuery, Systemd};
///
/// let systemd = Systemd::new(std::path::Path::new("/"), || println!("a service was killed"));
/// let query = ServiceQuery { count: 10, ..ServiceQuery::default() };
/// let services = systemd.services(&query, Instant::now() + Duration::from_secs(3));
/// for service in &services.list {
///     println!("{} {:?}", service.name, service.memory_current_bytes);
/// }
/// ```
pub struct Systemd {
    shared: Arc<SharedState>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Systemd {
    /// Prepares the connection to the manager of the machine whose root is at `host_root`. The following thread calls
    /// `on_news` if there is something to [`take`](Self::take); the function must not block.
    ///
    /// The bus is at `run/dbus/system_bus_socket`. For the root `/`, `DBUS_SYSTEM_BUS_ADDRESS` may name another one.
    pub fn new(host_root: &Path, on_news: impl Fn() + Send + Sync + 'static) -> Self {
        let shared = SharedState::new(bus::address(host_root), Box::new(on_news));
        Self { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Returns the services of the query. If the manager does not reply until `deadline`, returns the last known state.
    pub fn services(&self, query: &ServiceQuery, deadline: Instant) -> Services {
        self.start();
        let mut state = self.shared.lock();
        if !state.is_fresh(query) {
            let scans = state.scans;
            state.request(query);
            state = self.shared.wait(state, deadline, |state| {
                state.scans != scans || matches!(state.link, Link::Broken { .. })
            });
            if state.scans == scans && !matches!(state.link, Link::Broken { .. }) {
                return state.services(query, Some("systemd did not reply in time".to_owned()));
            }
        }
        let problem = match &state.link {
            Link::Broken { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        state.services(query, problem)
    }

    /// Returns the state of the connection. Waits for the end of the first attempt, at most until `deadline`.
    pub fn link(&self, deadline: Instant) -> Link {
        self.start();
        let state = self.shared.lock();
        self.shared.wait(state, deadline, |state| state.link != Link::Connecting).link.clone()
    }

    /// Returns the kills since the last call, oldest first.
    pub fn take(&self) -> Vec<News> {
        self.shared.lock().news.drain(..).collect()
    }

    /// Starts the thread. If it has ended because of a defect, it is replaced.
    fn start(&self) {
        self.shared.note_call();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("systemd".to_owned()).spawn(move || follow(&shared)) {
            Ok(started) => *thread = Some(started),
            Err(error) => self.shared.set_broken(&format!("cannot start a thread: {error}"), false),
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for Systemd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Systemd").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

/// The thread: one session on the bus after the other.
fn follow(shared: &SharedState) {
    let _guard = PanicGuard(shared);
    let mut pause = FIRST_PAUSE;
    loop {
        let scans = shared.lock().scans;
        if let Err(error) = bus::session(shared) {
            shared.set_broken(&error.to_string(), error.is_absence());
        }
        if shared.lock().scans != scans {
            pause = FIRST_PAUSE;
        }
        if shared.rest(pause) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Marks the connection as broken if a panic ends the thread.
struct PanicGuard<'a>(&'a SharedState);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set_broken("the thread that follows the bus has failed", false);
        }
    }
}
