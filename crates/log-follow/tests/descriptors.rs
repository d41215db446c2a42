//! Logs without a free file descriptor. The limit applies to the whole process, so these tests have a program of their own and
//! run one after another.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log_follow::{Error, Follower, Item, LogSource, Poll, Query, Rotation, Settings};
use rustix::process::{Resource, getrlimit, setrlimit};

static ONE_BY_ONE: Mutex<()> = Mutex::new(());

/// Runs `work` with `free` descriptors that are not in use.
fn with_descriptors<T>(free: usize, work: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    let mut limited = before;
    limited.current = Some(fs::read_dir("/proc/self/fd").unwrap().count() as u64 + 20);
    setrlimit(Resource::Nofile, limited).unwrap();
    let mut fillers: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    fillers.truncate(fillers.len() - free);
    let result = work();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

fn lines(follower: &Follower, item: &Item) -> Result<Vec<String>, Error> {
    let polled = follower.lines(item, &Poll::within(Duration::from_secs(60)))?;
    polled.pending.commit();
    Ok(polled.value.iter().flat_map(|value| value.split('\n')).map(str::to_owned).collect())
}

fn append(path: &Path, text: &str) {
    fs::write(path, fs::read_to_string(path).unwrap_or_default() + text).unwrap();
}

#[test]
fn log_that_cannot_be_opened_without_descriptors_is_an_error_that_says_so() {
    let _guard = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("messages");
    append(&log, "1\n");
    let item = Item::new("log", Query::new(LogSource::file(&log)));
    let follower = Follower::open(Settings::in_memory());
    let error = with_descriptors(0, || lines(&follower, &item)).unwrap_err().to_string();
    assert!(error.contains("[24] Too many open files"), "{error}");
    assert_eq!(lines(&follower, &item).unwrap(), ["1"]);
}

/// With too few descriptors, a copy cannot be compared with its original, and must not be taken for a new file.
#[test]
fn rotation_without_descriptors_repeats_and_loses_no_line() {
    let _guard = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for by_name in [true, false] {
        for free in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let log = directory.path().join("messages");
            let names = LogSource::names(&format!("{}/^messages", directory.path().display())).unwrap();
            let source = if by_name { names } else { LogSource::file(&log) };
            let item = Item::new("log", Query::new(source).rotation(Rotation::CopyTruncate));
            let follower = Follower::open(Settings::in_memory());
            let head = "a line\n".repeat(300);
            append(&log, &head);
            assert_eq!(lines(&follower, &item).unwrap().len(), 300);
            append(&log, "1\n");
            fs::copy(&log, directory.path().join("messages.1")).unwrap();
            let mut found = with_descriptors(free, || lines(&follower, &item)).unwrap_or_default();
            fs::write(&log, "2\n").unwrap();
            found.extend(with_descriptors(free, || lines(&follower, &item)).unwrap_or_default());
            for _ in 0..3 {
                found.extend(lines(&follower, &item).unwrap());
            }
            found.sort();
            assert_eq!(found, ["1", "2"], "by name: {by_name}, {free} descriptors");
        }
    }
}
