//! Files that are truncated or copied, and files that grow past the old offset.

use std::fs::{self, File, OpenOptions};

use log_follow::{LogSource, Query, Rotation};

use crate::common::{LogDirectory, append, drain, poll};

#[test]
fn truncated_then_grown_past_offset() {
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
fn truncated_with_the_same_head_and_grown() {
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
fn offset_beyond_the_end() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("a line\n".repeat(100));
    poll(&follower, &directory.item());
    fs::write(&directory.log, "short\n").unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "short");
}

#[test]
fn copytruncate_loses_nothing() {
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
fn copy_of_a_file_that_is_not_truncated_yet_is_not_read_twice() {
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
fn unfinished_copy_is_not_read() {
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
