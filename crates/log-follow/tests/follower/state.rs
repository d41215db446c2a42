//! The stored positions: damage, a directory that cannot be written, several processes, replies that were not confirmed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use log_follow::{Durability, Error, Follower, Item, LogSource, Poll, PolledValue, Query, Settings};

use crate::common::{LogDirectory, SmallDisk, append, poll, poll_now, poll_with};

/// Creates a state directory whose item has read one line. Returns it with the path of its state file.
fn state_after_one_line(directory: &LogDirectory) -> PathBuf {
    directory.append("1\n");
    assert_eq!(poll(&directory.follower(), &directory.item()).unwrap(), "1");
    directory.append("2\n");
    directory.state().join("positions")
}

type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn damaged_state_is_a_warning_and_does_not_prevent_the_start() {
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
fn state_cut_at_any_byte_falls_back_and_continues() {
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
fn one_bad_line_costs_one_item() {
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

/// Every state that a process can leave behind when it is killed: each prefix of what it wrote.
#[test]
fn kill_at_any_byte_repeats_at_most_the_lines_of_the_torn_change() {
    let directory = LogDirectory::new();
    let groups =
        Item::new("groups", Query::new(LogSource::file(&directory.log)).pattern(r"(\d)\d*".parse().unwrap()));
    let path = directory.state().join("positions");
    let follower = directory.follower();
    let mut ends = vec![(fs::metadata(&path).unwrap().len(), 0)];
    for line in 1..=12 {
        directory.append(format!("{line}\n"));
        assert_eq!(follower.groups(&groups, 100, &poll_now()).unwrap().total.lines, line);
        ends.push((fs::metadata(&path).unwrap().len(), line));
    }
    drop(follower);
    let bytes = fs::read(&path).unwrap();
    for cut in usize::try_from(ends[0].0).unwrap()..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let follower = directory.follower();
        // Without its line end, the last line is complete as well.
        let complete = ends.iter().rev().find(|(end, _)| *end <= cut as u64 + 1).unwrap().1;
        let counted = follower.status().items > 0;
        assert_eq!(counted, complete > 0, "cut at {cut}");
        let all = follower.groups(&groups, 100, &poll_now()).unwrap();
        assert_eq!((all.total.lines, all.groups[0].lines, all.exact), (12, 4, true), "cut at {cut}");
    }
}

/// A table of thousands of counts is not written again when one of them changes.
#[test]
fn poll_writes_the_changed_counts_only() {
    let directory = LogDirectory::new();
    let groups = Item::new("groups", Query::new(LogSource::file(&directory.log)));
    directory.append((0..4000).map(|site| format!("site{site}.example.net\n")).collect::<String>());
    let follower = directory.follower();
    follower.groups(&groups, 1, &poll_now()).unwrap();
    let length = || fs::metadata(directory.state().join("positions")).unwrap().len();
    let whole = length();
    assert!(whole > 80_000);
    for _ in 0..10 {
        let before = length();
        directory.append("site7.example.net\n");
        follower.groups(&groups, 1, &poll_now()).unwrap();
        assert!((1..600).contains(&(length() - before)), "{} bytes", length() - before);
    }
    let before = length();
    follower.groups(&groups, 1, &poll_now()).unwrap();
    assert_eq!(length(), before, "an unchanged log writes nothing");
    let follower = directory.follower_after(follower);
    let groups = follower.groups(&groups, 1, &poll_now()).unwrap();
    assert_eq!((groups.total.lines, groups.groups[0].lines), (4010, 11));
}

#[test]
fn poll_writes_the_checkpoint_of_the_changed_file_only() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    (0..500).for_each(|file| append(&directory.file(&format!("messages-{file}")), "1\n"));
    let follower = directory.follower();
    assert!(poll(&follower, &item).is_some());
    let length = || fs::metadata(directory.state().join("positions")).unwrap().len();
    let before = length();
    append(&directory.file("messages-77"), "2\n");
    assert_eq!(poll(&follower, &item).unwrap(), "2");
    let written = length() - before;
    assert!((1..1000).contains(&written), "{written} bytes");
    let follower = directory.follower_after(follower);
    assert_eq!(poll(&follower, &item), None);
}

#[test]
fn state_directory_that_was_removed_is_written_again_with_the_next_change() {
    let by_file = |state: &Path| fs::remove_file(state.join("positions")).unwrap();
    let by_directory = |state: &Path| fs::remove_dir_all(state).unwrap();
    let by_rename = |state: &Path| fs::rename(state, state.with_extension("aside")).unwrap();
    for remove in [by_file as fn(&Path), by_directory, by_rename] {
        let directory = LogDirectory::new();
        let quiet = Item::new("quiet", Query::new(LogSource::file(directory.file("quiet"))));
        append(&directory.file("quiet"), "quiet\n");
        let follower = directory.follower();
        assert_eq!(poll(&follower, &quiet).unwrap(), "quiet");
        remove(&directory.state());
        directory.append("1\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
        assert_eq!(follower.status().durability, Durability::Durable);
        assert_eq!(follower.take_warnings().len(), 1);
        let follower = directory.follower_after(follower);
        assert_eq!(poll(&follower, &directory.item()), None);
        assert_eq!(
            poll(&follower, &quiet),
            None,
            "the state of items that were not polled is written again as well"
        );
    }
}

#[test]
fn full_disk_keeps_positions_in_memory_and_loses_none() {
    let directory = LogDirectory::new();
    let disk = SmallDisk::mount(64 * 1024);
    let follower = Follower::open(Settings::new(disk.path().join("state")));
    directory.append("1\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
    disk.fill();
    // Blocks that the file has already can still be written to.
    let mut line = 1;
    while follower.status().durability == Durability::Durable {
        line += 1;
        assert!(line < 2000, "the disk is not full");
        directory.append(format!("{line}\n"));
        assert_eq!(poll(&follower, &directory.item()).unwrap(), line.to_string());
    }
    let reason = follower.status().durability.reason().unwrap().to_owned();
    assert!(reason.contains("No space left on device"), "{reason}");
    directory.append("in memory\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "in memory");
    assert_eq!(poll(&follower, &directory.item()), None);
    let since = follower.status().durability.not_durable_since();
    follower.tidy(SystemTime::now());
    assert_eq!(follower.status().durability.not_durable_since(), since);
    disk.free();
    follower.tidy(SystemTime::now());
    assert_eq!(follower.status().durability, Durability::Durable);
    drop(follower);
    let follower = Follower::open(Settings::new(disk.path().join("state")));
    assert_eq!(poll(&follower, &directory.item()), None);
}

#[test]
fn state_that_cannot_be_written_is_kept_in_memory_until_it_can() {
    let directory = LogDirectory::new();
    // A file in place of the state directory stops root as well.
    fs::write(directory.state(), "").unwrap();
    let follower = directory.follower();
    assert_eq!(follower.take_warnings().len(), 1);
    assert!(matches!(follower.status().durability, Durability::Memory { .. }));
    directory.append("1\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
    assert_eq!(poll(&follower, &directory.item()), None);
    follower.tidy(SystemTime::now());
    assert!(matches!(follower.status().durability, Durability::Memory { .. }));
    fs::remove_file(directory.state()).unwrap();
    follower.tidy(SystemTime::now());
    assert_eq!(follower.status().durability, Durability::Durable);
    assert_eq!(poll(&directory.follower_after(follower), &directory.item()), None);
}

#[test]
fn directory_in_place_of_the_state_file() {
    let directory = LogDirectory::new();
    fs::create_dir_all(directory.state().join("positions")).unwrap();
    let follower = directory.follower();
    assert!(matches!(follower.status().durability, Durability::Memory { .. }));
    directory.append("1\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
}

#[test]
fn second_process_reads_and_leaves_alone() {
    let directory = LogDirectory::new();
    let first = directory.follower();
    directory.append("1\n");
    poll(&first, &directory.item());
    directory.append("2\n");
    let before = fs::read(directory.state().join("positions")).unwrap();
    let second = directory.follower();
    assert_eq!(second.status().durability, Durability::ReadOnly);
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
fn second_process_takes_over_where_the_first_ends() {
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
    assert_eq!(second.status().durability, Durability::Durable);
    assert_eq!(poll(&directory.follower_after(second), &directory.item()), None);
}

/// The receiver of a value can die before it has stored the value.
#[test]
fn unconfirmed_value_is_repeated_by_the_next_process() {
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
fn unconfirmed_count_is_repeated_and_a_total_is_not() {
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
fn journal_is_compacted_and_old_items_are_forgotten() {
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
