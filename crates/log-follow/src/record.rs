//! The stored state of an item.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;
use crate::totals::Tally;

/// The stored state of an item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) position: Position,
    /// The position before the last value, as long as that value may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Position>,
    /// The time of the first poll, in seconds since 1970.
    pub(crate) since: u64,
    /// The time of the last poll, stored at least once a day.
    pub(crate) seen: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tally: Option<Tally>,
}
