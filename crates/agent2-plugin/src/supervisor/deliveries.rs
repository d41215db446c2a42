//! Replies that were written and that the agent must still read.
//!
//! A stopped agent reads nothing, and gives up its polls when it goes on. So a written reply counts as delivered only
//! when the agent has read it before the deadline.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::export::Delivery;

/// First pause before the agent's reading is checked, and the longest one. An agent usually reads at once.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Written replies with their deadlines.
#[derive(Debug)]
pub(super) struct Deliveries {
    awaited: VecDeque<(u32, Instant)>,
    pause: Duration,
    next_check: Instant,
}

impl Deliveries {
    pub(super) fn new(now: Instant) -> Self {
        Self { awaited: VecDeque::new(), pause: FIRST_PAUSE, next_check: now }
    }

    pub(super) fn insert(&mut self, id: u32, deadline: Instant, now: Instant) {
        self.awaited.push_back((id, deadline));
        self.pause = FIRST_PAUSE;
        self.next_check = now + FIRST_PAUSE;
    }

    pub(super) fn next_check(&self) -> Option<Instant> {
        (!self.awaited.is_empty()).then_some(self.next_check)
    }

    /// Returns whether there is a reply that may be settled now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_check().is_some_and(|time| time <= now)
    }

    /// Removes and returns the replies whose delivery is known.
    pub(super) fn settle(&mut self, is_all_read: bool, now: Instant) -> Vec<(u32, Delivery)> {
        let mut settled = Vec::new();
        self.awaited.retain(|&(id, deadline)| {
            let delivery = match (is_all_read, deadline < now) {
                (_, true) => Delivery::Lost,
                (true, false) => Delivery::Written,
                (false, false) => return true,
            };
            settled.push((id, delivery));
            false
        });
        self.next_check = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        settled
    }

    /// Forgets all replies, whose worker is gone.
    pub(super) fn clear(&mut self) {
        self.awaited.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_is_delivered_if_the_agent_has_read_it_before_the_deadline() {
        let now = Instant::now();
        let later = |millis| now + Duration::from_millis(millis);
        let mut deliveries = Deliveries::new(now);
        assert_eq!(deliveries.next_check(), None);
        deliveries.insert(1, later(100), now);
        deliveries.insert(2, later(3000), now);
        assert_eq!(deliveries.next_check(), Some(later(1)));
        assert_eq!(deliveries.settle(false, later(1)), []);
        assert_eq!(deliveries.settle(false, later(101)), [(1, Delivery::Lost)]);
        assert_eq!(deliveries.settle(true, later(3000)), [(2, Delivery::Written)]);
        assert_eq!(deliveries.next_check(), None);
        deliveries.insert(3, later(3100), later(3050));
        assert_eq!(deliveries.settle(true, later(3101)), [(3, Delivery::Lost)]);
    }
}
