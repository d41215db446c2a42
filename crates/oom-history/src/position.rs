//! How far each source was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// How far each source was read. The next process continues there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Positions {
    /// The next sequence number of `/dev/kmsg`.
    pub(crate) kmsg: Option<u64>,
    /// The cursor of the journal.
    pub(crate) journal: Option<String>,
    /// By path below the machine's root.
    pub(crate) files: BTreeMap<String, FilePosition>,
}

/// The beginning of a line in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePosition {
    device: u64,
    inode: u64,
    pub(crate) offset: u64,
}

impl FilePosition {
    pub(crate) fn new(file: &File, offset: u64) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { device: meta.dev(), inode: meta.ino(), offset })
    }

    pub(crate) fn plus(self, bytes: u64) -> Self {
        Self { offset: self.offset + bytes, ..self }
    }

    /// Whether this is a position in the open file. A file that is shorter was truncated.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        let meta = file.metadata()?;
        Ok((meta.dev(), meta.ino()) == (self.device, self.inode) && meta.len() >= self.offset)
    }
}
