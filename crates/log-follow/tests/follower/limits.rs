//! Limits of one poll: lines per second, deadline, delay, expensive patterns, idle files.

use std::fs;
use std::time::Duration;

use log_follow::{Error, Follower, Item, LogSource, Poll, Query, Settings, Template};

use crate::common::{LogDirectory, append, drain, lines, poll, poll_in, poll_now, poll_with};

#[test]
fn lines_per_second_limit_a_poll_and_the_rest_follows() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).max_lines_per_sec(10.try_into().unwrap());
    let item = Item::new("limited", query);
    directory.append((0..100).map(|n| format!("{n}\n")).collect::<String>());
    assert_eq!(lines(poll(&follower, &item)).len(), 10);
    // Three seconds later three times as many lines are allowed.
    assert_eq!(lines(poll_with(&follower, &item, &poll_in(3))).len(), 30);
    let polled = follower.count(&item, &poll_in(4)).unwrap();
    polled.pending.commit();
    assert_eq!(polled.value, 10);
    assert_eq!(poll_with(&follower, &item, &poll_in(100)).unwrap().split('\n').next(), Some("50"));
}

#[test]
fn reply_that_was_not_delivered_comes_again() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    let polled = follower.lines(&directory.item(), &poll_now()).unwrap();
    assert_eq!(polled.value.as_deref(), Some("1"));
    // Another poll of the same item waits for the first one, until its own deadline.
    let busy = follower.lines(&directory.item(), &Poll::within(Duration::from_millis(20)));
    assert!(matches!(busy, Err(Error::Busy { .. })));
    drop(polled.pending);
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "1\n2");
    assert_eq!(poll(&follower, &directory.item()), None);
}

#[test]
fn deadline_ends_a_poll_with_the_lines_so_far_and_the_next_continues() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append(format!("start\n{}end\n", "nothing of interest in this line\n".repeat(200_000)));
    let item =
        directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("start|end".parse().unwrap()));
    let late = || Poll::within(Duration::ZERO);
    assert_eq!(poll_with(&follower, &item, &late()).unwrap(), "start");
    let mut polls = 1;
    while poll_with(&follower, &item, &late()).is_none() {
        polls += 1;
    }
    assert!((5..50).contains(&polls), "{polls} polls of about half a megabyte each");
}

#[test]
fn peek_moves_nothing() {
    let directory = LogDirectory::new();
    directory.append("1\n2\n");
    let follower = directory.follower();
    for _ in 0..2 {
        assert_eq!(follower.peek_lines(&directory.item(), &poll_now()).unwrap().unwrap(), "1\n2");
        assert_eq!(follower.peek_count(&directory.item(), &poll_now()).unwrap(), 2);
    }
    poll(&follower, &directory.item());
    directory.append("3\n");
    let looking = Follower::open(Settings { read_only: true, ..Settings::new(directory.state()) });
    let before = fs::read(directory.state().join("positions")).unwrap();
    assert_eq!(looking.peek_lines(&directory.item(), &poll_now()).unwrap().unwrap(), "3");
    assert_eq!(fs::read(directory.state().join("positions")).unwrap(), before);
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "3");
}

#[test]
fn max_delay_skips_lines_that_would_be_too_late() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).max_lines_per_sec(10.try_into().unwrap());
    let item = Item::new("delayed", query.max_delay(Some(Duration::from_secs(20))));
    directory.append((0..1000).map(|n| format!("{n:08}\n")).collect::<String>());
    assert_eq!(lines(poll(&follower, &item)).len(), 10);
    // 990 lines are left at 10 a second: 99 s. All except 20 s of them are skipped.
    let first: u32 = lines(poll_with(&follower, &item, &poll_in(1)))[0].parse().unwrap();
    assert!((750..850).contains(&first), "{first}");
}

#[test]
fn templates_are_applied() {
    let directory = LogDirectory::new();
    directory.append("client 10.0.0.7 port 4711\nnothing\n");
    let query =
        Query::new(LogSource::file(&directory.log)).pattern(r"client (\S+) port (\d+)".parse().unwrap());
    let item = directory.item_of(query.template(Template::new(r"\2@\1")));
    assert_eq!(poll(&directory.follower(), &item).unwrap(), "4711@10.0.0.7");
}

#[test]
fn expensive_lines_are_skipped_counted_and_do_not_delay_a_poll() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log))
        .pattern(r"^(a|aa)+(?<!x)\1\1b|fine(?=!)".parse().unwrap());
    let item = directory.item_of(query);
    let hard = format!("{}!\n", "a".repeat(3000));
    directory.append(hard.repeat(20) + "this is fine!\n");
    let start = std::time::Instant::now();
    let mut polls = 0;
    loop {
        polls += 1;
        let value = poll_with(&follower, &item, &Poll::within(Duration::from_millis(200)));
        if let Some(value) = value {
            assert_eq!(value, "this is fine!");
            break;
        }
        assert!(polls < 10_000, "no progress after {:?}", start.elapsed());
    }
    assert_eq!(follower.status().lines_over_step_limit, 20);
}

/// The shared search finds the expensive lines, and the item processes its stored lines.
#[test]
fn expensive_lines_of_a_shared_search_do_not_delay_a_poll() {
    const HARD: u64 = 20;
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let item = |name: &str, pattern: &str| {
        let query = Query::new(LogSource::file(&directory.log)).pattern(pattern.parse().unwrap());
        Item::new(name, query)
    };
    let hard = format!("killer {}!\n", "a".repeat(300));
    directory.append(hard.repeat(HARD.try_into().unwrap()) + &"nothing\n".repeat(40_000) + "killer fine!\n");
    assert!(poll(&follower, &item("literal", "killer")).is_some());
    let item = item("hard", r"killer (a|aa)+(?<!x)\1\1b|killer fine(?=!)");
    let mut found = None;
    for polls in 1..100 {
        found = found.or(poll_with(&follower, &item, &Poll::within(Duration::ZERO)));
        assert_eq!(follower.status().lines_over_step_limit, HARD.min(polls), "one line a poll");
    }
    assert_eq!(found.as_deref(), Some("killer fine!"));
}

#[test]
fn idle_files_are_not_read() {
    let directory = LogDirectory::new();
    let follower = Follower::open(Settings::in_memory());
    let items: Vec<Item> = (0..2000)
        .map(|n| {
            let path = directory.file(&format!("idle{n}"));
            fs::write(&path, "a line\npartial").unwrap();
            Item::new(&format!("{n}"), Query::new(LogSource::file(path)))
        })
        .collect();
    for item in &items {
        assert_eq!(poll(&follower, item).unwrap(), "a line");
    }
    let read = follower.status().read_bytes;
    for item in &items {
        assert_eq!(poll(&follower, item), None);
    }
    assert_eq!(follower.status().read_bytes, read, "an idle poll opens and reads nothing");
}

/// Without the deadline, each of the 600 files would be opened.
#[test]
fn directory_with_too_many_files_for_the_time_moves_nothing_and_is_an_error() {
    let directory = LogDirectory::new();
    let item = directory.item_of(Query::new(directory.names()));
    (0..600).for_each(|file| append(&directory.file(&format!("messages-{file}")), format!("{file}\n")));
    let follower = directory.follower();
    let error = follower.lines(&item, &Poll::within(Duration::ZERO)).unwrap_err();
    assert!(matches!(error, Error::TooSlow { .. }), "{error}");
    assert_eq!(drain(&follower, &item).len(), 600);
}

/// A thousand times 256 KiB would be 256 MB.
#[test]
fn template_that_repeats_a_long_line_is_cut_to_a_value() {
    let directory = LogDirectory::new();
    directory.append("x".repeat(200_000) + "\n");
    let query = Query::new(LogSource::file(&directory.log)).pattern("x+".parse().unwrap());
    let item = directory.item_of(query.template(Template::new(&r"\0".repeat(1000))));
    let value = poll(&directory.follower(), &item).unwrap();
    assert!(value.len() <= log_follow::MAX_VALUE_BYTES && value.ends_with("x…"), "{}", value.len());
}
