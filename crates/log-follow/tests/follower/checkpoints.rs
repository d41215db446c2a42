//! Checkpoints of files: rotated files beside the log of a new item, files that cannot be opened or listed for a while, and
//! files whose content is replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use log_follow::{AllowPath, Error, Follower, Item, LogSource, Pattern, Query, Rotation, Settings, Start};

use crate::common::{LogDirectory, append, drain, poll, poll_in, poll_now, set_mtime};

// ---- a new item beside rotated files

/// After a rotation the log is empty, and the rotated file has the same time, a later one, or a slightly earlier one.
#[test]
fn rotated_files_beside_the_empty_log_of_a_new_item_are_not_read() {
    for start in [Start::Skip, Start::All] {
        for secs_later in [-1, 0, 1] {
            let directory = LogDirectory::new();
            let item = directory.item_of(Query::new(LogSource::file(&directory.log)).start(start));
            append(&directory.file("messages.1"), "old\n");
            directory.append("");
            let now = SystemTime::now() - Duration::from_secs(100);
            set_mtime(&directory.log, now);
            set_mtime(&directory.file("messages.1"), later(now, secs_later));
            let follower = directory.follower();
            assert_eq!(poll(&follower, &item), None);
            directory.append("new\n");
            assert_eq!(poll(&follower, &item).unwrap(), "new", "{start:?}, {secs_later} s later");
        }
    }
}

fn later(time: SystemTime, secs: i64) -> SystemTime {
    let distance = Duration::from_secs(secs.unsigned_abs());
    if secs < 0 { time - distance } else { time + distance }
}

/// The daemon still has the old file open at the item's first poll.
#[test]
fn only_new_lines_of_a_rotated_file_beside_a_new_item_are_read() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(LogSource::file(&directory.log)).start(Start::Skip));
    append(&directory.file("messages.1"), "old\n");
    set_mtime(&directory.file("messages.1"), SystemTime::now() - Duration::from_secs(100));
    directory.append("");
    // Hard links are the same file.
    fs::hard_link(directory.file("messages.1"), directory.file("messages.old")).unwrap();
    fs::hard_link(&directory.log, directory.file("messages.bak")).unwrap();
    let follower = directory.follower();
    assert_eq!(poll(&follower, &item), None);
    append(&directory.file("messages.1"), "late\n");
    directory.append("new\n");
    assert_eq!(poll(&follower, &item).unwrap(), "late\nnew");
    assert_eq!(poll(&follower, &item), None);
}

// ---- files that turn out to be compressed

/// `gzip` writes for seconds if the log is large, and logrotate lets it write into the log's directory.
#[test]
fn compressed_file_is_not_read_while_it_is_written() {
    for start in [Start::Skip, Start::All] {
        for seen_bytes in [0, 7] {
            let directory = LogDirectory::new();
            let item = directory.item_of(Query::new(directory.names()).start(start));
            let compressed = directory.file("messages.1.gz");
            let magic = b"\x1f\x8b\x08\0abc";
            let (before, after) = magic.split_at(seen_bytes);
            append(&compressed, before);
            let follower = directory.follower();
            assert_eq!(poll(&follower, &item), None);
            append(&compressed, [after, b"junk\nline\n"].concat());
            assert_eq!(poll(&follower, &item), None, "{start:?}, {seen_bytes} bytes at first");
            append(&compressed, "more\n");
            assert_eq!(poll(&follower, &item), None);
            directory.append("new\n");
            assert_eq!(poll(&follower, &item).unwrap(), "new");
        }
    }
}

#[test]
fn compressed_file_with_the_inode_of_a_log_is_not_read() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    append(&directory.file("messages.1"), "old\n");
    let follower = directory.follower();
    assert_eq!(poll(&follower, &item).unwrap(), "old");
    fs::write(directory.file("messages.1"), b"\x1f\x8b\x08\0a line\n").unwrap();
    fs::rename(directory.file("messages.1"), directory.file("messages.2.gz")).unwrap();
    assert_eq!(poll(&follower, &item), None);
    // The opposite order.
    fs::write(directory.file("messages.2.gz"), "text\n").unwrap();
    fs::rename(directory.file("messages.2.gz"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "text");
}

// ---- files that cannot be opened for a while

/// Makes a file unreadable as rotated files are for the agent's user. It works for root as well.
fn follower_of_the_log_alone(directory: &LogDirectory) -> Follower {
    let allow = AllowPath::only(vec![Pattern::new("/messages$").unwrap()]);
    Follower::open(Settings { allow, ..Settings::new(directory.state()) })
}

/// Polls; an error gives no lines. Other tests check the error's text and path.
fn poll_through_errors(follower: &Follower, item: &Item) -> Option<String> {
    match follower.lines(item, &poll_now()) {
        Ok(polled) => {
            polled.pending.commit();
            follower.settle(poll_now().now);
            polled.value
        }
        Err(Error::NotAllowed { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn rotated_file_that_cannot_be_opened_keeps_its_mark() {
    for is_rewritten in [false, true] {
        let directory = LogDirectory::new();
        let follower = follower_of_the_log_alone(&directory);
        directory.append("1\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
        directory.append("2\n");
        fs::rename(&directory.log, directory.file("messages.1")).unwrap();
        directory.append("3\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "3");
        if is_rewritten {
            fs::write(directory.file("messages.1"), "another file\n").unwrap();
        }
        assert_eq!(poll(&follower, &directory.item()), None);
        drop(follower);
        let follower = directory.follower();
        let rest = (!is_rewritten).then(|| "2".to_owned());
        assert_eq!(poll(&follower, &directory.item()), rest);
        assert_eq!(poll(&follower, &directory.item()), None);
        directory.append("4\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "4");
    }
}

#[test]
fn new_item_with_skip_skips_unreadable_files_when_they_become_readable() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).start(Start::Skip));
    append(&directory.file("messages.1"), "old\n");
    append(&directory.file("messages.gz"), b"\x1f\x8b\x08\0abc\n");
    directory.append("old\n");
    let follower = follower_of_the_log_alone(&directory);
    let error = follower.lines(&item, &poll_now()).unwrap_err();
    assert!(matches!(error, Error::NotAllowed { .. }), "{error}");
    assert_eq!(poll_through_errors(&follower, &item), None);
    directory.append("new\n");
    assert_eq!(poll_through_errors(&follower, &item).unwrap(), "new");
    append(&directory.file("messages.1"), "late\n");
    append(&directory.file("messages.2"), "whole\n");
    assert_eq!(poll_through_errors(&follower, &item), None);
    drop(follower);
    let follower = directory.follower();
    append(&directory.file("messages.gz"), "more\n");
    assert_eq!(poll(&follower, &item).unwrap(), "late\nwhole");
    assert_eq!(poll(&follower, &item), None);
}

#[test]
fn unreadable_file_of_a_name_pattern_does_not_delay_the_others() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    append(&directory.file("messages.1"), "1\n");
    append(&directory.file("messages.2"), "another 1\n");
    assert_eq!(poll(&follower, &item).unwrap().len(), "another 1\n1".len());
    drop(follower);
    let follower = follower_of_the_log_alone(&directory);
    append(&directory.file("messages.1"), "2\n");
    // The file is truncated and written again: this must be detected although it cannot be read now.
    fs::write(directory.file("messages.2"), "what it holds now is longer\n").unwrap();
    append(&directory.file("messages.3.gz"), b"\x1f\x8b\x08\0line\n");
    directory.append("3\n");
    assert_eq!(poll_through_errors(&follower, &item).unwrap(), "3");
    directory.append("4\n");
    assert_eq!(poll_through_errors(&follower, &item).unwrap(), "4");
    drop(follower);
    let follower = directory.follower();
    let mut found: Vec<String> = drain(&follower, &item);
    found.sort();
    assert_eq!(found, ["2", "what it holds now is longer"]);
}

#[test]
fn copy_does_not_wait_for_a_file_that_cannot_be_opened() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).rotation(Rotation::CopyTruncate));
    let follower = directory.follower();
    append(&directory.file("messages.1"), "a line of some length\n");
    assert_eq!(poll(&follower, &item).unwrap(), "a line of some length");
    drop(follower);
    let follower = follower_of_the_log_alone(&directory);
    directory.append("new\n");
    assert_eq!(poll_through_errors(&follower, &item).unwrap(), "new");
}

/// Lines without a match are not read again with every poll.
#[test]
fn lines_beside_an_unreadable_file_are_read_once() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).pattern("match".parse().unwrap()));
    append(&directory.file("messages.1"), "old\n");
    let follower = follower_of_the_log_alone(&directory);
    directory.append("nothing\n".repeat(1000));
    assert_eq!(poll_through_errors(&follower, &item), None);
    let read = follower.status().read_bytes;
    for _ in 0..3 {
        assert_eq!(poll_through_errors(&follower, &item), None);
    }
    assert_eq!(follower.status().read_bytes, read);
    directory.append("match\n");
    assert_eq!(follower.total(&item, &poll_now()).unwrap().lines, 1);
}

// ---- files of a name pattern that are not listed for a while

/// Files that were moved out of the pattern, or whose file system was unmounted.
#[test]
fn files_that_reappear_are_not_read_again() {
    for start in [Start::Skip, Start::All] {
        let directory = LogDirectory::new();
        let item = directory.item_of(Query::new(directory.names()).start(start));
        let follower = directory.follower();
        assert_eq!(poll(&follower, &item), None);
        append(&directory.file("messages.1"), "older\n");
        directory.append(format!("{}\n", "x".repeat(2000)));
        assert!(poll(&follower, &item).is_some());
        let parent = directory.log.parent().unwrap();
        fs::rename(parent, directory.dir.path().join("aside")).unwrap();
        fs::create_dir(parent).unwrap();
        assert_eq!(poll(&follower, &item), None);
        assert_eq!(poll(&follower, &item), None);
        drop(follower);
        fs::remove_dir(parent).unwrap();
        fs::rename(directory.dir.path().join("aside"), parent).unwrap();
        // The file was written to meanwhile.
        directory.append("new\n");
        let follower = directory.follower();
        assert_eq!(poll(&follower, &item).unwrap(), "new", "{start:?}");
        assert_eq!(poll(&follower, &item), None);
    }
}

#[test]
fn file_that_comes_back_is_read_to_its_end() {
    let directory = LogDirectory::new();
    let item = Item::new("slow", Query::new(directory.names()).max_lines_per_sec(1.try_into().unwrap()));
    let follower = directory.follower();
    directory.append("1\n2\n");
    assert_eq!(poll(&follower, &item).unwrap(), "1");
    fs::rename(&directory.log, directory.file("aside")).unwrap();
    assert!(follower.total(&item, &poll_now()).unwrap().complete);
    fs::rename(directory.file("aside"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "2");
}

/// A link to itself has the same effect for root as a directory without permission for others: `stat` fails.
#[test]
fn listed_file_without_stat_is_an_error_and_keeps_its_checkpoint() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    directory.append("1\n");
    assert_eq!(poll(&follower, &item).unwrap(), "1");
    directory.append("2\n");
    fs::rename(&directory.log, directory.file("aside")).unwrap();
    symlink(&directory.log, &directory.log).unwrap();
    // The checkpoint stays for any length of time.
    for hours in [0, 2, 4] {
        let error = follower.lines(&item, &poll_in(hours * 3600)).unwrap_err();
        assert!(matches!(&error, Error::Read { path, .. } if *path == directory.log), "{error}");
    }
    // The other files are read.
    append(&directory.file("messages-other"), "other\n");
    assert_eq!(poll(&follower, &item).unwrap(), "other");
    fs::remove_file(&directory.log).unwrap();
    fs::rename(directory.file("aside"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "2");
    assert_eq!(poll(&follower, &item), None);
}

/// A file with the inode of one that was deleted.
#[test]
fn file_that_begins_like_a_deleted_one_with_its_inode_is_read() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    directory.append("begins\n");
    assert_eq!(poll(&follower, &item).unwrap(), "begins");
    fs::rename(&directory.log, directory.file("aside")).unwrap();
    assert_eq!(poll(&follower, &item), None);
    set_mtime(&directory.file("aside"), SystemTime::now() + Duration::from_secs(1));
    fs::rename(directory.file("aside"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "begins");
}

#[test]
fn copy_with_the_inode_of_a_deleted_file_is_a_copy() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).rotation(Rotation::CopyTruncate));
    let follower = directory.follower();
    append(&directory.file("messages.1"), "old\n");
    directory.append("1\n");
    assert!(poll(&follower, &item).is_some());
    fs::rename(directory.file("messages.1"), directory.file("aside")).unwrap();
    assert_eq!(poll(&follower, &item), None);
    directory.append("2\n");
    fs::copy(&directory.log, directory.file("aside")).unwrap();
    fs::rename(directory.file("aside"), directory.file("messages.1")).unwrap();
    fs::write(&directory.log, "").unwrap();
    directory.append("3\n");
    assert_eq!(drain(&follower, &item), ["2", "3"]);
}

// ---- a log under another inode

/// An editor, `sed -i` and a restored backup write a new file and give it the log's name.
#[test]
fn log_that_is_replaced_by_its_copy_goes_on() {
    for by_name in [false, true] {
        let directory = LogDirectory::new();
        let source = if by_name { directory.names() } else { LogSource::file(&directory.log) };
        let item = directory.item_of(Query::new(source));
        let follower = directory.follower();
        directory.append("a line\n".repeat(300));
        assert!(poll(&follower, &item).is_some());
        fs::copy(&directory.log, directory.file("tmp")).unwrap();
        fs::rename(directory.file("tmp"), &directory.log).unwrap();
        directory.append("new\n");
        assert_eq!(poll(&follower, &item).unwrap(), "new", "by name: {by_name}");
        assert_eq!(poll(&follower, &item), None);
    }
}

/// Only a header that every file begins with was read.
#[test]
fn log_that_begins_like_its_predecessor_is_another_one() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let header = "a header\n".repeat(200);
    directory.append(&header);
    assert_eq!(poll(&follower, &directory.item()).unwrap() + "\n", header);
    directory.append("1\n");
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    directory.append(format!("{header}2\n"));
    assert_eq!(poll(&follower, &directory.item()).unwrap(), format!("1\n{header}2"));
}

// ---- many files

#[test]
fn quiet_file_among_many_continues_when_it_is_written_again() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()).start(Start::Skip));
    let start = SystemTime::now() - Duration::from_secs(10_000);
    let file = |n: u64| directory.file(&format!("messages-{n}"));
    for n in 0..600 {
        append(&file(n), "a\n");
        set_mtime(&file(n), start + Duration::from_secs(n));
    }
    let follower = directory.follower();
    assert_eq!(poll(&follower, &item), None);
    for n in [0, 50, 599] {
        append(&file(n), format!("{n}\n"));
        assert_eq!(poll(&follower, &item), Some(n.to_string()));
    }
}

// ---- writers that still have a rotated file open

#[test]
fn late_lines_are_read_from_the_newest_four_rotated_files() {
    let directory = LogDirectory::new();
    let item = directory.item();
    let follower = directory.follower();
    let now = SystemTime::now();
    for rotations in (0..6_u64).rev() {
        directory.append(format!("line {rotations}\n"));
        set_mtime(&directory.log, now - Duration::from_secs(10 * rotations + 10));
        assert_eq!(poll(&follower, &item).unwrap(), format!("line {rotations}"));
        if rotations > 0 {
            fs::rename(&directory.log, directory.file(&format!("messages.{rotations}"))).unwrap();
        }
    }
    assert_eq!(poll(&follower, &item), None);
    for number in 1..=5 {
        append(&directory.file(&format!("messages.{number}")), format!("late {number}\n"));
    }
    assert_eq!(poll(&follower, &item).unwrap(), "late 4\nlate 3\nlate 2\nlate 1");
    assert_eq!(poll(&follower, &item), None);
}
