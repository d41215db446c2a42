//! Where reading stands: which files were read how far, and which to read next.
//!
//! A position is a row of marks, oldest file first; each tells a file by device, inode and by what was read from it, and how
//! far that was. A [`Step`] is a mark with the path where its file is now. Planning turns a position into steps: it finds out
//! what rotation did since the last poll. Reading moves the marks of the steps, and these are the next position.

use crate::file::{Fingerprint, HEAD_BYTES, Stat, boot, is_compressed, open};
use crate::rotation::{self, Entry, Matching};
use crate::scan::Spot;
use crate::{AllowPath, Error, Query, Rotation, Source, Start};
use serde::{Deserialize, Serialize, Serializer};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// A rotated file is watched for a writer that is slow to let go: so long, and at most so many of them.
const WATCH_ROTATED: Duration = Duration::from_secs(3600);
const MAX_WATCHED: usize = 4;
/// The unfinished last line of a rotated file is complete when the next file has content, or after so long without change.
const SETTLED: Duration = Duration::from_secs(10);
/// Two files that begin with the same so many bytes are a file and its copy, also where nobody said that there are copies.
const SURE_COPY_BYTES: u64 = HEAD_BYTES;
/// A file of a name pattern that is not listed keeps its mark so long: it was moved away, or its file system is not mounted.
const KEEP_GONE: Duration = Duration::from_secs(3600);
/// What is written to a file is on the disk after so long, at the most: the kernel sees to it after half a minute.
const ON_DISK: Duration = Duration::from_secs(60);
/// Marks of files that were read to their end and are older than all others are dropped beyond this number.
/// Such a file that is written again is read from its start: the number is beyond what a directory of logs holds.
const MAX_MARKS: usize = 10_000;
/// A plan made while names change is made again, at most so often. A rotation takes microseconds, a plan hardly more.
const ATTEMPTS: u32 = 50;
/// Between two of them, so that a rotation can come to its end.
const PAUSE: Duration = Duration::from_micros(200);

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Oldest first. With a fixed name, the last one is the file of that name.
    pub(crate) marks: Vec<Mark>,
    /// Files that are older than this and have no mark are done with (name patterns only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<(i64, i64)>,
    /// The item was asked for before: `skip` applies to the first time only.
    #[serde(default)]
    pub(crate) started: bool,
}

/// How far one file was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    dev: u64,
    pub(crate) ino: u64,
    pub(crate) offset: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    skipping: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    after_cr: bool,
    #[serde(rename = "print")]
    fingerprint: Fingerprint,
    /// As it was when the file was looked at last: nothing new while both stay.
    size: u64,
    pub(crate) mtime: (i64, i64),
    /// The name that it had then: a hint where to look first. (One that is not UTF-8 is found again by its inode.)
    #[serde(serialize_with = "lossy")]
    path: PathBuf,
    /// There is more to read although nothing changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) more: bool,
    /// Its time changed and its size did not, one poll ago.
    #[serde(default, skip_serializing_if = "is_false")]
    touched: bool,
    /// It could not be opened when it was passed by: nothing is known of its content.
    #[serde(default, skip_serializing_if = "is_false")]
    unopened: bool,
    /// When it was found rotated, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated: Option<u64>,
    /// When it was missed first, in seconds since 1970 (name patterns only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<u64>,
    /// Where it stood before: a machine that crashes forgets the ends of its logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Earlier>,
    /// Where it stood before this poll moved it.
    #[serde(skip)]
    before: Option<Point>,
}

/// One or two points, the newer at least as long after the older as it takes until that is on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Earlier {
    boot: u64,
    points: Vec<Point>,
}

/// How far a file was read, and when it was read on, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    offset: u64,
    #[serde(rename = "print")]
    fingerprint: Fingerprint,
    secs: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde calls
fn is_false(value: &bool) -> bool {
    !value
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl Mark {
    fn new(path: &Path, stat: Stat) -> Self {
        Self { dev: stat.dev, ino: stat.ino, path: path.into(), ..Self::default() }
    }

    pub(crate) fn is_place_of(&self, stat: Stat) -> bool {
        (self.dev, self.ino) == stat.place()
    }

    fn place(&self) -> (u64, u64, &Path) {
        (self.dev, self.ino, &self.path)
    }

    fn is_unchanged(&self, stat: Stat) -> bool {
        self.is_place_of(stat) && self.size == stat.size && self.mtime == stat.mtime
    }

    fn is_read_to_end(&self) -> bool {
        !self.more && self.offset >= self.size
    }

    /// Whether the file at `path` begins with everything that was read under this mark.
    fn is_content_of(&self, path: &Path, stat: Stat, allow: &AllowPath) -> Result<bool, Error> {
        if stat.size < self.offset {
            return Ok(false);
        }
        if self.offset == 0 {
            return Ok(true);
        }
        let (file, _) = open(path, allow)?;
        if self.unopened {
            return Ok(self.is_place_of(stat));
        }
        let print = Fingerprint::read(&file, self.offset)
            .map_err(|source| Error::Read { path: path.into(), source })?;
        Ok(print == Some(self.fingerprint))
    }

    pub(crate) fn spot(&self) -> Spot {
        Spot { offset: self.offset, skipping: self.skipping, after_cr: self.after_cr }
    }

    /// Moves the mark to where reading `file` stopped.
    /// `false`, and no move, when the file shrank in this very moment.
    pub(crate) fn moved(&mut self, spot: Spot, more: bool, file: &File) -> std::io::Result<bool> {
        if self.offset != spot.offset || self.unopened {
            let Some(fingerprint) = Fingerprint::read(file, spot.offset)? else { return Ok(false) };
            self.before = self.point();
            self.fingerprint = fingerprint;
            self.unopened = false;
            self.offset = spot.offset;
        }
        self.more = more;
        self.skipping = spot.skipping;
        self.after_cr = spot.after_cr;
        Ok(true)
    }

    /// Where it stands, if that is where a line begins and tells the file from others.
    fn point(&self) -> Option<Point> {
        let is_fit = self.offset >= SURE_COPY_BYTES && !self.skipping && !self.after_cr && !self.unopened;
        is_fit.then_some(Point { offset: self.offset, fingerprint: self.fingerprint, secs: 0 })
    }

    /// Remembers where it stood before this poll, for as long as the file changes.
    fn note(mut self, now_secs: u64) -> Self {
        let quiet_secs = now_secs.saturating_sub(self.mtime.0.try_into().unwrap_or(0));
        if let Some((point, boot)) = self.before.take().zip(boot()) {
            let mut points = self.earlier.take().map_or_else(Vec::new, |earlier| earlier.points);
            if points.last().is_none_or(|last| now_secs.abs_diff(last.secs) >= ON_DISK.as_secs()) {
                points.push(Point { secs: now_secs, ..point });
            }
            points.drain(..points.len().saturating_sub(2));
            self.earlier = Some(Earlier { boot, points });
        } else if quiet_secs > 2 * ON_DISK.as_secs() {
            self.earlier = None;
        }
        self
    }

    /// Where it stood earlier, if the machine was started since and the file holds what had been read by then: the end of it
    /// was not on the disk yet.
    fn before_crash(&self, path: &Path, allow: &AllowPath) -> Result<Option<Self>, Error> {
        let Some(earlier) =
            self.earlier.as_ref().filter(|earlier| boot().is_some_and(|now| now != earlier.boot))
        else {
            return Ok(None);
        };
        let (file, _) = open(path, allow)?;
        for point in earlier.points.iter().rev() {
            let print = Fingerprint::read(&file, point.offset)
                .map_err(|source| Error::Read { path: path.into(), source })?;
            if print == Some(point.fingerprint) {
                let Point { offset, fingerprint, .. } = *point;
                let (skipping, after_cr, more) = (false, false, true);
                return Ok(Some(Self { offset, fingerprint, skipping, after_cr, more, ..self.clone() }));
            }
        }
        Ok(None)
    }

    /// Jumps ahead by `bytes`, to the beginning of the next line after that. How far it went.
    pub(crate) fn jump(&mut self, bytes: u64, size: u64) -> u64 {
        let jumped = bytes.min(size.saturating_sub(self.offset)) / 4 * 4;
        self.offset += jumped;
        self.skipping |= jumped > 0;
        jumped
    }

    /// After a jump the fingerprint must be made anew.
    pub(crate) fn refresh(&mut self, file: &File) -> std::io::Result<()> {
        self.fingerprint = Fingerprint::read(file, self.offset)?.unwrap_or_default();
        self.unopened = false;
        Ok(())
    }
}

/// One file to read.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) path: PathBuf,
    pub(crate) mark: Mark,
    pub(crate) size: u64,
    /// Nothing to do but to keep the mark.
    pub(crate) idle: bool,
    /// The last line is complete even without an end.
    pub(crate) finished: bool,
    /// What is in its first bytes, or in those up to the mark, as long as nobody truncates it.
    anchor: Option<(u64, Fingerprint)>,
}

impl Step {
    /// From `mark`, of a file that is now at `path`.
    fn new(path: &Path, mark: &Mark, stat: Stat) -> Self {
        let idle = mark.is_unchanged(stat) && !mark.more;
        let Stat { dev, ino, size, mtime } = stat;
        let mark =
            Mark { dev, ino, size, mtime, path: path.into(), touched: false, gone: None, ..mark.clone() };
        Self { path: path.into(), mark, size, idle, finished: false, anchor: None }
    }

    /// Of a file of which nothing can be found out now: its mark stays as it is until the next poll.
    fn kept(path: &Path, mark: &Mark, size: u64) -> Self {
        let mark = Mark { path: path.into(), more: true, ..mark.clone() };
        Self { path: path.into(), mark, size, idle: true, finished: false, anchor: None }
    }

    /// Remembers what tells the file from one that is truncated and written again. A file that was moved since it was
    /// listed gets no anchor: whoever opens it finds that out.
    fn lay_anchor(&mut self, allow: &AllowPath) {
        let mark = &self.mark;
        self.anchor = if mark.offset > 0 && !mark.unopened {
            Some((mark.offset, mark.fingerprint))
        } else {
            let length = self.size.min(HEAD_BYTES);
            let file = open(&self.path, allow).ok().filter(|(_, stat)| mark.is_place_of(*stat));
            file.and_then(|(file, _)| Fingerprint::read(&file, length).ok().flatten())
                .map(|print| (length, print))
        };
    }

    /// Whether the file still holds what it held when this step was planned.
    pub(crate) fn is_anchored_in(&self, file: &File) -> std::io::Result<bool> {
        match self.anchor {
            Some((offset, print)) => Ok(Fingerprint::read(file, offset)? == Some(print)),
            None => Ok(true),
        }
    }
}

/// What to read.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Oldest first.
    pub(crate) steps: Vec<Step>,
    pub(crate) floor: Option<(i64, i64)>,
    /// To be told when the steps gave no line: the file is not there, or one of several cannot be opened.
    pub(crate) error: Option<Error>,
    /// Of files that are not to be seen now and may come back, longest gone first.
    kept: Vec<Mark>,
}

impl Plan {
    /// The position when all steps were taken as far as their marks say.
    pub(crate) fn position(mut self, now: SystemTime) -> Position {
        if self.steps.len() > MAX_MARKS {
            self.forget_oldest();
        }
        let secs = unix_secs(now);
        let last = self.steps.len().saturating_sub(1);
        let surplus = (self.kept.len() + self.steps.len()).saturating_sub(MAX_MARKS).min(self.kept.len());
        let kept = self.kept.into_iter().skip(surplus);
        let taken = self.steps.into_iter().enumerate().map(|(i, step)| Mark {
            rotated: if i < last { step.mark.rotated.or(Some(secs)) } else { None },
            ..step.mark.note(secs)
        });
        let marks = kept.chain(taken).collect();
        Position { marks, floor: self.floor, started: true }
    }

    /// Whether all files are as they were.
    fn is_idle_at(&self, at: &Position) -> bool {
        let before = at.marks.iter().filter(|mark| mark.gone.is_none()).map(Mark::place);
        self.steps.iter().all(|step| step.idle) && self.steps.iter().map(|step| step.mark.place()).eq(before)
    }

    /// Drops the oldest marks of files that were read, as long as all that is dropped is older than all that is kept.
    fn forget_oldest(&mut self) {
        let done = self.steps.iter().take_while(|step| step.mark.is_read_to_end()).count();
        let mut drop = (self.steps.len() - MAX_MARKS).min(done);
        while drop > 0 && self.steps[drop - 1].mark.mtime >= self.steps[drop].mark.mtime {
            drop -= 1;
        }
        if drop > 0 {
            self.floor = Some(self.steps[drop].mark.mtime);
            self.steps.drain(..drop);
        }
    }
}

/// Finds out what there is to read.
pub(crate) fn plan(query: &Query, at: &Position, allow: &AllowPath, now: SystemTime) -> Result<Plan, Error> {
    let planner = Planner::new(query, at, allow, now);
    match &query.source {
        Source::File(path) => planner.fixed(path),
        Source::Names { directory, name } => planner.names(directory, name),
    }
}

/// The log's directory at one moment, read when it is needed: the log itself and what rotation made of it.
struct Listing<'p> {
    path: &'p Path,
    entries: OnceCell<Vec<Entry>>,
}

impl<'p> Listing<'p> {
    fn new(path: &'p Path) -> Self {
        Self { path, entries: OnceCell::new() }
    }

    fn read(path: &Path) -> Result<Vec<Entry>, Error> {
        let mut entries = rotation::list(path)?;
        entries.retain(|entry| entry.path == path || rotation::is_rotated(path, &entry.path));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn entries(&self) -> Result<&[Entry], Error> {
        if self.entries.get().is_none() {
            let _ = self.entries.set(Self::read(self.path)?);
        }
        Ok(self.entries.get().map_or(&[], Vec::as_slice))
    }

    /// Whether the directory and the log itself, which was as `before` says, are still the same. While names change,
    /// a file may be listed twice, or not at all.
    fn was_quiet(&self, before: Option<Stat>) -> Result<bool, Error> {
        let Some(entries) = self.entries.get() else { return Ok(true) };
        let after = Stat::of(self.path).ok();
        let same = match (before, after) {
            (Some(before), Some(after)) => before.place() == after.place() && before.size <= after.size,
            (before, after) => before.is_none() && after.is_none(),
        };
        Ok(same && *entries == Self::read(self.path)?)
    }
}

struct Planner<'a> {
    query: &'a Query,
    at: &'a Position,
    allow: &'a AllowPath,
    now: SystemTime,
    /// The marks by device and inode: there can be thousands.
    places: HashMap<(u64, u64), &'a Mark>,
}

impl<'a> Planner<'a> {
    fn new(query: &'a Query, at: &'a Position, allow: &'a AllowPath, now: SystemTime) -> Self {
        // Of several with the same place the first counts.
        let places = at.marks.iter().rev().map(|mark| ((mark.dev, mark.ino), mark)).collect();
        Self { query, at, allow, now, places }
    }

    fn mark_at(&self, stat: Stat) -> Option<&'a Mark> {
        self.places.get(&stat.place()).copied()
    }

    // ---- a fixed name

    fn fixed(&self, path: &Path) -> Result<Plan, Error> {
        for attempt in 0..ATTEMPTS {
            thread::sleep(PAUSE * attempt);
            let (current, listing) = (Self::current(path)?, Listing::new(path));
            let before = current.as_ref().ok().copied();
            let plan = self.fixed_now(&listing, current).map(|plan| self.ready(plan));
            if listing.was_quiet(before)? {
                return plan;
            }
        }
        Ok(self.later())
    }

    /// Everything stays where it is until the next poll.
    fn later(&self) -> Plan {
        let step = |mark: &Mark| Step::kept(&mark.path, mark, mark.size);
        let (gone, here): (Vec<_>, Vec<_>) = self.at.marks.iter().partition(|mark| mark.gone.is_some());
        let steps = here.into_iter().map(step).collect();
        Plan { steps, kept: gone.into_iter().cloned().collect(), floor: self.at.floor, ..Plan::default() }
    }

    /// The file that has the log's name, or the error that there is none.
    fn current(path: &Path) -> Result<Result<Stat, Error>, Error> {
        match Stat::of(path) {
            Err(error) if !matches!(error, Error::Missing { .. }) => Err(error),
            current => Ok(current),
        }
    }

    fn fixed_now(&self, listing: &Listing<'_>, current: Result<Stat, Error>) -> Result<Plan, Error> {
        let path = listing.path;
        let Some((last, older)) = self.at.marks.split_last() else {
            let stat = current?;
            let mut steps = self.set_aside(listing, stat)?;
            steps.push(self.first(path, stat)?);
            return Ok(Plan { steps, ..Plan::default() });
        };
        let mut steps = self.watched(listing, last, older)?;
        if let Ok(stat) = current
            && let Some(mark) = self.mark_of_last(listing, last, stat)?
        {
            steps.push(Step::new(path, &mark, stat));
            return Ok(Plan { steps, ..Plan::default() });
        }
        // Also when the file was empty and has its first lines: it may be another one with the same inode.
        steps.extend(self.predecessors(listing, current.as_ref().ok().copied(), last, &steps)?);
        let error = match current {
            Ok(stat) => {
                steps.push(Step::new(path, &Mark::new(path, stat), stat));
                None
            }
            Err(error) => {
                self.keep_last(path, last, &mut steps);
                Some(error)
            }
        };
        Ok(Plan { steps, error, ..Plan::default() })
    }

    /// Whether what is there now is not for the item: it is new and says `skip`.
    fn skips(&self) -> bool {
        self.query.start == Start::Skip && !self.at.started
    }

    /// How far the file that has the log's name was read, if it is the one that had it.
    fn mark_of_last(&self, listing: &Listing<'_>, last: &Mark, stat: Stat) -> Result<Option<Mark>, Error> {
        if self.is_last(listing, last, stat)? {
            return Ok(Some(last.clone()));
        }
        if last.ino == stat.ino { last.before_crash(listing.path, self.allow) } else { Ok(None) }
    }

    /// Whether the file that has the log's name is the one that had it. A device can have another number after a reboot (NFS,
    /// ZFS, LVM), and an editor or a restored backup replaces a log by a copy: then the content decides, unless that file
    /// was rotated and is still to be read.
    fn is_last(&self, listing: &Listing<'_>, last: &Mark, stat: Stat) -> Result<bool, Error> {
        let path = listing.path;
        if last.is_unchanged(stat) {
            return Ok(true);
        }
        let is_likely = last.is_place_of(stat)
            || ((last.ino == stat.ino || last.offset >= SURE_COPY_BYTES)
                && !Self::is_rotated(path, last, listing.entries()?));
        Ok(is_likely && last.offset > 0 && last.is_content_of(path, stat, self.allow)?)
    }

    /// A file that was never seen: from its start, or from its end when the item is new and says `skip`.
    fn first(&self, path: &Path, stat: Stat) -> Result<Step, Error> {
        let mut mark = Mark::new(path, stat);
        if self.skips() && stat.size > 0 {
            let (file, stat) = open(path, self.allow)?;
            mark.offset = stat.size;
            mark.refresh(&file).map_err(|source| Error::Read { path: path.into(), source })?;
        }
        Ok(Step::new(path, &mark, stat))
    }

    /// What a new item finds rotated beside an empty log is not for it. Nothing tells an empty file from those before it, so
    /// without marks they would count as its predecessors once it has lines.
    fn set_aside(&self, listing: &Listing<'_>, current: Stat) -> Result<Vec<Step>, Error> {
        if self.at.started || current.size > 0 {
            return Ok(Vec::new());
        }
        let mut files: Vec<(Stat, &Path)> = rotation::rotated(listing.path, listing.entries()?)
            .filter_map(|entry| Some((Stat::of(&entry.path).ok()?, entry.path.as_path())))
            .filter(|(stat, path)| stat.place() != current.place() && !self.is_seen_compressed(path))
            .collect();
        files.sort_by_key(|(stat, _)| (stat.mtime, stat.place()));
        files.dedup_by_key(|(stat, _)| stat.place());
        let surplus = files.len().saturating_sub(MAX_WATCHED);
        let kept = files.into_iter().enumerate();
        let kept = kept.filter(|(i, (stat, _))| *i >= surplus || stat.mtime >= current.mtime);
        Ok(kept.map(|(_, (stat, path))| self.read_to_end(path, stat)).collect())
    }

    /// As if everything in the file had been read. One that cannot be opened is known by its size and time alone.
    fn read_to_end(&self, path: &Path, stat: Stat) -> Step {
        let mut step = Step { idle: true, ..Step::new(path, &Mark::new(path, stat), stat) };
        step.mark.offset = stat.size;
        let opened = open(path, self.allow).is_ok_and(|(file, _)| step.mark.refresh(&file).is_ok());
        step.mark.unopened = !opened;
        step
    }

    /// Files that were rotated away some time ago and may still be written to, or were not read to their end yet. And those
    /// that changed after the last one did: without their marks they would count as its successors once it is rotated.
    fn watched(&self, listing: &Listing<'_>, last: &Mark, marks: &[Mark]) -> Result<Vec<Step>, Error> {
        let path = listing.path;
        let mut steps = Vec::new();
        let surplus = marks.len().saturating_sub(MAX_WATCHED);
        let is_new_since = |mark: &Mark| mark.mtime >= last.mtime;
        for (i, mark) in marks.iter().enumerate() {
            let age = unix_secs(self.now).saturating_sub(mark.rotated.unwrap_or_default());
            let unwatched = i < surplus || age > WATCH_ROTATED.as_secs();
            if mark.is_read_to_end() && unwatched && !is_new_since(mark) {
                continue;
            }
            let here = Stat::of(&mark.path).ok().filter(|stat| mark.is_place_of(*stat) && mark.path != path);
            if let Some(stat) = here {
                self.push_if_same(&mut steps, &mark.path, mark, stat);
                continue;
            }
            self.push_by_inode(&mut steps, path, mark, listing.entries()?);
        }
        Ok(steps)
    }

    fn push_by_inode(&self, steps: &mut Vec<Step>, current: &Path, mark: &Mark, listing: &[Entry]) -> bool {
        let place = |entry: &&Entry| entry.ino == mark.ino && entry.path != current;
        listing.iter().find(place).is_some_and(|entry| match Stat::of(&entry.path) {
            // The number of a device can change, too.
            Ok(stat) if mark.is_place_of(stat) || mark.offset > 0 => {
                self.push_if_same(steps, &entry.path, mark, stat)
            }
            _ => false,
        })
    }

    /// A file that vanished or was replaced in this moment is no reason to stop. One that cannot be opened now can be later:
    /// it keeps its mark.
    fn push_if_same(&self, steps: &mut Vec<Step>, path: &Path, mark: &Mark, stat: Stat) -> bool {
        let same =
            if mark.is_unchanged(stat) { Ok(true) } else { mark.is_content_of(path, stat, self.allow) };
        let step = match same {
            Ok(true) => Step::new(path, mark, stat),
            Err(error) if mark.is_place_of(stat) && !matches!(error, Error::Missing { .. }) => {
                Step::kept(path, mark, stat.size)
            }
            _ => return false,
        };
        steps.push(step);
        true
    }

    /// What came between the file that was read last and the one that has its name now: the rest of the former, wherever
    /// rotation put it, and what was rotated after it.
    fn predecessors(
        &self,
        listing: &Listing<'_>,
        current: Option<Stat>,
        last: &Mark,
        watched: &[Step],
    ) -> Result<Vec<Step>, Error> {
        let (log, listing) = (listing.path, listing.entries()?);
        let mut steps = Vec::new();
        // Of a file that was empty nothing but the inode is known, and that may be another file's by now: what is rotated is
        // then ordered by itself, and this file is one of them.
        let proven = last.offset > 0;
        if (proven || !Self::is_rotated(log, last, listing))
            && !self.push_by_inode(&mut steps, log, last, listing)
        {
            self.push_copy(&mut steps, log, last, watched, listing);
        }
        // The log itself may have such a name, too: a hard link.
        let known = |stat: Stat, unseen: &[Step]| {
            let mut steps = watched.iter().chain(&steps).chain(unseen);
            current.is_some_and(|now| now.place() == stat.place())
                || steps.any(|step| step.mark.is_place_of(stat))
        };
        let mut unseen = Vec::new();
        let found = steps.first().filter(|_| proven).map(|step| step.path.as_path());
        for entry in rotation::after(log, listing, found, last) {
            match Stat::of(&entry.path) {
                Ok(stat)
                    if known(stat, &unseen) || stat.size == 0 || self.is_seen_compressed(&entry.path) => {}
                Ok(stat) if !self.is_copy_of_log(log, current, &entry.path, stat) => {
                    unseen.push(Step::new(&entry.path, &Mark::new(&entry.path, stat), stat));
                }
                _ => {}
            }
        }
        steps.extend(unseen);
        Ok(steps)
    }

    /// A copy whose original is to be truncated in a moment: what is in it is read from there.
    fn is_copy_of_log(&self, log: &Path, current: Option<Stat>, path: &Path, stat: Stat) -> bool {
        let may_be = stat.size >= SURE_COPY_BYTES && current.is_some_and(|now| now.size >= stat.size);
        may_be && self.begins_with(log, path).unwrap_or(false)
    }

    /// Whether the file with the inode of the mark has a name that rotation gave it.
    fn is_rotated(path: &Path, mark: &Mark, listing: &[Entry]) -> bool {
        rotation::rotated(path, listing).any(|entry| entry.ino == mark.ino)
    }

    /// A copy that `copytruncate` left: begins with all that was read, and is not older than what was read.
    fn push_copy(
        &self,
        steps: &mut Vec<Step>,
        path: &Path,
        last: &Mark,
        watched: &[Step],
        listing: &[Entry],
    ) {
        if last.offset == 0 {
            return;
        }
        let mut copies: Vec<(Stat, &Entry)> = rotation::rotated(path, listing)
            .filter_map(|entry| Some((Stat::of(&entry.path).ok()?, entry)))
            .filter(|(stat, _)| {
                stat.mtime >= last.mtime && !watched.iter().any(|step| step.mark.is_place_of(*stat))
            })
            .collect();
        copies.sort_by_key(|(stat, _)| std::cmp::Reverse(stat.mtime));
        for (stat, entry) in copies {
            if self.push_if_same(steps, &entry.path, &Mark { more: true, ..last.clone() }, stat) {
                return;
            }
        }
    }

    fn is_compressed(&self, path: &Path) -> Result<bool, Error> {
        open(path, self.allow).map(|(file, _)| is_compressed(&file))
    }

    /// What cannot be opened is an error when it is to be read.
    fn is_seen_compressed(&self, path: &Path) -> bool {
        self.is_compressed(path).unwrap_or(false)
    }

    /// Between a rename and the creation of the next file: the mark of the old file stays the last one, so that the next
    /// poll finds out what became of it.
    fn keep_last(&self, path: &Path, last: &Mark, steps: &mut Vec<Step>) {
        if !steps.iter().any(|step| step.mark.ino == last.ino) {
            let stat = Stat { dev: last.dev, ino: last.ino, size: last.size, mtime: last.mtime };
            let mut step = Step::new(path, last, stat);
            step.idle = true;
            steps.push(step);
        }
    }

    // ---- a pattern of names

    fn names(&self, directory: &Path, name: &crate::Pattern) -> Result<Plan, Error> {
        for attempt in 0..ATTEMPTS {
            thread::sleep(PAUSE * attempt);
            let Matching { files, hidden } = rotation::matching(directory, name)?;
            let plan = self.names_now(files.clone()).map(|plan| self.ready(plan));
            let is_idle = plan.as_ref().is_ok_and(|plan| plan.is_idle_at(self.at));
            if is_idle || is_undisturbed(&files, &rotation::matching(directory, name)?.files) {
                return plan.map(|plan| self.keep_unlisted(plan, hidden));
            }
        }
        Ok(self.later())
    }

    /// Whoever comes back is not to be read again. Of an empty file nothing is known.
    fn keep_unlisted(&self, mut plan: Plan, hidden: Vec<(PathBuf, Error)>) -> Plan {
        let now = unix_secs(self.now);
        let names: HashSet<&Path> = hidden.iter().map(|(path, _)| path.as_path()).collect();
        let listed: HashSet<_> = plan.steps.iter().map(|step| (step.mark.dev, step.mark.ino)).collect();
        for mark in self.at.marks.iter().filter(|mark| mark.offset > 0) {
            let is_hidden = names.contains(mark.path.as_path());
            let gone = (!is_hidden).then(|| mark.gone.unwrap_or(now));
            let is_over = gone.is_some_and(|since| now.saturating_sub(since) > KEEP_GONE.as_secs());
            if !is_over && !listed.contains(&(mark.dev, mark.ino)) {
                // Of a file that is gone there is no more to read: the answer is complete.
                plan.kept.push(Mark { gone, more: mark.more && is_hidden, ..mark.clone() });
            }
        }
        plan.error = plan.error.or(hidden.into_iter().next().map(|(_, error)| error));
        plan
    }

    fn names_now(&self, mut files: Vec<(PathBuf, Stat)>) -> Result<Plan, Error> {
        // Equal times go by descending names, as in the agent: `messages.1` comes before `messages`.
        files.sort_by(|(a, a_stat), (b, b_stat)| (a_stat.mtime, b).cmp(&(b_stat.mtime, a)));
        let mut plan = Plan { floor: self.at.floor, ..Plan::default() };
        let truncated = self.truncated(&files);
        for (path, stat) in &files {
            match self.step(path, *stat, &files, &truncated) {
                Ok(step) => plan.steps.extend(step),
                // Names change, and the plan will be made again.
                Err(error @ Error::Missing { .. }) => return Err(error),
                Err(error) => {
                    plan.steps.extend(self.unopened(path, *stat));
                    plan.error.get_or_insert(error);
                }
            }
        }
        // Of files with equal times, one that was begun is older than one that was not: a copy that was made before its
        // original was truncated and written again, within one tick of the clock.
        // An empty file holds what is written from now on, whatever its time: that of a truncation can be a tick older than
        // that of the copy made before it (seen on ext4 with Linux 6.18).
        plan.steps.sort_by_key(|step| (step.size == 0, step.mark.mtime, step.mark.offset == 0));
        Ok(plan)
    }

    /// How to go on with one file, if at all.
    fn step(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
        truncated: &[&Mark],
    ) -> Result<Option<Step>, Error> {
        let known = self.mark_of(path, stat)?;
        match &known {
            Known::Same(mark) if mark.is_unchanged(stat) => return Ok(Some(Step::new(path, mark, stat))),
            Known::No if self.at.floor.is_some_and(|floor| stat.mtime < floor) => return Ok(None),
            _ => {}
        }
        // Also of a file that was seen before: it may have been empty, or have given its inode to this one.
        if stat.size > 0 && self.is_compressed(path)? {
            return Ok(Some(self.read_to_end(path, stat)));
        }
        Ok(match known {
            Known::Same(mark) => Some(Step::new(path, &mark, stat)),
            Known::Touched(mark) => Some(Step { idle: true, ..Step::new(path, &mark, stat) }.touched(&mark)),
            Known::Changed | Known::No if self.skips() => Some(self.first(path, stat)?),
            Known::Changed => Some(Step::new(path, &Mark::new(path, stat), stat)),
            Known::No => self.unknown(path, stat, files, truncated)?,
        })
    }

    /// One of several files cannot be opened: the others are read. What a new item is to skip of it is skipped now, for what
    /// comes later is not to be; what else is unknown of it is found out when it can be opened.
    fn unopened(&self, path: &Path, stat: Stat) -> Option<Step> {
        match self.mark_at(stat).filter(|mark| mark.gone.is_none()) {
            Some(mark) => Some(Step::kept(path, mark, stat.size)),
            None => self.skips().then(|| self.read_to_end(path, stat)),
        }
    }

    /// Marks whose files are in place and hold something else now, or are gone: their content may be in a copy.
    fn truncated<'m>(&'m self, files: &[(PathBuf, Stat)]) -> Vec<&'m Mark> {
        let places: HashMap<_, _> = files.iter().map(|file| (file.1.place(), file)).collect();
        let intact = |mark: &Mark| {
            places.get(&(mark.dev, mark.ino)).is_some_and(|(path, stat)| {
                mark.is_unchanged(*stat) || mark.is_content_of(path, *stat, self.allow).unwrap_or(true)
            })
        };
        let is_known = |mark: &Mark| mark.offset > 0 && !mark.unopened && mark.gone.is_none();
        self.at.marks.iter().filter(|mark| is_known(mark) && !intact(mark)).collect()
    }

    fn mark_of(&self, path: &Path, stat: Stat) -> Result<Known, Error> {
        let Some(mark) = self.mark_at(stat) else { return Ok(Known::No) };
        if mark.is_unchanged(stat) && !mark.touched {
            return Ok(Known::Same(Mark { more: mark.more || mark.gone.is_some(), ..mark.clone() }));
        }
        let may_be = mark.gone.is_none() || mark.offset >= SURE_COPY_BYTES;
        if !may_be || !mark.is_content_of(path, stat, self.allow)? {
            // The place of a file that is gone is free for a new one.
            return if mark.gone.is_some() { Ok(Known::No) } else { self.mark_of_changed(mark, path) };
        }
        let only_time = mark.size == stat.size && (mark.mtime < stat.mtime || mark.touched);
        if !only_time || self.query.rotation != Rotation::Reread {
            return Ok(Known::Same(mark.clone()));
        }
        // The size may follow the time a moment later: the second poll decides.
        Ok(if mark.touched { Known::Changed } else { Known::Touched(Box::new(mark.clone())) })
    }

    fn mark_of_changed(&self, mark: &Mark, path: &Path) -> Result<Known, Error> {
        Ok(mark.before_crash(path, self.allow)?.map_or(Known::Changed, Known::Same))
    }

    /// A file without a mark: new, or a copy of one that was read.
    fn unknown(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
        truncated: &[&Mark],
    ) -> Result<Option<Step>, Error> {
        let copy_of = |mark: &&&Mark| {
            // With the same inode it is the same file of a device whose number changed.
            let sure = self.query.rotation == Rotation::CopyTruncate
                || mark.offset >= SURE_COPY_BYTES
                || mark.ino == stat.ino;
            sure && stat.mtime >= mark.mtime && mark.is_content_of(path, stat, self.allow).unwrap_or(false)
        };
        if let Some(mark) = truncated.iter().filter(copy_of).max_by_key(|mark| mark.offset) {
            return Ok(Some(Step::new(path, &Mark { more: true, ..(*mark).clone() }, stat)));
        }
        if self.query.rotation == Rotation::CopyTruncate && self.is_copy_in_the_making(path, stat, files)? {
            return Ok(None);
        }
        Ok(Some(Step::new(path, &Mark::new(path, stat), stat)))
    }

    /// Whether this file is a copy of one that is being read and not truncated yet. It waits without a mark until that is
    /// truncated, or until it differs.
    fn is_copy_in_the_making(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
    ) -> Result<bool, Error> {
        let is_known = |mark: &Mark| mark.offset > 0 && mark.gone.is_none();
        let marked = |stat| self.mark_at(stat).is_some_and(is_known);
        for (other, other_stat) in files.iter().filter(|(other, stat)| other != path && marked(*stat)) {
            let may_be = stat.size > 0 && other_stat.size >= stat.size;
            match may_be.then(|| self.begins_with(other, path)) {
                // It may be long until that one can be read.
                Some(Err(Error::Denied { .. } | Error::NotAllowed { .. })) | None | Some(Ok(false)) => {}
                Some(copy) => return copy,
            }
        }
        Ok(false)
    }

    // ---- both

    /// Whether everything in the file at `copy` also stands at the start of the one at `original`.
    fn begins_with(&self, original: &Path, copy: &Path) -> Result<bool, Error> {
        let error = |source| Error::Read { path: copy.into(), source };
        let (copied, stat) = open(copy, self.allow)?;
        // One that shrinks at this moment is in the making, too.
        let Some(print) = Fingerprint::read(&copied, stat.size).map_err(error)? else { return Ok(true) };
        let (original, _) = open(original, self.allow)?;
        Ok(Fingerprint::read(&original, stat.size).map_err(error)? == Some(print))
    }

    /// Adds to the steps what reading needs to know.
    fn ready(&self, mut plan: Plan) -> Plan {
        self.finish(&mut plan.steps);
        plan.steps.iter_mut().filter(|step| !step.idle).for_each(|step| step.lay_anchor(self.allow));
        plan
    }

    /// Decides which last lines are complete although they have no end.
    fn finish(&self, steps: &mut [Step]) {
        let fixed = matches!(self.query.source, Source::File(_));
        let mut later_content = false;
        for step in steps.iter_mut().rev() {
            step.finished = later_content && (fixed || self.is_settled(step.mark.mtime));
            step.idle &= !(step.finished && step.mark.offset < step.size);
            later_content |= step.size > 0;
        }
    }

    fn is_settled(&self, mtime: (i64, i64)) -> bool {
        let mtime = Duration::from_secs(mtime.0.try_into().unwrap_or(0));
        self.now.duration_since(SystemTime::UNIX_EPOCH + mtime).is_ok_and(|age| age > SETTLED)
    }
}

/// Whether the second of two listings shows the same files under the same names, none of them emptied meanwhile.
fn is_undisturbed(before: &[(PathBuf, Stat)], after: &[(PathBuf, Stat)]) -> bool {
    let sorted = |files: &[(PathBuf, Stat)]| {
        let mut files = files.to_vec();
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        files
    };
    let same = |((path, stat), (other, later)): (&(PathBuf, Stat), &(PathBuf, Stat))| {
        path == other && stat.place() == later.place() && stat.size <= later.size
    };
    before.len() == after.len() && sorted(before).iter().zip(&sorted(after)).all(same)
}

impl Step {
    /// Remembers that only the time changed; size and time stay those of the last poll.
    fn touched(mut self, before: &Mark) -> Self {
        self.mark = Mark { touched: true, path: self.mark.path, ..before.clone() };
        self
    }
}

enum Known {
    No,
    Same(Mark),
    /// The time changed, the size did not: wait for the next poll.
    Touched(Box<Mark>),
    /// The same place with another content.
    Changed,
}

/// Seconds since 1970; 0 before.
pub(crate) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that panics has failed

    use super::*;
    use crate::file::BOOT;
    use crate::{Ask, Follower, Item, Settings};
    use std::fs;

    /// As the device's number was before a reboot.
    fn mark_of_another_device(path: &Path) -> Mark {
        let (file, stat) = open(path, &AllowPath::everything()).unwrap();
        let mut mark =
            Mark { offset: stat.size, size: stat.size, mtime: stat.mtime, ..Mark::new(path, stat) };
        mark.refresh(&file).unwrap();
        Mark { dev: stat.dev + 1, ..mark }
    }

    fn append(path: &Path, text: &str) {
        fs::write(path, fs::read_to_string(path).unwrap_or_default() + text).unwrap();
    }

    /// Names and offsets of what is to be read.
    fn planned(source: &Source, marks: Vec<Mark>) -> Vec<(String, u64)> {
        let at = Position { marks, started: true, ..Position::default() };
        let query = Query::new(source.clone());
        let plan = plan(&query, &at, &AllowPath::everything(), SystemTime::now()).unwrap();
        let name = |step: &Step| step.path.file_name().unwrap().to_string_lossy().into_owned();
        plan.steps.iter().map(|step| (name(step), step.mark.offset)).collect()
    }

    /// The machine crashes, and of the log only `kept_bytes` were on the disk.
    fn polled_after_crash(
        source: &Source,
        log: &Path,
        kept_bytes: u64,
        is_restarted: bool,
    ) -> Option<String> {
        let state = tempfile::tempdir().unwrap();
        let item = Item::new("item", Query::new(source.clone()));
        let start = SystemTime::now();
        let poll = |follower: &Follower, secs| {
            let now = start + Duration::from_secs(secs);
            let delivery =
                follower.lines(&item, &Ask { now, ..Ask::within(Duration::from_secs(60)) }).unwrap();
            delivery.pending.commit();
            follower.settle(now);
            delivery.value
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
    fn log_whose_end_a_crash_took_is_not_read_again_from_its_start() {
        for by_name in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("messages");
            let names = Source::names(&format!("{}/^messages", dir.path().display())).unwrap();
            let source = if by_name { names } else { Source::file(&log) };
            let first = |value: Option<String>| value.unwrap().lines().next().unwrap().to_owned();
            let bytes = |secs: &[u64]| -> u64 {
                let line = |secs, n| format!("second {secs} line {n}\n").len() as u64;
                secs.iter().map(|secs| (0..100).map(|n| line(secs, n)).sum::<u64>()).sum()
            };
            // At 20 s the log was read on from its hundredth line, and at 80 s from where it stood at 60 s.
            let kept = bytes(&[0, 20, 40, 60]);
            assert_eq!(first(polled_after_crash(&source, &log, kept, true)), "new");
            fs::remove_file(&log).unwrap();
            assert_eq!(first(polled_after_crash(&source, &log, kept - 1, true)), "second 20 line 0");
            fs::remove_file(&log).unwrap();
            // Whoever truncates a log without a crash begins a new one.
            assert_eq!(first(polled_after_crash(&source, &log, kept, false)), "second 0 line 0");
            fs::remove_file(&log).unwrap();
            // So does a crash that leaves less than what is sure to be the same file.
            assert_eq!(first(polled_after_crash(&source, &log, 1000, true)), "second 0 line 0");
        }
    }

    #[test]
    fn device_that_has_another_number_after_a_reboot_holds_the_same_files() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("messages");
        let names = Source::names(&format!("{}/^messages", dir.path().display())).unwrap();
        append(&log, "1\n");
        let mark = mark_of_another_device(&log);
        append(&log, "2\n");
        for source in [Source::file(&log), names.clone()] {
            assert_eq!(planned(&source, vec![mark.clone()]), [("messages".to_owned(), 2)]);
        }
        // Rotated meanwhile.
        fs::rename(&log, dir.path().join("messages.1")).unwrap();
        for source in [Source::file(&log), names] {
            assert_eq!(planned(&source, vec![mark.clone()])[0], ("messages.1".to_owned(), 2));
        }
        append(&log, "3\n");
        let expected = [("messages.1".to_owned(), 2), ("messages".to_owned(), 0)];
        assert_eq!(planned(&Source::file(&log), vec![mark.clone()]), expected);
        // Rotated before, and not read to its end.
        let expected = [("messages.1".to_owned(), 2), ("messages".to_owned(), 2)];
        let marks = vec![Mark { more: true, ..mark }, mark_of_another_device(&log)];
        assert_eq!(planned(&Source::file(&log), marks), expected);
    }
}
