//! Why a configuration could not be read, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::FileError;

/// A line of a configuration file. The number of a continued line is that of its last part, as in httpd's own messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub(super) file: Arc<Path>,
    pub(super) line: u32,
}

impl Location {
    /// The file, or what stands for one: `the command line`.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The number of the line, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)
    }
}

/// Why a configuration could not be read. Where the fault is in a line, the message begins with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApacheError {
    /// No configuration file is where one is usually found.
    #[error("no Apache configuration found: looked for {}", list(places))]
    NotFound {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// The main configuration file cannot be read.
    #[error(transparent)]
    Main(#[from] FileError),
    /// An included file or directory cannot be read.
    #[error("{at}: {reason}")]
    Include {
        /// The directive that includes it.
        at: Location,
        /// Why it cannot be read.
        reason: FileError,
    },
    /// httpd would refuse to start with this line.
    #[error("{at}: {problem}")]
    Line {
        /// The line.
        at: Location,
        /// What is wrong with it.
        problem: String,
    },
    /// httpd would refuse to start, for no single line's fault.
    #[error("{problem}")]
    Whole {
        /// What is wrong.
        problem: String,
    },
}

impl ApacheError {
    pub(super) fn line(at: &Location, problem: impl Into<String>) -> Self {
        Self::Line { at: at.clone(), problem: problem.into() }
    }

    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self::Whole { problem: problem.into() }
    }

    /// Whether the reason is that there is no Apache on the machine.
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

/// Something that httpd corrects or tolerates, and that whoever wrote it should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What was written and what counts instead.
    pub text: String,
    /// Where it was written, if it was.
    pub at: Option<Location>,
    /// The number that httpd 2.4 gives its own message about the same thing at its start, such as `AH00180`.
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
