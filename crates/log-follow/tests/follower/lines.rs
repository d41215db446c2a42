//! Lines: partial and over-long ones, line ends, NUL and encodings.

use std::fs;
use std::time::{Duration, SystemTime};

use log_follow::{Encoding, Follower, Item, LogSource, MAX_VALUE_BYTES, Query, Settings};

use crate::common::{LogDirectory, append, drain, poll, poll_in, poll_with, set_mtime};

#[test]
fn partial_last_line_waits_for_its_end() {
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
fn partial_last_line_of_a_rotated_file_is_delivered() {
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
fn partial_last_line_of_an_older_file_settles() {
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

#[test]
fn over_long_lines_are_cut_and_passed() {
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
fn only_the_first_256_kib_are_matched() {
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
fn endless_line_neither_stalls_nor_grows() {
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

#[test]
fn value_limit_splits_between_lines() {
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

#[test]
fn nul_and_all_line_ends() {
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
fn encodings_end_to_end() {
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
