//! The thread that reads the ring as soon as there are records.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::state::{self, Drained, LogState};

/// Pause between two parts of a flood while a caller waits for the lock: the lock is not fair.
const YIELD: Duration = Duration::from_millis(1);
/// Limit of consecutive wake-ups without a record.
const EMPTY_WAKES_MAX: u32 = 100;

/// The state and what wakes its thread.
pub(super) struct Shared {
    state: Mutex<LogState>,
    /// Readable if the thread should check the state again.
    wake: OwnedFd,
    /// Callers that have the lock or wait for it.
    callers: AtomicU32,
    is_over: AtomicBool,
    on_report: Box<dyn Fn() + Send + Sync>,
}

/// A caller that has the lock or waits for it.
pub(super) struct Caller<'a>(&'a Shared);

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// # Errors
    /// If there is no free file descriptor.
    pub(super) fn new(state: LogState, on_report: Box<dyn Fn() + Send + Sync>) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(state),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            callers: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            on_report,
        })
    }

    pub(super) fn enter(&self) -> Caller<'_> {
        self.callers.fetch_add(1, Ordering::AcqRel);
        Caller(self)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.recover();
            self.state.clear_poison();
            state
        })
    }

    pub(super) fn wake(&self) {
        // The counter of an eventfd does not overflow here: the thread resets it.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }
}

/// What the thread waits for.
enum Next {
    /// Nothing: there are more records.
    More,
    /// The source if it is open, a call of [`Shared::wake`], or this time.
    Wait(Option<Arc<OwnedFd>>, Instant),
    /// The thread ends.
    End,
}

/// The thread: reads records until no caller wants them any more.
pub(super) fn follow(shared: &Shared) {
    let mut wakes = Wakes::default();
    loop {
        let next = advance(shared, &mut wakes);
        let has_news = shared.lock().announce();
        if has_news {
            (shared.on_report)();
        }
        match next {
            Next::More if shared.callers.load(Ordering::Acquire) > 0 => thread::sleep(YIELD),
            Next::More => {}
            Next::Wait(source, until) => wakes.wait(shared, source.as_deref(), until),
            Next::End => return,
        }
    }
}

/// What the last wait has returned, and what came of it.
#[derive(Default)]
struct Wakes {
    is_readable: bool,
    is_closed: bool,
    progress: u64,
    empty: u32,
}

impl Wakes {
    fn wait(&mut self, shared: &Shared, source: Option<&OwnedFd>, until: Instant) {
        let wake = PollFd::new(&shared.wake, PollFlags::IN);
        let mut fds = vec![wake];
        fds.extend(source.map(|source| PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)));
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        if !matches!(poll(&mut fds, timeout.as_ref()), Ok(_) | Err(Errno::INTR)) {
            // Without memory poll(2) fails at once. Do not try it again and again.
            thread::sleep(left.min(Duration::from_secs(1)));
        }
        let events = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        self.is_readable = events.contains(PollFlags::IN);
        self.is_closed = events.intersects(PollFlags::HUP | PollFlags::NVAL);
        let _ = rustix::io::read(&shared.wake, &mut [0; 8]);
    }

    /// Returns an error if the source is closed, or wakes the thread again and again for nothing.
    fn check(&mut self, progress: u64) -> Option<io::Error> {
        let is_empty = std::mem::take(&mut self.is_readable) && progress == self.progress;
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        self.progress = progress;
        if std::mem::take(&mut self.is_closed) {
            return Some(state::closed());
        }
        (self.empty >= EMPTY_WAKES_MAX).then(|| {
            self.empty = 0;
            state::empty()
        })
    }
}

/// Reads a few records and returns what to wait for.
fn advance(shared: &Shared, wakes: &mut Wakes) -> Next {
    let mut state = shared.lock();
    if shared.is_over.load(Ordering::Acquire) || Instant::now() >= state.wanted_until {
        state.close();
        state.has_thread = false;
        return Next::End;
    }
    state.ensure_open();
    let drained = state.drain();
    state.is_stalled = drained == Drained::Full;
    match drained {
        Drained::Part => Next::More,
        Drained::Full => Next::Wait(None, state.wanted_until),
        Drained::Closed => Next::Wait(None, retry_at(&state)),
        Drained::All => {
            let silence = state.close_silent_report();
            if let Some(error) = wakes.check(state.progress()) {
                state.fail(error);
                return Next::Wait(None, retry_at(&state));
            }
            let until = silence.map_or(state.wanted_until, |silence| Instant::now() + silence);
            match state.readiness() {
                Some(source) => Next::Wait(Some(source), until),
                // What was opened again is not the kernel's log. Callers read it.
                None => {
                    state.has_thread = false;
                    Next::End
                }
            }
        }
    }
}

fn retry_at(state: &LogState) -> Instant {
    state.failure.as_ref().map_or(state.wanted_until, |failure| failure.retry_at).min(state.wanted_until)
}
