//! Where a line stands.

use crate::prefix::{Caller, Line};
use crate::time::Stamp;

/// Time, caller and position of a line, as all events need them.
#[derive(Clone, Copy)]
pub(crate) struct LineContext<'a> {
    pub(crate) stamp: Stamp<'a>,
    pub(crate) caller: Option<Caller>,
    /// Bytes of text before the line.
    pub(crate) offset: u64,
}

impl<'a> LineContext<'a> {
    pub(crate) fn new(line: &Line<'a>, offset: u64) -> Self {
        Self { stamp: line.stamp, caller: line.caller, offset }
    }
}
