//! Time stamps as they are stored.

use std::time::SystemTime;

/// Returns seconds since 1970; 0 for earlier times.
pub(crate) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
