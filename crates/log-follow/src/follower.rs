//! The follower: polls items, and moves their positions after the value was delivered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::buffers::Buffers;
use crate::checkpoint::Position;
use crate::chunk::Counters;
use crate::clock::unix_secs;
use crate::reader::{Behind, Progress, Reader};
use crate::record::Record;
use crate::share::SharedSearches;
use crate::sink::Sink;
use crate::store::Store;
use crate::totals::Tally;
use crate::value::{Count, Lines, Tallying, Want};
use crate::{AllowPath, Error, FollowerStatus, Groups, Item, Last, Poll, Settings, Total, Warning};

/// Items without a poll for this long are forgotten.
const FORGET_AFTER_SECS: u64 = 30 * 24 * 3600;
/// The time of the last poll is stored at least this often.
const SEEN_EVERY_SECS: u64 = 24 * 3600;
/// A fixed file that existed and is missing is an error only after this many polls, because a rotation takes some time.
const MISSES_ALLOWED: u32 = 2;
/// A process that is ending, or whose agent was killed, has released the state directory after this time.
const TAKE_OVER: Duration = Duration::from_secs(10);
const TAKE_OVER_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Without polls, a state directory that failed is tried again after this time.
const RETRY_STATE_AFTER: Duration = Duration::from_secs(60);

/// A value whose position has not moved yet.
#[derive(Debug)]
#[must_use]
pub struct PolledValue<T> {
    /// The value.
    pub value: T,
    /// The position after the value.
    pub pending: PendingCheckpoint,
}

/// A position that waits for the polled of its value. If it is dropped, the item stays at its old position, and the next poll
/// returns the same lines again. Until it is committed or dropped, other polls of the same item wait, each until its own
/// deadline.
#[must_use]
pub struct PendingCheckpoint {
    turn: Turn,
    record: Record,
    behind: Option<Behind>,
    now: SystemTime,
    /// The value contains lines, which can be lost on the way.
    has_lines: bool,
}

impl std::fmt::Debug for PendingCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingCheckpoint")
            .field("identity", &self.turn.slot.identity)
            .finish_non_exhaustive()
    }
}

impl PendingCheckpoint {
    /// Returns whether a file was not read to its end: the value has a limit, the file cannot be read, or it moved.
    fn leaves_some(&self) -> bool {
        self.record.position.checkpoints.iter().any(|checkpoint| checkpoint.more)
    }

    /// Moves the position. Call this after the value was written in time.
    ///
    /// An agent that is killed just after the write has not buffered the value. So the earlier position is kept until the next
    /// poll of the item, or until [`Follower::settle`]. A process that starts without either returns the last value again: at
    /// most one value is repeated, and none is lost.
    ///
    /// When this returns, the position is in the page cache and survives this process. It reaches the disk within seconds. A
    /// power failure may repeat more lines, but loses none.
    pub fn commit(self) {
        let Self { turn, mut record, behind, now, has_lines } = self;
        let mut state = turn.slot.lock();
        state.behind = behind;
        state.last_poll = Some(now);
        record.before = has_lines.then(|| state.record.position.clone());
        if state.is_stale(&record)
            || record.position != state.record.position
            || record.tally != state.record.tally
        {
            state.stored_seen = record.seen;
            turn.inner.store(&turn.slot.identity, &record, now);
        }
        state.record = record;
    }

    /// Commits a position without lines, and returns the error. The next poll continues before the unreadable part.
    fn commit_before(self, error: Error) -> Error {
        self.commit();
        error
    }
}

/// Polls items of log files. Use one per process and share it between threads.
///
/// A poll of an unchanged file costs one `stat`. A fixed name that was rotated within the last hour costs a second one for the
/// rotated file. A name pattern costs one per matching file.
#[derive(Debug)]
pub struct Follower {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    allow: AllowPath,
    read_only: bool,
    opened: Instant,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    store: Mutex<Store>,
    buffers: Buffers,
    shared: SharedSearches,
    read_bytes: AtomicU64,
    lines_over_step_limit: AtomicU64,
    last_forgetting: Mutex<SystemTime>,
}

/// One item: its record and its lock.
#[derive(Debug)]
struct Slot {
    identity: Arc<str>,
    state: Mutex<SlotState>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    taken: bool,
    record: Record,
    last_poll: Option<SystemTime>,
    behind: Option<Behind>,
    misses: u32,
    stored_seen: u64,
}

/// The exclusive right to move an item, released when it is dropped.
struct Turn {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.slot.lock().taken = false;
        self.slot.free.notify_one();
    }
}

/// Locks a mutex. A panic in one poll leaves its item unchanged, so a poisoned mutex is used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SlotState {
    /// Returns whether the time of the last poll has to be stored again.
    fn is_stale(&self, record: &Record) -> bool {
        record.seen.saturating_sub(self.stored_seen) >= SEEN_EVERY_SECS
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        lock(&self.state)
    }

    /// Waits for other polls of this item.
    fn take(&self, poll: &Poll) -> Result<(), Error> {
        let started = Instant::now();
        let mut state = self.lock();
        while state.taken {
            let left = poll.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy { waited: started.elapsed() });
            }
            state = self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taken = true;
        Ok(())
    }
}

impl Inner {
    fn slot(&self, item: &Item) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(item.identity()) {
            return Arc::clone(slot);
        }
        let identity = Arc::clone(item.shared_identity());
        let mut record = self.stored(&identity);
        if let Some(before) = record.before.take().filter(|_| !self.read_only) {
            record.position = before;
        }
        let state = SlotState { stored_seen: record.seen, record, ..SlotState::default() };
        let slot = Arc::new(Slot {
            identity: Arc::clone(&identity),
            state: Mutex::new(state),
            free: Condvar::new(),
        });
        slots.insert(identity, Arc::clone(&slot));
        slot
    }

    fn stored(&self, identity: &str) -> Record {
        lock(&self.store).get(identity).cloned().unwrap_or_default()
    }

    fn store(&self, identity: &Arc<str>, record: &Record, now: SystemTime) {
        lock(&self.store).put(identity, record, now);
    }

    /// Waits for a predecessor that is about to end. A poll from its old positions would repeat lines.
    fn take_over(&self, poll: &Poll) -> Result<(), Error> {
        let until = poll.deadline.min(self.opened + TAKE_OVER);
        loop {
            let mut store = lock(&self.store);
            if store.may_move() {
                return Ok(());
            }
            let dir = store.dir().to_owned();
            drop(store);
            if Instant::now() >= until {
                return Err(Error::InUse { dir });
            }
            thread::sleep(TAKE_OVER_LOOK_EVERY);
        }
    }

    /// Marks the last value of an item as delivered, so that it is not repeated.
    fn settle(&self, slot: &Slot, now: SystemTime) {
        let mut state = slot.lock();
        if state.record.before.take().is_some() {
            self.store(&slot.identity, &state.record, now);
        }
    }

    fn read(
        &self,
        item: &Item,
        poll: &Poll,
        at: &Position,
        behind: Option<Behind>,
        sink: &mut dyn Sink,
    ) -> Result<Progress, Error> {
        let mut reader = Reader {
            query: item.query(),
            allow: &self.allow,
            poll,
            shared: &self.shared,
            identity: item.shared_identity(),
            buffers: &self.buffers,
            counters: Counters::default(),
        };
        let progress = reader.read(at, behind, sink);
        let counters = reader.counters;
        self.read_bytes.fetch_add(counters.read_bytes, Ordering::Relaxed);
        self.lines_over_step_limit.fetch_add(counters.lines_over_step_limit, Ordering::Relaxed);
        progress
    }
}

impl Follower {
    /// Opens the state directory and takes its lock. It never fails: without a directory positions are kept in memory, and
    /// [`Follower::status`] and [`Follower::take_warnings`] report that.
    #[must_use]
    pub fn open(settings: Settings) -> Self {
        let Settings { state_dir, read_only, allow } = settings;
        Self {
            inner: Arc::new(Inner {
                allow,
                read_only,
                opened: Instant::now(),
                slots: Mutex::default(),
                store: Mutex::new(Store::open(state_dir, read_only)),
                buffers: Buffers::default(),
                shared: SharedSearches::default(),
                read_bytes: AtomicU64::new(0),
                lines_over_step_limit: AtomicU64::new(0),
                last_forgetting: Mutex::new(SystemTime::UNIX_EPOCH),
            }),
        }
    }

    /// Returns the matching lines since the last committed poll, newest last, joined by `
    /// `. `None` if there are none. A value has at most 65,535 bytes and the query's lines per second; the rest follows with
    /// the next poll. A longer single line is cut and ends with `…`.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays before the unreadable part.
    pub fn lines(&self, item: &Item, poll: &Poll) -> Result<PolledValue<Option<String>>, Error> {
        let turn = self.turn(item, poll)?;
        let mut sink = lines_sink(item, turn.budget(item, poll));
        let (mut pending, error) = self.advance(turn, item, poll, &mut sink)?;
        pending.has_lines = sink.value.is_some();
        match (sink.value, error) {
            (None, Some(error)) => Err(pending.commit_before(error)),
            (value, _) => Ok(PolledValue { value, pending }),
        }
    }

    /// Returns the number of matching lines since the last committed poll, at most the query's lines per second.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays before the unreadable part.
    pub fn count(&self, item: &Item, poll: &Poll) -> Result<PolledValue<u64>, Error> {
        let turn = self.turn(item, poll)?;
        let mut sink = Count::new(turn.budget(item, poll));
        let (mut pending, error) = self.advance(turn, item, poll, &mut sink)?;
        pending.has_lines = sink.lines > 0;
        match (sink.lines, error) {
            (0, Some(error)) => Err(pending.commit_before(error)),
            (value, _) => Ok(PolledValue { value, pending }),
        }
    }

    /// Returns the value of the next [`Follower::lines`] without moving, writing or waiting.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_lines(&self, item: &Item, poll: &Poll) -> Result<Option<String>, Error> {
        let (record, budget) = self.read_only_record(item, poll);
        let mut sink = lines_sink(item, budget);
        let progress = self.inner.read(item, poll, &record.position, None, &mut sink)?;
        match (sink.value, progress.error) {
            (None, Some(error)) => Err(error),
            (value, _) => Ok(value),
        }
    }

    /// Returns the value of the next [`Follower::count`] without moving, writing or waiting.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_count(&self, item: &Item, poll: &Poll) -> Result<u64, Error> {
        let (record, budget) = self.read_only_record(item, poll);
        let mut sink = Count::new(budget);
        let progress = self.inner.read(item, poll, &record.position, None, &mut sink)?;
        match (sink.lines, progress.error) {
            (0, Some(error)) => Err(error),
            (lines, _) => Ok(lines),
        }
    }

    /// Returns the number of matching lines since the item's first poll. It never decreases and survives restarts. Earlier
    /// lines of the log are counted with [`Start::All`](crate::Start::All) and not with [`Start::Skip`](crate::Start::Skip).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn total(&self, item: &Item, poll: &Poll) -> Result<Total, Error> {
        self.tally(item, poll, Want::Total).map(|(_, total)| total)
    }

    /// Returns the last matching line, and the number of matching lines since the item's first poll.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn last(&self, item: &Item, poll: &Poll) -> Result<Last, Error> {
        self.tally(item, poll, Want::Last).map(|(tally, total)| Last { total, last: tally.last })
    }

    /// Returns matching lines by the value of the first capture group, the `limit` largest (at most [`Groups::MAX_VALUES`]).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn groups(&self, item: &Item, limit: usize, poll: &Poll) -> Result<Groups, Error> {
        self.tally(item, poll, Want::Groups).map(|(tally, total)| tally.groups(total, limit))
    }

    /// Counts new lines and commits them at once, because a total can be read again.
    fn tally(&self, item: &Item, poll: &Poll, want: Want) -> Result<(Tally, Total), Error> {
        let turn = self.turn(item, poll)?;
        let query = item.query();
        let before = turn.slot.lock().record.tally.clone().unwrap_or_default();
        let lines_before = before.lines;
        let mut sink = Tallying {
            pattern: &query.pattern,
            template: &query.template,
            want,
            read_unix_secs: unix_secs(poll.now),
            tally: before,
            begun: Tally::default(),
        };
        let (mut pending, error) = self.advance(turn, item, poll, &mut sink)?;
        let tally = sink.tally;
        let leaves_some = error.is_some() || pending.leaves_some();
        if let Some(error) = error.filter(|_| tally.lines == lines_before) {
            return Err(pending.commit_before(error));
        }
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(pending.record.since);
        let total = Total { lines: tally.lines, since, complete: !leaves_some };
        pending.record.tally = Some(tally.clone());
        pending.commit();
        Ok((tally, total))
    }

    // ---- one poll

    fn turn(&self, item: &Item, poll: &Poll) -> Result<Turn, Error> {
        self.inner.take_over(poll)?;
        let slot = self.inner.slot(item);
        slot.take(poll)?;
        let turn = Turn { inner: Arc::clone(&self.inner), slot };
        // A new poll shows that the previous value was delivered.
        self.inner.settle(&turn.slot, poll.now);
        Ok(turn)
    }

    /// Reads from the item's position. The error beside a pending position is reported if there was no line.
    fn advance(
        &self,
        turn: Turn,
        item: &Item,
        poll: &Poll,
        sink: &mut dyn Sink,
    ) -> Result<(PendingCheckpoint, Option<Error>), Error> {
        let (mut record, behind) = {
            let state = turn.slot.lock();
            (state.record.clone(), state.behind)
        };
        record.seen = unix_secs(poll.now);
        if record.since == 0 {
            record.since = record.seen;
        }
        let progress = match self.inner.read(item, poll, &record.position, behind, sink) {
            Ok(progress) => progress,
            Err(error) => return Err(turn.failed(record, error, poll)),
        };
        record.position = progress.position;
        let error = turn.excuse(progress.error);
        Ok((
            PendingCheckpoint { turn, record, behind: progress.behind, now: poll.now, has_lines: false },
            error,
        ))
    }

    /// Returns the record and the budget of an item without its lock.
    fn read_only_record(&self, item: &Item, poll: &Poll) -> (Record, u64) {
        let slot = lock(&self.inner.slots).get(item.identity()).cloned();
        match slot {
            Some(slot) => {
                let state = slot.lock();
                (state.record.clone(), budget(item, poll, state.last_poll))
            }
            None => (self.inner.stored(item.identity()), budget(item, poll, None)),
        }
    }

    // ---- housekeeping

    /// Marks all committed values as delivered, so that the next process repeats none. Call this before an orderly end. Without
    /// it the last value of each item may be repeated.
    pub fn settle(&self, now: SystemTime) {
        let slots: Vec<_> = lock(&self.inner.slots).values().cloned().collect();
        slots.iter().for_each(|slot| self.inner.settle(slot, now));
    }

    /// Syncs the state file, replaces it when it has grown, forgets items without a poll for 30 days, and retries a state
    /// directory that failed. Call it some seconds after a poll; polls do not need it. Returns the time after which it has to be
    /// called again even without a poll.
    pub fn tidy(&self, now: SystemTime) -> Option<Duration> {
        self.forget(now);
        let unsynced = lock(&self.inner.store).tidy();
        if let Some(Err(error)) = unsynced.map(|file| file.sync_data()) {
            lock(&self.inner.store).fail_sync(error);
        }
        self.inner.buffers.tidy();
        let shared = self.inner.shared.tidy();
        let has_failed = lock(&self.inner.store).has_failed();
        if has_failed { Some(RETRY_STATE_AFTER) } else { shared }
    }

    /// Runs once an hour.
    fn forget(&self, now: SystemTime) {
        let mut last = lock(&self.inner.last_forgetting);
        if now.duration_since(*last).is_ok_and(|age| age < Duration::from_secs(3600)) {
            return;
        }
        *last = now;
        let oldest = unix_secs(now).saturating_sub(FORGET_AFTER_SECS);
        lock(&self.inner.slots).retain(|_, slot| {
            let state = slot.lock();
            state.taken || state.record.seen >= oldest
        });
        let mut store = lock(&self.inner.store);
        let old: Vec<Arc<str>> = store
            .records()
            .filter(|(_, record)| record.seen < oldest)
            .map(|(identity, _)| Arc::clone(identity))
            .collect();
        for identity in old {
            store.remove(&identity, now);
        }
    }

    /// Returns health and counters.
    #[must_use]
    pub fn status(&self) -> FollowerStatus {
        let store = lock(&self.inner.store);
        FollowerStatus {
            durability: store.durability(),
            items: store.len(),
            read_bytes: self.inner.read_bytes.load(Ordering::Relaxed),
            lines_over_step_limit: self.inner.lines_over_step_limit.load(Ordering::Relaxed),
            last_write: store.last_write(),
        }
    }

    /// Returns the warnings since the last call. The caller logs them.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        lock(&self.inner.store).take_warnings()
    }
}

impl Turn {
    fn budget(&self, item: &Item, poll: &Poll) -> u64 {
        budget(item, poll, self.slot.lock().last_poll)
    }

    /// Leaves the item at its position and stores the poll. If the file does not exist and the item is new, its start is
    /// settled: a later file is read from its beginning.
    fn failed(&self, mut record: Record, error: Error, poll: &Poll) -> Error {
        let mut state = self.slot.lock();
        let settles = error.is_absence() && !record.position.started;
        record.position.started |= settles;
        if settles || (record.position.started && state.is_stale(&record)) {
            state.stored_seen = record.seen;
            self.inner.store(&self.slot.identity, &record, poll.now);
        }
        state.record = record;
        error
    }

    /// Ignores a missing file for some polls, because it may be in the middle of its rotation.
    fn excuse(&self, error: Option<Error>) -> Option<Error> {
        let mut state = self.slot.lock();
        match error {
            Some(Error::Missing { .. }) if state.misses < MISSES_ALLOWED => {
                state.misses += 1;
                None
            }
            None => {
                state.misses = 0;
                None
            }
            error => error,
        }
    }
}

/// The number of lines that one poll may deliver.
fn budget(item: &Item, poll: &Poll, last_poll: Option<SystemTime>) -> u64 {
    let elapsed = last_poll.and_then(|last| poll.now.duration_since(last).ok()).unwrap_or_default();
    let seconds = (elapsed + Duration::from_millis(500)).as_secs().max(1);
    u64::from(item.query().max_lines_per_sec.get()).saturating_mul(seconds)
}

fn lines_sink(item: &Item, budget: u64) -> Lines<'_> {
    let query = item.query();
    Lines::new(&query.pattern, &query.template, budget)
}

#[cfg(test)]
mod tests {

    use std::fs;

    use super::*;
    use crate::chunk::CHUNK_BYTES;
    use crate::file::BROKEN_FROM;
    use crate::{LogSource, Query};

    fn poll_now() -> Poll {
        Poll::within(Duration::from_secs(60))
    }

    /// A log with a match at its beginning and one at its end, three chunks later. The last chunk cannot be read.
    fn broken_log() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("messages");
        fs::write(&log, format!("oom 1\n{}oom 2\n", "a line\n".repeat(3 * CHUNK_BYTES / 7))).unwrap();
        BROKEN_FROM.set(2 * CHUNK_BYTES as u64);
        (dir, log)
    }

    fn repair_reads() {
        BROKEN_FROM.set(u64::MAX);
    }

    #[test]
    fn lines_before_an_error_are_counted_once_and_the_error_is_reported() {
        let (_dir, log) = broken_log();
        let item = Item::new("total", Query::new(LogSource::file(&log)).pattern("oom".parse().unwrap()));
        let follower = Follower::open(Settings::in_memory());
        let total = follower.total(&item, &poll_now()).unwrap();
        assert_eq!((total.lines, total.complete), (1, false));
        for _ in 0..2 {
            assert!(
                matches!(follower.total(&item, &poll_now()), Err(Error::Read { path, .. }) if path == log)
            );
        }
        repair_reads();
        let total = follower.total(&item, &poll_now()).unwrap();
        assert_eq!((total.lines, total.complete), (2, true));
    }

    #[test]
    fn lines_before_an_error_are_delivered_once_and_the_error_is_reported() {
        let (_dir, log) = broken_log();
        let query = Query::new(LogSource::file(&log)).pattern("oom".parse().unwrap());
        let item = Item::new("lines", query);
        // With another item of the same log the search is shared.
        let other = Item::new("other", item.query().clone().pattern("nothing".parse().unwrap()));
        let follower = Follower::open(Settings::in_memory());
        assert!(follower.lines(&other, &poll_now()).is_err());
        let polled = follower.lines(&item, &poll_now()).unwrap();
        assert_eq!(polled.value.as_deref(), Some("oom 1"));
        polled.pending.commit();
        for _ in 0..2 {
            assert!(
                matches!(follower.lines(&item, &poll_now()), Err(Error::Read { path, .. }) if path == log)
            );
        }
        repair_reads();
        assert_eq!(follower.lines(&item, &poll_now()).unwrap().value.as_deref(), Some("oom 2"));
    }

    /// Makes reads fail after the first line.
    struct Breaking(Count);

    impl Sink for Breaking {
        fn line(&mut self, line: &[u8], file: &std::path::Path) -> crate::sink::Flow {
            BROKEN_FROM.set(0);
            self.0.line(line, file)
        }

        fn begin(&mut self) {
            self.0.begin();
        }

        fn roll_back(&mut self) {
            self.0.roll_back();
        }
    }

    /// A position without a fingerprint could belong to any file.
    #[test]
    fn lines_without_a_fingerprint_are_rolled_back() {
        let (_dir, log) = broken_log();
        repair_reads();
        let item = Item::new("count", Query::new(LogSource::file(&log)).pattern("oom".parse().unwrap()));
        let follower = Follower::open(Settings::in_memory());
        let mut sink = Breaking(Count::new(10));
        let progress =
            follower.inner.read(&item, &poll_now(), &Position::default(), None, &mut sink).unwrap();
        assert!(matches!(progress.error, Some(Error::Read { path, .. }) if path == log));
        assert_eq!((sink.0.lines, progress.position.checkpoints[0].offset), (0, 0));
        repair_reads();
        assert_eq!(follower.count(&item, &poll_now()).unwrap().value, 2);
    }
}
