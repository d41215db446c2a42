//! The age of requests.
//!
//! The agent's timeout runs from the moment it sent a request. A process that was stopped (`SIGSTOP`, a frozen cgroup, a
//! machine that swaps) reads old requests as if they were new. Nothing in the socket shows their age. But a request
//! cannot be older than the last time at which the socket was empty. So while polls come, the supervisor checks the
//! socket at short intervals, and counts the age of a request from the last check. When no polls come, it sleeps
//! without a timeout. Then `SIGCONT`, which ends a stop, shows that the age of waiting requests is unknown.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::link::Arrival;

/// Interval of the checks while polls come. A request counts as older than it is by at most this.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// The checks end when no poll has come for twice the longest pause between polls, within these limits.
const HEARTBEAT_AT_LEAST: Duration = Duration::from_secs(5);
const HEARTBEAT_AT_MOST: Duration = Duration::from_secs(600);
/// A longer pause between polls than the longest one is forgotten after this.
const FORGET_PAUSE_AFTER: Duration = Duration::from_secs(3600);
/// After a check that came this late, requests are old for a while: the agent could not write them while the socket was full.
const STALL: Duration = Duration::from_secs(1);
const AFTER_STALL: Duration = Duration::from_millis(50);

/// The times at which the agent's socket was empty.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// No request is older than this.
    empty_at: Instant,
    /// The last time at which the socket was read until it was empty.
    checked_at: Instant,
    /// The socket is checked at intervals until then.
    beats_until: Instant,
    /// The stall whose requests may still arrive ends then.
    stalled_until: Option<Instant>,
    is_age_known: bool,
    last_poll: Instant,
    longest_pause: Duration,
    paused_at: Instant,
    was_continued: Arc<AtomicBool>,
}

impl Arrivals {
    /// # Errors
    /// The signal handler cannot be installed.
    pub(super) fn new(now: Instant) -> io::Result<Self> {
        let was_continued = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGCONT, Arc::clone(&was_continued))?;
        Ok(Self::with_signal(now, was_continued))
    }

    fn with_signal(now: Instant, was_continued: Arc<AtomicBool>) -> Self {
        Self {
            empty_at: now,
            checked_at: now,
            beats_until: now + HEARTBEAT_AT_LEAST,
            stalled_until: None,
            is_age_known: true,
            last_poll: now,
            longest_pause: Duration::ZERO,
            paused_at: now,
            was_continued,
        }
    }

    /// Returns the time of the next check of the socket, if there is one.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.is_beating().then(|| self.stalled_until.unwrap_or(self.checked_at + HEARTBEAT))
    }

    fn is_beating(&self) -> bool {
        self.checked_at < self.beats_until
    }

    /// Records that the socket was read at `now`. The requests read belong to the arrivals of this reading.
    pub(super) fn begin(&mut self, now: Instant) {
        let was_stopped = self.was_continued.swap(false, Ordering::AcqRel);
        if self.stalled_until.is_some_and(|end| now < end) {
            self.is_age_known &= !was_stopped;
            return;
        }
        if self.stalled_until.take().is_some() {
            self.empty_at = self.checked_at;
        }
        if !self.is_beating() {
            self.empty_at = now;
        }
        self.is_age_known = !was_stopped;
        let is_stalled = was_stopped || now.duration_since(self.empty_at) > STALL;
        self.stalled_until = is_stalled.then(|| now + AFTER_STALL);
    }

    /// Returns the arrival of a request that was just read and whose timeout is `limit`.
    pub(super) fn arrival(&mut self, now: Instant, limit: Duration) -> Arrival {
        self.extend(now);
        if self.is_age_known && now.duration_since(self.empty_at) < limit {
            Arrival { time: self.empty_at, is_age_known: true }
        } else {
            Arrival { time: now, is_age_known: false }
        }
    }

    /// Records that the socket was empty at `now`.
    pub(super) fn end(&mut self, now: Instant) {
        self.checked_at = now;
        if self.stalled_until.is_none() {
            self.empty_at = now;
        }
    }

    fn extend(&mut self, now: Instant) {
        let pause = now.duration_since(self.last_poll);
        if pause >= self.longest_pause || now.duration_since(self.paused_at) > FORGET_PAUSE_AFTER {
            (self.longest_pause, self.paused_at) = (pause, now);
        }
        self.last_poll = now;
        self.beats_until = now + (self.longest_pause * 2).clamp(HEARTBEAT_AT_LEAST, HEARTBEAT_AT_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    /// Arrivals whose clock is a number of milliseconds.
    struct Scene {
        arrivals: Arrivals,
        start: Instant,
        was_continued: Arc<AtomicBool>,
    }

    impl Scene {
        fn new() -> Self {
            let (start, was_continued) = (Instant::now(), Arc::new(AtomicBool::new(false)));
            Self { arrivals: Arrivals::with_signal(start, Arc::clone(&was_continued)), start, was_continued }
        }

        /// The check at a time finds a request. Returns its age in milliseconds, or `None` if it is unknown.
        fn request(&mut self, at: u64) -> Option<u128> {
            let now = self.start + Duration::from_millis(at);
            self.arrivals.begin(now);
            let arrival = self.arrivals.arrival(now, LIMIT);
            self.arrivals.end(now);
            arrival.is_age_known.then(|| (now - arrival.time).as_millis())
        }

        /// Runs the checks that are due until then.
        fn run_until(&mut self, at: u64) {
            let end = self.start + Duration::from_millis(at);
            while let Some(time) = self.arrivals.next_check().filter(|&time| time <= end) {
                self.arrivals.begin(time);
                self.arrivals.end(time);
            }
        }

        fn next_check(&self) -> Option<u128> {
            self.arrivals.next_check().map(|time| (time - self.start).as_millis())
        }
    }

    #[test]
    fn age_counts_from_the_last_check() {
        let mut scene = Scene::new();
        assert_eq!(scene.request(100), Some(100));
        assert_eq!(scene.next_check(), Some(350));
        scene.run_until(400);
        assert_eq!(scene.request(400), Some(50));
    }

    #[test]
    fn check_that_comes_late_makes_requests_old_or_of_unknown_age() {
        let mut scene = Scene::new();
        assert_eq!(scene.request(2000), Some(2000));
        // The agent could not write this one while the socket was full.
        assert_eq!(scene.request(2010), Some(2010));
        scene.run_until(2100);
        assert_eq!(scene.request(2100), Some(50));
        assert_eq!(scene.request(5300), None);
        assert_eq!(scene.request(5320), None);
        scene.run_until(6000);
        assert_eq!(scene.request(6000), Some(150));
    }

    #[test]
    fn request_after_a_stop_has_no_known_age_even_if_no_check_was_due() {
        let mut scene = Scene::new();
        scene.run_until(6000);
        assert_eq!(scene.next_check(), None);
        scene.was_continued.store(true, Ordering::Release);
        assert_eq!(scene.request(60_000), None);
        assert_eq!(scene.request(60_010), None);
        scene.run_until(60_300);
        assert_eq!(scene.request(60_400), Some(100));
    }

    #[test]
    fn request_after_a_pause_without_checks_is_new() {
        let mut scene = Scene::new();
        scene.run_until(6000);
        assert_eq!(scene.request(60_000), Some(0));
    }

    #[test]
    fn checks_go_on_for_twice_the_longest_pause() {
        let mut scene = Scene::new();
        for minute in 0..3 {
            scene.run_until(60_000 * minute);
            for poll in 0..20 {
                scene.request(60_000 * minute + poll);
            }
        }
        scene.run_until(239_900);
        assert_eq!(scene.next_check(), Some(240_019));
        scene.run_until(300_000);
        assert_eq!(scene.next_check(), None);
    }
}
