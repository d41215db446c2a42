//! A compiled pattern.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::error::{PatternError, PatternErrorKind};
use super::parser;

/// Longer patterns are refused; an item key has at most 2,048 characters.
const PATTERN_BYTES: usize = 64 * 1024;
/// The limit of a compiled pattern, the regex crate's default.
const COMPILED_BYTES: usize = 10 * 1024 * 1024;
/// The limit of the states that are built while matching, for each thread.
const CACHE_BYTES: usize = 512 * 1024;
/// Twice Go's limit: each of its levels may be written as a group with its content.
const NESTING: u32 = 2 * parser::MAX_HEIGHT + 10;

/// A regular expression in Go's syntax (RE2), which matches as in Go. Clones share the compiled pattern.
///
/// Named groups may be written `(?<name>...)`. Agent 7.0 accepts them; agent 6.0 has an older Go and does not.
///
/// ```
/// use regex_dialects::go::Pattern;
///
/// let pattern = Pattern::new(br"^/usr/sbin/httpd\s-D")?;
/// assert!(pattern.is_match(b"/usr/sbin/httpd -D FOREGROUND"));
/// let error = Pattern::new(b"(abc").unwrap_err();
/// assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `(abc`");
/// # Ok::<(), regex_dialects::go::PatternError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    source: Arc<[u8]>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// Returns a [`PatternError`] with Go's own text: `error parsing regexp: missing closing ): ...`. A pattern that is longer
    /// than 64 KiB or takes more than 10 MiB when compiled is [`PatternErrorKind::TooLarge`]; Go allows 128 MiB.
    pub fn new(pattern: &[u8]) -> Result<Self, PatternError> {
        let too_large = || PatternError::new(PatternErrorKind::TooLarge, pattern);
        if pattern.len() > PATTERN_BYTES {
            return Err(too_large());
        }
        let translated = parser::translate(pattern)?;
        let regex = RegexBuilder::new(&translated)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(CACHE_BYTES)
            .nest_limit(NESTING)
            .build()
            .map_err(|_| too_large())?;
        Ok(Self { regex, source: pattern.into() })
    }

    /// Returns whether the subject contains a match. Each byte that is not UTF-8 counts as U+FFFD.
    #[must_use]
    pub fn is_match(&self, subject: &[u8]) -> bool {
        self.regex.is_match(&as_go_sees(subject))
    }

    /// The pattern as given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.source
    }
}

/// Converts a subject as Go's decoder does: each invalid byte becomes U+FFFD. Rust's lossy conversion makes one of a truncated
/// character.
fn as_go_sees(subject: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(subject).is_ok() {
        return Cow::Borrowed(subject);
    }
    let mut seen = Vec::with_capacity(subject.len() * 2);
    for chunk in subject.utf8_chunks() {
        seen.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            seen.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(seen)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
