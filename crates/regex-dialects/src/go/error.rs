//! Errors of patterns.

use std::fmt;

/// The kind of an error; the text of each is Go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// A range whose end lies before its start, or an unknown class.
    InvalidCharRange,
    /// An unknown escape.
    InvalidEscape,
    /// An invalid group name.
    InvalidNamedCapture,
    /// An unsupported construct after `(?`, for example look-around.
    InvalidPerlOp,
    /// A repetition of a repetition, such as `a**`.
    InvalidRepeatOp,
    /// A repetition of more than 1,000 times.
    InvalidRepeatSize,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A class without `]`.
    MissingBracket,
    /// A group without `)`.
    MissingParen,
    /// A repetition without an argument.
    MissingRepeatArgument,
    /// A backslash at the end.
    TrailingBackslash,
    /// A `)` without a group.
    UnexpectedParen,
    /// More than 1,000 levels.
    NestingDepth,
    /// Too large to compile.
    TooLarge,
}

impl fmt::Display for PatternErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidCharRange => "invalid character class range",
            Self::InvalidEscape => "invalid escape sequence",
            Self::InvalidNamedCapture => "invalid named capture",
            Self::InvalidPerlOp => "invalid or unsupported Perl syntax",
            Self::InvalidRepeatOp => "invalid nested repetition operator",
            Self::InvalidRepeatSize => "invalid repeat count",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::MissingBracket => "missing closing ]",
            Self::MissingParen => "missing closing )",
            Self::MissingRepeatArgument => "missing argument to repetition operator",
            Self::TrailingBackslash => "trailing backslash at end of expression",
            Self::UnexpectedParen => "unexpected )",
            Self::NestingDepth => "expression nests too deeply",
            Self::TooLarge => "expression too large",
        })
    }
}

/// The reason why a pattern cannot be used, and the faulty part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    kind: PatternErrorKind,
    part: Box<[u8]>,
}

impl PatternError {
    pub(super) fn new(kind: PatternErrorKind, part: &[u8]) -> Self {
        Self { kind, part: part.into() }
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> PatternErrorKind {
        self.kind
    }

    /// The faulty part of the pattern.
    #[must_use]
    pub fn part(&self) -> &[u8] {
        &self.part
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error parsing regexp: {}: `{}`", self.kind, String::from_utf8_lossy(&self.part))
    }
}

impl std::error::Error for PatternError {}
