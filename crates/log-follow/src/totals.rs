//! Counts that only grow, from the item's first poll on.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{MAX_VALUE_BYTES, char_boundary, cut};
use crate::{Captures, Template};

/// The number of matching lines since the item's first poll. It survives restarts and never decreases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Matching lines.
    pub lines: u64,
    /// The time of the first poll.
    pub since: SystemTime,
    /// `false` if there is more to count with the next poll: the deadline passed before the end of the log, or a file cannot be
    /// read or was moved meanwhile.
    pub complete: bool,
}

/// The last matching line, and the number of matching lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Matching lines since the item's first poll.
    pub total: Total,
    /// The last of them; `None` before the first.
    pub last: Option<LastMatch>,
}

/// One matching line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMatch {
    /// The line after the template, cut like a delivered line.
    pub text: String,
    /// Capture groups from 1 on; `None` for a group that did not match.
    pub groups: Vec<Option<String>>,
    /// The time at which the line was read (not written), in seconds since 1970.
    pub read_unix_secs: u64,
    /// The file of the line, by its name at that time.
    pub file: String,
}

/// Matching lines by the value of the first capture group, or of the whole match if the pattern has no group.
///
/// Memory is bounded by less than twice [`Groups::MAX_VALUES`]. Up to that many different values everything is exact. Beyond it
/// the rarest values are dropped, and the counts of the others are ranges: see [`Group`]. A value with more than one in
/// [`Groups::MAX_VALUES`] lines is always known, however late it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Matching lines since the item's first poll: the sum of all counts and `other`.
    pub total: Total,
    /// The largest groups, largest first, then by value; at most `limit`.
    pub groups: Vec<Group>,
    /// Lines of all values that are not in `groups`, and of those in it before they were known.
    pub other: u64,
    /// The groups are the largest ones and their counts are exact. Dropped values that were too rare to belong here do not make
    /// it `false`.
    pub exact: bool,
}

impl Groups {
    /// At least this many different values are kept, the most frequent ones.
    pub const MAX_VALUES: usize = 4_000;
    /// A longer value is cut to this many bytes, at the boundary of a character, and counted under the cut value.
    pub const MAX_VALUE_BYTES: usize = 256;
}

/// One value and its number of lines: at least `lines`, and at most `lines + error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The text of the first capture group.
    pub value: String,
    /// Counted matching lines with this value.
    pub lines: u64,
    /// The number of lines that it may have had in addition before it was known; 0 if the count is exact.
    pub error: u64,
}

/// The counts of an item. They are stored with its position, so both move together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) lines: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastMatch>,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    values: Values,
    /// No value outside `values` has more lines. Older state files have the number of dropped lines here, which is not lower.
    #[serde(default, alias = "other", skip_serializing_if = "is_zero")]
    floor: u64,
}

/// Copies of a tally (the committed one, the one that can be rolled back) share one table until one of them changes.
#[derive(Debug, Clone, Default, PartialEq)]
struct Values(Arc<HashMap<Box<str>, Counted>>);

impl Values {
    /// At this size the rarest values are dropped: seven eighths of 8,192 buckets; with one more value the table would double.
    const MAX: usize = 7_168;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HashMap::deserialize(deserializer).map(|values| Self(Arc::new(values)))
    }
}

/// The difference between two tallies of an item.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TallyChange {
    lines: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<LastMatch>,
    /// New values, and those with another count.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    values: HashMap<Box<str>, Counted>,
    /// Values that were dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    floor: u64,
}

impl TallyChange {
    pub(crate) fn between(old: &Tally, new: &Tally) -> Self {
        let (before, after) = (&*old.values.0, &*new.values.0);
        let is_shared = Arc::ptr_eq(&old.values.0, &new.values.0);
        let changed = after.iter().filter(|(value, counted)| before.get(*value) != Some(counted));
        let dropped = before.keys().filter(|value| !after.contains_key(*value));
        Self {
            lines: new.lines,
            last: new.last.clone().filter(|last| old.last.as_ref() != Some(last)),
            values: if is_shared { HashMap::new() } else { changed.map(|(v, c)| (v.clone(), *c)).collect() },
            dropped: if is_shared { Vec::new() } else { dropped.cloned().collect() },
            floor: new.floor,
        }
    }

    pub(crate) fn apply(self, tally: &mut Tally) {
        tally.lines = self.lines;
        tally.floor = self.floor;
        if self.last.is_some() {
            tally.last = self.last;
        }
        if !(self.values.is_empty() && self.dropped.is_empty()) {
            let values = Arc::make_mut(&mut tally.values.0);
            for value in &self.dropped {
                values.remove(value);
            }
            values.extend(self.values);
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The count of a value: stored as a number, or as two if there is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
struct Counted {
    lines: u64,
    error: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Exact(u64),
    Bounded(u64, u64),
}

impl From<Stored> for Counted {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Exact(lines) => Self { lines, error: 0 },
            Stored::Bounded(lines, error) => Self { lines, error },
        }
    }
}

impl From<Counted> for Stored {
    fn from(counted: Counted) -> Self {
        match counted.error {
            0 => Self::Exact(counted.lines),
            error => Self::Bounded(counted.lines, error),
        }
    }
}

impl Counted {
    /// Returns whether the count is exact.
    fn at_most(self) -> u64 {
        self.lines.saturating_add(self.error)
    }
}

impl Tally {
    #[cfg(test)]
    pub(crate) fn of_lines(lines: u64) -> Self {
        Self { lines, ..Self::default() }
    }

    pub(crate) fn remember(
        &mut self,
        captures: &Captures<'_>,
        template: &Template,
        file: &Path,
        read_unix_secs: u64,
    ) {
        let text = |group| {
            captures.get(group).map(|bytes| cut(String::from_utf8_lossy(bytes).into_owned(), MAX_GROUP_BYTES))
        };
        self.last = Some(LastMatch {
            text: cut(template.apply(captures), MAX_VALUE_BYTES),
            groups: (1..=captures.groups()).map(text).collect(),
            read_unix_secs,
            file: file.to_string_lossy().into_owned(),
        });
    }

    /// Counts a line under its value.
    pub(crate) fn sort_in(&mut self, captures: &Captures<'_>) {
        let bytes = captures.get(usize::from(captures.groups() > 0)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(Groups::MAX_VALUE_BYTES + 4)]);
        self.count(&text[..char_boundary(&text, Groups::MAX_VALUE_BYTES)]);
    }

    /// Drops the rarest values, all at once, if there are many more values than are kept.
    ///
    /// This is the Space-Saving summary in batches. An unknown value has had at most `floor` lines, so a value that becomes
    /// known may have had them before. Values are ranked by the most that they may have had. So a late value outgrows others
    /// that are known, and does not stay below the large ones for ever.
    fn count(&mut self, value: &str) {
        let values = Arc::make_mut(&mut self.values.0);
        if let Some(counted) = values.get_mut(value) {
            counted.lines += 1;
            return;
        }
        values.insert(value.into(), Counted { lines: 1, error: self.floor });
        if values.len() >= Values::MAX {
            self.drop_rarest();
        }
    }

    /// In place: a second table beside it would need the most memory of all.
    fn drop_rarest(&mut self) {
        let values = Arc::make_mut(&mut self.values.0);
        let mut order: Vec<(Reverse<u64>, &str)> =
            values.iter().map(|(value, counted)| (Reverse(counted.at_most()), &**value)).collect();
        // The first value that is dropped.
        let (_, &mut (Reverse(dropped), value), _) = order.select_nth_unstable(Groups::MAX_VALUES);
        let value = value.to_owned();
        let first = (Reverse(dropped), &*value);
        values.retain(|value, counted| (Reverse(counted.at_most()), &**value) < first);
        self.floor = self.floor.max(dropped);
    }

    pub(crate) fn groups(&self, total: Total, limit: usize) -> Groups {
        let mut sorted: Vec<(&str, Counted)> =
            self.values.0.iter().map(|(value, &counted)| (&**value, counted)).collect();
        sorted.sort_unstable_by(|a, b| (b.1.lines, a.0).cmp(&(a.1.lines, b.0)));
        let (listed, rest) = sorted.split_at(limit.min(Groups::MAX_VALUES).min(sorted.len()));
        let largest_other =
            rest.iter().map(|(_, counted)| counted.at_most()).max().unwrap_or(0).max(self.floor);
        let exact = listed.iter().all(|(_, counted)| counted.error == 0 && counted.lines >= largest_other);
        let of_listed = listed.iter().fold(0_u64, |sum, (_, counted)| sum.saturating_add(counted.lines));
        // A damaged record may have a total that is smaller than its parts.
        let other = total.lines.saturating_sub(of_listed);
        let group = |&(value, Counted { lines, error }): &(&str, Counted)| Group {
            value: value.to_owned(),
            lines,
            error,
        };
        Groups { total, groups: listed.iter().map(group).collect(), other, exact }
    }
}

/// A capture group in [`LastMatch`] is cut to this length.
const MAX_GROUP_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts values with a summary and exactly.
    #[derive(Default)]
    struct Both {
        tally: Tally,
        counts: HashMap<String, u64>,
        rare: u64,
    }

    impl Both {
        fn add(&mut self, value: String) {
            self.tally.lines += 1;
            self.tally.count(&value);
            *self.counts.entry(value).or_default() += 1;
        }

        /// Values that never come again.
        fn add_rare(&mut self, count: u64) {
            for _ in 0..count {
                self.rare += 1;
                self.add(format!("rare{}", self.rare));
            }
        }

        /// Compares the summary with the exact counts.
        fn checked(&self, limit: usize) -> Groups {
            let total = Total { lines: self.tally.lines, since: SystemTime::UNIX_EPOCH, complete: true };
            let groups = self.tally.groups(total, limit);
            assert!(self.tally.values.0.len() < 2 * Groups::MAX_VALUES);
            let listed: u64 = groups.groups.iter().map(|group| group.lines).sum();
            assert_eq!(listed + groups.other, self.tally.lines);
            for group in &groups.groups {
                let truth = self.counts[&group.value];
                assert!(group.lines <= truth && truth <= group.lines + group.error, "{group:?}: {truth}");
            }
            let known = |value: &str| self.tally.values.0.contains_key(value);
            let bound = self.tally.lines / Groups::MAX_VALUES as u64;
            assert!(self.tally.floor <= bound);
            assert!(self.counts.iter().all(|(value, &lines)| lines <= bound || known(value)));
            if groups.exact {
                let mut truth: Vec<u64> = self.counts.values().copied().collect();
                truth.sort_unstable_by(|a, b| b.cmp(a));
                truth.truncate(limit);
                assert_eq!(groups.groups.iter().map(|group| group.lines).collect::<Vec<_>>(), truth);
            }
            groups
        }
    }

    /// A value of rank `n` comes with a probability of about 1/n, as sites do.
    fn skewed(state: &mut u64, values: f64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank below `values`"
        )]
        let rank = values.powf((*state >> 11) as f64 / (1_u64 << 53) as f64) as u64;
        rank
    }

    #[test]
    fn counts_lie_within_their_errors_for_any_input() {
        for (seed, values) in [(1, 40.0), (2, 5_000.0), (3, 60_000.0), (4, 1e6), (5, 1e12)] {
            let mut both = Both::default();
            let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
            for round in 0..6 {
                for _ in 0..20_000 {
                    let rank = skewed(&mut state, values);
                    both.add(format!("site{}", if round < 3 { rank } else { rank.wrapping_mul(3) }));
                }
                both.checked(100);
                both.checked(10);
            }
        }
    }

    #[test]
    fn busy_values_stay_exact_beside_a_flood_of_rare_ones() {
        let mut both = Both::default();
        for _ in 0..200 {
            for site in 0..40 {
                both.add(format!("site{site}"));
            }
            both.add_rare(500);
        }
        let groups = both.checked(40);
        assert!(groups.exact, "{groups:?}");
        assert!(groups.groups.iter().all(|group| group.lines == 200 && group.error == 0));
        assert!(!both.checked(41).exact);
    }

    #[test]
    fn late_value_becomes_visible() {
        let mut both = Both::default();
        // As many values as are kept, each with more lines than a new one gets until the next drop.
        for _ in 0..100 {
            for site in 0..Groups::MAX_VALUES {
                both.add(format!("old{site}"));
            }
        }
        for _ in 0..40 {
            both.add_rare(Groups::MAX_VALUES as u64);
            for _ in 0..50 {
                both.add("late".to_owned());
            }
        }
        let groups = both.checked(1);
        let late = &groups.groups[0];
        assert_eq!(late.value, "late");
        assert!(late.lines + late.error >= 2_000 && late.lines >= 1_900, "{late:?}");
    }

    #[test]
    fn only_changed_counts_are_written() {
        let mut old = Tally { lines: 1, ..Tally::default() };
        (0..Groups::MAX_VALUES).for_each(|value| old.count(&format!("value {value}")));
        let mut new = old.clone();
        new.lines = 3;
        new.count("value 5");
        new.count("another");
        let text = serde_json::to_string(&TallyChange::between(&old, &new)).unwrap();
        assert!(text.len() < 70 && text.contains(r#""value 5":2"#), "{text}");
        // Three quarters of the values are dropped.
        let mut changed = new.clone();
        (0..Values::MAX).for_each(|value| new.count(&format!("flood {value}")));
        for (from, to) in [(&old, &changed), (&changed, &new)].map(|(a, b)| (a.clone(), b.clone())) {
            let text = serde_json::to_string(&TallyChange::between(&from, &to)).unwrap();
            changed = from;
            serde_json::from_str::<TallyChange>(&text).unwrap().apply(&mut changed);
            assert_eq!(changed, to);
        }
    }

    #[test]
    fn damaged_record_with_a_total_below_its_parts_does_not_wrap() {
        let json = format!(r#"{{"lines":1,"values":{{"a":{0},"b":{0}}}}}"#, u64::MAX);
        let tally: Tally = serde_json::from_str(&json).unwrap();
        let total = Total { lines: tally.lines, since: SystemTime::UNIX_EPOCH, complete: true };
        assert_eq!(tally.groups(total, 2).other, 0);
    }

    #[test]
    fn stored_tally_is_read_back_and_older_states_are_understood() {
        let mut tally = Tally { lines: 3, floor: 2, ..Tally::default() };
        let values = Arc::make_mut(&mut tally.values.0);
        values.insert("a".into(), Counted { lines: 2, error: 0 });
        values.insert("b".into(), Counted { lines: 1, error: 2 });
        let json = serde_json::to_string(&tally).unwrap();
        assert!(json.contains(r#""a":2"#) && json.contains(r#""b":[1,2]"#), "{json}");
        assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), tally);
        let older: Tally = serde_json::from_str(r#"{"lines":9,"values":{"a":5},"other":4}"#).unwrap();
        assert_eq!((older.floor, older.values.0["a"]), (4, Counted { lines: 5, error: 0 }));
    }
}
