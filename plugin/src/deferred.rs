//! Work that follows polls after a pause. Its thread sleeps without a timeout when nothing is polled.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests for work, from polls to the thread that does it.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_requested: bool,
    is_over: bool,
}

impl Deferred {
    /// Requests the work. All requests before it begins are one.
    pub(crate) fn request(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_requested, true) {
            self.changed.notify_all();
        }
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    /// Does the work `pause` after a request. If the work returns a time, it is done again after that time without a request.
    /// Returns after [`Deferred::end`].
    pub(crate) fn run(&self, pause: Duration, mut work: impl FnMut() -> Option<Duration>) {
        let mut again = None;
        while self.wait(again) && !self.pause(pause) {
            self.state().is_requested = false;
            again = work();
        }
    }

    /// Waits for a request, or for a time. Returns `false` at the end.
    fn wait(&self, time: Option<Duration>) -> bool {
        let is_idle = |state: &mut State| !(state.is_requested || state.is_over);
        let state = match time {
            None => self.changed.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.changed.wait_timeout_while(self.state(), time, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        !state.is_over
    }

    /// Returns whether the end came during the pause.
    fn pause(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), pause, |state| !state.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn work_follows_a_request_and_not_without_one() {
        let (deferred, (done, works)) = (Deferred::default(), mpsc::channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                deferred.run(PAUSE, || {
                    done.send(()).unwrap();
                    None
                });
            });
            for _ in 0..2 {
                let early = works.recv_timeout(Duration::from_millis(100));
                assert_eq!(early, Err(RecvTimeoutError::Timeout), "no request, no work");
                deferred.request();
                works.recv_timeout(LONG).unwrap();
            }
            deferred.end();
        });
    }

    #[test]
    fn unfinished_work_is_done_again() {
        let (deferred, (done, works)) = (Deferred::default(), mpsc::channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut left = 3;
                deferred.run(PAUSE, || {
                    left -= 1;
                    done.send(left).unwrap();
                    (left > 0).then_some(PAUSE)
                });
            });
            deferred.request();
            assert_eq!([(); 3].map(|()| works.recv_timeout(LONG).unwrap()), [2, 1, 0]);
            deferred.end();
        });
    }
}
