//! The owner of a state directory over removals and failures.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::durability::Durability;
use crate::error::StateError;
use crate::state_dir::StateDir;

/// Owns a state directory as far as possible. A directory that was removed is created again by the next write.
#[derive(Debug)]
pub struct StateOwner {
    path: PathBuf,
    lock_name: &'static str,
    dir: Option<StateDir>,
    durability: Durability,
}

impl StateOwner {
    /// Creates an owner that opens the directory with the first [`StateOwner::acquire`].
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, lock_name: &'static str) -> Self {
        Self { path: path.into(), lock_name, dir: None, durability: Durability::ReadOnly }
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether state survives the process, according to the last attempt to write.
    #[must_use]
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// Returns the directory, opened and locked. Opens it again if it was removed or moved.
    ///
    /// # Errors
    /// If the directory cannot be used, or another process has the lock.
    pub fn acquire(&mut self) -> Result<&StateDir, StateError> {
        let dir = match self.dir.take().filter(StateDir::is_in_place) {
            Some(dir) => dir,
            None => self.open()?,
        };
        Ok(self.dir.insert(dir))
    }

    fn open(&mut self) -> Result<StateDir, StateError> {
        let opened = StateDir::open(&self.path, self.lock_name);
        match &opened {
            // After a failure, state is durable only when it was written again.
            Ok(_) if self.durability == Durability::ReadOnly => self.note_success(),
            Ok(_) => {}
            Err(error) => self.note_failure(error),
        }
        opened
    }

    /// Returns the directory if it is open.
    #[must_use]
    pub fn dir(&self) -> Option<&StateDir> {
        self.dir.as_ref()
    }

    /// Replaces a file as a whole, and notes whether state is durable.
    ///
    /// # Errors
    /// If the directory cannot be used, another process has the lock, or the system refuses an operation.
    pub fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let replaced = self.acquire()?.replace(name, |file| file.write_all(bytes)).map(drop);
        match &replaced {
            Ok(()) => self.note_success(),
            Err(error) => self.note_failure(error),
        }
        replaced
    }

    /// Notes that everything was written.
    pub fn note_success(&mut self) {
        self.durability = Durability::Durable;
    }

    /// Notes that something could not be written. The time of the first failure is kept.
    pub fn note_failure(&mut self, error: &StateError) {
        self.durability = if error.is_in_use() {
            Durability::ReadOnly
        } else {
            let since = self.durability.not_durable_since().unwrap_or_else(SystemTime::now);
            Durability::Memory { since, reason: error.to_string() }
        };
    }

    /// Releases the lock.
    pub fn release(&mut self) {
        self.dir = None;
    }
}
