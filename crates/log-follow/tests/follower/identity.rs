//! Files are recognised by their content: reused inodes, equal beginnings, and compressed files, which are never read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use log_follow::{Item, LogSource, Query};

use crate::common::{LogDirectory, append, drain, lines, poll};

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn inode_reuse_starts_at_the_beginning() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("old 1\nold 2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "old 1\nold 2");
    // A reused inode looks like the same inode with other content. The new file is longer.
    fs::write(&directory.log, "new 1\nnew 2\nnew 3\n").unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "new 1\nnew 2\nnew 3");
}

#[test]
fn inode_of_a_rotated_file_is_reused_by_the_log() {
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

#[test]
fn equal_first_lines_are_two_files() {
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
fn empty_and_tiny_files_are_each_their_own() {
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

#[test]
fn compressed_files_are_never_read() {
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
