//! The state file of the OOM keys.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;

const NAME: &str = "oom.json";
const VERSION: u32 = 1;
/// Far more than a hundred events take.
const BYTES_MAX: u64 = 16 << 20;

#[derive(Deserialize)]
struct Stored {
    version: u32,
    ledger: Ledger,
}

#[derive(Serialize)]
struct ToStore<'a> {
    version: u32,
    ledger: &'a Ledger,
}

/// Why a state file is not used.
#[derive(Debug, thiserror::Error)]
enum BadState {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    #[error("it has version {0}, and this program writes {VERSION}")]
    Version(u32),
}

/// Whether what is learnt outlives the process.
#[derive(Debug)]
pub(crate) enum Store {
    /// The lock is held as long as the process lives.
    Durable {
        dir: PathBuf,
        _lock: File,
    },
    /// Another process owns the file, or this one only looks.
    ReadOnly,
    Memory {
        reason: String,
    },
}

impl Store {
    /// Opens the state for writing, if nobody else has it. A state that cannot be read costs a warning.
    pub(crate) fn open(dir: &Path, only_look: bool) -> (Self, Ledger) {
        let store = if only_look { Self::ReadOnly } else { Self::lock(dir) };
        if let Self::Memory { reason } = &store {
            log::warn!("what is known of OOM kills is kept in memory only: {reason}");
        }
        let ledger = load(dir).unwrap_or_else(|error| {
            let path = dir.join(NAME);
            log::warn!("{} is not used: {error}", path.display());
            if matches!(store, Self::Durable { .. }) {
                // For whoever wants to know what became of it; the next save would overwrite it.
                let _ = fs::rename(&path, dir.join("oom.json.bad"));
            }
            Ledger::default()
        });
        (store, ledger)
    }

    fn lock(dir: &Path) -> Self {
        let path = dir.join("oom.lock");
        let file =
            DirBuilder::new().recursive(true).mode(0o750).create(dir).and_then(|()| File::create(&path));
        let failed =
            |error: &dyn std::fmt::Display| Self::Memory { reason: format!("{}: {error}", path.display()) };
        let file = match file {
            Ok(file) => file,
            Err(error) => return failed(&error),
        };
        match file.try_lock() {
            Ok(()) => Self::Durable { dir: dir.to_owned(), _lock: file },
            Err(TryLockError::WouldBlock) => Self::ReadOnly,
            Err(TryLockError::Error(error)) => failed(&error),
        }
    }

    /// # Errors
    /// When the file could not be replaced; the old one is still whole.
    pub(crate) fn save(&self, ledger: &Ledger) -> io::Result<()> {
        let Self::Durable { dir, .. } = self else { return Ok(()) };
        let temporary = dir.join("oom.json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&ToStore { version: VERSION, ledger })?)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Durable { .. } => "durable",
            Self::ReadOnly => "read-only",
            Self::Memory { .. } => "memory",
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Memory { reason } => Some(reason),
            _ => None,
        }
    }
}

fn load(dir: &Path) -> Result<Ledger, BadState> {
    let file = match File::open(dir.join(NAME)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Ledger::default());
        }
        file => file?,
    };
    let mut text = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    let stored: Stored = serde_json::from_slice(&text)?;
    if stored.version != VERSION {
        return Err(BadState::Version(stored.version));
    }
    Ok(stored.ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.reports = 3;
        ledger.enter("b1");
        ledger
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        let (store, empty) = Store::open(&dir, false);
        assert_eq!((store.name(), empty), ("durable", Ledger::default()));
        store.save(&ledger()).unwrap();
        let (beside, seen) = Store::open(&dir, false);
        assert_eq!((beside.name(), seen), ("read-only", ledger()));
        beside.save(&Ledger::default()).unwrap();
        drop(store);
        assert_eq!(Store::open(&dir, false).1, ledger());
    }

    #[test]
    fn who_only_looks_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), true);
        store.save(&ledger()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn failure_10_a_bad_file_costs_a_warning_and_is_put_aside() {
        for bad in ["", "{", "\0\0\0\0", r#"{"version":99,"ledger":{}}"#, r#"{"version":1}"#] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(NAME), bad).unwrap();
            let (store, ledger) = Store::open(dir.path(), false);
            assert_eq!(ledger, Ledger::default(), "{bad}");
            assert_eq!(fs::read(dir.path().join("oom.json.bad")).unwrap(), bad.as_bytes());
            store.save(&self::ledger()).unwrap();
        }
    }

    #[test]
    fn without_a_directory_it_goes_on_in_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (store, ledger) = Store::open(file.path(), false);
        assert_eq!((store.name(), ledger), ("memory", Ledger::default()));
        assert!(store.reason().unwrap().contains("oom.lock"));
    }
}
