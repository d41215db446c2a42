//! The first poll of an item: `skip`, and the order of files by time and name.

use std::fs;
use std::time::{Duration, SystemTime};

use log_follow::{Error, Item, LogSource, Query, Rotation, Start};

use crate::common::{LogDirectory, append, drain, poll, poll_now, set_mtime};

#[test]
fn time_changes_and_size_does_not() {
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
fn clock_set_back() {
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
fn equal_times_go_by_name() {
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
fn skip_with_full_empty_and_absent_file() {
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
fn skip_by_name_reads_a_directory_that_was_absent_from_its_beginning() {
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
fn skip_by_name_passes_all_files_that_are_there() {
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
