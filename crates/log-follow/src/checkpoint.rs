//! How far an item has read: a checkpoint for each file.
//!
//! A [`Position`] is a list of [`FileCheckpoint`]s, the oldest file first. Each identifies a file by device, inode and a
//! fingerprint of the part that was read, and stores the offset.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::Error;
use crate::file::{Examination, Fingerprint, HEAD_BYTES, Stat, boot};
use crate::file_position::FilePosition;

/// Two files with this many equal first bytes are a file and its copy, even if the item does not use `copytruncate`.
pub(crate) const SURE_COPY_BYTES: u64 = HEAD_BYTES;
/// The kernel writes data to the disk after half a minute at most; this allows twice that time.
const ON_DISK: Duration = Duration::from_secs(60);

/// The position of an item.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The oldest file first. With a fixed name, the last one is the file of that name.
    #[serde(rename = "marks")]
    pub(crate) checkpoints: Vec<FileCheckpoint>,
    /// Files that are older than this and have no checkpoint were read (name patterns only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<(i64, i64)>,
    /// The item was polled before: `skip` applies to the first poll only.
    #[serde(default)]
    pub(crate) started: bool,
}

/// How far one file was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct FileCheckpoint {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) offset: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) skipping: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) after_cr: bool,
    #[serde(rename = "print")]
    pub(crate) fingerprint: Fingerprint,
    /// The size at the last poll. If size and time are unchanged, there is nothing new.
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
    /// The name at the last poll, as a hint. A name that is not UTF-8 is stored lossily; the file is then found by its inode.
    #[serde(serialize_with = "lossy")]
    pub(crate) path: PathBuf,
    /// There is more to read although the file did not change.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) more: bool,
    /// At the last poll the time had changed and the size had not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) touched: bool,
    /// The file could not be opened, so its content is unknown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) unopened: bool,
    /// The time at which it was first found rotated, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<u64>,
    /// The time at which it was first missing, in seconds since 1970 (name patterns only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gone: Option<u64>,
    /// Earlier offsets, because a machine that crashes loses the ends of its logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<EarlierOffsets>,
    /// The offset before this poll.
    #[serde(skip)]
    pub(crate) before: Option<EarlierOffset>,
}

/// One or two offsets. The newer one is later by at least the time that the kernel takes to write data to the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EarlierOffsets {
    boot: u64,
    points: Vec<EarlierOffset>,
}

/// An offset with its time, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EarlierOffset {
    offset: u64,
    #[serde(rename = "print")]
    fingerprint: Fingerprint,
    secs: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl FileCheckpoint {
    pub(crate) fn new(path: &Path, stat: Stat) -> Self {
        Self { dev: stat.dev, ino: stat.ino, path: path.into(), ..Self::default() }
    }

    pub(crate) fn is_inode_of(&self, stat: Stat) -> bool {
        (self.dev, self.ino) == stat.inode()
    }

    pub(crate) fn inode(&self) -> (u64, u64, &Path) {
        (self.dev, self.ino, &self.path)
    }

    pub(crate) fn is_unchanged(&self, stat: Stat) -> bool {
        self.is_inode_of(stat) && self.size == stat.size && self.mtime == stat.mtime
    }

    pub(crate) fn is_read_to_end(&self) -> bool {
        !self.more && self.offset >= self.size
    }

    /// Returns whether the file at `path` begins with everything that was read under this checkpoint.
    pub(crate) fn is_content_of(
        &self,
        path: &Path,
        stat: Stat,
        files: &Examination<'_>,
    ) -> Result<bool, Error> {
        if stat.size < self.offset {
            return Ok(false);
        }
        if self.offset == 0 {
            return Ok(true);
        }
        let (file, _) = files.open(path)?;
        if self.unopened {
            return Ok(self.is_inode_of(stat));
        }
        let print = Fingerprint::read(&file, self.offset)
            .map_err(|source| Error::Read { path: path.into(), source })?;
        Ok(print == Some(self.fingerprint))
    }

    pub(crate) fn position(&self) -> FilePosition {
        FilePosition { offset: self.offset, skipping: self.skipping, after_cr: self.after_cr }
    }

    /// Moves the checkpoint to the position where reading `file` stopped. Returns `false` without a move if the file shrank
    /// meanwhile.
    pub(crate) fn moved(&mut self, position: FilePosition, more: bool, file: &File) -> std::io::Result<bool> {
        if self.offset != position.offset || self.unopened {
            let Some(fingerprint) = Fingerprint::read(file, position.offset)? else { return Ok(false) };
            self.before = self.point();
            self.fingerprint = fingerprint;
            self.unopened = false;
            self.offset = position.offset;
        }
        self.more = more;
        self.skipping = position.skipping;
        self.after_cr = position.after_cr;
        Ok(true)
    }

    /// Returns the offset if a line begins there and the content before it identifies the file.
    fn point(&self) -> Option<EarlierOffset> {
        let is_fit = self.offset >= SURE_COPY_BYTES && !self.skipping && !self.after_cr && !self.unopened;
        is_fit.then_some(EarlierOffset { offset: self.offset, fingerprint: self.fingerprint, secs: 0 })
    }

    /// Stores the offset of before this poll, as long as the file changes.
    pub(crate) fn note(mut self, now_secs: u64) -> Self {
        let quiet_secs = now_secs.saturating_sub(self.mtime.0.try_into().unwrap_or(0));
        if let Some((point, boot)) = self.before.take().zip(boot()) {
            let mut points = self.earlier.take().map_or_else(Vec::new, |earlier| earlier.points);
            if points.last().is_none_or(|last| now_secs.abs_diff(last.secs) >= ON_DISK.as_secs()) {
                points.push(EarlierOffset { secs: now_secs, ..point });
            }
            points.drain(..points.len().saturating_sub(2));
            self.earlier = Some(EarlierOffsets { boot, points });
        } else if quiet_secs > 2 * ON_DISK.as_secs() {
            self.earlier = None;
        }
        self
    }

    /// Returns an earlier checkpoint if the machine was restarted since and the file contains what had been read by then: the
    /// rest was not on the disk when the machine stopped.
    pub(crate) fn before_crash(&self, path: &Path, files: &Examination<'_>) -> Result<Option<Self>, Error> {
        let Some(earlier) =
            self.earlier.as_ref().filter(|earlier| boot().is_some_and(|now| now != earlier.boot))
        else {
            return Ok(None);
        };
        let (file, _) = files.open(path)?;
        for point in earlier.points.iter().rev() {
            let print = Fingerprint::read(&file, point.offset)
                .map_err(|source| Error::Read { path: path.into(), source })?;
            if print == Some(point.fingerprint) {
                let EarlierOffset { offset, fingerprint, .. } = *point;
                let (skipping, after_cr, more) = (false, false, true);
                return Ok(Some(Self { offset, fingerprint, skipping, after_cr, more, ..self.clone() }));
            }
        }
        Ok(None)
    }

    /// Skips `bytes` and moves to the start of the next line. Returns the number of skipped bytes.
    pub(crate) fn jump(&mut self, bytes: u64, size: u64) -> u64 {
        let jumped = bytes.min(size.saturating_sub(self.offset)) / 4 * 4;
        self.offset += jumped;
        self.skipping |= jumped > 0;
        jumped
    }

    /// Computes the fingerprint again, as is necessary after a jump.
    pub(crate) fn refresh(&mut self, file: &File) -> std::io::Result<()> {
        self.fingerprint = Fingerprint::read(file, self.offset)?.unwrap_or_default();
        self.unopened = false;
        Ok(())
    }
}
