//! Totals, last lines and groups.

use std::fs;

use log_follow::{Item, LogSource, Query, Start};

use crate::common::{LogDirectory, poll_in, poll_now};

#[test]
fn totals_grow_survive_restarts_and_serve_every_caller() {
    let directory = LogDirectory::new();
    directory.append("oom 1\nother\n");
    let item = directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("oom".parse().unwrap()));
    let follower = directory.follower();
    let first = follower.total(&item, &poll_now()).unwrap();
    assert_eq!((first.lines, first.complete), (1, true));
    directory.append("oom 2\noom 3\n");
    assert_eq!(follower.total(&item, &poll_now()).unwrap().lines, 3);
    assert_eq!(follower.total(&item, &poll_now()).unwrap().lines, 3);
    let follower = directory.follower_after(follower);
    fs::rename(&directory.log, directory.file("messages.1")).unwrap();
    directory.append("oom 4\n");
    let total = follower.total(&item, &poll_in(5)).unwrap();
    assert_eq!((total.lines, total.since), (4, first.since));

    let skip = Item::new("skip", item.query().clone().start(Start::Skip));
    assert_eq!(follower.total(&skip, &poll_now()).unwrap().lines, 0);
    directory.append("oom 5\n");
    assert_eq!(follower.total(&skip, &poll_now()).unwrap().lines, 1);
}

#[test]
fn last_returns_line_groups_and_file() {
    let directory = LogDirectory::new();
    directory.append("killed 7 (httpd)\nkilled 8 (mysqld)\nrest\n");
    let query =
        Query::new(LogSource::file(&directory.log)).pattern(r"killed (\d+) \((\w+)\)(x)?".parse().unwrap());
    let item = directory.item_of(query);
    let follower = directory.follower();
    let last = follower.last(&item, &poll_now()).unwrap();
    assert_eq!(last.total.lines, 2);
    let found = last.last.unwrap();
    assert_eq!(found.text, "killed 8 (mysqld)");
    assert_eq!(found.groups, [Some("8".into()), Some("mysqld".into()), None]);
    assert_eq!(found.file, directory.log.to_str().unwrap());
    let follower = directory.follower_after(follower);
    assert_eq!(follower.last(&item, &poll_now()).unwrap().last.unwrap(), found);
}

#[test]
fn groups_stay_bounded_with_a_million_values() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let query = Query::new(LogSource::file(&directory.log)).pattern(r"host=(\S+)".parse().unwrap());
    let item = directory.item_of(query);
    for part in 0..10 {
        let mut text = String::new();
        for n in 0..100_000 {
            text += &format!("host=h{part}x{n}\n");
            if n % 10 == 0 {
                text += "host=busy\n";
            }
        }
        directory.append(text);
        follower.groups(&item, 3, &poll_now()).unwrap();
    }
    let groups = follower.groups(&item, 3, &poll_now()).unwrap();
    assert_eq!(groups.total.lines, 1_100_000);
    assert_eq!((groups.groups[0].value.as_str(), groups.groups[0].lines), ("busy", 100_000));
    assert_eq!(groups.groups.iter().map(|g| g.lines).sum::<u64>() + groups.other, 1_100_000);
    assert!(!groups.exact && groups.groups.len() == 3);
    assert!(fs::metadata(directory.state().join("positions")).unwrap().len() < 2_000_000);
}

#[test]
fn groups_are_exact_below_the_limit() {
    let directory = LogDirectory::new();
    directory.append("a\nb\na\nc\na\nb\n");
    let item =
        directory.item_of(Query::new(LogSource::file(&directory.log)).pattern("^(.)$".parse().unwrap()));
    let groups = directory.follower().groups(&item, 2, &poll_now()).unwrap();
    let found: Vec<(&str, u64)> = groups.groups.iter().map(|g| (g.value.as_str(), g.lines)).collect();
    assert_eq!(found, [("a", 3), ("b", 2)]);
    assert!(groups.exact && groups.other == 1 && groups.total.lines == 6);
}
