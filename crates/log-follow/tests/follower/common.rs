//! Helpers of the tests: a log directory, rotation in every style, and polls.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use log_follow::{Follower, Item, LogSource, Poll, Query, Settings};

/// A directory with a log in it, and a state directory.
pub(crate) struct LogDirectory {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) log: PathBuf,
    /// In memory if the machine has a directory for that, because thousands of followers sync their state at their start.
    state: tempfile::TempDir,
}

impl LogDirectory {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        let log = dir.path().join("log/messages");
        let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { dir, log, state }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.state.path().join("state")
    }

    pub(crate) fn follower(&self) -> Follower {
        Follower::open(Settings::new(self.state()))
    }

    /// Every line of the log.
    pub(crate) fn item(&self) -> Item {
        self.item_of(Query::new(LogSource::file(&self.log)))
    }

    pub(crate) fn item_of(&self, query: Query) -> Item {
        Item::new("test", query.max_lines_per_sec(1_000_000.try_into().unwrap()))
    }

    /// The log and all its rotated files, by name pattern.
    pub(crate) fn names(&self) -> LogSource {
        LogSource::names(&format!("{}/^messages", self.log.parent().unwrap().display())).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.log.with_file_name(name)
    }

    /// Opens a new follower after the old one has released the state directory.
    pub(crate) fn follower_after(&self, old: Follower) -> Follower {
        drop(old);
        self.follower()
    }

    pub(crate) fn append(&self, text: impl AsRef<[u8]>) {
        append(&self.log, text);
    }
}

/// A small file system in memory. Needs root.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn mount(bytes: u32) -> Self {
        let room = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(room.path()));
        Self(room)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn fill(&self) {
        let ballast = vec![0; 1 << 20];
        assert!(
            fs::write(self.path().join("ballast"), ballast).is_err(),
            "the disk is larger than requested"
        );
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "this test needs root and the right to mount: {command:?}");
}

pub(crate) fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

/// Changes a file's modification time, because tests are faster than clocks.
pub(crate) fn set_mtime(path: &Path, time: SystemTime) {
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

pub(crate) fn poll_now() -> Poll {
    Poll::within(Duration::from_secs(60))
}

pub(crate) fn poll_in(secs: u64) -> Poll {
    Poll { now: SystemTime::now() + Duration::from_secs(secs), ..poll_now() }
}

/// Polls once and commits.
pub(crate) fn poll(follower: &Follower, item: &Item) -> Option<String> {
    poll_with(follower, item, &poll_now())
}

pub(crate) fn poll_with(follower: &Follower, item: &Item, poll: &Poll) -> Option<String> {
    let polled = follower.lines(item, poll).unwrap();
    polled.pending.commit();
    follower.settle(poll.now);
    polled.value
}

/// Polls until there is no value.
pub(crate) fn drain(follower: &Follower, item: &Item) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(value) = poll(follower, item) {
        lines.extend(value.split('\n').map(str::to_owned));
    }
    lines
}

/// Splits a value into its lines.
#[expect(clippy::needless_pass_by_value, reason = "a poll returns an owned value")]
pub(crate) fn lines(value: Option<String>) -> Vec<String> {
    value.iter().flat_map(|value| value.split('\n')).map(str::to_owned).collect()
}

/// A small seeded generator of test cases, with the same results everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}
