//! Failures of other programs that follow logs. The number in a test's name is the kind of failure:
//!
//! 1 inode reuse; 2 equal beginnings, empty and tiny files; 3 truncation, and growth past the old offset; 4 several rotations;
//! 5 races of rename, delete and creation; 6 permissions and other errors; 7 partial last lines; 8 over-long lines;
//! 9 compressed files; 10 damaged state; 11 times, `skip`, NUL, encodings; 12 patterns that blow up; 13 idle cost.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{LogDirectory, append, drain, poll, poll_in, poll_now, poll_with, set_mtime};
use log_follow::{
    AllowPath, Encoding, Error, Follower, Item, LogSource, MAX_VALUE_BYTES, Pattern, Persistence, Poll,
    PolledValue, Query, Rotation, Settings, Start, Template,
};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

#[expect(clippy::needless_pass_by_value, reason = "the value is taken apart")]
fn lines(value: Option<String>) -> Vec<String> {
    value.iter().flat_map(|v| v.split('\n')).map(str::to_owned).collect()
}

fn inode(path: &std::path::Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

// ---- 1

#[test]
fn failure_01_inode_reuse_starts_at_the_beginning() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("old 1\nold 2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "old 1\nold 2");
    // A reused inode looks like the same inode with other content. The new file is longer.
    fs::write(&directory.log, "new 1\nnew 2\nnew 3\n").unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "new 1\nnew 2\nnew 3");
}

#[test]
fn failure_01_inode_of_a_rotated_file_is_reused_by_the_log() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("first\n");
    poll(&follower, &directory.item());
    let before = inode(&directory.log);
    let mut reused = false;
    for round in 0..50 {
        fs::remove_file(&directory.log).unwrap();
        directory.append(format!("round {round}\n"));
        reused |= inode(&directory.log) == before;
        assert_eq!(poll(&follower, &directory.item()).unwrap(), format!("round {round}"));
    }
    // Not every file system reuses inodes. If this one does, the test has covered it.
    eprintln!("the inode was reused: {reused}");
}

// ---- 2

#[test]
fn failure_02_equal_first_lines_are_two_files() {
    let directory = LogDirectory::new();
    let header = format!("# a header of a fixed text {}\n", "=".repeat(2000));
    append(&directory.file("messages-a"), format!("{header}only in a\n"));
    append(&directory.file("messages-b"), format!("{header}only in b\n"));
    let item = directory.item_of(Query::new(directory.names()).pattern("only".parse().unwrap()));
    let follower = directory.follower();
    let mut found = lines(poll(&follower, &item));
    found.sort();
    assert_eq!(found, ["only in a", "only in b"]);
    append(&directory.file("messages-a"), "only in a again\n");
    assert_eq!(poll(&follower, &item).unwrap(), "only in a again");
}

#[test]
fn failure_02_empty_and_tiny_files_are_each_their_own() {
    let directory = LogDirectory::new();
    for name in ["messages-a", "messages-b", "messages-c"] {
        append(&directory.file(name), "");
    }
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    assert_eq!(poll(&follower, &item), None);
    append(&directory.file("messages-b"), "x\n");
    assert_eq!(poll(&follower, &item).unwrap(), "x");
    append(&directory.file("messages-a"), "x\n");
    append(&directory.file("messages-c"), "\n");
    let mut found = lines(poll(&follower, &item));
    found.sort();
    assert_eq!(found, ["", "x"]);
    assert_eq!(poll(&follower, &item), None);
}

// ---- 3

#[test]
fn failure_03_truncated_then_grown_past_offset() {
    let directory = LogDirectory::new();
    directory.append("old line 1\nold line 2\n");
    poll(&directory.follower(), &directory.item());
    // Between two polls the file is truncated and grows longer than before, so that its size does not show the truncation.
    let mut new = String::new();
    for n in 0..100 {
        new += &format!("new line {n}\n");
    }
    OpenOptions::new().write(true).truncate(true).open(&directory.log).unwrap();
    directory.append(&new);
    assert_eq!(poll(&directory.follower(), &directory.item()).unwrap(), new.trim_end());
}

#[test]
fn failure_03_truncated_with_the_same_head_and_grown() {
    let directory = LogDirectory::new();
    let head = format!("{}.\n", "the same head ".repeat(100));
    directory.append(format!("{head}old\n"));
    let follower = directory.follower();
    poll(&follower, &directory.item());
    fs::write(&directory.log, format!("{head}new, and longer than before\n")).unwrap();
    assert_eq!(
        poll(&follower, &directory.item()).unwrap(),
        format!("{}\nnew, and longer than before", head.trim_end())
    );
}

#[test]
fn failure_03_offset_beyond_the_end() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("a line\n".repeat(100));
    poll(&follower, &directory.item());
    fs::write(&directory.log, "short\n").unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "short");
}

#[test]
fn failure_03_copytruncate_loses_nothing() {
    for by_name in [false, true] {
        let directory = LogDirectory::new();
        let source = if by_name { directory.names() } else { LogSource::file(&directory.log) };
        let item = directory.item_of(Query::new(source).rotation(Rotation::CopyTruncate));
        let follower = directory.follower();
        directory.append("1\n2\n");
        assert_eq!(poll(&follower, &item).unwrap(), "1\n2");
        directory.append("3\n");
        fs::copy(&directory.log, directory.file("messages.1")).unwrap();
        File::create(&directory.log).unwrap();
        directory.append("4\n5\n6\n7\n8\n");
        assert_eq!(drain(&follower, &item), ["3", "4", "5", "6", "7", "8"], "by name: {by_name}");
    }
}

#[test]
fn failure_03_copy_of_a_file_that_is_not_truncated_yet_is_not_read_twice() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let page = |name: &str| (0..200).map(|n| format!("{name} {n}\n")).collect::<String>();
    let copy_and_truncate = |to: &str| {
        fs::copy(&directory.log, directory.file(to)).unwrap();
        fs::write(&directory.log, "").unwrap();
    };
    directory.append(page("a"));
    poll(&follower, &directory.item());
    copy_and_truncate("messages.2");
    directory.append(page("b"));
    // A rotation between two polls, and the next one in progress.
    fs::copy(&directory.log, directory.file("messages.1")).unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap() + "\n", page("b"));
    copy_and_truncate("messages.1");
    directory.append("c\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "c");
}

#[test]
fn failure_03_unfinished_copy_is_not_read() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).rotation(Rotation::CopyTruncate));
    let follower = directory.follower();
    directory.append("1\n2\n3\n");
    assert_eq!(poll(&follower, &item).unwrap(), "1\n2\n3");
    append(&directory.file("messages.1"), "1\n2");
    assert_eq!(poll(&follower, &item), None);
    append(&directory.file("messages.1"), "\n3\n");
    assert_eq!(poll(&follower, &item), None);
    File::create(&directory.log).unwrap();
    directory.append("4\n");
    assert_eq!(drain(&follower, &item), ["4"]);
}

// ---- 4

#[test]
fn failure_04_rotations_between_polls_and_while_down() {
    let directory = LogDirectory::new();
    directory.append("1\n");
    poll(&directory.follower(), &directory.item());
    directory.append("2\n");
    for n in 3..8 {
        for old in (1..10).rev() {
            let _ = fs::rename(
                directory.file(&format!("messages.{old}")),
                directory.file(&format!("messages.{}", old + 1)),
            );
        }
        fs::rename(&directory.log, directory.file("messages.1")).unwrap();
        directory.append(format!("{n}\n"));
    }
    let follower = directory.follower();
    assert_eq!(drain(&follower, &directory.item()), ["2", "3", "4", "5", "6", "7"]);
    assert_eq!(poll(&follower, &directory.item()), None);
}

#[test]
fn failure_04_renamed_file_is_not_read_again() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    directory.append("1\n2\n");
    poll(&follower, &item);
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    assert_eq!(poll(&follower, &item), None);
    directory.append("3\n");
    assert_eq!(poll(&follower, &item).unwrap(), "3");
}

#[test]
fn failure_04_slow_writer_still_writes_to_the_rotated_file() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &directory.item());
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
    append(&directory.file("messages.1"), "late\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "late");
    assert_eq!(poll(&follower, &directory.item()), None);
}

#[test]
fn failure_04_five_files_of_100000_lines_rotated_at_256_kb() {
    let directory = LogDirectory::new();
    let items: Vec<(Item, u32)> = (0..5)
        .map(|f| {
            let query = Query::new(LogSource::file(directory.file(&format!("log{f}"))));
            (Item::new(&format!("file {f}"), query.max_lines_per_sec(1_000_000.try_into().unwrap())), f)
        })
        .collect();
    let follower = directory.follower();
    for (item, f) in &items {
        let log = directory.file(&format!("log{f}"));
        append(&log, "");
        let (mut delivered, mut size, mut chunk) = (0_u32, 0, String::new());
        let mut take = |value: Option<String>| {
            for line in lines(value) {
                assert_eq!(line, format!("file {f} line {delivered} of a log that is rotated by size"));
                delivered += 1;
            }
        };
        for n in 0..100_000 {
            chunk += &format!("file {f} line {n} of a log that is rotated by size\n");
            if chunk.len() > 8192 || n == 99_999 {
                size += chunk.len();
                append(&log, std::mem::take(&mut chunk));
            }
            if size > 256 * 1024 {
                size = 0;
                for old in (1..40).rev() {
                    let from = directory.file(&format!("log{f}.{old}"));
                    let _ = fs::rename(from, directory.file(&format!("log{f}.{}", old + 1)));
                }
                fs::rename(&log, directory.file(&format!("log{f}.1"))).unwrap();
                append(&log, "");
            }
            if n % 9_999 == 0 {
                take(poll(&follower, item));
            }
        }
        while let Some(value) = poll(&follower, item) {
            take(Some(value));
        }
        assert_eq!(delivered, 100_000);
    }
}

/// The usual end of a quiet log: the daemon writes a last line to the file that it still has open, after the next file was
/// created, and then nothing for hours.
#[test]
fn failure_04_rotated_file_is_not_read_again_when_its_successor_stayed_empty() {
    for copies in [false, true] {
        let directory = LogDirectory::new();
        let follower = directory.follower();
        directory.append("1\n");
        poll(&follower, &directory.item());
        rotate(&directory, copies);
        append(&directory.file("messages.1"), "2\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
        for hours in 1..5 {
            assert_eq!(poll_with(&follower, &directory.item(), &poll_in(hours * 3600)), None);
        }
        directory.append("3\n");
        assert_eq!(
            poll_with(&follower, &directory.item(), &poll_in(5 * 3600)).unwrap(),
            "3",
            "copies: {copies}"
        );
    }
}

fn rotate(directory: &LogDirectory, by_copy: bool) {
    if by_copy {
        fs::copy(&directory.log, directory.file("messages.1")).unwrap();
        fs::write(&directory.log, "").unwrap();
    } else {
        fs::rename(&directory.log, directory.file("messages.1")).unwrap();
        directory.append("");
    }
}

/// All files, including the empty one, have the same time.
#[test]
fn failure_04_many_rotations_within_one_clock_tick_repeat_nothing() {
    const ROTATIONS: usize = 12;
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let time = SystemTime::now();
    for rotation in 1..=ROTATIONS {
        directory.append(format!("{rotation}\n"));
        set_mtime(&directory.log, time);
        assert_eq!(poll(&follower, &directory.item()), Some(rotation.to_string()));
        for older in (1..rotation).rev() {
            let name = |number| directory.file(&format!("messages.{number}"));
            fs::rename(name(older), name(older + 1)).unwrap();
        }
        fs::rename(&directory.log, directory.file("messages.1")).unwrap();
        directory.append("");
        set_mtime(&directory.log, time);
        assert_eq!(poll(&follower, &directory.item()), None);
    }
    directory.append("last\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "last");
}

/// Between two listings of one poll every name may have changed.
#[test]
fn failure_05_rotations_at_full_speed_while_polls_run() {
    const ROTATIONS: usize = 200;
    const LINES: usize = 50;
    /// Files that were written in the same tick of the file system's clock have equal times.
    const TICK: Duration = Duration::from_millis(5);
    for by_name in [false, true] {
        let directory = LogDirectory::new();
        let source = if by_name { directory.names() } else { LogSource::file(&directory.log) };
        let item = directory.item_of(Query::new(source).rotation(Rotation::NoReread));
        let follower = directory.follower();
        directory.append("0\n");
        assert_eq!(poll(&follower, &item).unwrap(), "0");
        let mut found: Vec<usize> = vec![0];
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for rotation in 0..ROTATIONS {
                    std::thread::sleep(TICK);
                    for older in (1..=rotation).rev() {
                        let (from, to) = (format!("messages.{older}"), format!("messages.{}", older + 1));
                        fs::rename(directory.file(&from), directory.file(&to)).unwrap();
                    }
                    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
                    let lines = rotation * LINES + 1..(rotation + 1) * LINES + 1;
                    lines.for_each(|n| directory.append(format!("{n}\n")));
                }
            });
            let mut is_over = false;
            while !is_over {
                is_over = writing.is_finished();
                let polled = follower.lines(&item, &poll_now());
                let Ok(PolledValue { value, pending }) = polled else { continue };
                pending.commit();
                found.extend(
                    value.iter().flat_map(|v| v.split('\n')).map(|line| line.parse::<usize>().unwrap()),
                );
            }
        });
        found.extend(drain(&follower, &item).iter().map(|line| line.parse::<usize>().unwrap()));
        let wrong = found.iter().zip(0..).position(|(found, expected)| *found != expected);
        let around = wrong.map(|at| &found[at.saturating_sub(3)..found.len().min(at + 3)]);
        assert_eq!(around, None, "by name: {by_name}");
        assert_eq!(found.len(), ROTATIONS * LINES + 1, "by name: {by_name}");
    }
}

// ---- 5

#[test]
fn failure_05_log_vanishes_and_comes_back() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &directory.item());
    directory.append("2\n");
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    // Between rename and creation the rest is delivered, and the missing name is not an error.
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
    assert_eq!(poll(&follower, &directory.item()), None);
    // A name that is missing for long is an error with path and reason.
    let error = follower.lines(&directory.item(), &poll_now()).unwrap_err().to_string();
    let path = directory.log.display();
    assert_eq!(
        error,
        format!("Cannot obtain information for file \"{path}\": [2] No such file or directory")
    );
    directory.append("3\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "3");
}

#[test]
fn failure_05_created_through_a_temporary_file() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &directory.item());
    directory.append("2\n");
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    append(&directory.file("messages.tmp"), "3\n");
    fs::rename(directory.file("messages.tmp"), &directory.log).unwrap();
    assert_eq!(drain(&follower, &directory.item()), ["2", "3"]);
}

#[test]
fn failure_05_files_that_vanish_while_they_are_listed() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    append(&directory.file("messages-a"), "a\n");
    symlink("/nowhere/at/all", directory.file("messages-dangling")).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "a");
}

// ---- 6

#[test]
fn failure_06_file_that_is_not_regular_is_an_error_at_once() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let fifo = directory.file("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [fifo, directory.log.parent().unwrap().to_owned(), "/dev/null".into()] {
        let item = Item::new(path.to_str().unwrap(), Query::new(LogSource::file(&path)));
        let error = follower.lines(&item, &poll_now()).unwrap_err();
        assert_eq!(error.to_string(), format!("\"{}\" is not a regular file.", path.display()));
    }
}

#[test]
fn failure_06_links_are_judged_by_where_they_lead() {
    let directory = LogDirectory::new();
    let secret = directory.dir.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    let inside = directory.log.parent().unwrap().canonicalize().unwrap();
    let allow = AllowPath::only(vec![Pattern::new(&format!("^{}/", inside.display())).unwrap()]);
    let follower = Follower::open(Settings { allow, ..Settings::in_memory() });
    symlink(&secret, &directory.log).unwrap();
    let error = follower.lines(&directory.item(), &poll_now()).unwrap_err();
    assert!(matches!(error, Error::NotAllowed { .. }), "{error}");
    assert!(error.to_string().contains("secret") && error.to_string().contains("messages"), "{error}");
    fs::remove_file(&directory.log).unwrap();
    append(&directory.file("real"), "fine\n");
    symlink(directory.file("real"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "fine");
}

#[test]
fn failure_06_trouble_that_ends_resumes_where_it_was() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &directory.item());
    directory.append("2\n");
    // No file is forbidden for root, so a directory with the log's name replaces an unreadable file.
    fs::rename(&directory.log, directory.file("aside")).unwrap();
    fs::create_dir(&directory.log).unwrap();
    for _ in 0..3 {
        assert!(matches!(follower.lines(&directory.item(), &poll_now()), Err(Error::NotRegular { .. })));
    }
    fs::remove_dir(&directory.log).unwrap();
    fs::rename(directory.file("aside"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
}

/// The kernel returns EINVAL for the duplex mode of the loopback device, as a broken disk returns EIO.
#[test]
fn failure_06_read_error_is_reported_and_moves_no_position() {
    let unreadable = Path::new("/sys/class/net/lo/duplex");
    let errno = fs::read(unreadable).err().and_then(|error| error.raw_os_error());
    assert_eq!(errno, Some(22), "this test needs the loopback device of Linux");
    let directory = LogDirectory::new();
    let follower = directory.follower();
    for start in [Start::All, Start::Skip] {
        let query = Query::new(LogSource::file(unreadable)).start(start);
        let item = Item::new(&format!("{start:?}"), query);
        for _ in 0..3 {
            let error = follower.lines(&item, &poll_now()).unwrap_err();
            assert!(matches!(error, Error::Read { .. }), "{error:?}");
            let expected = "Cannot read from file \"/sys/class/net/lo/duplex\": [22] Invalid argument";
            assert_eq!(error.to_string(), expected);
        }
    }
    // A rotated file that cannot be read does not delay the other files.
    directory.append("1\n");
    poll(&follower, &directory.item());
    fs::remove_file(&directory.log).unwrap();
    symlink(unreadable, directory.file("messages.1")).unwrap();
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
}

/// A file of a name pattern that cannot be read, beside readable ones without matches.
#[test]
fn failure_06_lines_beside_an_unreadable_file_are_not_read_again() {
    let directory = LogDirectory::new();
    let outside = directory.dir.path().join("outside");
    fs::write(&outside, "oom 1\n").unwrap();
    symlink(&outside, directory.file("messages.1")).unwrap();
    directory.append("nothing of interest in this line\n".repeat(30_000));
    assert_eq!(fs::metadata(&directory.log).unwrap().len().div_ceil(512 * 1024), 2);
    let inside = directory.log.parent().unwrap().canonicalize().unwrap();
    let allow = AllowPath::only(vec![Pattern::new(&format!("^{}/", inside.display())).unwrap()]);
    let item = directory.item_of(Query::new(directory.names()).pattern("oom".parse().unwrap()));
    for what in [Asked::Lines, Asked::Count, Asked::Total] {
        let follower = Follower::open(Settings { allow: allow.clone(), ..Settings::in_memory() });
        let read_by_poll_of = |time| {
            let before = follower.status().read_bytes;
            assert!(matches!(what.error(&follower, &item, &Poll::within(time)), Error::NotAllowed { .. }));
            follower.status().read_bytes - before
        };
        // The file has two chunks, and a poll after its deadline reads one.
        let read = [(); 4].map(|()| read_by_poll_of(Duration::ZERO));
        assert!(read[0] > 0 && read[1] > 0 && read[2..] == [0, 0], "{what:?}: {read:?}");
        assert_eq!(read_by_poll_of(Duration::from_secs(60)), 0, "{what:?}");
    }
}

/// The kinds of polls of an item.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Lines,
    Count,
    Total,
}

impl Asked {
    fn error(self, follower: &Follower, item: &Item, poll: &Poll) -> Error {
        match self {
            Self::Lines => follower.lines(item, poll).map(drop).unwrap_err(),
            Self::Count => follower.count(item, poll).map(drop).unwrap_err(),
            Self::Total => follower.total(item, poll).map(drop).unwrap_err(),
        }
    }
}

/// A log that is missing for longer than items are remembered, and returns.
#[test]
fn failure_06_item_whose_log_is_missing_for_a_month_is_not_forgotten() {
    const DAY: u64 = 24 * 3600;
    for in_its_place in [true, false] {
        let directory = LogDirectory::new();
        let follower = directory.follower();
        directory.append("1\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
        fs::rename(&directory.log, directory.file("aside")).unwrap();
        if in_its_place {
            fs::create_dir(&directory.log).unwrap();
        }
        // For the first polls a missing log is not an error.
        for day in 26..30 {
            let asked = follower.lines(&directory.item(), &poll_in(day * DAY));
            assert!(day < 29 || asked.is_err());
            asked.into_iter().for_each(|polled| polled.pending.commit());
        }
        follower.tidy(SystemTime::now() + Duration::from_secs(31 * DAY));
        let _ = fs::remove_dir(&directory.log);
        fs::rename(directory.file("aside"), &directory.log).unwrap();
        directory.append("2\n");
        let restarted = directory.follower_after(follower);
        let value = poll_with(&restarted, &directory.item(), &poll_in(31 * DAY));
        assert_eq!(value.as_deref(), Some("2"), "something in its directory: {in_its_place}");
    }
}

#[test]
fn failure_06_missing_directory_of_a_name_pattern() {
    let follower = Follower::open(Settings::in_memory());
    let item = Item::new("x", Query::new(LogSource::names("/no/such/dir/^log$").unwrap()));
    let error = follower.lines(&item, &poll_now()).unwrap_err().to_string();
    assert_eq!(error, "Cannot obtain directory information: [2] No such file or directory");
}

// ---- 7

#[test]
fn failure_07_partial_last_line_waits_for_its_end() {
    let directory = LogDirectory::new();
    directory.append("whole\npar");
    assert_eq!(poll(&directory.follower(), &directory.item()).unwrap(), "whole");
    let follower = directory.follower();
    assert_eq!(poll(&follower, &directory.item()), None);
    directory.append("tial");
    assert_eq!(poll(&follower, &directory.item()), None);
    directory.append("\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "partial");
}

#[test]
fn failure_07_partial_last_line_of_a_rotated_file_is_delivered() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\nunfinished");
    poll(&follower, &directory.item());
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    directory.append("");
    assert_eq!(poll(&follower, &directory.item()), None, "its writer may still end it");
    append(&directory.file("messages.1"), " but then ended");
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "unfinished but then ended\n2");
}

#[test]
fn failure_07_partial_last_line_of_an_older_file_settles() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    append(&directory.file("messages-1"), "1\nunfinished");
    set_mtime(&directory.file("messages-1"), SystemTime::now() - Duration::from_secs(2));
    append(&directory.file("messages-2"), "2\n");
    assert_eq!(poll(&follower, &item).unwrap(), "1\n2");
    assert_eq!(poll_with(&follower, &item, &poll_in(60)).unwrap(), "unfinished");
    assert_eq!(poll_with(&follower, &item, &poll_in(70)), None);
}

// ---- 8

#[test]
fn failure_08_over_long_lines_are_cut_and_passed() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    for size in
        [65_535, 65_536, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024, 512 * 1024 + 1, 5_000_000]
    {
        directory.append([&b"long "[..], &vec![b'x'; size - 5], b"\nafter\n"].concat());
        let found = drain(&follower, &directory.item());
        assert_eq!(found.len(), 2, "a line of {size} bytes");
        let expected = if size <= MAX_VALUE_BYTES { size } else { MAX_VALUE_BYTES };
        assert_eq!(found[0].len(), expected);
        assert_eq!(found[0].ends_with('…'), size > MAX_VALUE_BYTES, "{size}");
        assert_eq!(found[1], "after");
    }
}

#[test]
fn failure_08_only_the_first_256_kib_are_matched() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let item =
        directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("needle".parse().unwrap()));
    let hay = "x".repeat(256 * 1024);
    directory.append(format!("needle {hay}\n{hay} needle\n{hay}{hay}{hay} needle\nneedle\n"));
    let found = drain(&follower, &item);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("needle xxx") && found[1] == "needle");
}

#[test]
fn failure_08_endless_line_neither_stalls_nor_grows() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("x".repeat(3_000_000));
    assert_eq!(poll(&follower, &directory.item()).map(|v| v.len()), Some(MAX_VALUE_BYTES));
    for _ in 0..5 {
        directory.append("y".repeat(1_000_000));
        assert_eq!(poll(&follower, &directory.item()), None);
    }
    directory.append("\nnext\n");
    assert_eq!(poll(&directory.follower_after(follower), &directory.item()).unwrap(), "next");
}

impl LogDirectory {
    /// A new follower after the old one has released the state directory.
    fn follower_after(&self, old: Follower) -> Follower {
        drop(old);
        self.follower()
    }
}

#[test]
fn failure_08_value_limit_splits_between_lines() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let written: Vec<String> = (0..2000).map(|n| format!("{n} {}", "é".repeat(50))).collect();
    directory.append(written.join("\n") + "\n");
    let mut found = Vec::new();
    while let Some(value) = poll(&follower, &directory.item()) {
        assert!(value.len() <= MAX_VALUE_BYTES);
        assert!(value.len() > MAX_VALUE_BYTES - 200 || found.len() + value.split('\n').count() == 2000);
        found.extend(value.split('\n').map(str::to_owned));
    }
    assert_eq!(found, written);
}

// ---- 9

#[test]
fn failure_09_compressed_files_are_never_read() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    for (name, head) in [
        ("gz", &b"\x1f\x8b\x08\0"[..]),
        ("xz", b"\xfd7zXZ\0"),
        ("bz2", b"BZh9"),
        ("zst", b"\x28\xb5\x2f\xfd"),
    ] {
        append(
            &directory.file(&format!("messages.1.{name}")),
            [head, b"text\nin a compressed file\n"].concat(),
        );
        // The file is compressed under a name without a suffix.
        append(&directory.file(&format!("messages-{name}")), [head, b"more\n"].concat());
    }
    directory.append("text\n");
    assert_eq!(drain(&follower, &item), ["text"]);
    let fixed = Item::new("fixed", Query::new(LogSource::file(&directory.log)));
    assert_eq!(drain(&follower, &fixed), ["text"]);
    fs::rename(&directory.log, directory.file("messages.2")).unwrap();
    append(&directory.file("messages.1"), b"\x1f\x8b\x08\0compressed\n");
    directory.append("next\n");
    assert_eq!(drain(&follower, &fixed), ["next"]);
}

// ---- 10

/// Creates a state directory whose item has read one line. Returns it with the path of its state file.
fn state_after_one_line(directory: &LogDirectory) -> std::path::PathBuf {
    directory.append("1\n");
    assert_eq!(poll(&directory.follower(), &directory.item()).unwrap(), "1");
    directory.append("2\n");
    directory.state().join("positions")
}

type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn failure_10_damaged_state_is_a_warning_and_does_not_prevent_the_start() {
    let damages: [(&str, Damage); 6] = [
        ("filled with NUL", |b| vec![0; b.len()]),
        ("empty", |_| Vec::new()),
        ("another version", |b| [&b"log-follow positions 999\n"[..], b].concat()),
        ("random", |b| b.iter().map(|x| x.wrapping_mul(31)).collect()),
        ("one long line", |_| vec![b'x'; 1_000_000]),
        ("cut in the header", |b| b[..5].to_vec()),
    ];
    for (name, damage) in damages {
        let directory = LogDirectory::new();
        let path = state_after_one_line(&directory);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, damage(&bytes)).unwrap();
        let follower = directory.follower();
        assert_eq!(follower.take_warnings().len(), 1, "{name}");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "1\n2", "{name}: repeated, not lost");
        drop(follower);
        let follower = directory.follower();
        assert_eq!(follower.take_warnings(), [], "{name}");
        assert_eq!(poll(&follower, &directory.item()), None, "{name}");
    }
}

#[test]
fn failure_10_state_cut_at_any_byte_falls_back_and_continues() {
    let directory = LogDirectory::new();
    let path = state_after_one_line(&directory);
    poll(&directory.follower(), &directory.item());
    let bytes = fs::read(&path).unwrap();
    let last_line = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for cut in last_line..bytes.len() - 1 {
        fs::write(&path, &bytes[..cut]).unwrap();
        let follower = directory.follower();
        let value = poll(&follower, &directory.item());
        assert!(value.as_deref() == Some("1\n2") || value.as_deref() == Some("2"), "cut at {cut}: {value:?}");
        drop(follower);
        assert_eq!(poll(&directory.follower(), &directory.item()), None, "cut at {cut}");
    }
}

#[test]
fn failure_10_one_bad_line_costs_one_item() {
    let directory = LogDirectory::new();
    let other = Item::new("other", Query::new(LogSource::file(&directory.log)));
    directory.append("1\n");
    {
        let follower = directory.follower();
        poll(&follower, &directory.item());
        poll(&follower, &other);
    }
    let path = directory.state().join("positions");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"other\"", "\"0ther\"")).unwrap();
    let follower = directory.follower();
    assert_eq!(follower.take_warnings().len(), 1);
    assert_eq!(poll(&follower, &directory.item()), None);
    assert_eq!(poll(&follower, &other).unwrap(), "1");
}

#[test]
fn failure_10_leftover_of_a_rename_is_recovered() {
    let directory = LogDirectory::new();
    let path = state_after_one_line(&directory);
    fs::rename(&path, directory.state().join("positions.new")).unwrap();
    assert_eq!(poll(&directory.follower(), &directory.item()).unwrap(), "2");
    // An incomplete leftover beside a good file is ignored.
    directory.append("3\n");
    fs::write(directory.state().join("positions.new"), "log-follow pos").unwrap();
    let follower = directory.follower();
    assert_eq!(follower.take_warnings(), []);
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "3");
}

#[test]
fn failure_10_state_that_cannot_be_written_is_kept_in_memory_until_it_can() {
    let directory = LogDirectory::new();
    // A file in place of the state directory stops root as well.
    fs::write(directory.state(), "").unwrap();
    let follower = directory.follower();
    assert_eq!(follower.take_warnings().len(), 1);
    assert!(matches!(follower.status().persistence, Persistence::Memory { dir: Some(_), .. }));
    directory.append("1\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
    assert_eq!(poll(&follower, &directory.item()), None);
    follower.tidy(SystemTime::now());
    assert!(matches!(follower.status().persistence, Persistence::Memory { .. }));
    fs::remove_file(directory.state()).unwrap();
    follower.tidy(SystemTime::now());
    assert_eq!(follower.status().persistence, Persistence::Durable { dir: directory.state() });
    assert_eq!(poll(&directory.follower_after(follower), &directory.item()), None);
}

#[test]
fn failure_10_directory_in_place_of_the_state_file() {
    let directory = LogDirectory::new();
    fs::create_dir_all(directory.state().join("positions")).unwrap();
    let follower = directory.follower();
    assert!(matches!(follower.status().persistence, Persistence::Memory { .. }));
    directory.append("1\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
}

#[test]
fn failure_10_second_process_reads_and_leaves_alone() {
    let directory = LogDirectory::new();
    let first = directory.follower();
    directory.append("1\n");
    poll(&first, &directory.item());
    directory.append("2\n");
    let before = fs::read(directory.state().join("positions")).unwrap();
    let second = directory.follower();
    assert_eq!(second.status().persistence, Persistence::ReadOnly { dir: directory.state() });
    let soon = Poll::within(Duration::from_millis(50));
    assert!(
        matches!(second.lines(&directory.item(), &soon), Err(Error::InUse { dir }) if dir == directory.state())
    );
    assert!(matches!(second.total(&directory.item(), &soon), Err(Error::InUse { .. })));
    assert_eq!(second.peek_lines(&directory.item(), &soon).unwrap().as_deref(), Some("2"));
    second.tidy(SystemTime::now());
    assert_eq!(fs::read(directory.state().join("positions")).unwrap(), before);
    assert_eq!(poll(&first, &directory.item()).unwrap(), "2");
}

#[test]
fn failure_10_second_process_takes_over_where_the_first_ends() {
    let directory = LogDirectory::new();
    let first = directory.follower();
    directory.append("1\n");
    poll(&first, &directory.item());
    let second = directory.follower();
    directory.append("2\n");
    assert_eq!(poll(&first, &directory.item()).unwrap(), "2");
    directory.append("3\n");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(&second, &directory.item()));
        std::thread::sleep(Duration::from_millis(100));
        drop(first);
        assert_eq!(waiting.join().unwrap().unwrap(), "3");
    });
    assert_eq!(second.status().persistence, Persistence::Durable { dir: directory.state() });
    assert_eq!(poll(&directory.follower_after(second), &directory.item()), None);
}

/// The receiver of a value can die before it has stored the value.
#[test]
fn failure_10_unconfirmed_value_is_repeated_by_the_next_process() {
    let directory = LogDirectory::new();
    let polled = |follower: &Follower| {
        let PolledValue { value, pending } = follower.lines(&directory.item(), &poll_now()).unwrap();
        pending.commit();
        value
    };
    let first = directory.follower();
    directory.append("1\n");
    assert_eq!(polled(&first).unwrap(), "1");
    directory.append("2\n");
    assert_eq!(polled(&first).unwrap(), "2");
    let second = directory.follower_after(first);
    directory.append("3\n");
    assert_eq!(polled(&second).unwrap(), "2\n3", "the last answer only, and what came since");
    assert_eq!(polled(&second), None);
    let third = directory.follower_after(second);
    assert_eq!(polled(&third), None);
    directory.append("4\n");
    assert_eq!(polled(&third).unwrap(), "4");
    third.settle(SystemTime::now());
    assert_eq!(polled(&directory.follower_after(third)), None, "an end in good order");
}

#[test]
fn failure_10_unconfirmed_count_is_repeated_and_a_total_is_not() {
    let directory = LogDirectory::new();
    let total = Item::new("total", Query::new(LogSource::file(&directory.log)));
    let first = directory.follower();
    directory.append("1\n2\n");
    let PolledValue { value: 2, pending } = first.count(&directory.item(), &poll_now()).unwrap() else {
        panic!()
    };
    pending.commit();
    assert_eq!(first.total(&total, &poll_now()).unwrap().lines, 2);
    directory.append("3\n");
    let second = directory.follower_after(first);
    assert_eq!(second.count(&directory.item(), &poll_now()).unwrap().value, 3);
    assert_eq!(second.total(&total, &poll_now()).unwrap().lines, 3);
}

#[test]
fn failure_10_journal_is_compacted_and_old_items_are_forgotten() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let now = SystemTime::now();
    directory.append("1\n");
    let old = Item::new("old", Query::new(LogSource::file(&directory.log)));
    poll(&follower, &old);
    for n in 0..6000 {
        directory.append(format!("{n}\n"));
        poll(&follower, &directory.item());
    }
    let path = directory.state().join("positions");
    assert!(fs::metadata(&path).unwrap().len() > 1024 * 1024);
    follower.tidy(now);
    assert!(fs::metadata(&path).unwrap().len() < 10_000);
    assert_eq!(follower.status().items, 2);
    // 31 days later one of them is still polled.
    let days = Duration::from_secs(31 * 24 * 3600);
    let later = Poll { now: now + days, ..poll_now() };
    assert_eq!(poll_with(&follower, &directory.item(), &later), None);
    follower.tidy(now + days);
    assert_eq!(follower.status().items, 1);
    let follower = directory.follower_after(follower);
    assert_eq!(follower.status().items, 1);
    assert_eq!(poll(&follower, &directory.item()), None);
}

// ---- 11

#[test]
fn failure_11_time_changes_and_size_does_not() {
    for (rotation, expected) in
        [(Rotation::Reread, Some("1\n2")), (Rotation::NoReread, None), (Rotation::CopyTruncate, None)]
    {
        let directory = LogDirectory::new();
        let item = directory.item_of(Query::new(directory.names()).rotation(rotation));
        let follower = directory.follower();
        directory.append("1\n2\n");
        poll(&follower, &item);
        set_mtime(&directory.log, SystemTime::now() + Duration::from_secs(5));
        assert_eq!(poll(&follower, &item), None, "{rotation:?}: the size may follow");
        assert_eq!(poll(&follower, &item).as_deref(), expected, "{rotation:?}");
        assert_eq!(poll(&follower, &item), None);
        // A fixed name ignores times.
        let fixed = Item::new("fixed", Query::new(LogSource::file(&directory.log)).rotation(rotation));
        poll(&follower, &fixed);
        set_mtime(&directory.log, SystemTime::now() + Duration::from_secs(50));
        assert_eq!((poll(&follower, &fixed), poll(&follower, &fixed)), (None, None));
    }
}

#[test]
fn failure_11_clock_set_back() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &item);
    directory.append("2\n");
    set_mtime(&directory.log, SystemTime::now() - Duration::from_secs(86_400));
    assert_eq!(poll(&follower, &item).unwrap(), "2");
    set_mtime(&directory.log, SystemTime::now() - Duration::from_secs(90_000));
    assert_eq!((poll(&follower, &item), poll(&follower, &item)), (None, None));
}

#[test]
fn failure_11_equal_times_go_by_name() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let time = SystemTime::now() - Duration::from_secs(100);
    for name in ["messages-b", "messages-a", "messages-c"] {
        append(&directory.file(name), format!("{name}\n"));
        set_mtime(&directory.file(name), time);
    }
    assert_eq!(poll(&directory.follower(), &item).unwrap(), "messages-c\nmessages-b\nmessages-a");
    assert_eq!(poll(&directory.follower(), &item), None);
}

#[test]
fn failure_11_skip_with_full_empty_and_absent_file() {
    let skip = |directory: &LogDirectory| {
        directory.item_of(Query::new(LogSource::file(&directory.log)).start(Start::Skip))
    };
    let directory = LogDirectory::new();
    directory.append("old\n");
    let follower = directory.follower();
    assert_eq!(poll(&follower, &skip(&directory)), None);
    directory.append("new\n");
    assert_eq!(poll(&follower, &skip(&directory)).unwrap(), "new");

    let directory = LogDirectory::new();
    directory.append("");
    let follower = directory.follower();
    assert_eq!(poll(&follower, &skip(&directory)), None);
    directory.append("first\n");
    assert_eq!(poll(&follower, &skip(&directory)).unwrap(), "first");

    let directory = LogDirectory::new();
    let follower = directory.follower();
    assert!(matches!(follower.lines(&skip(&directory), &poll_now()), Err(Error::Missing { .. })));
    directory.append("first\n");
    // Also if the process was restarted meanwhile.
    assert_eq!(poll(&directory.follower_after(follower), &skip(&directory)).unwrap(), "first");
}

#[test]
fn failure_11_skip_by_name_reads_a_directory_that_was_absent_from_its_beginning() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).start(Start::Skip));
    fs::remove_dir(directory.log.parent().unwrap()).unwrap();
    let follower = directory.follower();
    assert!(matches!(follower.lines(&item, &poll_now()), Err(Error::Directory { .. })));
    fs::create_dir(directory.log.parent().unwrap()).unwrap();
    directory.append("first\n");
    assert_eq!(poll(&directory.follower_after(follower), &item).unwrap(), "first");
}

#[test]
fn failure_11_skip_by_name_passes_all_files_that_are_there() {
    let directory = LogDirectory::new();
    append(&directory.file("messages-1"), "old\n");
    append(&directory.file("messages-2"), "old\n");
    let item = directory.item_of(Query::new(directory.names()).start(Start::Skip));
    let follower = directory.follower();
    assert_eq!(poll(&follower, &item), None);
    append(&directory.file("messages-2"), "new\n");
    append(&directory.file("messages-3"), "newer\n");
    assert_eq!(drain(&follower, &item), ["new", "newer"]);
}

#[test]
fn failure_11_nul_and_all_line_ends() {
    let directory = LogDirectory::new();
    directory.append(b"a\0b\nmac\rdos\r\n\0\0\n");
    let follower = directory.follower();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "a?b\nmac\ndos\n??");
    // A CR at the end of one poll and its LF in the next make no empty line.
    directory.append("one\r");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "one");
    directory.append("\ntwo\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "two");
}

type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;

#[test]
fn failure_11_encodings_end_to_end() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let shift_jis = |text: &str| encoding(text, "Shift_JIS");
    let euc_jp = |text: &str| encoding(text, "EUC-JP");
    let cases: [(&str, Encode<'_>); 4] = [
        ("UTF-16", &utf16),
        ("Shift_JIS", &shift_jis),
        ("EUC-JP", &euc_jp),
        ("", &|t: &str| t.as_bytes().to_vec()),
    ];
    for (name, encode) in cases {
        let directory = LogDirectory::new();
        for pattern in ["ソフト.*発動", "OOM", "(?<=OOM ).*発動"] {
            let query = Query::new(LogSource::file(&directory.log)).pattern(pattern.parse().unwrap());
            let item = Item::new(pattern, query.encoding(Encoding::named(name).unwrap()));
            let follower = Follower::open(Settings::in_memory());
            fs::write(&directory.log, encode("ソフトの OOM killer が発動されました。\n別の行\r\nソ"))
                .unwrap();
            assert_eq!(
                poll(&follower, &item).unwrap(),
                "ソフトの OOM killer が発動されました。",
                "{name} {pattern}"
            );
            directory.append(encode("フト OOM 発動\n"));
            assert_eq!(poll(&follower, &item).unwrap(), "ソフト OOM 発動", "{name} {pattern}");
        }
    }
}

/// The bytes of a few Japanese words, so that the tests need no encoder.
fn encoding(text: &str, name: &str) -> Vec<u8> {
    let table: &[(&str, &[u8], &[u8])] = &[
        ("ソ", b"\x83\x5c", b"\xa5\xbd"),
        ("フ", b"\x83\x74", b"\xa5\xd5"),
        ("ト", b"\x83\x67", b"\xa5\xc8"),
        ("の", b"\x82\xcc", b"\xa4\xce"),
        ("が", b"\x82\xaa", b"\xa4\xac"),
        ("発", b"\x94\xad", b"\xc8\xaf"),
        ("動", b"\x93\xae", b"\xc6\xb0"),
        ("さ", b"\x82\xb3", b"\xa4\xb5"),
        ("れ", b"\x82\xea", b"\xa4\xec"),
        ("ま", b"\x82\xdc", b"\xa4\xde"),
        ("し", b"\x82\xb5", b"\xa4\xb7"),
        ("た", b"\x82\xbd", b"\xa4\xbf"),
        ("。", b"\x81\x42", b"\xa1\xa3"),
        ("別", b"\x95\xca", b"\xca\xcc"),
        ("行", b"\x8d\x73", b"\xb9\xd4"),
    ];
    let of = |c: char| {
        let text = c.to_string();
        match table.iter().find(|(known, ..)| *known == text) {
            Some((_, sjis, euc)) => {
                if name == "EUC-JP" {
                    euc.to_vec()
                } else {
                    sjis.to_vec()
                }
            }
            None => vec![u8::try_from(c).unwrap()],
        }
    };
    text.chars().flat_map(of).collect()
}

// ---- 12, beside the tests of patterns

#[test]
fn failure_12_expensive_lines_are_skipped_counted_and_do_not_delay_a_poll() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log))
        .pattern(r"^(a|aa)+(?<!x)\1\1b|fine(?=!)".parse().unwrap());
    let item = directory.item_of(query);
    let hard = format!("{}!\n", "a".repeat(3000));
    directory.append(hard.repeat(20) + "this is fine!\n");
    let start = std::time::Instant::now();
    let mut polls = 0;
    loop {
        polls += 1;
        let value = poll_with(&follower, &item, &Poll::within(Duration::from_millis(200)));
        if let Some(value) = value {
            assert_eq!(value, "this is fine!");
            break;
        }
        assert!(polls < 10_000, "no progress after {:?}", start.elapsed());
    }
    assert_eq!(follower.status().lines_over_step_limit, 20);
}

/// The shared search finds the expensive lines, and the item processes its stored lines.
#[test]
fn failure_12_expensive_lines_of_a_shared_search_do_not_delay_a_poll() {
    const HARD: u64 = 20;
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let item = |name: &str, pattern: &str| {
        let query = Query::new(LogSource::file(&directory.log)).pattern(pattern.parse().unwrap());
        Item::new(name, query)
    };
    let hard = format!("killer {}!\n", "a".repeat(300));
    directory.append(hard.repeat(HARD.try_into().unwrap()) + &"nothing\n".repeat(40_000) + "killer fine!\n");
    assert!(poll(&follower, &item("literal", "killer")).is_some());
    let item = item("hard", r"killer (a|aa)+(?<!x)\1\1b|killer fine(?=!)");
    let mut found = None;
    for polls in 1..100 {
        found = found.or(poll_with(&follower, &item, &Poll::within(Duration::ZERO)));
        assert_eq!(follower.status().lines_over_step_limit, HARD.min(polls), "one line a poll");
    }
    assert_eq!(found.as_deref(), Some("killer fine!"));
}

// ---- 13

#[test]
fn failure_13_idle_files_are_not_read() {
    let directory = LogDirectory::new();
    let follower = Follower::open(Settings::in_memory());
    let items: Vec<Item> = (0..2000)
        .map(|n| {
            let path = directory.file(&format!("idle{n}"));
            fs::write(&path, "a line\npartial").unwrap();
            Item::new(&format!("{n}"), Query::new(LogSource::file(path)))
        })
        .collect();
    for item in &items {
        assert_eq!(poll(&follower, item).unwrap(), "a line");
    }
    let read = follower.status().read_bytes;
    for item in &items {
        assert_eq!(poll(&follower, item), None);
    }
    assert_eq!(follower.status().read_bytes, read, "an idle poll opens and reads nothing");
}

// ---- limits of one poll

#[test]
fn lines_per_second_limit_a_poll_and_the_rest_follows() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).max_lines_per_sec(10.try_into().unwrap());
    let item = Item::new("limited", query);
    directory.append((0..100).map(|n| format!("{n}\n")).collect::<String>());
    assert_eq!(lines(poll(&follower, &item)).len(), 10);
    // Three seconds later three times as many lines are allowed.
    assert_eq!(lines(poll_with(&follower, &item, &poll_in(3))).len(), 30);
    let polled = follower.count(&item, &poll_in(4)).unwrap();
    polled.pending.commit();
    assert_eq!(polled.value, 10);
    assert_eq!(poll_with(&follower, &item, &poll_in(100)).unwrap().split('\n').next(), Some("50"));
}

#[test]
fn reply_that_was_not_delivered_comes_again() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    let polled = follower.lines(&directory.item(), &poll_now()).unwrap();
    assert_eq!(polled.value.as_deref(), Some("1"));
    // Another poll of the same item waits for the first one, until its own deadline.
    let busy = follower.lines(&directory.item(), &Poll::within(Duration::from_millis(20)));
    assert!(matches!(busy, Err(Error::Busy { .. })));
    drop(polled.pending);
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1\n2");
    assert_eq!(poll(&follower, &directory.item()), None);
}

#[test]
fn deadline_ends_a_poll_with_the_lines_so_far_and_the_next_continues() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append(format!("start\n{}end\n", "nothing of interest in this line\n".repeat(200_000)));
    let item =
        directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("start|end".parse().unwrap()));
    let late = || Poll::within(Duration::ZERO);
    assert_eq!(poll_with(&follower, &item, &late()).unwrap(), "start");
    let mut polls = 1;
    while poll_with(&follower, &item, &late()).is_none() {
        polls += 1;
    }
    assert!((5..50).contains(&polls), "{polls} polls of about half a megabyte each");
}

#[test]
fn peek_moves_nothing() {
    let directory = LogDirectory::new();
    directory.append("1\n2\n");
    let follower = directory.follower();
    for _ in 0..2 {
        assert_eq!(follower.peek_lines(&directory.item(), &poll_now()).unwrap().unwrap(), "1\n2");
        assert_eq!(follower.peek_count(&directory.item(), &poll_now()).unwrap(), 2);
    }
    poll(&follower, &directory.item());
    directory.append("3\n");
    let looking = Follower::open(Settings { read_only: true, ..Settings::new(directory.state()) });
    let before = fs::read(directory.state().join("positions")).unwrap();
    assert_eq!(looking.peek_lines(&directory.item(), &poll_now()).unwrap().unwrap(), "3");
    assert_eq!(fs::read(directory.state().join("positions")).unwrap(), before);
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "3");
}

#[test]
fn max_delay_skips_lines_that_would_be_too_late() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).max_lines_per_sec(10.try_into().unwrap());
    let item = Item::new("delayed", query.max_delay(Some(Duration::from_secs(20))));
    directory.append((0..1000).map(|n| format!("{n:08}\n")).collect::<String>());
    assert_eq!(lines(poll(&follower, &item)).len(), 10);
    // 990 lines are left at 10 a second: 99 s. All except 20 s of them are skipped.
    let first: u32 = lines(poll_with(&follower, &item, &poll_in(1)))[0].parse().unwrap();
    assert!((750..850).contains(&first), "{first}");
}

#[test]
fn templates_are_applied() {
    let directory = LogDirectory::new();
    directory.append("client 10.0.0.7 port 4711\nnothing\n");
    let query =
        Query::new(LogSource::file(&directory.log)).pattern(r"client (\S+) port (\d+)".parse().unwrap());
    let item = directory.item_of(query.template(Template::new(r"\2@\1")));
    assert_eq!(poll(&directory.follower(), &item).unwrap(), "4711@10.0.0.7");
}

// ---- totals

#[test]
fn totals_grow_survive_restarts_and_serve_every_caller() {
    let directory = LogDirectory::new();
    directory.append("oom 1\nother\n");
    let item = directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("oom".parse().unwrap()));
    let follower = directory.follower();
    let first = follower.total(&item, &poll_now()).unwrap();
    assert_eq!((first.lines, first.complete), (1, true));
    directory.append("oom 2\noom 3\n");
    assert_eq!(follower.total(&item, &poll_now()).unwrap().lines, 3);
    assert_eq!(follower.total(&item, &poll_now()).unwrap().lines, 3);
    let follower = directory.follower_after(follower);
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    directory.append("oom 4\n");
    let total = follower.total(&item, &poll_in(5)).unwrap();
    assert_eq!((total.lines, total.since), (4, first.since));

    let skip = Item::new("skip", item.query().clone().start(Start::Skip));
    assert_eq!(follower.total(&skip, &poll_now()).unwrap().lines, 0);
    directory.append("oom 5\n");
    assert_eq!(follower.total(&skip, &poll_now()).unwrap().lines, 1);
}

#[test]
fn last_returns_line_groups_and_file() {
    let directory = LogDirectory::new();
    directory.append("killed 7 (httpd)\nkilled 8 (mysqld)\nrest\n");
    let query =
        Query::new(LogSource::file(&directory.log)).pattern(r"killed (\d+) \((\w+)\)(x)?".parse().unwrap());
    let item = directory.item_of(query);
    let follower = directory.follower();
    let last = follower.last(&item, &poll_now()).unwrap();
    assert_eq!(last.total.lines, 2);
    let found = last.last.unwrap();
    assert_eq!(found.text, "killed 8 (mysqld)");
    assert_eq!(found.groups, [Some("8".into()), Some("mysqld".into()), None]);
    assert_eq!(found.file, directory.log.to_str().unwrap());
    let follower = directory.follower_after(follower);
    assert_eq!(follower.last(&item, &poll_now()).unwrap().last.unwrap(), found);
}

#[test]
fn groups_stay_bounded_with_a_million_values() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).pattern(r"host=(\S+)".parse().unwrap());
    let item = directory.item_of(query);
    for part in 0..10 {
        let mut text = String::new();
        for n in 0..100_000 {
            text += &format!("host=h{part}x{n}\n");
            if n % 10 == 0 {
                text += "host=busy\n";
            }
        }
        directory.append(text);
        follower.groups(&item, 3, &poll_now()).unwrap();
    }
    let groups = follower.groups(&item, 3, &poll_now()).unwrap();
    assert_eq!(groups.total.lines, 1_100_000);
    assert_eq!((groups.groups[0].value.as_str(), groups.groups[0].lines), ("busy", 100_000));
    assert_eq!(groups.groups.iter().map(|g| g.lines).sum::<u64>() + groups.other, 1_100_000);
    assert!(!groups.exact && groups.groups.len() == 3);
    assert!(fs::metadata(directory.state().join("positions")).unwrap().len() < 2_000_000);
}

#[test]
fn groups_are_exact_below_the_limit() {
    let directory = LogDirectory::new();
    directory.append("a\nb\na\nc\na\nb\n");
    let item =
        directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("^(.)$".parse().unwrap()));
    let groups = directory.follower().groups(&item, 2, &poll_now()).unwrap();
    let found: Vec<(&str, u64)> = groups.groups.iter().map(|g| (g.value.as_str(), g.lines)).collect();
    assert_eq!(found, [("a", 3), ("b", 2)]);
    assert!(groups.exact && groups.other == 1 && groups.total.lines == 6);
}

// ---- items that share a file

#[test]
fn items_on_one_file_find_the_same_lines_as_alone() {
    let directory = LogDirectory::new();
    let words = ["alpha", "beta", "gamma", "alphabet", "(?i)delta", "omega$", "^first.*alpha", "(?<=x)gamma"];
    let mut random = common::Random::new(7);
    let mut text = String::from("first alpha\n");
    for n in 0..60_000 {
        let word = ["alpha", "beta", "xgamma", "alphabet", "DELTA", "omega"]
            [usize::try_from(random.below(6)).unwrap()];
        let noise = "-".repeat(usize::try_from(random.below(120)).unwrap());
        let end = ["\n", "\r\n", "\n", "\0\n"][usize::try_from(random.below(4)).unwrap()];
        if random.below(50) == 0 {
            text += &format!("{n} {noise} {word}{end}");
        } else {
            text += &format!("{n} {noise}{end}");
        }
    }
    let item = |name: &str, word: &str| {
        let query = Query::new(LogSource::file(&directory.log)).pattern(word.parse().unwrap());
        Item::new(name, query.max_lines_per_sec(1_000_000.try_into().unwrap()))
    };
    let together = Follower::open(Settings::in_memory());
    directory.append("x\n".repeat(200_000));
    for word in words {
        poll(&together, &item(word, word));
    }
    for round in 0..3 {
        directory.append(&text);
        let shared: Vec<Vec<String>> = words.iter().map(|word| drain(&together, &item(word, word))).collect();
        for (word, shared) in words.iter().zip(shared) {
            let alone = Follower::open(Settings::in_memory());
            let all = drain(&alone, &item(word, word));
            let expected = &all[all.len() / (round + 1) * round..];
            assert_eq!(shared, expected, "{word} in round {round}");
        }
    }
    // The file is written again with the same length: stored lines must not be used.
    fs::write(&directory.log, text.replace("alpha", "ALPHA").repeat(4)).unwrap();
    assert_eq!(drain(&together, &item("alpha", "alpha")), Vec::<String>::new());
    assert!(!drain(&together, &item("beta", "beta")).is_empty());
}

#[test]
fn many_threads_poll_many_items() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|n| {
                let item = Item::new(&format!("thread {n}"), Query::new(LogSource::file(&directory.log)));
                let follower = &follower;
                scope.spawn(move || {
                    let mut found = Vec::new();
                    while found.last().map(String::as_str) != Some("end") {
                        if let Ok(polled) = follower.lines(&item, &poll_now()) {
                            found.extend(lines(polled.value));
                            polled.pending.commit();
                        }
                    }
                    found.len()
                })
            })
            .collect();
        for n in 0..500 {
            directory.append(format!("{n}\n").repeat(20));
        }
        directory.append("end\n");
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 10_001);
        }
    });
}
