//! Files and directories that cannot be read, are not regular or are missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use log_follow::{AllowPath, Error, Follower, Item, LogSource, Pattern, Poll, Query, Settings, Start};

use crate::common::{LogDirectory, append, poll, poll_in, poll_now, poll_with};

#[test]
fn file_that_is_not_regular_is_an_error_at_once() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    let fifo = directory.file("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [fifo, directory.log.parent().unwrap().to_owned(), "/dev/null".into()] {
        let item = Item::new(path.to_str().unwrap(), Query::new(LogSource::file(&path)));
        let error = follower.lines(&item, &poll_now()).unwrap_err();
        assert_eq!(error.to_string(), format!("\"{}\" is not a regular file.", path.display()));
    }
}

#[test]
fn links_are_judged_by_where_they_lead() {
    let directory = LogDirectory::new();
    let secret = directory.dir.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    let inside = directory.log.parent().unwrap().canonicalize().unwrap();
    let allow = AllowPath::only(vec![Pattern::new(&format!("^{}/", inside.display())).unwrap()]);
    let follower = Follower::open(Settings { allow, ..Settings::in_memory() });
    symlink(&secret, &directory.log).unwrap();
    let error = follower.lines(&directory.item(), &poll_now()).unwrap_err();
    assert!(matches!(error, Error::NotAllowed { .. }), "{error}");
    assert!(error.to_string().contains("secret") && error.to_string().contains("messages"), "{error}");
    fs::remove_file(&directory.log).unwrap();
    append(&directory.file("real"), "fine\n");
    symlink(directory.file("real"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "fine");
}

#[test]
fn trouble_that_ends_resumes_where_it_was() {
    let directory = LogDirectory::new();
    let follower = directory.follower();
    directory.append("1\n");
    poll(&follower, &directory.item());
    directory.append("2\n");
    // No file is forbidden for root, so a directory with the log's name replaces an unreadable file.
    fs::rename(&directory.log, directory.file("aside")).unwrap();
    fs::create_dir(&directory.log).unwrap();
    for _ in 0..3 {
        assert!(matches!(follower.lines(&directory.item(), &poll_now()), Err(Error::NotRegular { .. })));
    }
    fs::remove_dir(&directory.log).unwrap();
    fs::rename(directory.file("aside"), &directory.log).unwrap();
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
}

/// The kernel returns EINVAL for the duplex mode of the loopback device, as a broken disk returns EIO.
#[test]
fn read_error_is_reported_and_moves_no_position() {
    let unreadable = Path::new("/sys/class/net/lo/duplex");
    let errno = fs::read(unreadable).err().and_then(|error| error.raw_os_error());
    assert_eq!(errno, Some(22), "this test needs the loopback device of Linux");
    let directory = LogDirectory::new();
    let follower = directory.follower();
    for start in [Start::All, Start::Skip] {
        let query = Query::new(LogSource::file(unreadable)).start(start);
        let item = Item::new(&format!("{start:?}"), query);
        for _ in 0..3 {
            let error = follower.lines(&item, &poll_now()).unwrap_err();
            assert!(matches!(error, Error::Read { .. }), "{error:?}");
            let expected = "Cannot read from file \"/sys/class/net/lo/duplex\": [22] Invalid argument";
            assert_eq!(error.to_string(), expected);
        }
    }
    // A rotated file that cannot be read does not delay the other files.
    directory.append("1\n");
    poll(&follower, &directory.item());
    fs::remove_file(&directory.log).unwrap();
    symlink(unreadable, directory.file("messages.1")).unwrap();
    directory.append("2\n");
    assert_eq!(poll(&follower, &directory.item()).unwrap(), "2");
}

/// A file of a name pattern that cannot be read, beside readable ones without matches.
#[test]
fn lines_beside_an_unreadable_file_are_not_read_again() {
    let directory = LogDirectory::new();
    let outside = directory.dir.path().join("outside");
    fs::write(&outside, "oom 1\n").unwrap();
    symlink(&outside, directory.file("messages.1")).unwrap();
    directory.append("nothing of interest in this line\n".repeat(30_000));
    assert_eq!(fs::metadata(&directory.log).unwrap().len().div_ceil(512 * 1024), 2);
    let inside = directory.log.parent().unwrap().canonicalize().unwrap();
    let allow = AllowPath::only(vec![Pattern::new(&format!("^{}/", inside.display())).unwrap()]);
    let item = directory.item_of(Query::new(directory.names()).pattern("oom".parse().unwrap()));
    for kind in [PollKind::Lines, PollKind::Count, PollKind::Total] {
        let follower = Follower::open(Settings { allow: allow.clone(), ..Settings::in_memory() });
        let read_by_poll_of = |time| {
            let before = follower.status().read_bytes;
            assert!(matches!(kind.error(&follower, &item, &Poll::within(time)), Error::NotAllowed { .. }));
            follower.status().read_bytes - before
        };
        // The file has two chunks, and a poll after its deadline reads one.
        let read = [(); 4].map(|()| read_by_poll_of(Duration::ZERO));
        assert!(read[0] > 0 && read[1] > 0 && read[2..] == [0, 0], "{kind:?}: {read:?}");
        assert_eq!(read_by_poll_of(Duration::from_secs(60)), 0, "{kind:?}");
    }
}

/// The kinds of polls of an item.
#[derive(Debug, Clone, Copy)]
enum PollKind {
    Lines,
    Count,
    Total,
}

impl PollKind {
    fn error(self, follower: &Follower, item: &Item, poll: &Poll) -> Error {
        match self {
            Self::Lines => follower.lines(item, poll).map(drop).unwrap_err(),
            Self::Count => follower.count(item, poll).map(drop).unwrap_err(),
            Self::Total => follower.total(item, poll).map(drop).unwrap_err(),
        }
    }
}

/// A log that is missing for longer than items are remembered, and returns.
#[test]
fn item_whose_log_is_missing_for_a_month_is_not_forgotten() {
    const DAY: u64 = 24 * 3600;
    for in_its_place in [true, false] {
        let directory = LogDirectory::new();
        let follower = directory.follower();
        directory.append("1\n");
        assert_eq!(poll(&follower, &directory.item()).unwrap(), "1");
        fs::rename(&directory.log, directory.file("aside")).unwrap();
        if in_its_place {
            fs::create_dir(&directory.log).unwrap();
        }
        // For the first polls a missing log is not an error.
        for day in 26..30 {
            let asked = follower.lines(&directory.item(), &poll_in(day * DAY));
            assert!(day < 29 || asked.is_err());
            asked.into_iter().for_each(|polled| polled.pending.commit());
        }
        follower.tidy(SystemTime::now() + Duration::from_secs(31 * DAY));
        let _ = fs::remove_dir(&directory.log);
        fs::rename(directory.file("aside"), &directory.log).unwrap();
        directory.append("2\n");
        let restarted = directory.follower_after(follower);
        let value = poll_with(&restarted, &directory.item(), &poll_in(31 * DAY));
        assert_eq!(value.as_deref(), Some("2"), "something in its directory: {in_its_place}");
    }
}

#[test]
fn missing_directory_of_a_name_pattern() {
    let follower = Follower::open(Settings::in_memory());
    let item = Item::new("x", Query::new(LogSource::names("/no/such/dir/^log$").unwrap()));
    let error = follower.lines(&item, &poll_now()).unwrap_err().to_string();
    assert_eq!(error, "Cannot obtain directory information: [2] No such file or directory");
}

/// `^` and `$` match at every line end of a text.
#[test]
fn name_with_a_line_end_is_neither_allowed_nor_followed() {
    let allow = AllowPath::only(vec![Pattern::new("^/var/log/.*[.]log$").unwrap()]);
    assert!(allow.allows(Path::new("/var/log/app.log")));
    for path in [
        "/home/user/x\n/var/log/app.log",
        "/home/user/x\r/var/log/app.log",
        "/var/log/app.log\n",
        "/var/log/a.log\nx",
    ] {
        assert!(!allow.allows(Path::new(path)), "{path:?}");
    }
    let directory = LogDirectory::new();
    append(&directory.file("messages"), "true\n");
    append(&directory.file("x\nmessages"), "forged\n");
    let item = directory.item_of(Query::new(directory.names()));
    assert_eq!(poll(&directory.follower(), &item).unwrap(), "true");
}
