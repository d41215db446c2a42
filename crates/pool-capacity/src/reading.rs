//! One read of a configuration: the files, and what was used of each limit.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::{BudgetError, FileError, FileKind, Files, Limit};

/// Steps between two checks of the clock. A step takes microseconds at most, unless the system blocks.
const STEPS_UNCHECKED: u64 = 16;
/// The memory of a kept text beside its bytes.
const KEPT_OVERHEAD: usize = 128;

/// The files of a machine, with the budget of one read. Everything that a poll reads shares one budget. After the first
/// [`BudgetError`] every further access fails with the same error.
///
/// ```
/// use pool_capacity::{BudgetError, Limit, Reading, Tree, mysql};
///
/// let tree = Tree::new().with("/etc/my.cnf", vec![b'\n'; 9 << 20]);
/// let reading = Reading::new(&tree);
/// let server = mysql::Server::UNKNOWN_MYSQL;
/// let error = mysql::Config::read(&reading, &["/etc/my.cnf".into()], server, &[], 0).unwrap_err();
/// assert!(error.to_string().starts_with("/etc/my.cnf: the configuration has more than 8 MiB in one file"));
/// ```
pub struct Reading<'a> {
    files: &'a dyn Files,
    deadline: Option<Instant>,
    used: [Cell<u64>; Limit::COUNT],
    steps: Cell<u64>,
    stopped: RefCell<Option<BudgetError>>,
}

impl<'a> Reading<'a> {
    /// A read without a deadline.
    #[must_use]
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            deadline: None,
            used: Default::default(),
            steps: Cell::new(0),
            stopped: RefCell::new(None),
        }
    }

    /// Sets the time at which the read stops.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The number of steps so far. Each line, file, directory entry and search counts.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Counts a step of a loop; `path` is the object that the loop works on.
    ///
    /// # Errors
    ///
    /// [`BudgetError`] if the deadline has passed, or if a limit was exceeded before.
    pub fn step(&self, path: &Path) -> Result<(), BudgetError> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps.is_multiple_of(STEPS_UNCHECKED) { self.check(path) } else { self.earlier() }
    }

    /// Checks the deadline now.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn check(&self, path: &Path) -> Result<(), BudgetError> {
        self.earlier()?;
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(self.stop(BudgetError::Late { path: path.to_owned() }));
        }
        Ok(())
    }

    /// Returns the error of an earlier access.
    fn earlier(&self) -> Result<(), BudgetError> {
        match &*self.stopped.borrow() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn stop(&self, error: BudgetError) -> BudgetError {
        self.stopped.replace(Some(error.clone()));
        error
    }

    /// Adds to what was used of a limit.
    pub(crate) fn spend(&self, limit: Limit, amount: usize, path: &Path) -> Result<(), BudgetError> {
        self.earlier()?;
        let used = &self.used[limit as usize];
        used.set(used.get().saturating_add(amount as u64));
        if used.get() > limit.max() { Err(self.stop(BudgetError::exceeded(path, limit))) } else { Ok(()) }
    }

    /// Gives back what is no longer used.
    pub(crate) fn release(&self, limit: Limit, amount: usize) {
        let used = &self.used[limit as usize];
        used.set(used.get().saturating_sub(amount as u64));
    }

    /// Checks a size against a limit for each one.
    pub(crate) fn require(&self, limit: Limit, size: usize, path: &Path) -> Result<(), BudgetError> {
        self.earlier()?;
        if size as u64 > limit.max() { Err(self.stop(BudgetError::exceeded(path, limit))) } else { Ok(()) }
    }

    /// Counts a line of a file.
    pub(crate) fn line(&self, bytes: usize, path: &Path) -> Result<(), BudgetError> {
        self.step(path)?;
        self.require(Limit::LineBytes, bytes, path)?;
        self.spend(Limit::Lines, 1, path)
    }

    /// Counts text that stays in memory until the end of the read.
    pub(crate) fn keep(&self, bytes: usize, path: &Path) -> Result<(), BudgetError> {
        self.spend(Limit::KeptBytes, kept(bytes), path)
    }

    /// Reads a configuration file.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.check(path)?;
        self.spend(Limit::Files, 1, path)?;
        let content = match self.files.read(path) {
            Err(FileError::TooLarge { .. }) => {
                return Err(self.stop(BudgetError::exceeded(path, Limit::FileBytes)).into());
            }
            content => content?,
        };
        self.require(Limit::FileBytes, content.len(), path)?;
        self.spend(Limit::TotalBytes, content.len(), path)?;
        Ok(content)
    }

    /// Reads a file that is not a part of the configuration, such as a program. It is not counted, because the caller keeps
    /// only a small part of it. `None` if it cannot be read.
    pub(crate) fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        self.check(path).ok()?;
        self.files.read(path).ok()
    }

    /// Lists a directory as [`Files::list`] does.
    pub(crate) fn list(&self, directory: &Path) -> Result<Vec<OsString>, FileError> {
        self.check(directory)?;
        let names = match self.files.list(directory) {
            Err(FileError::TooMany { .. }) => {
                return Err(self.stop(BudgetError::exceeded(directory, Limit::Entries)).into());
            }
            names => names?,
        };
        self.spend(Limit::Entries, names.len(), directory)?;
        self.spend(Limit::TotalBytes, names.iter().map(|name| name.len()).sum(), directory)?;
        Ok(names)
    }

    /// Lists a directory that is not a part of the configuration; `None` if it cannot be read.
    pub(crate) fn peek_list(&self, directory: &Path) -> Option<Vec<OsString>> {
        self.check(directory).ok()?;
        self.files.list(directory).ok()
    }

    /// Returns the type of the file at a path as [`Files::kind`] does; `None` if the read was stopped.
    #[must_use]
    pub fn kind(&self, path: &Path) -> Option<FileKind> {
        self.step(path).ok()?;
        self.files.kind(path)
    }

    /// Returns whether a path is itself a symbolic link.
    pub(crate) fn is_link(&self, path: &Path) -> bool {
        self.step(path).is_ok() && self.files.is_link(path)
    }

    /// Counts the paths that a pattern found.
    pub(crate) fn keep_path(&self, path: PathBuf, paths: &mut Vec<PathBuf>) -> Result<(), BudgetError> {
        self.step(&path)?;
        self.keep(path.as_os_str().len(), &path)?;
        paths.push(path);
        Ok(())
    }
}

/// The cost of a text that stays in memory.
pub(crate) fn kept(bytes: usize) -> usize {
    bytes.saturating_add(KEPT_OVERHEAD)
}
