//! Finds out which files a poll has to read: compares the position of an item with its files as they are now.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::checkpoint::{FileCheckpoint, Position};
use crate::file::{Examination, Fingerprint, Stat, is_compressed};
use crate::plan::Plan;
use crate::step::Step;
use crate::{AllowPath, Error, LogSource, Poll, Query, Start};

/// The unfinished last line of a rotated file is complete if the next file has content, or if the file did not change for
/// this long.
const SETTLED: Duration = Duration::from_secs(10);
/// Files may be renamed while a plan is made. It is then made again, at most this often: a rotation takes microseconds.
pub(crate) const ATTEMPTS: u32 = 50;
/// Pause between two attempts, so that a rotation can end.
pub(crate) const PAUSE: Duration = Duration::from_micros(200);

/// Returns what there is to read. Without time or descriptors to find that out, nothing is read.
pub(crate) fn plan(query: &Query, at: &Position, allow: &AllowPath, poll: &Poll) -> Result<Plan, Error> {
    let files = Examination::new(allow, poll.deadline);
    let planner = Planner::new(query, at, &files, poll.now);
    let plan = match &query.source {
        LogSource::File(path) => planner.fixed(path),
        LogSource::Names { directory, name } => planner.names(directory, name),
    };
    files.failure().map_or(plan, Err)
}

pub(crate) struct Planner<'a> {
    pub(crate) query: &'a Query,
    pub(crate) at: &'a Position,
    pub(crate) files: &'a Examination<'a>,
    pub(crate) now: SystemTime,
    /// The checkpoints by device and inode; there can be thousands.
    pub(crate) places: HashMap<(u64, u64), &'a FileCheckpoint>,
}

impl<'a> Planner<'a> {
    fn new(query: &'a Query, at: &'a Position, files: &'a Examination<'a>, now: SystemTime) -> Self {
        // Of several checkpoints with the same inode the first counts.
        let places = at
            .checkpoints
            .iter()
            .rev()
            .map(|checkpoint| ((checkpoint.dev, checkpoint.ino), checkpoint))
            .collect();
        Self { query, at, files, now, places }
    }

    pub(crate) fn mark_at(&self, stat: Stat) -> Option<&'a FileCheckpoint> {
        self.places.get(&stat.inode()).copied()
    }

    /// Returns whether existing content is skipped: the item is new and has `skip`.
    pub(crate) fn skips(&self) -> bool {
        self.query.start == Start::Skip && !self.at.started
    }

    /// Returns the step for a file that was never seen: from its start, or from its end if the item is new and has `skip`.
    pub(crate) fn first(&self, path: &Path, stat: Stat) -> Result<Step, Error> {
        let mut checkpoint = FileCheckpoint::new(path, stat);
        if self.skips() && stat.size > 0 {
            let (file, stat) = self.files.open(path)?;
            checkpoint.offset = stat.size;
            checkpoint.refresh(&file).map_err(|source| Error::Read { path: path.into(), source })?;
        }
        Ok(Step::new(path, &checkpoint, stat))
    }

    /// Returns a step that takes the whole file as read. A file that cannot be opened is identified by its size and time alone.
    pub(crate) fn read_to_end(&self, path: &Path, stat: Stat) -> Step {
        let mut step = Step { idle: true, ..Step::new(path, &FileCheckpoint::new(path, stat), stat) };
        step.checkpoint.offset = stat.size;
        let opened = self.files.open(path).is_ok_and(|(file, _)| step.checkpoint.refresh(&file).is_ok());
        step.checkpoint.unopened = !opened;
        step
    }

    pub(crate) fn is_compressed(&self, path: &Path) -> Result<bool, Error> {
        self.files.open(path).map(|(file, _)| is_compressed(&file))
    }

    /// Returns whether the file is known to be compressed. A file that cannot be opened is an error when it is read.
    pub(crate) fn is_seen_compressed(&self, path: &Path) -> bool {
        self.is_compressed(path).unwrap_or(false)
    }

    /// Returns a plan that leaves every file for the next poll.
    pub(crate) fn later(&self) -> Plan {
        let step = |checkpoint: &FileCheckpoint| Step::kept(&checkpoint.path, checkpoint, checkpoint.size);
        let (gone, here): (Vec<_>, Vec<_>) =
            self.at.checkpoints.iter().partition(|checkpoint| checkpoint.gone.is_some());
        let steps = here.into_iter().map(step).collect();
        Plan { steps, kept: gone.into_iter().cloned().collect(), floor: self.at.floor, ..Plan::default() }
    }

    /// Returns whether the file at `original` begins with the whole content of the file at `copy`.
    pub(crate) fn begins_with(&self, original: &Path, copy: &Path) -> Result<bool, Error> {
        let error = |source| Error::Read { path: copy.into(), source };
        let (copied, stat) = self.files.open(copy)?;
        // A file that shrinks now is a copy that is being made.
        let Some(print) = Fingerprint::read(&copied, stat.size).map_err(error)? else { return Ok(true) };
        let (original, _) = self.files.open(original)?;
        Ok(Fingerprint::read(&original, stat.size).map_err(error)? == Some(print))
    }

    /// Adds the facts that reading needs to the steps.
    pub(crate) fn ready(&self, mut plan: Plan) -> Plan {
        self.finish(&mut plan.steps);
        plan.steps.iter_mut().filter(|step| !step.idle).for_each(|step| step.lay_anchor(self.files));
        plan
    }

    /// Decides which last lines are complete without a line end.
    pub(crate) fn finish(&self, steps: &mut [Step]) {
        let fixed = matches!(self.query.source, LogSource::File(_));
        let mut later_content = false;
        for step in steps.iter_mut().rev() {
            step.finished = later_content && (fixed || self.is_settled(step.checkpoint.mtime));
            step.idle &= !(step.finished && step.checkpoint.offset < step.size);
            later_content |= step.size > 0;
        }
    }

    pub(crate) fn is_settled(&self, mtime: (i64, i64)) -> bool {
        let mtime = Duration::from_secs(mtime.0.try_into().unwrap_or(0));
        self.now.duration_since(SystemTime::UNIX_EPOCH + mtime).is_ok_and(|age| age > SETTLED)
    }
}

#[cfg(test)]
mod tests {

    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::file::{BOOT, open};
    use crate::{Follower, Item, Settings};

    /// A checkpoint with another device number, as before a reboot.
    fn mark_of_another_device(path: &Path) -> FileCheckpoint {
        let (file, stat) = open(path, &AllowPath::everything()).unwrap();
        let mut checkpoint = FileCheckpoint {
            offset: stat.size,
            size: stat.size,
            mtime: stat.mtime,
            ..FileCheckpoint::new(path, stat)
        };
        checkpoint.refresh(&file).unwrap();
        FileCheckpoint { dev: stat.dev + 1, ..checkpoint }
    }

    fn append(path: &Path, text: &str) {
        fs::write(path, fs::read_to_string(path).unwrap_or_default() + text).unwrap();
    }

    /// The names and offsets of a plan.
    fn planned(source: &LogSource, checkpoints: Vec<FileCheckpoint>) -> Vec<(String, u64)> {
        let at = Position { checkpoints, started: true, ..Position::default() };
        let query = Query::new(source.clone());
        let plan =
            plan(&query, &at, &AllowPath::everything(), &Poll::within(Duration::from_secs(60))).unwrap();
        let name = |step: &Step| step.path.file_name().unwrap().to_string_lossy().into_owned();
        plan.steps.iter().map(|step| (name(step), step.checkpoint.offset)).collect()
    }

    /// Simulates a crash after which only `kept_bytes` of the log were on the disk.
    fn polled_after_crash(
        source: &LogSource,
        log: &Path,
        kept_bytes: u64,
        is_restarted: bool,
    ) -> Option<String> {
        let state = tempfile::tempdir().unwrap();
        let item = Item::new("item", Query::new(source.clone()));
        let start = SystemTime::now();
        let poll = |follower: &Follower, secs| {
            let now = start + Duration::from_secs(secs);
            let polled =
                follower.lines(&item, &Poll { now, ..Poll::within(Duration::from_secs(60)) }).unwrap();
            polled.pending.commit();
            follower.settle(now);
            polled.value
        };
        BOOT.set(1);
        let follower = Follower::open(Settings::new(state.path()));
        for secs in [0, 20, 40, 60, 80, 100] {
            append(log, &(0..100).map(|n| format!("second {secs} line {n}\n")).collect::<String>());
            assert!(poll(&follower, secs).is_some());
        }
        drop(follower);
        BOOT.set(if is_restarted { 2 } else { 1 });
        fs::File::options().write(true).open(log).unwrap().set_len(kept_bytes).unwrap();
        append(log, "new\n");
        let follower = Follower::open(Settings::new(state.path()));
        let value = poll(&follower, 200);
        assert_eq!(poll(&follower, 220), None);
        BOOT.set(0);
        value
    }

    #[test]
    fn log_that_lost_its_end_in_a_crash_is_not_read_again_from_its_start() {
        for by_name in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("messages");
            let names = LogSource::names(&format!("{}/^messages", dir.path().display())).unwrap();
            let source = if by_name { names } else { LogSource::file(&log) };
            let first = |value: Option<String>| value.unwrap().lines().next().unwrap().to_owned();
            let bytes = |secs: &[u64]| -> u64 {
                let line = |secs, n| format!("second {secs} line {n}\n").len() as u64;
                secs.iter().map(|secs| (0..100).map(|n| line(secs, n)).sum::<u64>()).sum()
            };
            // At 20 s the log was read from line 100, and at 80 s from the position of 60 s.
            let kept = bytes(&[0, 20, 40, 60]);
            assert_eq!(first(polled_after_crash(&source, &log, kept, true)), "new");
            fs::remove_file(&log).unwrap();
            assert_eq!(first(polled_after_crash(&source, &log, kept - 1, true)), "second 20 line 0");
            fs::remove_file(&log).unwrap();
            // A log that is truncated without a crash is a new one.
            assert_eq!(first(polled_after_crash(&source, &log, kept, false)), "second 0 line 0");
            fs::remove_file(&log).unwrap();
            // A crash that leaves less than the fingerprint needs makes the log a new one as well.
            assert_eq!(first(polled_after_crash(&source, &log, 1000, true)), "second 0 line 0");
        }
    }

    #[test]
    fn device_with_another_number_after_a_reboot_has_the_same_files() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("messages");
        let names = LogSource::names(&format!("{}/^messages", dir.path().display())).unwrap();
        append(&log, "1\n");
        let checkpoint = mark_of_another_device(&log);
        append(&log, "2\n");
        for source in [LogSource::file(&log), names.clone()] {
            assert_eq!(planned(&source, vec![checkpoint.clone()]), [("messages".to_owned(), 2)]);
        }
        // The log was rotated meanwhile.
        fs::rename(&log, dir.path().join("messages.1")).unwrap();
        for source in [LogSource::file(&log), names] {
            assert_eq!(planned(&source, vec![checkpoint.clone()])[0], ("messages.1".to_owned(), 2));
        }
        append(&log, "3\n");
        let expected = [("messages.1".to_owned(), 2), ("messages".to_owned(), 0)];
        assert_eq!(planned(&LogSource::file(&log), vec![checkpoint.clone()]), expected);
        // The log was rotated before and not read to its end.
        let expected = [("messages.1".to_owned(), 2), ("messages".to_owned(), 2)];
        let checkpoints = vec![FileCheckpoint { more: true, ..checkpoint }, mark_of_another_device(&log)];
        assert_eq!(planned(&LogSource::file(&log), checkpoints), expected);
    }
}
