//! Answers that only grow: counted from the moment when an item was first asked for.

use crate::pattern::{Captures, Template};
use crate::value::{char_boundary, cut};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

/// Matching lines since the item was first asked for. Survives restarts, never decreases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Matching lines.
    pub lines: u64,
    /// When the item was first asked for: the count is "since".
    pub since: SystemTime,
    /// `false` when the deadline came before the end of the log: there is more to count, and the next poll goes on.
    pub complete: bool,
}

/// The last matching line, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Matching lines since the item was first asked for.
    pub total: Total,
    /// The last of them, `None` before the first.
    pub last: Option<LastMatch>,
}

/// One matching line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMatch {
    /// The line after the template, cut like a delivered line.
    pub text: String,
    /// Capture groups 1 and up; `None` for a group that took no part in the match.
    pub groups: Vec<Option<String>>,
    /// When the line was read (not: written), seconds since 1970.
    pub read_unix_secs: u64,
    /// The file that held it, by the name that it had then.
    pub file: String,
}

/// Matching lines by the value of the first capture group (of the whole match, in a pattern without groups).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Matching lines since the item was first asked for: the sum of all counts and `other`.
    pub total: Total,
    /// The largest groups, largest first, then by value; at most as many as were asked for.
    pub groups: Vec<Group>,
    /// Lines of all values that are not in `groups`.
    pub other: u64,
    /// `false` when so many values came that rare ones were moved to `other`: the counts in `groups` are then lower bounds.
    /// As long as there are fewer than twice [`Groups::MAX_VALUES`] they are exact.
    pub exact: bool,
}

impl Groups {
    /// So many different values are kept at least, the most frequent ones. Memory is bounded by twice this number.
    pub const MAX_VALUES: usize = 1_000;
    /// A longer value is cut to so many bytes, at a character's boundary, and counted under what remains.
    pub const MAX_VALUE_BYTES: usize = 256;
}

/// One value and how many lines had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The text of the first capture group.
    pub value: String,
    /// Matching lines with it.
    pub lines: u64,
}

/// What an item has counted so far. It is stored with the item's position, so both move together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) lines: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastMatch>,
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    values: HashMap<String, u64>,
    /// Lines whose value is not in `values` any more.
    #[serde(default)]
    other: u64,
}

impl Tally {
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
            text: cut(template.apply(captures), crate::MAX_VALUE_BYTES),
            groups: (1..=captures.groups()).map(text).collect(),
            read_unix_secs,
            file: file.to_string_lossy().into_owned(),
        });
    }

    /// Counts a line under its value. When twice as many values as are kept have come, the rarest go to `other`, all at
    /// once: a value that is frequent stays, even when it comes after a million that occur once.
    pub(crate) fn sort_in(&mut self, captures: &Captures<'_>) {
        let bytes = captures.get(usize::from(captures.groups() > 0)).unwrap_or_default();
        let end = bytes.len().min(Groups::MAX_VALUE_BYTES + 4);
        let mut value = String::from_utf8_lossy(&bytes[..end]).into_owned();
        value.truncate(char_boundary(&value, Groups::MAX_VALUE_BYTES));
        *self.values.entry(value).or_default() += 1;
        if self.values.len() >= 2 * Groups::MAX_VALUES {
            self.drop_rarest();
        }
    }

    fn drop_rarest(&mut self) {
        let mut sorted: Vec<(String, u64)> = self.values.drain().collect();
        sorted.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        self.other += sorted.drain(Groups::MAX_VALUES..).map(|(_, lines)| lines).sum::<u64>();
        self.values = sorted.into_iter().collect();
    }

    pub(crate) fn groups(&self, total: Total, limit: usize) -> Groups {
        let mut sorted: Vec<Group> =
            self.values.iter().map(|(value, &lines)| Group { value: value.clone(), lines }).collect();
        sorted.sort_by(|a, b| (b.lines, &a.value).cmp(&(a.lines, &b.value)));
        sorted.truncate(limit.min(Groups::MAX_VALUES));
        let other = total.lines - sorted.iter().map(|group| group.lines).sum::<u64>();
        Groups { total, groups: sorted, other, exact: self.other == 0 }
    }
}

/// A capture group in [`LastMatch`] is cut to this.
const MAX_GROUP_BYTES: usize = 4096;
