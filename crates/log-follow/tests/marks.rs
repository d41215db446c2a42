//! What is remembered of files: what a new item finds beside its log, files that cannot be opened or listed for a while,
//! files that change what they are.

#![allow(clippy::unwrap_used)] // a test that panics has failed

mod common;

use common::{Place, append, poll, set_mtime};
use log_follow::{Query, Source, Start};
use std::fs;
use std::time::{Duration, SystemTime};

// ---- a new item beside rotated files

/// After a rotation the log is empty, and what was rotated has the same time, a later one, or one a little earlier.
#[test]
fn rotated_files_that_a_new_item_finds_beside_an_empty_log_are_not_read() {
    for start in [Start::Skip, Start::All] {
        for secs_later in [-1, 0, 1] {
            let place = Place::new();
            let item = place.item_of(Query::new(Source::file(&place.log)).start(start));
            append(&place.file("messages.1"), "old\n");
            place.append("");
            let now = SystemTime::now() - Duration::from_secs(100);
            set_mtime(&place.log, now);
            set_mtime(&place.file("messages.1"), later(now, secs_later));
            let follower = place.follower();
            assert_eq!(poll(&follower, &item), None);
            place.append("new\n");
            assert_eq!(poll(&follower, &item).unwrap(), "new", "{start:?}, {secs_later} s later");
        }
    }
}

fn later(time: SystemTime, secs: i64) -> SystemTime {
    let distance = Duration::from_secs(secs.unsigned_abs());
    if secs < 0 { time - distance } else { time + distance }
}

/// The daemon still has the old file open when the item is made.
#[test]
fn last_words_in_a_rotated_file_that_a_new_item_found_are_all_that_is_read_of_it() {
    let place = Place::new();
    let item = place.item_of(Query::new(Source::file(&place.log)).start(Start::Skip));
    append(&place.file("messages.1"), "old\n");
    set_mtime(&place.file("messages.1"), SystemTime::now() - Duration::from_secs(100));
    place.append("");
    // Hard links are the same file.
    fs::hard_link(place.file("messages.1"), place.file("messages.old")).unwrap();
    fs::hard_link(&place.log, place.file("messages.bak")).unwrap();
    let follower = place.follower();
    assert_eq!(poll(&follower, &item), None);
    append(&place.file("messages.1"), "late\n");
    place.append("new\n");
    assert_eq!(poll(&follower, &item).unwrap(), "late\nnew");
    assert_eq!(poll(&follower, &item), None);
}

// ---- files that turn out to be compressed

/// `gzip` writes for seconds where the log is large, and logrotate lets it write straight into its place.
#[test]
fn compressed_file_that_is_seen_while_it_is_written_is_not_read() {
    for start in [Start::Skip, Start::All] {
        for seen_bytes in [0, 7] {
            let place = Place::new();
            let item = place.item_of(Query::new(place.names()).start(start));
            let compressed = place.file("messages.1.gz");
            let magic = b"\x1f\x8b\x08\0abc";
            let (before, after) = magic.split_at(seen_bytes);
            append(&compressed, before);
            let follower = place.follower();
            assert_eq!(poll(&follower, &item), None);
            append(&compressed, [after, b"junk\nline\n"].concat());
            assert_eq!(poll(&follower, &item), None, "{start:?}, {seen_bytes} bytes at first");
            append(&compressed, "more\n");
            assert_eq!(poll(&follower, &item), None);
            place.append("new\n");
            assert_eq!(poll(&follower, &item).unwrap(), "new");
        }
    }
}

#[test]
fn compressed_file_with_the_inode_of_a_log_is_not_read() {
    let place = Place::new();
    let item = place.item_of(Query::new(place.names()));
    append(&place.file("messages.1"), "old\n");
    let follower = place.follower();
    assert_eq!(poll(&follower, &item).unwrap(), "old");
    fs::write(place.file("messages.1"), b"\x1f\x8b\x08\0a line\n").unwrap();
    fs::rename(place.file("messages.1"), place.file("messages.2.gz")).unwrap();
    assert_eq!(poll(&follower, &item), None);
    // And the other way round.
    fs::write(place.file("messages.2.gz"), "text\n").unwrap();
    fs::rename(place.file("messages.2.gz"), &place.log).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "text");
}
