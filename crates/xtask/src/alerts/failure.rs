//! The error of the alerts, which a thread can pass on.

use std::error::Error;

pub(super) type Broken = Box<dyn Error + Send + Sync>;
pub(super) type Done = Result<(), Broken>;
