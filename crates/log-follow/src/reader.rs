//! Executes a plan: opens files, reads them, moves the checkpoints.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::buffers::Buffers;
use crate::checkpoint::Position;
use crate::chunk::Counters;
use crate::file::{Examination, Stat, open, read_at};
use crate::file_position::FilePosition;
use crate::plan::Plan;
use crate::planner::plan;
use crate::scan::{Scan, Stop};
use crate::share::SharedSearches;
use crate::sink::Sink;
use crate::step::Step;
use crate::{AllowPath, Error, LogSource, Poll, Query, rotation};

/// Attempts to find a file that is being renamed.
const OPEN_ATTEMPTS: usize = 5;

/// Everything that reading needs beside the position.
pub(crate) struct Reader<'a> {
    pub(crate) query: &'a Query,
    pub(crate) allow: &'a AllowPath,
    pub(crate) poll: &'a Poll,
    pub(crate) shared: &'a SharedSearches,
    pub(crate) identity: &'a Arc<str>,
    pub(crate) buffers: &'a Buffers,
    pub(crate) counters: Counters,
}

/// The last poll did not reach the end of the log: how much it read, and when it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    since: SystemTime,
    bytes: u64,
}

/// The result of a poll.
pub(crate) struct Progress {
    pub(crate) position: Position,
    /// Set if there is more to read.
    pub(crate) behind: Option<Behind>,
    /// Reported if there is no line to deliver.
    pub(crate) error: Option<Error>,
}

impl Reader<'_> {
    /// Reads from `at` until the end, until `sink` is full, or until the deadline.
    pub(crate) fn read(
        &mut self,
        at: &Position,
        behind: Option<Behind>,
        sink: &mut dyn Sink,
    ) -> Result<Progress, Error> {
        let mut plan = plan(self.query, at, self.allow, self.poll)?;
        if let Some((max_delay, behind)) = self.query.max_delay.zip(behind) {
            self.jump(&mut plan.steps, max_delay, behind)?;
        }
        let mut error = plan.error.take();
        let before: u64 = plan.steps.iter().map(|step| step.checkpoint.offset).sum();
        let stop = self.take_steps(&mut plan, sink, &mut error);
        let after: u64 = plan.steps.iter().map(|step| step.checkpoint.offset).sum();
        let bytes = after.saturating_sub(before);
        Ok(Progress {
            position: plan.position(self.poll.now),
            behind: matches!(stop, Stop::Full | Stop::Late).then_some(Behind { since: self.poll.now, bytes }),
            error,
        })
    }

    /// Executes the steps, and returns why reading stopped. A file that cannot be read keeps its checkpoint, and the files
    /// after it are read: one file, such as a rotated file with another owner, must not delay the others.
    fn take_steps(&mut self, plan: &mut Plan, sink: &mut dyn Sink, error: &mut Option<Error>) -> Stop {
        let fixed = matches!(self.query.source, LogSource::File(_));
        let last = plan.steps.len().saturating_sub(1);
        let mut why = Stop::End;
        let mut is_first = true;
        for (i, step) in plan.steps.iter_mut().enumerate().filter(|(_, step)| !step.idle) {
            if why == Stop::End && !std::mem::take(&mut is_first) && Instant::now() >= self.poll.deadline {
                why = Stop::Late;
            }
            if why != Stop::End {
                step.checkpoint.more = true;
                continue;
            }
            match self.take(step, sink) {
                Ok(stop) => why = stop,
                Err(e) => {
                    step.checkpoint.more = true;
                    if !fixed || i == last {
                        error.get_or_insert(e);
                    }
                }
            }
        }
        why
    }

    /// Reads one file. If it was moved or truncated since the plan was made, nothing counts as read; the next plan finds it,
    /// and the files after it wait. Lines before a read error count as read.
    fn take(&mut self, step: &mut Step, sink: &mut dyn Sink) -> Result<Stop, Error> {
        if let Some((path, file, stat)) = self.open(step)? {
            sink.begin();
            let (before, mut position) = (step.checkpoint.clone(), step.checkpoint.position());
            let stop = self.scan(step.finished, &mut position, (&path, &file, stat), sink);
            let moved = self.move_mark(step, position, !matches!(stop, Ok(Stop::End)), &file);
            if matches!(moved, Ok(true)) {
                return stop;
            }
            sink.roll_back();
            step.checkpoint = before;
            moved?;
        }
        step.checkpoint.more = true;
        Ok(Stop::Moved)
    }

    /// Returns `false` if the file shrank or is another one.
    fn move_mark(
        &self,
        step: &mut Step,
        position: FilePosition,
        more: bool,
        file: &File,
    ) -> Result<bool, Error> {
        let error = |source| Error::Read { path: step.path.clone(), source };
        let moved = step.checkpoint.moved(position, more, file).map_err(error)?;
        Ok(moved && self.is_anchored(step, file)?)
    }

    fn is_anchored(&self, step: &Step, file: &File) -> Result<bool, Error> {
        step.is_anchored_in(file).map_err(|source| Error::Read { path: step.path.clone(), source })
    }

    /// Moves `position` over everything that the sink received, also if it returns an error.
    fn scan(
        &mut self,
        finished: bool,
        position: &mut FilePosition,
        (path, file, stat): (&Path, &File, Stat),
        sink: &mut dyn Sink,
    ) -> Result<Stop, Error> {
        let query = self.query;
        let error = |source| Error::Read { path: path.into(), source };
        let mut head = [0; 4];
        let head_bytes = read_at(file, &mut head, 0).map_err(error)?;
        let codec = query.encoding.for_file(&head[..head_bytes]);
        let part = if codec.is_utf8() { self.shared.join(self.identity, query) } else { None };
        let scan = Scan {
            file,
            path,
            codec,
            stat,
            part: part.as_ref(),
            pattern: &query.pattern,
            finished,
            deadline: self.poll.deadline,
            buffers: self.buffers,
        };
        scan.run(position, sink, &mut self.counters)
    }

    /// Opens the file of a step. If it was renamed since the plan was made, it is found by its inode. `None` if it does not
    /// exist or has changed.
    fn open(&self, step: &Step) -> Result<Option<(PathBuf, File, Stat)>, Error> {
        let mut path = Some(step.path.clone());
        for _ in 0..OPEN_ATTEMPTS {
            if let Some(path) = path.take() {
                match open(&path, self.allow) {
                    Ok((file, stat)) if step.checkpoint.is_inode_of(stat) => {
                        let same = stat.size >= step.size && self.is_anchored(step, &file)?;
                        return Ok(same.then_some((path, file, stat)));
                    }
                    Ok(_) | Err(Error::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let files = Examination::new(self.allow, self.poll.deadline);
            let entries = rotation::list(&step.path, &files, |entry| entry.ino == step.checkpoint.ino)?;
            path = entries.into_iter().next().map(|entry| entry.path);
        }
        Ok(None)
    }

    /// Skips so much that the rest is read within `max_delay`, at the rate of the last poll.
    fn jump(&self, steps: &mut [Step], max_delay: Duration, behind: Behind) -> Result<(), Error> {
        let remaining: u64 = steps.iter().map(|step| step.size.saturating_sub(step.checkpoint.offset)).sum();
        let took = self.poll.now.duration_since(behind.since).unwrap_or_default();
        let mut bytes = bytes_to_jump(remaining, behind.bytes, took, max_delay);
        for step in steps {
            if bytes < 4 || Instant::now() >= self.poll.deadline {
                break;
            }
            // A file that cannot be opened now must not delay the others.
            let Ok((file, _)) = open(&step.path, self.allow) else { continue };
            bytes -= step.checkpoint.jump(bytes, step.size).min(bytes);
            step.idle = false;
            step.checkpoint
                .refresh(&file)
                .map_err(|source| Error::Read { path: step.path.clone(), source })?;
        }
        Ok(())
    }
}

/// Returns the number of bytes to skip. At `processed` bytes in `took`, the newest of `remaining` bytes is delivered after a
/// delay; the part of the delay above `max_delay` is skipped.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate in bytes"
)]
fn bytes_to_jump(remaining: u64, processed: u64, took: Duration, max_delay: Duration) -> u64 {
    if processed == 0 || took.is_zero() {
        return 0;
    }
    let delay = remaining as f64 / (processed as f64 / took.as_secs_f64());
    let max_delay = max_delay.as_secs_f64();
    if delay <= max_delay { 0 } else { (remaining as f64 * (delay - max_delay) / delay) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_jumped_as_the_delay_is_too_long() {
        let secs = Duration::from_secs;
        // 10,000 bytes at 100 bytes a second take 100 s. For 25 s three quarters are skipped.
        assert_eq!(bytes_to_jump(10_000, 1_000, secs(10), secs(25)), 7_500);
        assert_eq!(bytes_to_jump(10_000, 1_000, secs(10), secs(100)), 0);
        assert_eq!(bytes_to_jump(10_000, 0, secs(10), secs(1)), 0);
    }
}
