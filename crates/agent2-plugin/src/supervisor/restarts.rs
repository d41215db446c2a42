//! When the next worker starts.

use std::time::{Duration, Instant, SystemTime};

use crate::supervision::WorkerEnd;

/// Pause before the next start after the second worker in a row that ended without a value. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The ends of workers so far.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Workers that ended.
    pub(super) ended: u64,
    pub(super) last_end: Option<WorkerEnd>,
    /// Workers in a row that ended, or could not be started, before they returned a value.
    failed_in_a_row: u32,
    due: Option<Instant>,
}

impl Restarts {
    /// Records the end of a worker and returns the pause before the next start.
    pub(super) fn record(&mut self, cause: &str, has_replied: bool, now: Instant) -> Duration {
        self.ended += 1;
        self.last_end = Some(WorkerEnd { time: SystemTime::now(), cause: cause.to_owned() });
        self.failed_in_a_row = if has_replied { 0 } else { self.failed_in_a_row.saturating_add(1) };
        let pause = match self.failed_in_a_row {
            0 | 1 => Duration::ZERO,
            n => FIRST_PAUSE.saturating_mul(1 << (n - 2).min(16)).min(LONGEST_PAUSE),
        };
        self.due = Some(now + pause);
        pause
    }

    /// Returns the time of the next start, if no worker runs.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Records that a worker runs.
    pub(super) fn started(&mut self) {
        self.due = None;
    }

    /// Returns the reason why no worker runs.
    pub(super) fn reason(&self, now: Instant) -> String {
        let cause = self.last_end.as_ref().map_or("is not started yet", |end| &end.cause);
        let seconds = self.due.map_or(0.0, |due| due.saturating_duration_since(now).as_secs_f64());
        match self.failed_in_a_row {
            0 | 1 => format!("the plugin's worker process {cause}; a new one starts"),
            n => format!(
                "the plugin's worker process {cause}, {n} times in a row without a value; the next one starts in \
                 {seconds:.1} s"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_end_without_a_value_start_ever_later() {
        let now = Instant::now();
        let mut restarts = Restarts::default();
        let pauses: Vec<_> =
            (0..12).map(|_| restarts.record("was killed by SIGSEGV", false, now).as_millis()).collect();
        assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        let reason = restarts.reason(now);
        assert_eq!(
            reason,
            "the plugin's worker process was killed by SIGSEGV, 12 times in a row without a value; the next one starts in 60.0 s"
        );
        assert_eq!(restarts.record("was killed by SIGKILL", true, now), Duration::ZERO);
        assert_eq!(
            restarts.reason(now),
            "the plugin's worker process was killed by SIGKILL; a new one starts"
        );
        assert_eq!(restarts.ended, 13);
    }
}
