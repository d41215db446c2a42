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
