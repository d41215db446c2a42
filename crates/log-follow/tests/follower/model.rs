//! Random histories of a log, compared with a simple model of the lines that must be delivered.
//!
//! A history is a sequence of writes, rotations of one style, pauses, polls, restarts of the reader, and deaths of the reader
//! before and after a commit. Without truncation the delivered lines must equal the written ones. With truncation no line may
//! come twice, and only lines that were written after the last poll before a truncation may be missing.
//!
//! Several rotations within one tick of the file system's clock leave files with equal times, which a name pattern orders by
//! name. Then the order of lines is not compared, only that each comes exactly once.
//!
//! `LOG_FOLLOW_CASES` is the number of histories (default 4,000), `LOG_FOLLOW_SEED` the first one.

use std::collections::HashSet;
use std::fs;
use std::time::SystemTime;

use log_follow::{Error, Follower, Item, Query, Rotation};

use crate::common::{LogDirectory, Random, append, poll_in, poll_now, set_mtime};

/// The style of rotation of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `messages` becomes `messages.1`, that becomes `messages.2`; a new file is created at once.
    Numbers,
    /// The same, but the new file is created with the next write.
    NumbersLate,
    /// `messages-20240101`, one day more each time.
    Dates,
    /// The new file is written beside the log and renamed over it.
    ThroughTemporary,
    /// A copy is made and the file truncated.
    CopyTruncate,
    /// Like `Numbers`, and files older than one rotation are compressed after they were read.
    Compressed,
}

const STYLES: [Style; 6] = [
    Style::Numbers,
    Style::NumbersLate,
    Style::Dates,
    Style::ThroughTemporary,
    Style::CopyTruncate,
    Style::Compressed,
];

struct History {
    directory: LogDirectory,
    random: Random,
    style: Style,
    item: Item,
    follower: Option<Follower>,
    written: Vec<String>,
    delivered: Vec<String>,
    /// Lines of the last value, while no later poll has confirmed it.
    last_answer: usize,
    partial: String,
    rotations: u32,
    script: Vec<String>,
    truncates: bool,
    by_name: bool,
    /// Numbers of the first line that no poll has seen, and of the first line in the current file.
    unseen: usize,
    file_start: usize,
    /// Lines that a truncation removed before a poll.
    lost: HashSet<usize>,
}

impl History {
    fn new(seed: u64, truncates: bool) -> Self {
        let mut random = Random::new(seed);
        let style = STYLES[usize::try_from(random.below(6)).unwrap()];
        let by_name = random.below(2) == 0;
        let directory = LogDirectory::new();
        let rotation = if style == Style::CopyTruncate { Rotation::CopyTruncate } else { Rotation::NoReread };
        let query = if by_name {
            Query::new(directory.names()).rotation(rotation)
        } else {
            Query::new(log_follow::LogSource::file(&directory.log)).rotation(rotation)
        };
        let item = directory.item_of(query);
        let follower = Some(directory.follower());
        append(&directory.log, "");
        let mut history = Self {
            directory,
            random,
            style,
            item,
            follower,
            written: Vec::new(),
            delivered: Vec::new(),
            last_answer: 0,
            partial: String::new(),
            rotations: 0,
            script: Vec::new(),
            truncates,
            by_name,
            unseen: 0,
            file_start: 0,
            lost: HashSet::new(),
        };
        history.note(format!("{style:?}, by name: {by_name}"));
        history.poll();
        history
    }

    fn note(&mut self, text: String) {
        self.script.push(text);
    }

    fn run(mut self) -> Result<(), String> {
        for _ in 0..self.random.below(25) + 5 {
            match self.random.below(13) {
                0..=3 => self.write(),
                4 => self.write_partial(),
                5 | 6 => self.rotate(),
                7 | 8 => self.poll(),
                9 => self.restart(),
                10 => self.poll_and_die(),
                11 => self.die(),
                _ if self.truncates && self.random.below(2) == 0 => self.delete(),
                _ if self.truncates => self.truncate(),
                _ => self.poll_undelivered(),
            }
        }
        self.end_partial();
        self.drain();
        self.check()
    }

    /// Every line is different, so that a repetition or a loss is visible.
    fn line(&mut self) -> String {
        let ending = ["\n", "\r\n", "\n", "\n"][usize::try_from(self.random.below(4)).unwrap()];
        let length = [1, 5, 40, 400][usize::try_from(self.random.below(4)).unwrap()];
        let text = format!("line {} {}", self.written.len(), "x".repeat(length));
        self.written.push(text.clone());
        text + ending
    }

    fn write(&mut self) {
        self.end_partial();
        let lines = self.random.below(8) + 1;
        let text: String = (0..lines).map(|_| self.line()).collect();
        self.note(format!("write {lines} lines, {} bytes", text.len()));
        append(&self.directory.log, text);
    }

    fn write_partial(&mut self) {
        self.end_partial();
        let line = self.line();
        let cut = usize::try_from(self.random.below(line.len() as u64 - 2)).unwrap() + 1;
        self.note(format!("write {cut} bytes of {}", line.len()));
        append(&self.directory.log, &line[..cut]);
        self.partial = line[cut..].to_owned();
    }

    fn end_partial(&mut self) {
        if !self.partial.is_empty() {
            self.note("end the line".into());
            append(&self.directory.log, std::mem::take(&mut self.partial));
        }
    }

    fn rotate(&mut self) {
        self.end_partial();
        self.rotations += 1;
        self.file_start = self.written.len();
        self.note("rotate".into());
        let log = self.directory.log.clone();
        match self.style {
            Style::Dates => {
                fs::rename(&log, self.directory.file(&format!("messages-202401{:02}", self.rotations)))
                    .unwrap();
                fs::write(&log, "").unwrap();
            }
            Style::CopyTruncate => {
                // A copy must be polled before the next one of the same file, or its rest is the same as that of the next one.
                self.drain();
                self.shift();
                fs::copy(&log, self.directory.file("messages.1")).unwrap();
                fs::File::create(&log).unwrap();
            }
            Style::ThroughTemporary => {
                self.shift();
                fs::rename(&log, self.directory.file("messages.1")).unwrap();
                let line = self.line();
                let new = self.directory.dir.path().join("new");
                append(&new, line);
                fs::rename(new, &log).unwrap();
            }
            _ => {
                if self.style == Style::Compressed {
                    self.compress();
                }
                self.shift();
                fs::rename(&log, self.directory.file("messages.1")).unwrap();
                if self.style != Style::NumbersLate {
                    fs::write(&log, "").unwrap();
                }
            }
        }
        if self.style == Style::NumbersLate {
            let line = self.line();
            append(&log, line);
        }
    }

    fn shift(&self) {
        for n in (1..40).rev() {
            let (from, to) = (format!("messages.{n}"), format!("messages.{}", n + 1));
            if self.directory.file(&from).exists() {
                fs::rename(self.directory.file(&from), self.directory.file(&to)).unwrap();
            }
        }
    }

    /// Compression keeps the time of the file and changes its name. It happens after the content was read.
    fn compress(&mut self) {
        self.drain();
        let plain = self.directory.file("messages.1");
        if let Ok(meta) = fs::metadata(&plain) {
            let compressed = self.directory.file(&format!("messages.{}.gz", self.rotations));
            fs::write(&compressed, b"\x1f\x8b\x08\0line 0 in a compressed file\n").unwrap();
            set_mtime(&compressed, meta.modified().unwrap());
            fs::remove_file(plain).unwrap();
        }
    }

    fn truncate(&mut self) {
        self.lose();
        self.note("truncate".into());
        fs::File::create(&self.directory.log).unwrap();
    }

    /// The next file may get the inode of this one.
    fn delete(&mut self) {
        self.lose();
        self.note("delete".into());
        fs::remove_file(&self.directory.log).unwrap();
        if self.random.below(2) == 0 {
            self.poll();
        }
        append(&self.directory.log, "");
    }

    fn lose(&mut self) {
        self.partial.clear();
        self.lost.extend(self.unseen.max(self.file_start)..self.written.len());
        self.file_start = self.written.len();
    }

    fn follower(&mut self) -> &Follower {
        let directory = &self.directory;
        self.follower.get_or_insert_with(|| directory.follower())
    }

    fn poll(&mut self) {
        self.note("poll".into());
        let item = self.item.clone();
        let polled = match self.follower().lines(&item, &poll_now()) {
            Err(Error::Missing { .. }) if !self.directory.log.exists() => {
                self.last_answer = 0;
                return;
            }
            polled => polled.unwrap(),
        };
        polled.pending.commit();
        let lines = polled.value.iter().flat_map(|v| v.split('\n')).map(str::to_owned).collect::<Vec<_>>();
        self.last_answer = lines.len();
        self.delivered.extend(lines);
        self.unseen = self.written.len() - usize::from(!self.partial.is_empty());
    }

    fn poll_undelivered(&mut self) {
        self.note("poll, reply too late".into());
        let item = self.item.clone();
        drop(self.follower().lines(&item, &poll_now()).unwrap());
        self.last_answer = 0;
    }

    fn restart(&mut self) {
        self.note("restart".into());
        if let Some(follower) = self.follower.take() {
            follower.settle(SystemTime::now());
        }
        self.last_answer = 0;
    }

    /// The agent was killed before it stored the last value: its lines come again. If logs are truncated, or compressed after
    /// reading, they may be gone by then.
    fn die(&mut self) {
        if self.truncates || self.style == Style::Compressed {
            return self.restart();
        }
        self.note("die".into());
        self.follower = None;
        self.delivered.truncate(self.delivered.len() - self.last_answer);
        self.last_answer = 0;
    }

    /// The reply was written and the process was killed before the position moved: the lines come again.
    fn poll_and_die(&mut self) {
        self.note("poll and die before the commit".into());
        let item = self.item.clone();
        let polled = self.follower().lines(&item, &poll_now()).unwrap();
        drop(polled);
        self.follower = None;
        self.last_answer = 0;
    }

    fn drain(&mut self) {
        for _ in 0..3 {
            self.poll();
        }
        // An incomplete line of a rotated file is completed by time.
        let item = self.item.clone();
        let polled = self.follower().lines(&item, &poll_in(60)).unwrap();
        polled.pending.commit();
        self.delivered.extend(polled.value.iter().flat_map(|v| v.split('\n')).map(str::to_owned));
    }

    fn check(mut self) -> Result<(), String> {
        if self.by_name {
            self.delivered
                .sort_by_key(|line| line.split(' ').nth(1).unwrap_or_default().parse::<usize>().ok());
        }
        let mut must = self.written.iter().enumerate().peekable();
        let mut fine = true;
        for line in &self.delivered {
            while must.peek().is_some_and(|(number, other)| *other != line && self.lost.contains(number)) {
                must.next();
            }
            fine &= must.next().is_some_and(|(_, other)| other == line);
        }
        fine &= must.all(|(number, _)| self.lost.contains(&number));
        if fine {
            return Ok(());
        }
        let short =
            |lines: &[String]| lines.iter().map(|l| l[..l.len().min(10)].to_owned()).collect::<Vec<_>>();
        Err(format!(
            "delivered {:?}\nwritten {:?}\nscript:\n{}",
            short(&self.delivered),
            short(&self.written),
            self.script.join("\n")
        ))
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run_histories(truncates: bool) {
    let (first, cases) = (number("LOG_FOLLOW_SEED", 1), number("LOG_FOLLOW_CASES", 4000));
    for seed in first..first + cases / 2 {
        if let Err(report) = History::new(seed, truncates).run() {
            panic!("seed {seed} (LOG_FOLLOW_SEED={seed} LOG_FOLLOW_CASES=2 runs it alone)\n{report}");
        }
    }
}

#[test]
fn without_truncation_every_line_is_delivered_once() {
    run_histories(false);
}

#[test]
fn with_truncation_only_lines_that_no_poll_saw_are_lost() {
    run_histories(true);
}
