//! One walk for all who ask at about the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::ProcError;
use crate::root::ProcRoot;
use crate::snapshot::{Needs, Snapshot};

/// Counts since the start, for the `self` item and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalkStats {
    /// Walks that were completed.
    pub walks: u64,
    /// Walks that ended in an error or a panic.
    pub failed: u64,
    /// Requests that were answered with a walk made for another.
    pub shared: u64,
    /// Time spent in completed walks.
    pub walking: Duration,
    /// Time of the last completed walk.
    pub last: Duration,
    /// Processes seen by the last completed walk.
    pub processes: usize,
}

/// Walks over one `/proc`, shared by requests that come close together.
#[derive(Debug)]
pub struct SharedWalk {}

impl SharedWalk {
    /// A walk may be shared until `max_age` after its end.
    #[must_use]
    pub fn new(root: Arc<ProcRoot>, max_age: Duration) -> Self {
        unimplemented!()
    }

    /// The directory that is walked.
    #[must_use]
    pub fn root(&self) -> &Arc<ProcRoot> {
        unimplemented!()
    }

    /// A snapshot that covers `needs`: of a walk that is under way, of one that ended at most `max_age` ago, or of a
    /// new one, made by the calling thread.
    ///
    /// # Errors
    ///
    /// [`ProcError::Read`] if `/proc` cannot be listed, [`ProcError::Deadline`].
    pub fn snapshot(&self, needs: Needs, deadline: Instant) -> Result<Arc<Snapshot>, ProcError> {
        unimplemented!()
    }

    /// Lets go of a snapshot that ended longer ago than `age`, so that an idle plugin holds no memory for it.
    pub fn forget_if_older(&self, age: Duration) {
        unimplemented!()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> WalkStats {
        unimplemented!()
    }
}
