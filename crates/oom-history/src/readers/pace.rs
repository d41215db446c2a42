//! How long readers wait, and how they share the time of a poll.

use std::time::{Duration, Instant};

/// The kernel prints a report within milliseconds, and a slow console may delay it. After this silence it has ended.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// Returns the end of the first half of the time that is left. The other half is for the sources that are read later.
pub(crate) fn half_of_the_time(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}
