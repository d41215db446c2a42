//! One poll.

use std::time::{Duration, Instant, SystemTime};

/// One poll: its time and its deadline.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// Lines that were found until then are the value. The next poll continues after them.
    pub deadline: Instant,
    /// The time of the poll.
    pub now: SystemTime,
}

impl Poll {
    /// A poll now, with a deadline after `time`.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, now: SystemTime::now() }
    }
}
