//! Reports of the kernel's ring buffer, read without pause: a ring that wraps between two polls loses none.

mod follower;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ring::RingError;
use crate::report::Report;
use follower::{Shared, follow};
use state::{Drained, LogState};

/// Pause of a caller that waits for the rest of a report.
const PAUSE: Duration = Duration::from_millis(20);

/// The OOM reports of a machine's `/dev/kmsg`.
///
/// The first call of [`read`](Self::read) opens the file and starts a thread. The thread sleeps in the kernel until a
/// record comes, and parses it at once. So a ring that wraps between two calls loses nothing. The thread ends if a day has
/// passed without a call, and the next call starts it again. Without a thread the calls read the ring themselves.
///
/// At most 512 reports and 2 MiB wait for the next call. Then the thread stops, and later records stay in the kernel's ring
/// until it overwrites them. Their sequence numbers give the exact number of overwritten records.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// let log = oom_evidence::KernelLog::open(std::path::Path::new("/"), None, || println!("a report came"))?;
/// let read = log.read(Instant::now() + Duration::from_secs(2));
/// println!("{} reports, {} records were overwritten", read.reports.len(), read.lost);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct KernelLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Counts that a caller has taken.
    taken: Mutex<(u64, u64)>,
}

/// What a call of [`KernelLog::read`] returns.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct KernelLogRead {
    /// Complete reports since the last call, oldest first.
    pub reports: Vec<Report>,
    /// The sequence number at which a later reader of the same boot continues: everything before it is in the reports and
    /// the counts. None if no record was read yet.
    pub position: Option<u64>,
    /// Records overwritten before they could be read, since the last call.
    pub lost: u64,
    /// Records overwritten before the very first read, since the last call.
    pub before_start: u64,
    /// Why the ring is not read now; none if it is.
    pub error: Option<Arc<RingError>>,
    /// What should be logged: failures of the ring or of the thread since the last call.
    pub notes: Vec<String>,
}

impl KernelLog {
    /// Prepares the reading of `dev/kmsg` below `host_root`. `position` is that of an earlier reader of the same boot. The
    /// thread calls `on_report` if there is something to [`take`](Self::take); the function must not block.
    ///
    /// # Errors
    ///
    /// If there is no free file descriptor. That the file cannot be opened is a result of [`read`](Self::read).
    pub fn open(
        host_root: &Path,
        position: Option<u64>,
        on_report: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::new(LogState::of_machine(host_root), position, Box::new(on_report))
    }

    fn new(
        mut state: LogState,
        position: Option<u64>,
        on_report: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        if let Some(position) = position {
            state.resume_at(position);
        }
        Ok(Self {
            shared: Arc::new(Shared::new(state, on_report)?),
            thread: Mutex::default(),
            taken: Mutex::default(),
        })
    }

    /// Reads what is new. If a report is open at the end, waits a moment for the rest of it. Returns soon after `deadline`,
    /// also in a flood.
    pub fn read(&self, deadline: Instant) -> KernelLogRead {
        let caller = self.shared.enter();
        let mut state = self.shared.lock();
        state.wanted_until = Instant::now() + state.timing.keep;
        let is_new = state.ensure_open();
        let mut reports = Vec::from(state.take_reports());
        loop {
            let wait = match state.drain() {
                Drained::Part => Duration::ZERO,
                Drained::All => match state.close_silent_report() {
                    Some(silence) => silence.min(PAUSE),
                    None => break,
                },
                Drained::Full | Drained::Closed => break,
            };
            if Instant::now() + wait >= deadline {
                break;
            }
            if !wait.is_zero() {
                drop(state);
                thread::sleep(wait);
                state = self.shared.lock();
            }
        }
        reports.extend(state.take_reports());
        if is_new {
            self.shared.wake();
        }
        if state.readiness().is_some() {
            self.ensure_thread(&mut state);
        }
        let read = self.result(&mut state, reports);
        drop((state, caller));
        read
    }

    /// Returns what the thread has read, and reads nothing.
    pub fn take(&self) -> KernelLogRead {
        let caller = self.shared.enter();
        let mut state = self.shared.lock();
        let reports = state.take_reports().into();
        let read = self.result(&mut state, reports);
        drop((state, caller));
        read
    }

    fn result(&self, state: &mut LogState, reports: Vec<Report>) -> KernelLogRead {
        if std::mem::take(&mut state.is_stalled) {
            self.shared.wake();
        }
        let settled = state.settled();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (lost, before_start) = std::mem::replace(&mut *taken, (settled.lost, settled.before_start));
        KernelLogRead {
            reports,
            position: settled.next,
            lost: settled.lost - lost,
            before_start: settled.before_start - before_start,
            error: state
                .failure
                .as_ref()
                .filter(|_| !state.is_open())
                .map(|failure| Arc::clone(&failure.error)),
            notes: state.notes.take(),
        }
    }

    /// Starts the thread if it does not run: it has not been started yet, has ended after a day, or has failed.
    fn ensure_thread(&self, state: &mut LogState) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_thread && thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        if state.has_thread && thread.take().is_some_and(|ended| ended.join().is_err()) {
            state
                .notes
                .add("the thread that reads the kernel's log has failed and is started again".to_owned());
        }
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("kmsg".to_owned()).spawn(move || follow(&shared)) {
            Ok(started) => {
                *thread = Some(started);
                state.has_thread = true;
            }
            Err(error) => {
                state.has_thread = false;
                state.notes.add(format!(
                    "cannot start the thread that reads the kernel's log, so only polls read it: {error}"
                ));
            }
        }
    }
}

impl Drop for KernelLog {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelLog").finish_non_exhaustive()
    }
}
