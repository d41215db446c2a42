//! A compiled pattern.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::error::{PatternError, PatternErrorKind};
use super::parser;

/// Longer patterns are refused; an item key has at most 2,048 characters.
const PATTERN_BYTES: usize = 64 * 1024;
/// How large a compiled pattern may become, the regex crate's own default.
const COMPILED_BYTES: usize = 10 * 1024 * 1024;
/// What the states built while matching may take for each thread.
const CACHE_BYTES: usize = 512 * 1024;
/// Twice what Go allows: each of its levels may be written as a group and what it holds.
const NESTING: u32 = 2 * parser::MAX_HEIGHT + 10;

/// A regular expression in Go's syntax (RE2), matched as Go would match it. Cheap to clone.
///
/// Named groups may be written `(?<name>...)`, which agent 7.0 accepts and 6.0, built with an older Go, does not.
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
    /// [`PatternError`], with Go's own words: `error parsing regexp: missing closing ): ...`. A pattern that is longer
    /// than 64 KiB or takes more than 10 MiB when compiled is [`PatternErrorKind::TooLarge`], where Go allows 128 MiB.
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

    /// Whether the pattern is found anywhere in the subject. Each byte that is not UTF-8 counts as U+FFFD.
    #[must_use]
    pub fn is_match(&self, subject: &[u8]) -> bool {
        self.regex.is_match(&as_go_sees(subject))
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.source
    }
}

/// Go's decoder takes each bad byte for one U+FFFD, where Rust's lossy conversion takes a cut-off character for one.
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
