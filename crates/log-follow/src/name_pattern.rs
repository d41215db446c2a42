//! Planning for all files of a directory whose names match a pattern.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::checkpoint::{FileCheckpoint, SURE_COPY_BYTES};
use crate::clock::unix_secs;
use crate::file::Stat;
use crate::plan::Plan;
use crate::planner::{ATTEMPTS, PAUSE, Planner};
use crate::rotation::{self, Matching};
use crate::step::Step;
use crate::{Error, Pattern, Rotation};

/// The checkpoint of a file that is not listed any more is kept for this long: it may have been moved away for a while, or its
/// file system is not mounted.
const KEEP_GONE: Duration = Duration::from_secs(3600);

enum CheckpointMatch {
    No,
    Same(FileCheckpoint),
    /// The time changed and the size did not: the next poll decides.
    Touched(Box<FileCheckpoint>),
    /// The same inode with other content.
    Changed,
}

impl Planner<'_> {
    pub(crate) fn names(&self, directory: &Path, name: &Pattern) -> Result<Plan, Error> {
        for attempt in 0..ATTEMPTS {
            thread::sleep(PAUSE * attempt);
            let Matching { files, hidden } = rotation::matching(directory, name, self.files)?;
            let plan = self.names_now(files.clone()).map(|plan| self.ready(plan));
            let is_idle = plan.as_ref().is_ok_and(|plan| plan.is_idle_at(self.at));
            if is_idle || is_undisturbed(&files, &rotation::matching(directory, name, self.files)?.files) {
                return plan.map(|plan| self.keep_unlisted(plan, hidden));
            }
        }
        Ok(self.later())
    }

    /// Keeps the checkpoints of files that are not listed, so that a file that reappears is not read again. An empty file has
    /// nothing to recognise it by.
    fn keep_unlisted(&self, mut plan: Plan, hidden: Vec<(PathBuf, Error)>) -> Plan {
        let now = unix_secs(self.now);
        let names: HashSet<&Path> = hidden.iter().map(|(path, _)| path.as_path()).collect();
        let listed: HashSet<_> =
            plan.steps.iter().map(|step| (step.checkpoint.dev, step.checkpoint.ino)).collect();
        for checkpoint in self.at.checkpoints.iter().filter(|checkpoint| checkpoint.offset > 0) {
            let is_hidden = names.contains(checkpoint.path.as_path());
            let gone = (!is_hidden).then(|| checkpoint.gone.unwrap_or(now));
            let is_over = gone.is_some_and(|since| now.saturating_sub(since) > KEEP_GONE.as_secs());
            if !is_over && !listed.contains(&(checkpoint.dev, checkpoint.ino)) {
                // A file that is gone has no more to read, so the value is complete.
                plan.kept.push(FileCheckpoint {
                    gone,
                    more: checkpoint.more && is_hidden,
                    ..checkpoint.clone()
                });
            }
        }
        plan.error = plan.error.or(hidden.into_iter().next().map(|(_, error)| error));
        plan
    }

    fn names_now(&self, mut files: Vec<(PathBuf, Stat)>) -> Result<Plan, Error> {
        // Files with equal times are ordered by descending names, as in the agent: `messages.1` comes before `messages`.
        files.sort_by(|(a, a_stat), (b, b_stat)| (a_stat.mtime, b).cmp(&(b_stat.mtime, a)));
        let mut plan = Plan { floor: self.at.floor, ..Plan::default() };
        let truncated = self.truncated(&files);
        for (path, stat) in &files {
            match self.step(path, *stat, &files, &truncated) {
                Ok(step) => plan.steps.extend(step),
                // A file was renamed, so the plan is made again; or there is no time for one.
                Err(error @ (Error::Missing { .. } | Error::TooSlow { .. })) => return Err(error),
                Err(error) => {
                    plan.steps.extend(self.unopened(path, *stat));
                    plan.error.get_or_insert(error);
                }
            }
        }
        // Of files with equal times, one that was begun is older than one that was not: a copy that was made before its
        // original was truncated and written again, within one tick of the clock. An empty file contains later lines,
        // independent of its time: the time of a truncation can be a tick older than that of the copy before it (seen on
        // ext4 with Linux 6.18).
        plan.steps.sort_by_key(|step| (step.size == 0, step.checkpoint.mtime, step.checkpoint.offset == 0));
        Ok(plan)
    }

    /// Returns the step for one file, if there is one.
    fn step(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
        truncated: &[&FileCheckpoint],
    ) -> Result<Option<Step>, Error> {
        let known = self.mark_of(path, stat)?;
        match &known {
            CheckpointMatch::Same(checkpoint) if checkpoint.is_unchanged(stat) => {
                return Ok(Some(Step::new(path, checkpoint, stat)));
            }
            CheckpointMatch::No if self.at.floor.is_some_and(|floor| stat.mtime < floor) => return Ok(None),
            _ => {}
        }
        // A file that was seen before is checked as well: it may have been empty, or its inode may be reused.
        if stat.size > 0 && self.is_compressed(path)? {
            return Ok(Some(self.read_to_end(path, stat)));
        }
        Ok(match known {
            CheckpointMatch::Same(checkpoint) => Some(Step::new(path, &checkpoint, stat)),
            CheckpointMatch::Touched(checkpoint) => {
                Some(Step { idle: true, ..Step::new(path, &checkpoint, stat) }.touched(&checkpoint))
            }
            CheckpointMatch::Changed | CheckpointMatch::No if self.skips() => Some(self.first(path, stat)?),
            CheckpointMatch::Changed => Some(Step::new(path, &FileCheckpoint::new(path, stat), stat)),
            CheckpointMatch::No => self.unknown(path, stat, files, truncated)?,
        })
    }

    /// Returns the step for a file that cannot be opened; the others are read. If a new item skips existing lines, they are
    /// skipped now. Everything else is decided when the file can be opened.
    fn unopened(&self, path: &Path, stat: Stat) -> Option<Step> {
        match self.mark_at(stat).filter(|checkpoint| checkpoint.gone.is_none()) {
            Some(checkpoint) => Some(Step::kept(path, checkpoint, stat.size)),
            None => self.skips().then(|| self.read_to_end(path, stat)),
        }
    }

    /// Returns checkpoints whose files have other content now or are gone: their content may be in a copy.
    fn truncated<'m>(&'m self, files: &[(PathBuf, Stat)]) -> Vec<&'m FileCheckpoint> {
        let places: HashMap<_, _> = files.iter().map(|file| (file.1.inode(), file)).collect();
        let intact = |checkpoint: &FileCheckpoint| {
            places.get(&(checkpoint.dev, checkpoint.ino)).is_some_and(|(path, stat)| {
                checkpoint.is_unchanged(*stat)
                    || checkpoint.is_content_of(path, *stat, self.files).unwrap_or(true)
            })
        };
        let is_known = |checkpoint: &FileCheckpoint| {
            checkpoint.offset > 0 && !checkpoint.unopened && checkpoint.gone.is_none()
        };
        self.at.checkpoints.iter().filter(|checkpoint| is_known(checkpoint) && !intact(checkpoint)).collect()
    }

    fn mark_of(&self, path: &Path, stat: Stat) -> Result<CheckpointMatch, Error> {
        let Some(checkpoint) = self.mark_at(stat) else { return Ok(CheckpointMatch::No) };
        if checkpoint.is_unchanged(stat) && !checkpoint.touched {
            return Ok(CheckpointMatch::Same(FileCheckpoint {
                more: checkpoint.more || checkpoint.gone.is_some(),
                ..checkpoint.clone()
            }));
        }
        let may_be = checkpoint.gone.is_none() || checkpoint.offset >= SURE_COPY_BYTES;
        if !may_be || !checkpoint.is_content_of(path, stat, self.files)? {
            // The inode of a removed file may be reused.
            return if checkpoint.gone.is_some() {
                Ok(CheckpointMatch::No)
            } else {
                self.mark_of_changed(checkpoint, path)
            };
        }
        let only_time = checkpoint.size == stat.size && (checkpoint.mtime < stat.mtime || checkpoint.touched);
        if !only_time || self.query.rotation != Rotation::Reread {
            return Ok(CheckpointMatch::Same(checkpoint.clone()));
        }
        // The size may change shortly after the time: the second poll decides.
        Ok(if checkpoint.touched {
            CheckpointMatch::Changed
        } else {
            CheckpointMatch::Touched(Box::new(checkpoint.clone()))
        })
    }

    fn mark_of_changed(&self, checkpoint: &FileCheckpoint, path: &Path) -> Result<CheckpointMatch, Error> {
        Ok(checkpoint.before_crash(path, self.files)?.map_or(CheckpointMatch::Changed, CheckpointMatch::Same))
    }

    /// Returns the step for a file without a checkpoint: a new file, or a copy of one that was read.
    fn unknown(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
        truncated: &[&FileCheckpoint],
    ) -> Result<Option<Step>, Error> {
        let copy_of = |checkpoint: &&&FileCheckpoint| {
            // A file with the same inode is the same file on a device whose number changed.
            let sure = self.query.rotation == Rotation::CopyTruncate
                || checkpoint.offset >= SURE_COPY_BYTES
                || checkpoint.ino == stat.ino;
            sure && stat.mtime >= checkpoint.mtime
                && checkpoint.is_content_of(path, stat, self.files).unwrap_or(false)
        };
        if let Some(checkpoint) = truncated.iter().filter(copy_of).max_by_key(|checkpoint| checkpoint.offset)
        {
            return Ok(Some(Step::new(path, &FileCheckpoint { more: true, ..(*checkpoint).clone() }, stat)));
        }
        if self.query.rotation == Rotation::CopyTruncate && self.is_copy_in_the_making(path, stat, files)? {
            return Ok(None);
        }
        Ok(Some(Step::new(path, &FileCheckpoint::new(path, stat), stat)))
    }

    /// Returns whether this file is a copy of a followed file that is not truncated yet. It gets no checkpoint until the
    /// original is truncated, or until the two differ.
    fn is_copy_in_the_making(
        &self,
        path: &Path,
        stat: Stat,
        files: &[(PathBuf, Stat)],
    ) -> Result<bool, Error> {
        let is_known = |checkpoint: &FileCheckpoint| checkpoint.offset > 0 && checkpoint.gone.is_none();
        let marked = |stat| self.mark_at(stat).is_some_and(is_known);
        for (other, other_stat) in files.iter().filter(|(other, stat)| other != path && marked(*stat)) {
            let may_be = stat.size > 0 && other_stat.size >= stat.size;
            match may_be.then(|| self.begins_with(other, path)) {
                // The other file may stay unreadable for long, so it does not decide.
                Some(Err(Error::Denied { .. } | Error::NotAllowed { .. })) | None | Some(Ok(false)) => {}
                Some(copy) => return copy,
            }
        }
        Ok(false)
    }
}

/// Returns whether the second of two listings shows the same files under the same names, none of them truncated.
fn is_undisturbed(before: &[(PathBuf, Stat)], after: &[(PathBuf, Stat)]) -> bool {
    let sorted = |files: &[(PathBuf, Stat)]| {
        let mut files = files.to_vec();
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        files
    };
    let same = |((path, stat), (other, later)): (&(PathBuf, Stat), &(PathBuf, Stat))| {
        path == other && stat.inode() == later.inode() && stat.size <= later.size
    };
    before.len() == after.len() && sorted(before).iter().zip(&sorted(after)).all(same)
}
