//! Where a line stands.

use crate::prefix::{Caller, Line};
use crate::time::Stamp;

/// Where a line stands, for what is the same for all events.
#[derive(Clone, Copy)]
pub(crate) struct LineContext<'a> {
    pub(crate) stamp: Stamp<'a>,
    pub(crate) caller: Option<Caller>,
    /// Bytes of text before the line.
    pub(crate) offset: u64,
}

impl<'a> LineContext<'a> {
    pub(crate) fn of(line: &Line<'a>, offset: u64) -> Self {
        Self { stamp: line.stamp, caller: line.caller, offset }
    }
}
