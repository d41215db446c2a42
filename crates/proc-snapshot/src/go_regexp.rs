//! Patterns in Go's syntax on the regex crate.

/// A regular expression in Go's syntax (RE2), matched as Go would match it.
#[derive(Debug, Clone)]
pub struct GoPattern {}

impl GoPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError`], with Go's own words: `error parsing regexp: missing closing ): ...`.
    pub fn new(pattern: &[u8]) -> Result<Self, PatternError> {
        unimplemented!()
    }

    /// Whether the pattern is found anywhere in the subject. Each byte that is not UTF-8 counts as U+FFFD.
    #[must_use]
    pub fn is_match(&self, subject: &[u8]) -> bool {
        unimplemented!()
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        unimplemented!()
    }
}

/// What is wrong with a pattern; the words are Go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum PatternErrorKind {
    MissingParen,
}

/// A pattern that Go's regexp package would not accept either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {}
impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error parsing regexp")
    }
}
impl std::error::Error for PatternError {}
