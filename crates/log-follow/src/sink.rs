//! The receiver of matching lines.

use std::path::Path;

/// The sink's reply to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    /// The line was not accepted: the next poll begins with it.
    Full,
}

/// Receives matching lines.
pub(crate) trait Sink {
    /// Takes a matching line as UTF-8, without its end.
    fn line(&mut self, line: &[u8], file: &Path) -> Flow;

    /// Marks a state to which [`Sink::roll_back`] returns.
    fn begin(&mut self);

    /// Removes all lines since the last [`Sink::begin`].
    fn roll_back(&mut self);
}
