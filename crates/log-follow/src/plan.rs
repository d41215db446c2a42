//! The files to read in a poll, and the position after it.

use std::time::SystemTime;

use crate::Error;
use crate::checkpoint::{FileCheckpoint, Position};
use crate::clock::unix_secs;
use crate::step::Step;

/// Checkpoints of files that were read to their end and are older than all others are dropped beyond this number.
/// A dropped file that is written again is read from its start, so the number exceeds what a log directory contains.
const MAX_MARKS: usize = 10_000;

/// The files to read.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The oldest first.
    pub(crate) steps: Vec<Step>,
    pub(crate) floor: Option<(i64, i64)>,
    /// Reported if the steps gave no line: the file does not exist, or one of several cannot be opened.
    pub(crate) error: Option<Error>,
    /// Checkpoints of files that are not visible now and may reappear, the longest absent first.
    pub(crate) kept: Vec<FileCheckpoint>,
}

impl Plan {
    /// Returns the position after the steps, as far as their checkpoints moved.
    pub(crate) fn position(mut self, now: SystemTime) -> Position {
        if self.steps.len() > MAX_MARKS {
            self.forget_oldest();
        }
        let secs = unix_secs(now);
        let last = self.steps.len().saturating_sub(1);
        let surplus = (self.kept.len() + self.steps.len()).saturating_sub(MAX_MARKS).min(self.kept.len());
        let kept = self.kept.into_iter().skip(surplus);
        let taken = self.steps.into_iter().enumerate().map(|(i, step)| FileCheckpoint {
            rotated: if i < last { step.checkpoint.rotated.or(Some(secs)) } else { None },
            ..step.checkpoint.note(secs)
        });
        let checkpoints = kept.chain(taken).collect();
        Position { checkpoints, floor: self.floor, started: true }
    }

    /// Returns whether all files are unchanged.
    pub(crate) fn is_idle_at(&self, at: &Position) -> bool {
        let before =
            at.checkpoints.iter().filter(|checkpoint| checkpoint.gone.is_none()).map(FileCheckpoint::inode);
        self.steps.iter().all(|step| step.idle)
            && self.steps.iter().map(|step| step.checkpoint.inode()).eq(before)
    }

    /// Drops the oldest checkpoints of completely read files, as long as every dropped one is older than every kept one.
    pub(crate) fn forget_oldest(&mut self) {
        let done = self.steps.iter().take_while(|step| step.checkpoint.is_read_to_end()).count();
        let mut drop = (self.steps.len() - MAX_MARKS).min(done);
        while drop > 0 && self.steps[drop - 1].checkpoint.mtime >= self.steps[drop].checkpoint.mtime {
            drop -= 1;
        }
        if drop > 0 {
            self.floor = Some(self.steps[drop].checkpoint.mtime);
            self.steps.drain(..drop);
        }
    }
}
