//! A position within one file.

/// A position in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FilePosition {
    pub(crate) offset: u64,
    /// The position is inside a line that was too long or was jumped into: skip to its end.
    pub(crate) skipping: bool,
    /// The last line ended with a CR: a LF at this position belongs to it.
    pub(crate) after_cr: bool,
}
