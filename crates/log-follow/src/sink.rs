//! The receiver of matching lines.

use std::path::Path;

/// What a sink says to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    /// It does not take this line: the next poll begins with it.
    Full,
}

/// Where matching lines go.
pub(crate) trait Sink {
    /// A matching line as UTF-8, without its end.
    fn line(&mut self, line: &[u8], file: &Path) -> Flow;

    /// What comes now may have to be taken back.
    fn begin(&mut self);

    /// Forgets all lines since the last [`Sink::begin`].
    fn take_back(&mut self);
}
