//! When a value was polled, and whether another poll is to be expected.

use std::time::Duration;

/// Without a known interval the next poll is expected within this time: Zabbix polls once a minute by default.
const EXPECTED_MIN: Duration = Duration::from_secs(90);
/// After this time no further poll is expected, for any interval.
const EXPECTED_MAX: Duration = Duration::from_secs(25 * 3600);

/// The last poll of a value and the interval of its polls. Times are durations since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Polls {
    last: Duration,
    interval: Duration,
}

impl Polls {
    pub(crate) fn first(now: Duration) -> Self {
        Self { last: now, interval: Duration::ZERO }
    }

    /// Records a poll. A single short interval, as of a check by hand, does not replace a long one at once.
    pub(crate) fn again(self, now: Duration) -> Self {
        let interval = now.saturating_sub(self.last).max(self.interval / 2);
        Self { last: now, interval }
    }

    /// Returns whether the next poll is to be expected: within twice the interval.
    pub(crate) fn is_expected(self, now: Duration) -> bool {
        let limit = (self.interval * 2).clamp(EXPECTED_MIN, EXPECTED_MAX);
        now.saturating_sub(self.last) <= limit
    }

    /// Returns whether the interval is worth remembering.
    pub(crate) fn is_remembered(self, now: Duration) -> bool {
        now.saturating_sub(self.last) <= EXPECTED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn next_poll_is_expected_within_a_minute_and_a_half_at_first() {
        let polls = Polls::first(seconds(100));
        assert!(polls.is_expected(seconds(190)));
        assert!(!polls.is_expected(seconds(191)));
        assert!(polls.is_remembered(seconds(100 + 25 * 3600)));
        assert!(!polls.is_remembered(seconds(101 + 25 * 3600)));
    }

    #[test]
    fn next_poll_is_expected_within_twice_the_interval() {
        let hourly = Polls::first(seconds(0)).again(seconds(3600));
        assert!(hourly.is_expected(seconds(3 * 3600)));
        assert!(!hourly.is_expected(seconds(3 * 3600 + 1)));
        let by_hand = hourly.again(seconds(3601));
        assert!(by_hand.is_expected(seconds(3601 + 3600)), "half of the interval is kept");
        let daily = Polls::first(seconds(0)).again(seconds(86_400));
        assert!(!daily.is_expected(seconds(86_400 + 25 * 3600 + 1)));
    }
}
