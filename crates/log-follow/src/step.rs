//! One file to read in a poll.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::checkpoint::FileCheckpoint;
use crate::file::{Examination, Fingerprint, HEAD_BYTES, Stat};

/// One file to read.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) path: PathBuf,
    pub(crate) checkpoint: FileCheckpoint,
    pub(crate) size: u64,
    /// There is nothing to do except to keep the checkpoint.
    pub(crate) idle: bool,
    /// The last line is complete without a line end.
    pub(crate) finished: bool,
    /// The fingerprint of the first bytes, or of those up to the checkpoint, which changes if the file is truncated.
    pub(crate) anchor: Option<(u64, Fingerprint)>,
}

impl Step {
    /// A step from `checkpoint`, for a file that is at `path` now.
    pub(crate) fn new(path: &Path, checkpoint: &FileCheckpoint, stat: Stat) -> Self {
        let idle = checkpoint.is_unchanged(stat) && !checkpoint.more;
        let Stat { dev, ino, size, mtime } = stat;
        let checkpoint = FileCheckpoint {
            dev,
            ino,
            size,
            mtime,
            path: path.into(),
            touched: false,
            gone: None,
            ..checkpoint.clone()
        };
        Self { path: path.into(), checkpoint, size, idle, finished: false, anchor: None }
    }

    /// A step for a file that cannot be examined now: its checkpoint stays until the next poll.
    pub(crate) fn kept(path: &Path, checkpoint: &FileCheckpoint, size: u64) -> Self {
        let checkpoint = FileCheckpoint { path: path.into(), more: true, ..checkpoint.clone() };
        Self { path: path.into(), checkpoint, size, idle: true, finished: false, anchor: None }
    }

    /// Stores a fingerprint that distinguishes the file from one that is truncated and written again. A file that was moved
    /// since it was listed gets none; opening it detects that.
    pub(crate) fn lay_anchor(&mut self, files: &Examination<'_>) {
        let checkpoint = &self.checkpoint;
        self.anchor = if checkpoint.offset > 0 && !checkpoint.unopened {
            Some((checkpoint.offset, checkpoint.fingerprint))
        } else {
            let length = self.size.min(HEAD_BYTES);
            let file = files.open(&self.path).ok().filter(|(_, stat)| checkpoint.is_inode_of(*stat));
            file.and_then(|(file, _)| Fingerprint::read(&file, length).ok().flatten())
                .map(|print| (length, print))
        };
    }

    /// Returns whether the file still has the content it had when this step was planned.
    pub(crate) fn is_anchored_in(&self, file: &File) -> std::io::Result<bool> {
        match self.anchor {
            Some((offset, print)) => Ok(Fingerprint::read(file, offset)? == Some(print)),
            None => Ok(true),
        }
    }

    /// Stores that only the time changed; size and time stay those of the last poll.
    pub(crate) fn touched(mut self, before: &FileCheckpoint) -> Self {
        self.checkpoint = FileCheckpoint { touched: true, path: self.checkpoint.path, ..before.clone() };
        self
    }
}
