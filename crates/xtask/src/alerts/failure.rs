//! The error of the alerts, which a thread can pass on.

use std::error::Error;

pub(super) type Failure = Box<dyn Error + Send + Sync>;
pub(super) type Done = Result<(), Failure>;
