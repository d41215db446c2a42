//! How long readers wait for the rest of a report.

use std::time::Duration;

/// The kernel prints a report within milliseconds, and a slow console may delay it. After this silence it has ended.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);
