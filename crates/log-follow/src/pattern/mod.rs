//! Patterns in the syntax of PCRE2, as Zabbix compiles it, and templates for what a match delivers.

/// A compiled pattern. The default one, and the empty one, match every line.
///
/// Compiled once, shared by its clones, and safe to use from many threads.
#[derive(Debug, Clone, Default)]
pub struct Pattern(());

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, position {position}")]
pub struct PatternError {
    /// What is wrong, in PCRE2's words where it would refuse the pattern too.
    pub reason: String,
    /// Byte offset in the pattern.
    pub position: usize,
}

impl Pattern {
    /// Compiles `text` with capture groups.
    ///
    /// # Errors
    ///
    /// When PCRE2 would not compile it, when it needs recursion, or when it is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let _ = text;
        unimplemented!()
    }

    /// Compiles `text` as the agent does for an item without an `output` template: plain parentheses do not capture (unless
    /// the text has a back-reference by number). Nothing matches differently, but a reference to such a group is an error.
    ///
    /// # Errors
    ///
    /// As [`Pattern::new`].
    pub fn without_groups(text: &str) -> Result<Self, PatternError> {
        let _ = text;
        unimplemented!()
    }

    /// Whether `line` (without its end) matches. A line on which the backtracking engine reaches its limit does not.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        let _ = line;
        unimplemented!()
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

/// What to deliver of a matching line: `\0` stands for the whole match, `\1` to `\9` for groups, `\\` for a backslash. The
/// empty template, which is the default, delivers the whole line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Every text is a template: an escape of anything else stands for itself.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}
