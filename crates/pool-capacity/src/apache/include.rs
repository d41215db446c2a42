//! Finds the files of an `Include`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{ApacheError, Location};
use crate::{BudgetError, FileError, FileKind, Reading, fnmatch};

/// The limit of nested files and directories, as in httpd.
pub(super) const DEPTH_MAX: usize = 128;

/// The reason why files could not be found.
#[derive(Debug)]
pub(super) enum Problem {
    File(FileError),
    Other(String),
}

impl Problem {
    pub(super) fn at(self, at: &Location) -> ApacheError {
        match self {
            Self::File(reason) => ApacheError::include(at, reason),
            Self::Other(problem) => ApacheError::line(at, problem),
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<BudgetError> for Problem {
    fn from(error: BudgetError) -> Self {
        Self::File(error.into())
    }
}

/// The files of one `Include`, in their order.
pub(super) struct Included<'a> {
    reading: &'a Reading<'a>,
    optional: bool,
    pub(super) paths: Vec<PathBuf>,
}

impl<'a> Included<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, optional: bool) -> Self {
        Self { reading, optional, paths: Vec::new() }
    }

    /// Rules of 2.4: every part of the path may be a pattern. `Include` requires a match, `IncludeOptional` does not.
    pub(super) fn as_in_2_4(&mut self, path: &Path) -> Result<(), Problem> {
        if !is_pattern(&path.to_string_lossy()) {
            return self.without_pattern(path, 0);
        }
        let parts: Vec<OsString> = path.iter().skip(1).map(ToOwned::to_owned).collect();
        self.below(Path::new("/"), &parts)
    }

    /// Rules of 2.2: only the last part may be a pattern, and it need not match.
    pub(super) fn as_in_2_2(&mut self, path: &Path) -> Result<(), Problem> {
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        if is_pattern(&parent.to_string_lossy()) {
            let problem = format!("{}: only the last part of a path may be a pattern", path.display());
            return Err(Problem::Other(problem));
        }
        if !is_pattern(&name.to_string_lossy()) {
            return self.without_pattern(path, 0);
        }
        for found in self.matching(parent, &name.to_string_lossy())? {
            self.without_pattern(&parent.join(found), 0)?;
        }
        Ok(())
    }

    fn below(&mut self, directory: &Path, parts: &[OsString]) -> Result<(), Problem> {
        let Some((part, rest)) = parts.split_first() else {
            return self.without_pattern(directory, 0);
        };
        let pattern = part.to_string_lossy();
        if !is_pattern(&pattern) {
            return self.below(&directory.join(part), rest);
        }
        let found = match self.matching(directory, &pattern) {
            Err(Problem::File(error)) if self.optional && error.is_absent() => return Ok(()),
            found => found?,
        };
        if found.is_empty() && !self.optional {
            let problem = format!("no file matches {}", directory.join(part).display());
            return Err(Problem::Other(problem));
        }
        for name in found {
            let path = directory.join(name);
            if rest.is_empty() {
                self.without_pattern(&path, 0)?;
            } else if self.reading.kind(&path) == Some(FileKind::Directory) && !self.reading.is_link(&path) {
                // Links to directories are ignored here, as in httpd.
                self.below(&path, rest)?;
            }
        }
        Ok(())
    }

    /// Adds a file, or all files in and below a directory.
    fn without_pattern(&mut self, path: &Path, depth: usize) -> Result<(), Problem> {
        match self.reading.kind(path) {
            Some(FileKind::Directory) => self.directory(path, depth),
            None if self.optional => Ok(()),
            _ => Ok(self.reading.keep_path(path.to_owned(), &mut self.paths)?),
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) -> Result<(), Problem> {
        if depth == DEPTH_MAX {
            let problem = format!("{} nests more than {DEPTH_MAX} directories", path.display());
            return Err(Problem::Other(problem));
        }
        for name in self.listed(path)? {
            self.without_pattern(&path.join(name), depth + 1)?;
        }
        Ok(())
    }

    fn matching(&mut self, directory: &Path, pattern: &str) -> Result<Vec<OsString>, Problem> {
        let mut names = Vec::new();
        for name in self.listed(directory)? {
            self.reading.step(directory)?;
            if fnmatch::matches(pattern.as_bytes(), name.as_bytes()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn listed(&self, directory: &Path) -> Result<Vec<OsString>, Problem> {
        Ok(self.reading.list(directory)?)
    }
}

/// Returns whether a path contains a pattern.
fn is_pattern(path: &str) -> bool {
    let mut bytes = path.bytes();
    let mut bracket = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' => return true,
            b'\\' if bytes.next().is_none() => return false,
            b'[' => bracket = true,
            b']' if bracket => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_distinguished_from_names() {
        let patterns = ["*", "a?", "[ab]", "x[a]y"].map(is_pattern);
        let names = ["a", "a[", "a]", "\\*", "a\\", "]["].map(is_pattern);
        assert_eq!((patterns, names), ([true; 4], [false; 6]));
    }
}
