//! The follower: answers items, and moves their positions when told that an answer arrived.

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
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Items nobody asked for in so long are forgotten.
const FORGET_AFTER_SECS: u64 = 30 * 24 * 3600;
/// How often it is written down that an item is still asked for.
const SEEN_EVERY_SECS: u64 = 24 * 3600;
/// A fixed file that was there and is missing is an error after so many polls: rotation takes a moment.
const MISSES_ALLOWED: u32 = 2;
/// A process that was told to end, or whose agent was killed, has let go of the state directory by then.
const TAKE_OVER: Duration = Duration::from_secs(10);
const TAKE_OVER_LOOK_EVERY: Duration = Duration::from_millis(20);

/// An answer whose position has not moved yet.
#[derive(Debug)]
#[must_use]
pub struct PolledValue<T> {
    /// The answer.
    pub value: T,
    /// The position that it leads to.
    pub pending: PendingCheckpoint,
}

/// A position that waits for its answer to arrive. Dropped, it leaves the item where it was: the next poll gives the same
/// lines again. Until it is committed or dropped, other polls of the same item wait, each until its own deadline.
#[must_use]
pub struct PendingCheckpoint {
    turn: Turn,
    record: Record,
    behind: Option<Behind>,
    now: SystemTime,
    /// There are lines in the answer, which whoever got it may still lose.
    tells: bool,
}

impl std::fmt::Debug for PendingCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingCheckpoint")
            .field("identity", &self.turn.slot.identity)
            .finish_non_exhaustive()
    }
}

impl PendingCheckpoint {
    /// Whether a file was not read to its end: the answer has its limits, or the file cannot be read, or moved meanwhile.
    fn leaves_some(&self) -> bool {
        self.record.position.checkpoints.iter().any(|checkpoint| checkpoint.more)
    }

    /// Moves the position. To be called when the answer has been written in time, and not before.
    ///
    /// Written is not kept: an agent that is killed a millisecond later has not put the answer into its buffer. So the
    /// earlier position is remembered until the item is asked for again, or until [`Follower::settle`]. A process that
    /// begins without either gives the last answer again: at most one answer is repeated, and none is lost.
    ///
    /// The position is in the page cache when this returns: it survives this process. It is on the disk within seconds;
    /// after a power loss more lines may be repeated, but none is lost.
    pub fn commit(self) {
        let Self { turn, mut record, behind, now, tells } = self;
        let mut state = turn.slot.lock();
        state.behind = behind;
        state.last_poll = Some(now);
        record.before = tells.then(|| state.record.position.clone());
        if state.is_stale(&record)
            || record.position != state.record.position
            || record.tally != state.record.tally
        {
            state.stored_seen = record.seen;
            turn.inner.store(&turn.slot.identity, &record, now);
        }
        state.record = record;
    }

    /// There is no line to tell and so none to lose: the next poll goes on from here, as far as `error` let it come.
    fn commit_before(self, error: Error) -> Error {
        self.commit();
        error
    }
}

/// Answers items from log files. One for the process; share it between threads.
///
/// A poll of a file that did not change costs one `stat`. (Of a fixed name that was rotated within the last hour: one more
/// for the rotated file, to which its writer may still write. Of a name pattern: one for each file that matches.)
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

/// One item: its record, and whose turn it is.
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

/// The right to move an item, given back when dropped.
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

/// A panic in one poll leaves its item where it was; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SlotState {
    /// Whether it has to be written down that the item is still asked for.
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
            return slot.clone();
        }
        let identity = item.shared_identity().clone();
        let mut record = self.stored(&identity);
        if let Some(before) = record.before.take().filter(|_| !self.read_only) {
            record.position = before;
        }
        let state = SlotState { stored_seen: record.seen, record, ..SlotState::default() };
        let slot =
            Arc::new(Slot { identity: identity.clone(), state: Mutex::new(state), free: Condvar::new() });
        slots.insert(identity, slot.clone());
        slot
    }

    /// A record that cannot be understood counts as none: its line had the right checksum, so another version wrote it.
    fn stored(&self, identity: &str) -> Record {
        lock(&self.store).get(identity).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    fn store(&self, identity: &str, record: &Record, now: SystemTime) {
        // Strings, numbers, and maps with string keys: this cannot fail.
        if let Ok(json) = serde_json::to_string(record) {
            lock(&self.store).put(identity, json, now);
        }
    }

    /// Waits for a predecessor that is about to end. What was told from its positions before would be told again.
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

    /// The last answer is where it should be: it is not to be given again.
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
    /// Opens the state directory and takes its lock. Never fails: without a directory positions are kept in memory, and
    /// [`Follower::status`] and [`Follower::take_warnings`] say so.
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

    /// Matching lines since the last committed poll, newest last, joined by `\n`; `None` when there is none. At most
    /// 65,535 bytes and the query's lines per second; the rest comes with the next poll. A single line that is longer is cut
    /// and ends with `…`.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays before what could not be read.
    pub fn lines(&self, item: &Item, poll: &Poll) -> Result<PolledValue<Option<String>>, Error> {
        let turn = self.turn(item, poll)?;
        let mut sink = lines_sink(item, turn.budget(item, poll));
        let (mut pending, error) = self.advance(turn, item, poll, &mut sink)?;
        pending.tells = sink.value.is_some();
        match (sink.value, error) {
            (None, Some(error)) => Err(pending.commit_before(error)),
            (value, _) => Ok(PolledValue { value, pending }),
        }
    }

    /// How many lines matched since the last committed poll, at most the query's lines per second.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The position stays before what could not be read.
    pub fn count(&self, item: &Item, poll: &Poll) -> Result<PolledValue<u64>, Error> {
        let turn = self.turn(item, poll)?;
        let mut sink = Count::new(turn.budget(item, poll));
        let (mut pending, error) = self.advance(turn, item, poll, &mut sink)?;
        pending.tells = sink.lines > 0;
        match (sink.lines, error) {
            (0, Some(error)) => Err(pending.commit_before(error)),
            (value, _) => Ok(PolledValue { value, pending }),
        }
    }

    /// What the next [`Follower::lines`] would deliver. Moves nothing, writes nothing, waits for nobody.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_lines(&self, item: &Item, poll: &Poll) -> Result<Option<String>, Error> {
        let (record, budget) = self.look(item, poll);
        let mut sink = lines_sink(item, budget);
        let progress = self.inner.read(item, poll, &record.position, None, &mut sink)?;
        match (sink.value, progress.error) {
            (None, Some(error)) => Err(error),
            (value, _) => Ok(value),
        }
    }

    /// What the next [`Follower::count`] would deliver. Moves nothing, writes nothing, waits for nobody.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn peek_count(&self, item: &Item, poll: &Poll) -> Result<u64, Error> {
        let (record, budget) = self.look(item, poll);
        let mut sink = Count::new(budget);
        let progress = self.inner.read(item, poll, &record.position, None, &mut sink)?;
        match (sink.lines, progress.error) {
            (0, Some(error)) => Err(error),
            (lines, _) => Ok(lines),
        }
    }

    /// Matching lines since the item was first asked for. Only grows, survives restarts. What was in the log before is
    /// counted with [`Start::All`](crate::Start::All) and not with [`Start::Skip`](crate::Start::Skip).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn total(&self, item: &Item, poll: &Poll) -> Result<Total, Error> {
        self.tally(item, poll, Want::Total).map(|(_, total)| total)
    }

    /// The last matching line, and how many there were since the item was first asked for.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn last(&self, item: &Item, poll: &Poll) -> Result<Last, Error> {
        self.tally(item, poll, Want::Last).map(|(tally, total)| Last { total, last: tally.last })
    }

    /// Matching lines by the value of the first capture group, the `limit` largest (at most [`Groups::MAX_VALUES`]).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn groups(&self, item: &Item, limit: usize, poll: &Poll) -> Result<Groups, Error> {
        self.tally(item, poll, Want::Groups).map(|(tally, total)| tally.groups(total, limit))
    }

    /// Counts what came and commits it at once: to read a total again is harmless.
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
        let turn = Turn { inner: self.inner.clone(), slot };
        // Whoever asks again has what was told before.
        self.inner.settle(&turn.slot, poll.now);
        Ok(turn)
    }

    /// Reads on from where the item stands. An error that comes beside a pending position is to be told when there was no
    /// line.
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
        Ok((PendingCheckpoint { turn, record, behind: progress.behind, now: poll.now, tells: false }, error))
    }

    /// The record and the budget of an item, nothing taken.
    fn look(&self, item: &Item, poll: &Poll) -> (Record, u64) {
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

    /// All answers that were committed have arrived, so that a process that begins after this one repeats none. To be
    /// called before an end in good order; without it the last answer of each item may be given again.
    pub fn settle(&self, now: SystemTime) {
        let slots: Vec<_> = lock(&self.inner.slots).values().cloned().collect();
        slots.iter().for_each(|slot| self.inner.settle(slot, now));
    }

    /// Writes what waits to the disk, compacts the state file when it has grown, forgets items that nobody asked for in 30
    /// days, and tries a state directory that failed before once more. Call it every few seconds; polls do not need it.
    pub fn tidy(&self, now: SystemTime) {
        self.forget(now);
        let unsynced = lock(&self.inner.store).tidy();
        if let Some(Err(error)) = unsynced.map(|file| file.sync_data()) {
            lock(&self.inner.store).fail(&error);
        }
        self.inner.shared.tidy();
        self.inner.buffers.tidy();
    }

    /// Once an hour.
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
        let is_old = |json: &str| serde_json::from_str::<Seen>(json).is_ok_and(|record| record.seen < oldest);
        let old: Vec<String> = store
            .records()
            .filter(|(_, json)| is_old(json))
            .map(|(identity, _)| identity.to_owned())
            .collect();
        for identity in old {
            store.remove(&identity, now);
        }
    }

    /// Health and counters.
    #[must_use]
    pub fn status(&self) -> FollowerStatus {
        let store = lock(&self.inner.store);
        FollowerStatus {
            persistence: store.persistence(),
            items: store.len(),
            read_bytes: self.inner.read_bytes.load(Ordering::Relaxed),
            lines_over_step_limit: self.inner.lines_over_step_limit.load(Ordering::Relaxed),
            last_write: store.last_write(),
        }
    }

    /// Warnings since the last call, to be logged by the caller.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        lock(&self.inner.store).take_warnings()
    }
}

/// The one field of a record that forgetting needs.
#[derive(Deserialize)]
struct Seen {
    seen: u64,
}

impl Turn {
    fn budget(&self, item: &Item, poll: &Poll) -> u64 {
        budget(item, poll, self.slot.lock().last_poll)
    }

    /// The item stays where it was, and was asked for. Where nothing is there and the item is new that settles its start:
    /// what comes later is read from its beginning.
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

    /// A file that was there and is missing may be in the middle of its rotation.
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

/// Lines that one poll may deliver.
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
    #![allow(clippy::unwrap_used)] // a test that panics has failed

    use super::*;
    use crate::chunk::CHUNK_BYTES;
    use crate::file::BROKEN_FROM;
    use crate::{LogSource, Query};
    use std::fs;

    fn poll_now() -> Poll {
        Poll::within(Duration::from_secs(60))
    }

    /// A log with a match at its beginning and one at its end, three chunks later, of which the last cannot be read.
    fn broken_log() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("messages");
        fs::write(&log, format!("oom 1\n{}oom 2\n", "a line\n".repeat(3 * CHUNK_BYTES / 7))).unwrap();
        BROKEN_FROM.set(2 * CHUNK_BYTES as u64);
        (dir, log)
    }

    fn mended() {
        BROKEN_FROM.set(u64::MAX);
    }

    #[test]
    fn failure_06_lines_before_an_error_are_counted_once_and_the_error_is_told() {
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
        mended();
        let total = follower.total(&item, &poll_now()).unwrap();
        assert_eq!((total.lines, total.complete), (2, true));
    }

    #[test]
    fn failure_06_lines_before_an_error_are_delivered_once_and_the_error_is_told() {
        let (_dir, log) = broken_log();
        let query = Query::new(LogSource::file(&log)).pattern("oom".parse().unwrap());
        let item = Item::new("lines", query);
        // With another item of the same log the search is shared.
        let other = Item::new("other", item.query().clone().pattern("nothing".parse().unwrap()));
        let follower = Follower::open(Settings::in_memory());
        assert!(follower.lines(&other, &poll_now()).is_err());
        let delivery = follower.lines(&item, &poll_now()).unwrap();
        assert_eq!(delivery.value.as_deref(), Some("oom 1"));
        delivery.pending.commit();
        for _ in 0..2 {
            assert!(
                matches!(follower.lines(&item, &poll_now()), Err(Error::Read { path, .. }) if path == log)
            );
        }
        mended();
        assert_eq!(follower.lines(&item, &poll_now()).unwrap().value.as_deref(), Some("oom 2"));
    }

    /// Breaks the disk when it gets a line.
    struct Breaking(Count);

    impl Sink for Breaking {
        fn line(&mut self, line: &[u8], file: &std::path::Path) -> crate::sink::Flow {
            BROKEN_FROM.set(0);
            self.0.line(line, file)
        }

        fn begin(&mut self) {
            self.0.begin();
        }

        fn take_back(&mut self) {
            self.0.take_back();
        }
    }

    /// A position without a fingerprint of what was read could be of any file.
    #[test]
    fn failure_06_lines_whose_position_cannot_be_kept_are_taken_back() {
        let (_dir, log) = broken_log();
        mended();
        let item = Item::new("count", Query::new(LogSource::file(&log)).pattern("oom".parse().unwrap()));
        let follower = Follower::open(Settings::in_memory());
        let mut sink = Breaking(Count::new(10));
        let progress =
            follower.inner.read(&item, &poll_now(), &Position::default(), None, &mut sink).unwrap();
        assert!(matches!(progress.error, Some(Error::Read { path, .. }) if path == log));
        assert_eq!((sink.0.lines, progress.position.checkpoints[0].offset), (0, 0));
        mended();
        assert_eq!(follower.count(&item, &poll_now()).unwrap().value, 2);
    }
}
