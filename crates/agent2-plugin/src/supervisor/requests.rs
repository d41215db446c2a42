//! The requests that have no reply yet.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// Requests that were passed to the worker, with their deadlines.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    deadlines: HashMap<u32, Instant>,
    order: BTreeSet<(Instant, u32)>,
}

impl OpenRequests {
    /// Adds a request. One with the same id, which agents never send, is replaced.
    pub(super) fn insert(&mut self, id: u32, deadline: Instant) {
        self.remove(id);
        self.deadlines.insert(id, deadline);
        self.order.insert((deadline, id));
    }

    /// Removes a request and returns its deadline.
    pub(super) fn remove(&mut self, id: u32) -> Option<Instant> {
        let deadline = self.deadlines.remove(&id)?;
        self.order.remove(&(deadline, id));
        Some(deadline)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.order.first().map(|&(deadline, _)| deadline)
    }

    /// Removes and returns a request whose deadline is before `time`.
    pub(super) fn remove_late(&mut self, time: Instant) -> Option<u32> {
        let &(deadline, id) = self.order.first().filter(|(deadline, _)| *deadline < time)?;
        self.order.remove(&(deadline, id));
        self.deadlines.remove(&id);
        Some(id)
    }

    /// Removes all requests and returns their ids in the order of their deadlines.
    pub(super) fn remove_all(&mut self) -> Vec<u32> {
        self.deadlines.clear();
        std::mem::take(&mut self.order).into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_become_late_in_the_order_of_their_deadlines() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut requests = OpenRequests::default();
        for (id, seconds) in [(1, 30), (2, 3), (3, 10), (4, 3)] {
            requests.insert(id, at(seconds));
        }
        assert_eq!(requests.remove(3), Some(at(10)));
        assert_eq!(requests.remove(3), None);
        assert_eq!(requests.next_deadline(), Some(at(3)));
        assert_eq!(requests.remove_late(at(3)), None);
        assert_eq!([requests.remove_late(at(4)), requests.remove_late(at(4))], [Some(2), Some(4)]);
        assert_eq!(requests.remove_late(at(4)), None);
        requests.insert(5, at(1));
        assert_eq!(requests.remove_all(), [5, 1]);
        assert_eq!(requests.next_deadline(), None);
    }
}
