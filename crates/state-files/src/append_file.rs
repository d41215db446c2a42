//! A file to which records are appended.

use std::fs::File;
use std::io::{self, Write as _};

use crate::checked_dir::Inode;

/// A file that was replaced and is open for appending.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    pub(crate) name: String,
    pub(crate) inode: Inode,
    bytes: u64,
}

impl AppendFile {
    pub(crate) fn new(file: File, name: &str, inode: Inode, bytes: u64) -> Self {
        Self { file, name: name.to_owned(), inode, bytes }
    }

    /// Returns the file's length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn write(&mut self, record: &[u8]) -> io::Result<()> {
        self.file.write_all(record)?;
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// Returns a second handle, with which another thread can sync the file.
    ///
    /// # Errors
    /// If no file descriptor is left.
    pub fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
