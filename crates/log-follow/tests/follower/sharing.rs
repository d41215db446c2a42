//! Many items on one file.

use std::fs;

use log_follow::{Follower, Item, LogSource, Query, Settings};

use crate::common::{LogDirectory, Random, drain, lines, poll, poll_now};

#[test]
fn items_on_one_file_find_the_same_lines_as_alone() {
    let directory = LogDirectory::new();
    let words = ["alpha", "beta", "gamma", "alphabet", "(?i)delta", "omega$", "^first.*alpha", "(?<=x)gamma"];
    let mut random = Random::new(7);
    let mut text = String::from("first alpha\n");
    for n in 0..60_000 {
        let word = ["alpha", "beta", "xgamma", "alphabet", "DELTA", "omega"]
            [usize::try_from(random.below(6)).unwrap()];
        let noise = "-".repeat(usize::try_from(random.below(120)).unwrap());
        let end = ["\n", "\r\n", "\n", "\0\n"][usize::try_from(random.below(4)).unwrap()];
        if random.below(50) == 0 {
            text += &format!("{n} {noise} {word}{end}");
        } else {
            text += &format!("{n} {noise}{end}");
        }
    }
    let item = |name: &str, word: &str| {
        let query = Query::new(LogSource::file(&directory.log)).pattern(word.parse().unwrap());
        Item::new(name, query.max_lines_per_sec(1_000_000.try_into().unwrap()))
    };
    let together = Follower::open(Settings::in_memory());
    directory.append("x\n".repeat(200_000));
    for word in words {
        poll(&together, &item(word, word));
    }
    for round in 0..3 {
        directory.append(&text);
        let shared: Vec<Vec<String>> = words.iter().map(|word| drain(&together, &item(word, word))).collect();
        for (word, shared) in words.iter().zip(shared) {
            let alone = Follower::open(Settings::in_memory());
            let all = drain(&alone, &item(word, word));
            let expected = &all[all.len() / (round + 1) * round..];
            assert_eq!(shared, expected, "{word} in round {round}");
        }
    }
    // The file is written again with the same length: stored lines must not be used.
    fs::write(&directory.log, text.replace("alpha", "ALPHA").repeat(4)).unwrap();
    assert_eq!(drain(&together, &item("alpha", "alpha")), Vec::<String>::new());
    assert!(!drain(&together, &item("beta", "beta")).is_empty());
}

#[test]
fn many_threads_poll_many_items() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|n| {
                let item = Item::new(&format!("thread {n}"), Query::new(LogSource::file(&directory.log)));
                let follower = &follower;
                scope.spawn(move || {
                    let mut found = Vec::new();
                    while found.last().map(String::as_str) != Some("end") {
                        if let Ok(polled) = follower.lines(&item, &poll_now()) {
                            found.extend(lines(polled.value));
                            polled.pending.commit();
                        }
                    }
                    found.len()
                })
            })
            .collect();
        for n in 0..500 {
            directory.append(format!("{n}\n").repeat(20));
        }
        directory.append("end\n");
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 10_001);
        }
    });
}
