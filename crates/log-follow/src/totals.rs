//! Answers that only grow: counted from the moment when an item was first asked for.

use serde::{Deserialize, Serialize};
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
    /// `false` when more than [`Groups::MAX_VALUES`] values came: those that came later are in `other` alone, and counts of
    /// rare values are a lower bound.
    pub exact: bool,
}

impl Groups {
    /// So many different values are counted one by one. Memory is bounded by this and by [`Groups::MAX_VALUE_BYTES`].
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
