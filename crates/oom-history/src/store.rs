//! Where the history is kept.

use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::history::KillHistory;
use crate::state::{self, StateError};

const NAME: &str = "oom.json";
/// A hundred records take far less.
const BYTES_MAX: u64 = 16 << 20;

/// Whether the history outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persistence {
    /// It is written to the state file.
    Durable,
    /// Another process owns the state file, or the caller wants nothing to be written.
    ReadOnly,
    /// It is lost with the process.
    Memory {
        /// Why it cannot be written.
        reason: String,
    },
}

impl Persistence {
    /// The name: `durable`, `read-only` or `memory`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::ReadOnly => "read-only",
            Self::Memory { .. } => "memory",
        }
    }

    /// Why the history is in memory only.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Memory { reason } => Some(reason),
            Self::Durable | Self::ReadOnly => None,
        }
    }
}

/// Why a state file was not read.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    State(#[from] StateError),
}

impl LoadError {
    fn is_newer(&self) -> bool {
        matches!(self, Self::State(error) if error.is_newer())
    }
}

/// The state file and the lock that makes this process its owner.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// Held as long as the process lives.
    lock: Option<File>,
    persistence: Persistence,
}

impl Store {
    /// Opens the state for writing if no other process owns it. A state file that cannot be read costs a warning.
    pub(crate) fn open(dir: &Path, read_only: bool) -> (Self, KillHistory) {
        let mut store = Self { dir: dir.to_owned(), lock: None, persistence: Persistence::ReadOnly };
        if !read_only {
            store.take_ownership();
        }
        let history = load(dir).unwrap_or_else(|error| {
            store.set_aside(&error);
            KillHistory::default()
        });
        if let Persistence::Memory { reason } = &store.persistence {
            log::warn!("the history of OOM kills is kept in memory only: {reason}");
        }
        (store, history)
    }

    pub(crate) fn persistence(&self) -> &Persistence {
        &self.persistence
    }

    fn take_ownership(&mut self) {
        let path = self.dir.join("oom.lock");
        let file = DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.dir)
            .and_then(|()| File::create(&path));
        let failed =
            |error: &dyn fmt::Display| Persistence::Memory { reason: format!("{}: {error}", path.display()) };
        self.persistence = match file {
            Err(error) => failed(&error),
            Ok(file) => match file.try_lock() {
                Ok(()) => {
                    self.lock = Some(file);
                    Persistence::Durable
                }
                Err(TryLockError::WouldBlock) => Persistence::ReadOnly,
                Err(TryLockError::Error(error)) => failed(&error),
            },
        };
    }

    /// Keeps a damaged file under another name, because the next save would overwrite it. Leaves the file of a newer
    /// program alone: it holds a history that this program does not understand.
    fn set_aside(&mut self, error: &LoadError) {
        let path = self.dir.join(NAME);
        if !error.is_newer() {
            log::warn!("{} is not used: {error}", path.display());
            if self.persistence == Persistence::Durable {
                let _ = fs::rename(&path, self.dir.join("oom.json.bad"));
            }
            return;
        }
        let reason = format!(
            "{} was written by a newer version of this program ({error}): install that version again, or remove the file",
            path.display()
        );
        if self.persistence == Persistence::Durable {
            self.lock = None;
            self.persistence = Persistence::Memory { reason };
        } else {
            log::warn!("{reason}");
        }
    }

    /// # Errors
    /// If the file could not be replaced. The old one is still whole.
    pub(crate) fn save(&self, history: &KillHistory) -> io::Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let temporary = self.dir.join("oom.json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&state::encode(history)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.dir.join(NAME))?;
        File::open(&self.dir)?.sync_all()
    }
}

fn load(dir: &Path) -> Result<KillHistory, LoadError> {
    let file = match File::open(dir.join(NAME)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(KillHistory::default());
        }
        file => file?,
    };
    let mut text = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(state::decode(&text)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn history() -> KillHistory {
        let mut history = KillHistory { reports: 3, ..KillHistory::default() };
        history.enter("b1");
        history
    }

    #[test]
    fn saved_history_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        let (store, empty) = Store::open(&dir, false);
        assert_eq!((store.persistence().name(), empty), ("durable", KillHistory::default()));
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o007, 0);
        store.save(&history()).unwrap();
        let (beside, seen) = Store::open(&dir, false);
        assert_eq!((beside.persistence().name(), seen), ("read-only", history()));
        beside.save(&KillHistory::default()).unwrap();
        drop(store);
        assert_eq!(Store::open(&dir, false).1, history());
    }

    #[test]
    fn read_only_store_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), true);
        store.save(&history()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn damaged_file_costs_a_warning_and_is_set_aside() {
        for bad in
            ["", "{", "\0\0\0\0", r#"{"version":0,"history":{}}"#, r#"{"version":1}"#, r#"{"version":2}"#]
        {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(NAME), bad).unwrap();
            let (store, loaded) = Store::open(dir.path(), false);
            assert_eq!(loaded, KillHistory::default(), "{bad}");
            assert_eq!(fs::read(dir.path().join("oom.json.bad")).unwrap(), bad.as_bytes());
            store.save(&history()).unwrap();
            drop(store);
            assert_eq!(Store::open(dir.path(), false).1, history());
        }
    }

    #[test]
    fn file_of_a_newer_version_is_not_overwritten() {
        let newer = br#"{"version":99,"history":{"a":"b"}}"#;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), newer).unwrap();
        for read_only in [false, true] {
            let (store, loaded) = Store::open(dir.path(), read_only);
            assert_eq!(loaded, KillHistory::default());
            store.save(&history()).unwrap();
            assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), newer);
            assert!(!dir.path().join("oom.json.bad").exists());
            assert_eq!(store.persistence().name(), if read_only { "read-only" } else { "memory" });
            let reason = store.persistence().reason().unwrap_or_default();
            assert_eq!(
                reason.contains("newer version of this program (its format has version 99"),
                !read_only
            );
        }
    }

    #[test]
    fn version_1_is_replaced_by_the_next_save() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), include_bytes!("../tests/data/oom-v1.json")).unwrap();
        let (store, loaded) = Store::open(dir.path(), false);
        assert_eq!((loaded.reports, store.persistence().name()), (6, "durable"));
        store.save(&loaded).unwrap();
        drop(store);
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(text.starts_with(r#"{"version":2,"#), "{text}");
        assert_eq!(Store::open(dir.path(), false).1, loaded);
    }

    #[test]
    fn without_a_directory_the_history_is_in_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (store, loaded) = Store::open(file.path(), false);
        assert_eq!((store.persistence().name(), loaded), ("memory", KillHistory::default()));
        assert!(store.persistence().reason().unwrap().contains("oom.lock"));
    }
}
