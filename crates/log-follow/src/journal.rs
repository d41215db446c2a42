//! The text of the state file `positions`.
//!
//! The first line names the format. Each other line has a checksum of its rest, and the number of an item:
//!
//! | rest of the line | meaning |
//! |---|---|
//! | `7 = "identity" {record}` | the item with number 7, and its whole record |
//! | `7 3 {change}` | the third change since the whole record |
//! | `7 -` | the item is forgotten |
//!
//! A line that is torn or damaged ends the changes of its item: its later ones are ignored until the next whole record, because
//! they belong to a state that is not known. The item continues at the state before, so lines are repeated and none is lost.
//!
//! Format 1 had whole records only (`"identity" {record}`), and is read.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::sync::Arc;

use serde::Deserialize;
use siphasher::sip::SipHasher13;

use crate::change::RecordChange;
use crate::record::Record;

/// The first line.
pub(crate) const HEADER: &str = "log-follow positions 2\n";
const HEADER_1: &str = "log-follow positions 1\n";
/// A checksum in hexadecimal.
const SUM_BYTES: usize = 16;

/// The content of a state file.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) records: HashMap<Arc<str>, Record>,
    /// Lines that are damaged, or that follow a damaged one.
    pub(crate) bad_lines: u64,
}

/// An item while its lines are read.
struct Numbered {
    identity: Arc<str>,
    /// `None` after a line that was missing or wrong.
    changes: Option<u64>,
}

#[derive(Default)]
struct Replay {
    journal: Journal,
    items: HashMap<u64, Numbered>,
}

impl Journal {
    /// Reads a state file. `None` if it is of another version, or not a state file.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = bytes.strip_prefix(HEADER.as_bytes()).or(bytes.strip_prefix(HEADER_1.as_bytes()))?;
        let mut replay = Replay::default();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if checked(line).and_then(|line| replay.line(line)).is_none() {
                replay.journal.bad_lines += 1;
            }
        }
        Some(replay.journal)
    }
}

impl Replay {
    /// Applies a line with a right checksum. `None` if it does not fit to those before.
    fn line(&mut self, line: &str) -> Option<()> {
        if line.starts_with('"') {
            let (identity, record) = named(line)?;
            return self.set(identity, record);
        }
        let (number, rest) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        if rest == "-" {
            let item = self.items.remove(&number)?;
            self.journal.records.remove(&item.identity);
            return Some(());
        }
        if let Some(rest) = rest.strip_prefix("= ") {
            let (identity, record) = named(rest)?;
            self.items.insert(number, Numbered { identity: Arc::clone(&identity), changes: Some(0) });
            return self.set(identity, record);
        }
        let (sequence, change) = rest.split_once(' ')?;
        self.change(number, sequence.parse().ok()?, change)
    }

    /// A record that this version cannot read counts as absent.
    fn set(&mut self, identity: Arc<str>, record: &str) -> Option<()> {
        if record.is_empty() {
            self.journal.records.remove(&identity);
            return Some(());
        }
        let record = serde_json::from_str(record).unwrap_or_default();
        self.journal.records.insert(identity, record);
        Some(())
    }

    fn change(&mut self, number: u64, sequence: u64, change: &str) -> Option<()> {
        let item = self.items.get_mut(&number)?;
        let expected = item.changes.take()? + 1;
        let record = self.journal.records.get_mut(&item.identity)?;
        if sequence != expected {
            return None;
        }
        serde_json::from_str::<RecordChange>(change).ok()?.apply(record)?;
        item.changes = Some(sequence);
        Some(())
    }
}

/// Splits a JSON string and the JSON behind it.
fn named(text: &str) -> Option<(Arc<str>, &str)> {
    let mut strings = serde_json::Deserializer::from_str(text).into_iter::<IdentityText>();
    let identity = strings.next()?.ok()?;
    Some((identity.0.into(), text.get(strings.byte_offset() + 1..)?))
}

#[derive(Deserialize)]
struct IdentityText(String);

/// Returns the line of an item's whole record.
pub(crate) fn record_line(number: u64, identity: &str, record: &Record) -> serde_json::Result<String> {
    let identity = serde_json::to_string(identity)?;
    Ok(line(&format!("{number} = {identity} "), &serde_json::to_string(record)?))
}

/// Returns the line of a change.
pub(crate) fn change_line(number: u64, sequence: u64, change: &RecordChange) -> serde_json::Result<String> {
    Ok(line(&format!("{number} {sequence} "), &serde_json::to_string(change)?))
}

/// Returns the line of an item that is forgotten.
pub(crate) fn removal_line(number: u64) -> String {
    line(&format!("{number} "), "-")
}

/// A line has no line end inside, because JSON has none.
pub(crate) fn line(start: &str, end: &str) -> String {
    let sum = checksum(&[start.as_bytes(), end.as_bytes()]);
    format!("{sum:0SUM_BYTES$x} {start}{end}\n")
}

fn checked(line: &[u8]) -> Option<&str> {
    let (sum, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    (u64::from_str_radix(sum, 16).ok()? == checksum(&[rest.as_bytes()])).then_some(rest)
}

fn checksum(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seen: u64) -> Record {
        Record { seen, ..Record::default() }
    }

    fn change(from: u64, to: u64) -> RecordChange {
        RecordChange::between(&record(from), &record(to)).unwrap()
    }

    fn seen(lines: &[String]) -> (Option<u64>, u64) {
        let journal = Journal::parse((HEADER.to_owned() + &lines.concat()).as_bytes()).unwrap();
        (journal.records.get("log[\"a\"]").map(|record| record.seen), journal.bad_lines)
    }

    fn lines() -> [String; 4] {
        [
            record_line(7, "log[\"a\"]", &record(1)).unwrap(),
            change_line(7, 1, &change(1, 2)).unwrap(),
            change_line(7, 2, &change(2, 3)).unwrap(),
            removal_line(7),
        ]
    }

    #[test]
    fn lines_are_applied_in_order() {
        let lines = lines();
        assert_eq!(seen(&lines[..1]), (Some(1), 0));
        assert_eq!(seen(&lines[..3]), (Some(3), 0));
        assert_eq!(seen(&lines), (None, 0));
    }

    #[test]
    fn changes_after_a_damaged_one_wait_for_the_next_whole_record() {
        let [whole, first, second, _] = lines();
        assert_eq!(seen(&[whole.clone(), first.replace("seen", "Seen"), second.clone()]), (Some(1), 2));
        assert_eq!(seen(&[whole.clone(), second.clone(), first.clone()]), (Some(1), 2));
        assert_eq!(seen(&[first, second.clone()]), (None, 2));
        let again = record_line(7, "log[\"a\"]", &record(9)).unwrap();
        assert_eq!(seen(&[whole, second, again]), (Some(9), 1));
    }

    #[test]
    fn torn_tail_is_ignored() {
        let [whole, first, ..] = lines();
        for length in 1..first.len() - 1 {
            assert_eq!(seen(&[whole.clone(), first[..length].to_owned()]), (Some(1), 1));
        }
    }

    #[test]
    fn format_1_is_read() {
        let text = |identity: &str, json: &str| line(&format!("\"{identity}\" "), json);
        let json =
            r#"{"position":{"marks":[]},"since":1,"seen":5,"tally":{"lines":9,"values":{"a":5},"other":4}}"#;
        let file = [HEADER_1, &text("a", json), &text("b", json), &text("b", "")].concat();
        let journal = Journal::parse(file.as_bytes()).unwrap();
        assert_eq!((journal.records.len(), journal.bad_lines), (1, 0));
        assert_eq!(journal.records["a"].tally.as_ref().unwrap().lines, 9);
    }

    #[test]
    fn other_files_are_refused() {
        for other in ["", "log-follow positions 3\n", "log-follow pos", "\0\0\0"] {
            assert!(Journal::parse(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}
