//! The stored positions: damage, a directory that cannot be written, several processes, replies that were not confirmed.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use log_follow::{Error, Follower, Item, LogSource, Persistence, Poll, PolledValue, Query};

use crate::common::{LogDirectory, poll, poll_now, poll_with};

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

#[test]
fn leftover_of_a_rename_is_recovered() {
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
fn state_that_cannot_be_written_is_kept_in_memory_until_it_can() {
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
fn directory_in_place_of_the_state_file() {
    let directory = LogDirectory::new();
    fs::create_dir_all(directory.state().join("positions")).unwrap();
    let follower = directory.follower();
    assert!(matches!(follower.status().persistence, Persistence::Memory { .. }));
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
    assert_eq!(second.status().persistence, Persistence::Durable { dir: directory.state() });
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
