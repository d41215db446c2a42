//! The log of a benchmark, and helpers of its parts.

use std::error::Error;
use std::path::{Path, PathBuf};

use oomwatch_tests::binaries;
use tempfile::TempDir;

use super::super::measurement::{Samples, Unit};
use super::file;

pub(super) const BYTES: u64 = 1_000_000_000;
/// It ends the file, and is nowhere else.
pub(super) const LAST_LINE: &str =
    "Jan  2 03:04:05 web01 kernel: httpd invoked oom-killer: gfp_mask=0x201da, order=0";

pub(super) type Outcome<T> = Result<T, Box<dyn Error>>;

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
pub(super) fn mebibytes(bytes: u64) -> Samples {
    Samples::new(Unit::Mebibytes, vec![bytes as f64 / 1_048_576.0])
}

pub(super) struct Bench {
    pub(super) room: TempDir,
    pub(super) plugin: PathBuf,
    pub(super) file: String,
}

impl Bench {
    pub(super) fn new(plugin: &Path) -> Outcome<Self> {
        // Not in /tmp, which may be memory.
        let room = tempfile::Builder::new().prefix("bench").tempdir_in(binaries::target_dir())?;
        let path = room.path().join("messages");
        file::write(&path, BYTES, LAST_LINE)?;
        Ok(Self { room, plugin: plugin.to_owned(), file: path.to_string_lossy().into_owned() })
    }

    pub(super) fn state(&self, name: &str) -> String {
        self.room.path().join(name).to_string_lossy().into_owned()
    }
}
