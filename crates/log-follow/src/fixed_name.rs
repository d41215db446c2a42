//! Planning for a log with a fixed name and its rotated files.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::checkpoint::{FileCheckpoint, SURE_COPY_BYTES};
use crate::clock::unix_secs;
use crate::file::Stat;
use crate::listing::Listing;
use crate::plan::Plan;
use crate::planner::{ATTEMPTS, PAUSE, Planner};
use crate::rotation::{self, Entry};
use crate::step::Step;

/// A rotated file is followed for this long, because its writer may still have it open.
const WATCH_ROTATED: Duration = Duration::from_secs(3600);
/// At most this many rotated files are followed.
const MAX_WATCHED: usize = 4;

impl Planner<'_> {
    pub(crate) fn fixed(&self, path: &Path) -> Result<Plan, Error> {
        for attempt in 0..ATTEMPTS {
            thread::sleep(PAUSE * attempt);
            let (current, listing) = (Self::current(path)?, Listing::new(path, self.files));
            let before = current.as_ref().ok().copied();
            let plan = self.fixed_now(&listing, current).map(|plan| self.ready(plan));
            if listing.was_quiet(before)? {
                return plan;
            }
        }
        Ok(self.later())
    }

    /// Returns the file that has the log's name, or the error that there is none.
    fn current(path: &Path) -> Result<Result<Stat, Error>, Error> {
        match Stat::of(path) {
            Err(error) if !matches!(error, Error::Missing { .. }) => Err(error),
            current => Ok(current),
        }
    }

    fn fixed_now(&self, listing: &Listing<'_>, current: Result<Stat, Error>) -> Result<Plan, Error> {
        let path = listing.path;
        let Some((last, older)) = self.at.checkpoints.split_last() else {
            let stat = current?;
            let mut steps = self.set_aside(listing, stat)?;
            steps.push(self.first(path, stat)?);
            return Ok(Plan { steps, ..Plan::default() });
        };
        let mut steps = self.watched(listing, last, older)?;
        if let Ok(stat) = current
            && let Some(checkpoint) = self.mark_of_last(listing, last, stat)?
        {
            steps.push(Step::new(path, &checkpoint, stat));
            return Ok(Plan { steps, ..Plan::default() });
        }
        // This is also the way for a file that was empty and now has its first lines: it may be another file with the same
        // inode.
        steps.extend(self.predecessors(listing, current.as_ref().ok().copied(), last, &steps)?);
        let error = match current {
            Ok(stat) => {
                steps.push(Step::new(path, &FileCheckpoint::new(path, stat), stat));
                None
            }
            Err(error) => {
                self.keep_last(path, last, &mut steps);
                Some(error)
            }
        };
        Ok(Plan { steps, error, ..Plan::default() })
    }

    /// Returns the checkpoint of the file that has the log's name, if it is the file of the last poll.
    fn mark_of_last(
        &self,
        listing: &Listing<'_>,
        last: &FileCheckpoint,
        stat: Stat,
    ) -> Result<Option<FileCheckpoint>, Error> {
        if self.is_last(listing, last, stat)? {
            return Ok(Some(last.clone()));
        }
        if last.ino == stat.ino { last.before_crash(listing.path, self.files) } else { Ok(None) }
    }

    /// Returns whether the file that has the log's name is the file of the last poll. A device can have another number after a
    /// reboot (NFS, ZFS, LVM), and an editor or a restored backup replaces a log by a copy. Then the content decides, unless
    /// the old file was rotated and is still to be read.
    fn is_last(&self, listing: &Listing<'_>, last: &FileCheckpoint, stat: Stat) -> Result<bool, Error> {
        let path = listing.path;
        if last.is_unchanged(stat) {
            return Ok(true);
        }
        let is_likely = last.is_inode_of(stat)
            || ((last.ino == stat.ino || last.offset >= SURE_COPY_BYTES)
                && !Self::is_rotated(path, last, listing.entries()?));
        Ok(is_likely && last.offset > 0 && last.is_content_of(path, stat, self.files)?)
    }

    /// Returns rotated files that a new item finds beside an empty log. The item does not read them. Without checkpoints they
    /// would count as predecessors of the log as soon as it has lines.
    fn set_aside(&self, listing: &Listing<'_>, current: Stat) -> Result<Vec<Step>, Error> {
        if self.at.started || current.size > 0 {
            return Ok(Vec::new());
        }
        let mut files: Vec<(Stat, &Path)> = rotation::rotated(listing.path, listing.entries()?)
            .filter_map(|entry| Some((Stat::of(&entry.path).ok()?, entry.path.as_path())))
            .filter(|(stat, path)| stat.inode() != current.inode() && !self.is_seen_compressed(path))
            .collect();
        files.sort_by_key(|(stat, _)| (stat.mtime, stat.inode()));
        files.dedup_by_key(|(stat, _)| stat.inode());
        let surplus = files.len().saturating_sub(MAX_WATCHED);
        let kept = files.into_iter().enumerate();
        let kept = kept.filter(|(i, (stat, _))| *i >= surplus || stat.mtime >= current.mtime);
        Ok(kept.map(|(_, (stat, path))| self.read_to_end(path, stat)).collect())
    }

    /// Returns rotated files that are still followed: those that may still be written to, those that were not read to their
    /// end, and those that changed after the last one. Without their checkpoints the last would count as its successors after
    /// its rotation.
    fn watched(
        &self,
        listing: &Listing<'_>,
        last: &FileCheckpoint,
        checkpoints: &[FileCheckpoint],
    ) -> Result<Vec<Step>, Error> {
        let path = listing.path;
        let mut steps = Vec::new();
        let surplus = checkpoints.len().saturating_sub(MAX_WATCHED);
        let is_new_since = |checkpoint: &FileCheckpoint| checkpoint.mtime >= last.mtime;
        for (i, checkpoint) in checkpoints.iter().enumerate() {
            let age = unix_secs(self.now).saturating_sub(checkpoint.rotated.unwrap_or_default());
            let unwatched = i < surplus || age > WATCH_ROTATED.as_secs();
            if checkpoint.is_read_to_end() && unwatched && !is_new_since(checkpoint) {
                continue;
            }
            let here = Stat::of(&checkpoint.path)
                .ok()
                .filter(|stat| checkpoint.is_inode_of(*stat) && checkpoint.path != path);
            if let Some(stat) = here {
                self.push_if_same(&mut steps, &checkpoint.path, checkpoint, stat);
                continue;
            }
            self.push_by_inode(&mut steps, path, checkpoint, listing.entries()?);
        }
        Ok(steps)
    }

    fn push_by_inode(
        &self,
        steps: &mut Vec<Step>,
        current: &Path,
        checkpoint: &FileCheckpoint,
        listing: &[Entry],
    ) -> bool {
        let place = |entry: &&Entry| entry.ino == checkpoint.ino && entry.path != current;
        listing.iter().find(place).is_some_and(|entry| match Stat::of(&entry.path) {
            // The number of a device can change as well.
            Ok(stat) if checkpoint.is_inode_of(stat) || checkpoint.offset > 0 => {
                self.push_if_same(steps, &entry.path, checkpoint, stat)
            }
            _ => false,
        })
    }

    /// Adds a step if the file is the one of the checkpoint. A file that was removed or replaced meanwhile is left out. A file
    /// that cannot be opened now keeps its checkpoint.
    fn push_if_same(
        &self,
        steps: &mut Vec<Step>,
        path: &Path,
        checkpoint: &FileCheckpoint,
        stat: Stat,
    ) -> bool {
        let same = if checkpoint.is_unchanged(stat) {
            Ok(true)
        } else {
            checkpoint.is_content_of(path, stat, self.files)
        };
        let step = match same {
            Ok(true) => Step::new(path, checkpoint, stat),
            Err(error) if checkpoint.is_inode_of(stat) && !matches!(error, Error::Missing { .. }) => {
                Step::kept(path, checkpoint, stat.size)
            }
            _ => return false,
        };
        steps.push(step);
        true
    }

    /// Returns the files between the last poll's file and the present one: the rest of the former under its new name, and the
    /// files that were rotated after it.
    fn predecessors(
        &self,
        listing: &Listing<'_>,
        current: Option<Stat>,
        last: &FileCheckpoint,
        watched: &[Step],
    ) -> Result<Vec<Step>, Error> {
        let (log, listing) = (listing.path, listing.entries()?);
        let mut steps = Vec::new();
        // Of a file that was empty only the inode is known, which may be reused. Rotated files are then ordered without it.
        let proven = last.offset > 0;
        if (proven || !Self::is_rotated(log, last, listing))
            && !self.push_by_inode(&mut steps, log, last, listing)
        {
            self.push_copy(&mut steps, log, last, watched, listing);
        }
        // The log itself may have such a name as well: a hard link.
        let known = |stat: Stat, unseen: &[Step]| {
            let mut steps = watched.iter().chain(&steps).chain(unseen);
            current.is_some_and(|now| now.inode() == stat.inode())
                || steps.any(|step| step.checkpoint.is_inode_of(stat))
        };
        let mut unseen = Vec::new();
        let found = steps.first().filter(|_| proven).map(|step| step.path.as_path());
        for entry in rotation::after(log, listing, found, last) {
            match Stat::of(&entry.path) {
                Ok(stat)
                    if known(stat, &unseen) || stat.size == 0 || self.is_seen_compressed(&entry.path) => {}
                Ok(stat) if !self.is_copy_of_log(log, current, &entry.path, stat) => {
                    unseen.push(Step::new(&entry.path, &FileCheckpoint::new(&entry.path, stat), stat));
                }
                _ => {}
            }
        }
        steps.extend(unseen);
        Ok(steps)
    }

    /// Returns whether a file is a copy whose original will be truncated: its content is read from the original.
    fn is_copy_of_log(&self, log: &Path, current: Option<Stat>, path: &Path, stat: Stat) -> bool {
        let may_be = stat.size >= SURE_COPY_BYTES && current.is_some_and(|now| now.size >= stat.size);
        may_be && self.begins_with(log, path).unwrap_or(false)
    }

    /// Returns whether the file with the checkpoint's inode has a rotated name.
    fn is_rotated(path: &Path, checkpoint: &FileCheckpoint, listing: &[Entry]) -> bool {
        rotation::rotated(path, listing).any(|entry| entry.ino == checkpoint.ino)
    }

    /// Adds the copy that `copytruncate` left: it begins with everything that was read, and is not older than that.
    fn push_copy(
        &self,
        steps: &mut Vec<Step>,
        path: &Path,
        last: &FileCheckpoint,
        watched: &[Step],
        listing: &[Entry],
    ) {
        if last.offset == 0 {
            return;
        }
        let mut copies: Vec<(Stat, &Entry)> = rotation::rotated(path, listing)
            .filter_map(|entry| Some((Stat::of(&entry.path).ok()?, entry)))
            .filter(|(stat, _)| {
                stat.mtime >= last.mtime && !watched.iter().any(|step| step.checkpoint.is_inode_of(*stat))
            })
            .collect();
        copies.sort_by_key(|(stat, _)| std::cmp::Reverse(stat.mtime));
        for (stat, entry) in copies {
            if self.push_if_same(steps, &entry.path, &FileCheckpoint { more: true, ..last.clone() }, stat) {
                return;
            }
        }
    }

    /// Keeps the checkpoint of the old file as the last one between a rename and the creation of the next file, so that the
    /// next poll finds the old file.
    fn keep_last(&self, path: &Path, last: &FileCheckpoint, steps: &mut Vec<Step>) {
        if !steps.iter().any(|step| step.checkpoint.ino == last.ino) {
            let stat = Stat { dev: last.dev, ino: last.ino, size: last.size, mtime: last.mtime };
            let mut step = Step::new(path, last, stat);
            step.idle = true;
            steps.push(step);
        }
    }
}
