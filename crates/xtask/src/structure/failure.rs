//! The error of the structure task.

use std::error::Error;

pub(super) type Failure = Box<dyn Error>;
