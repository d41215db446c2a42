//! Errors of option files.

use crate::text::short_name;
use crate::{BudgetError, ConfigError, FileError};

/// The reason why the server would not start with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option file cannot be read or has a fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An argument of the running server has a fault.
    #[error("argument {}: {reason}", short_name(argument))]
    Argument {
        /// The argument.
        argument: String,
        /// The fault.
        reason: String,
    },
}

impl From<BudgetError> for Error {
    fn from(error: BudgetError) -> Self {
        Self::Config(error.into())
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Config(error.into())
    }
}
