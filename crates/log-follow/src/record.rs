//! The stored state of an item.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;
use crate::totals::Tally;

/// What is kept of an item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) position: Position,
    /// Where it was before the last answer, as long as that answer may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Position>,
    /// Seconds since 1970 when it was first asked for.
    pub(crate) since: u64,
    /// And when last; written down once a day at least.
    pub(crate) seen: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tally: Option<Tally>,
}
