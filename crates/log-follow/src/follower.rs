//! The follower: answers items, and moves their positions when told that an answer arrived.

use crate::{AllowPath, Error, Groups, Item, Last, Status, Total, Warning};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How a [`Follower`] is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where positions are kept; `None` keeps them in memory. Created when it is absent.
    pub state_dir: Option<PathBuf>,
    /// Look at the positions of another process and write nothing.
    pub read_only: bool,
    /// Which files may be read.
    pub allow: AllowPath,
}

impl Settings {
    /// Positions in `state_dir`, every file allowed.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(state_dir.into()), read_only: false, allow: AllowPath::everything() }
    }

    /// Positions in memory, every file allowed.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { state_dir: None, read_only: false, allow: AllowPath::everything() }
    }
}

/// One poll: when it is, and until when its answer is of use.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// What was found until then is the answer; the next poll goes on from there.
    pub deadline: Instant,
    /// The time of the poll.
    pub now: SystemTime,
}

impl Ask {
    /// A poll now, to be answered within `time`.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, now: SystemTime::now() }
    }
}

/// An answer whose position has not moved yet.
#[derive(Debug)]
#[must_use]
pub struct Delivery<T> {
    /// The answer.
    pub value: T,
    /// The position that it leads to.
    pub pending: Pending,
}

/// A position that waits for its answer to arrive. Dropped, it leaves the item where it was: the next poll gives the same
/// lines again. Until it is committed or dropped, other polls of the same item wait, each until its own deadline.
#[derive(Debug)]
#[must_use]
pub struct Pending(());

impl Pending {
    /// Moves the position. To be called when the answer has been written in time, and not before.
    ///
    /// The position is in the page cache when this returns: a process that is killed after it repeats nothing. It is on the
    /// disk within seconds; after a power loss lines may be repeated, but none is lost.
    pub fn commit(self) {
        unimplemented!()
    }
}

/// Answers items from log files. One for the process; share it between threads.
#[derive(Debug)]
pub struct Follower(());

/// The longest value, in bytes of UTF-8.
pub const MAX_VALUE_BYTES: usize = 65_535;

impl Follower {
    /// Opens the state directory and takes its lock. Never fails: without a directory positions are kept in memory, and
    /// [`Follower::status`] and [`Follower::take_warnings`] say so.
    #[must_use]
    pub fn open(settings: Settings) -> Self {
        let _ = settings;
        unimplemented!()
    }

    /// Matching lines since the last committed poll, newest last, joined by `\n`; `None` when there is none. At most
    /// 65,535 bytes and the query's lines per second; the rest comes with the next poll.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays where it was.
    pub fn lines(&self, item: &Item, ask: &Ask) -> Result<Delivery<Option<String>>, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// How many lines matched since the last committed poll, at most the query's lines per second.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays where it was.
    pub fn count(&self, item: &Item, ask: &Ask) -> Result<Delivery<u64>, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// What the next [`Follower::lines`] would deliver. Moves nothing, writes nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_lines(&self, item: &Item, ask: &Ask) -> Result<Option<String>, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// What the next [`Follower::count`] would deliver. Moves nothing, writes nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_count(&self, item: &Item, ask: &Ask) -> Result<u64, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// Matching lines since the item was first asked for. Only grows, survives restarts. What was in the log before is
    /// counted with [`Start::All`](crate::Start::All) and not with [`Start::Skip`](crate::Start::Skip).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn total(&self, item: &Item, ask: &Ask) -> Result<Total, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// The last matching line, and how many there were since the item was first asked for.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn last(&self, item: &Item, ask: &Ask) -> Result<Last, Error> {
        let _ = (item, ask);
        unimplemented!()
    }

    /// Matching lines by the value of the first capture group, the `limit` largest.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn groups(&self, item: &Item, limit: usize, ask: &Ask) -> Result<Groups, Error> {
        let _ = (item, limit, ask);
        unimplemented!()
    }

    /// Writes what waits to the disk, compacts the state file when it has grown, forgets items that nobody asked for in 30
    /// days, and tries a state directory that failed before once more. Call it every few seconds; polls do not need it.
    pub fn tidy(&self, now: SystemTime) {
        let _ = now;
        unimplemented!()
    }

    /// Health and counters.
    #[must_use]
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Warnings since the last call, to be logged by the caller.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        unimplemented!()
    }
}
