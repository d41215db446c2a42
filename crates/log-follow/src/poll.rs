//! One poll.

use std::time::{Duration, Instant, SystemTime};

/// One poll: when it is, and until when its answer is of use.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// What was found until then is the answer; the next poll goes on from there.
    pub deadline: Instant,
    /// The time of the poll.
    pub now: SystemTime,
}

impl Poll {
    /// A poll now, to be answered within `time`.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, now: SystemTime::now() }
    }
}
