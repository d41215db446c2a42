//! Errors of patterns.

/// The reason why a text is not a usable pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, position {position}")]
pub struct PatternError {
    /// The error text, which is PCRE2's if PCRE2 refuses the pattern as well.
    pub reason: String,
    /// Byte offset in the pattern.
    pub position: usize,
    /// Whether PCRE2 refuses the pattern as well. Otherwise the construct is valid and not supported here.
    pub refused_by_pcre2: bool,
}
