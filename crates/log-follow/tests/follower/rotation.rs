//! Several rotations between two polls, slow writers, and races of rename, delete and creation.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use log_follow::{Item, LogSource, PolledValue, Query, Rotation};

use crate::common::{LogDirectory, append, drain, lines, poll, poll_in, poll_now, poll_with, set_mtime};

#[test]
fn rotations_between_polls_and_while_down() {
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
fn renamed_file_is_not_read_again() {
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
fn slow_writer_still_writes_to_the_rotated_file() {
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
fn five_files_of_100000_lines_rotated_at_256_kb() {
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
fn rotated_file_is_not_read_again_when_its_successor_stayed_empty() {
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
fn many_rotations_within_one_clock_tick_repeat_nothing() {
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
fn rotations_at_full_speed_while_polls_run() {
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

#[test]
fn log_vanishes_and_comes_back() {
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
fn created_through_a_temporary_file() {
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
fn files_that_vanish_while_they_are_listed() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    let follower = directory.follower();
    append(&directory.file("messages-a"), "a\n");
    symlink("/nowhere/at/all", directory.file("messages-dangling")).unwrap();
    assert_eq!(poll(&follower, &item).unwrap(), "a");
}
