//! Errors of a configuration, and where they are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::text::{short, short_path};
use crate::{BudgetError, FileError};

/// A line of a configuration file. A continued line has the number of its last part, as in httpd's own messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub(super) file: Arc<Path>,
    pub(super) line: u32,
}

impl Location {
    /// The file, or its replacement: `the command line`.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line number, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", short_path(&self.file), self.line)
    }
}

/// The reason why a configuration could not be read. If a line is faulty, the message begins with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApacheError {
    /// There is no configuration file at any usual path.
    #[error("no Apache configuration found at {}", list(places))]
    NotFound {
        /// The paths that were tried.
        places: Vec<PathBuf>,
    },
    /// The main configuration file cannot be read.
    #[error(transparent)]
    Main(FileError),
    /// An included file or directory cannot be read.
    #[error("{at}: {reason}")]
    Include {
        /// The directive that includes it.
        at: Location,
        /// The error of the included file.
        reason: FileError,
    },
    /// httpd refuses to start because of this line.
    #[error("{at}: {problem}")]
    Line {
        /// The line.
        at: Location,
        /// The fault.
        problem: String,
    },
    /// httpd refuses to start for a reason that concerns no single line.
    #[error("{problem}")]
    Whole {
        /// The fault.
        problem: String,
    },
    /// The read was stopped at a limit or at the deadline.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

impl From<FileError> for ApacheError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Budget(error) => Self::Budget(error),
            error => Self::Main(error),
        }
    }
}

impl ApacheError {
    pub(super) fn line(at: &Location, problem: impl Into<String>) -> Self {
        Self::Line { at: at.clone(), problem: short(problem.into()) }
    }

    pub(super) fn include(at: &Location, reason: FileError) -> Self {
        match reason {
            FileError::Budget(error) => Self::Budget(error),
            reason => Self::Include { at: at.clone(), reason },
        }
    }

    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self::Whole { problem: short(problem.into()) }
    }

    /// Returns whether there is no Apache on the machine.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Main(error) => error.is_absent(),
            _ => false,
        }
    }
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A setting that httpd corrects or tolerates, and that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The setting and its effect.
    pub text: String,
    /// The line of the setting, if there is one.
    pub at: Option<Location>,
    /// The code of httpd 2.4's own message about it, such as `AH00180`.
    pub code: Option<&'static str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{} ({at})", self.text),
            None => f.write_str(&self.text),
        }
    }
}
