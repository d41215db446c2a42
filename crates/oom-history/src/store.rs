//! Where the history is kept.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use oom_evidence::is_out_of_descriptors;
use state_files::{Durability, StateDir, StateError, StateOwner};

use crate::history::KillHistory;
use crate::state::{self, FormatError};

const NAME: &str = "oom.json";
const DAMAGED: &str = "oom.json.bad";
const LOCK: &str = "oom.lock";
/// A hundred records take far less.
const BYTES_MAX: u64 = 16 << 20;

/// The state file and the lock that makes this process its owner.
#[derive(Debug)]
pub(crate) struct Store {
    owner: StateOwner,
    access: StoreAccess,
    durability: Durability,
}

/// Who may write the state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreAccess {
    /// This process.
    Own,
    /// Another process that has the lock.
    Other,
    /// No process: the caller only reads, or a newer program wrote the file.
    Closed,
}

/// Why a state file was not read.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("{0}")]
    Read(#[from] StateError),
    #[error("{0}")]
    Format(#[from] FormatError),
}

impl Store {
    /// Opens the state for writing if no other process owns it. A state file that cannot be used costs a warning.
    ///
    /// # Errors
    /// If the file cannot be read for a moment, as without a free file descriptor: it must not be taken for damaged.
    pub(crate) fn open(dir: &Path, read_only: bool) -> Result<(Self, KillHistory), StateError> {
        let owner = StateOwner::new(dir, LOCK);
        let mut store = Self { owner, access: StoreAccess::Closed, durability: Durability::ReadOnly };
        if !read_only {
            store.take_ownership()?;
        }
        let history = match load(dir) {
            Ok(history) => history,
            Err(LoadError::Read(error)) if is_momentary(&error) => return Err(error),
            Err(error) => {
                store.set_aside(dir, &error);
                KillHistory::default()
            }
        };
        Ok((store, history))
    }

    pub(crate) fn durability(&self) -> &Durability {
        &self.durability
    }

    fn take_ownership(&mut self) -> Result<(), StateError> {
        let acquired = self.owner.acquire().map(drop);
        self.access = StoreAccess::Own;
        match acquired {
            Err(error) if is_momentary(&error) => return Err(error),
            Err(error) if error.is_in_use() => self.access = StoreAccess::Other,
            _ => {}
        }
        self.note_durability();
        Ok(())
    }

    /// Takes over the words of the owner, and logs if they have changed.
    fn note_durability(&mut self) {
        let now = self.owner.durability();
        match (now.reason(), self.durability.reason()) {
            (Some(reason), before) if before != Some(reason) => {
                log::warn!("the history of OOM kills is not durable: {reason}");
            }
            (None, Some(_)) => log::info!("the history of OOM kills is durable again"),
            _ => {}
        }
        self.durability = now.clone();
    }

    /// Keeps a damaged file under another name, because the next save would overwrite it. Leaves the file of a newer
    /// program alone: it holds a history that this program does not understand.
    fn set_aside(&mut self, dir: &Path, error: &LoadError) {
        let path = dir.join(NAME);
        if !matches!(error, LoadError::Format(error) if error.is_newer()) {
            log::warn!("{} is not used: {error}", path.display());
            if let Some(dir) = self.owner.dir()
                && let Err(error) = dir.rename(NAME, DAMAGED)
            {
                log::warn!("{error}");
            }
            return;
        }
        let reason = format!(
            "{} was written by a newer version of this program ({error}): install that version again, or remove the file",
            path.display()
        );
        log::warn!("the history of OOM kills is not durable: {reason}");
        if self.access == StoreAccess::Own {
            self.owner.release();
            self.access = StoreAccess::Closed;
            self.durability = Durability::Memory { since: SystemTime::now(), reason };
        }
    }

    /// Whether the file has to be written although nothing has changed: the directory was removed.
    pub(crate) fn is_removed(&self) -> bool {
        self.access == StoreAccess::Own && !self.owner.dir().is_some_and(StateDir::is_in_place)
    }

    /// Whether another process owned the file and has ended. Then the file has to be loaded again.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.access == StoreAccess::Other && StateDir::open(self.owner.path(), LOCK).is_ok()
    }

    /// Writes the history if this process owns the file. Returns whether it is written, or is not to be written.
    pub(crate) fn save(&mut self, history: &KillHistory) -> bool {
        if self.access != StoreAccess::Own {
            return true;
        }
        let written = match state::encode(history) {
            Ok(text) => self.owner.replace(NAME, &text).is_ok(),
            Err(error) => {
                log::warn!("the history of OOM kills cannot be written as JSON: {error}");
                false
            }
        };
        self.note_durability();
        written
    }
}

fn load(dir: &Path) -> Result<KillHistory, LoadError> {
    match state_files::read(dir, NAME, BYTES_MAX)? {
        Some(text) => Ok(state::decode(&text)?),
        None => Ok(KillHistory::default()),
    }
}

/// Whether a later attempt may succeed without a change of the files.
fn is_momentary(error: &StateError) -> bool {
    let is_short = |error: &io::Error| {
        is_out_of_descriptors(error)
            || matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Interrupted)
    };
    matches!(error, StateError::Io { source, .. } if is_short(source))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::io::Errno;
    use tempfile::TempDir;

    use super::*;

    fn history() -> KillHistory {
        let mut history = KillHistory { reports: 3, ..KillHistory::default() };
        history.enter("b1");
        history
    }

    /// A private directory, as the plugin makes it.
    fn private_dir() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        dir
    }

    fn opened(dir: &Path, read_only: bool) -> (Store, KillHistory) {
        Store::open(dir, read_only).unwrap()
    }

    #[test]
    fn saved_history_is_loaded_again() {
        let dir = private_dir();
        let dir = dir.path().join("new");
        let (mut store, empty) = opened(&dir, false);
        assert_eq!((store.durability().name(), empty), ("durable", KillHistory::default()));
        assert!(store.save(&history()));
        let (mut beside, seen) = opened(&dir, false);
        assert_eq!((beside.durability().name(), seen), ("read-only", history()));
        assert!(beside.save(&KillHistory::default()) && !beside.is_abandoned());
        drop(store);
        assert!(beside.is_abandoned(), "the first process has ended");
        assert_eq!(opened(&dir, false).1, history());
    }

    #[test]
    fn files_are_private_and_links_are_not_followed() {
        let dir = private_dir();
        let state = dir.path().join("state");
        let other = dir.path().join("other");
        fs::write(&other, "of another owner").unwrap();
        let (mut store, _) = opened(&state, false);
        for name in [NAME, "oom.json.new", DAMAGED] {
            let _ = fs::remove_file(state.join(name));
            symlink(&other, state.join(name)).unwrap();
        }
        assert!(store.save(&history()));
        assert_eq!(fs::read_to_string(&other).unwrap(), "of another owner");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode();
        assert_eq!(mode(&state) & 0o7777, 0o750);
        assert_eq!((mode(&state.join(NAME)), mode(&state.join(LOCK))), (0o100_600, 0o100_600));
        drop(store);
        fs::remove_file(state.join(NAME)).unwrap();
        symlink(&other, state.join(NAME)).unwrap();
        assert_eq!(opened(&state, false).1, KillHistory::default());
        assert_eq!(fs::read_to_string(&other).unwrap(), "of another owner");
    }

    #[test]
    fn directory_that_others_can_write_is_refused() {
        let dir = private_dir();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (mut store, _) = opened(dir.path(), false);
        assert!(!store.save(&history()));
        assert!(store.durability().reason().unwrap().contains("writable by other accounts"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn removed_directory_is_created_again_with_the_next_save() {
        let dir = private_dir();
        let state = dir.path().join("state");
        let (mut store, _) = opened(&state, false);
        assert!(store.save(&history()) && !store.is_removed());
        fs::remove_dir_all(&state).unwrap();
        assert!(store.is_removed());
        assert!(store.save(&history()) && !store.is_removed());
        assert_eq!((opened(&state, true).1, store.durability().name()), (history(), "durable"));
    }

    #[test]
    fn state_is_durable_again_when_the_directory_can_be_used_again() {
        let dir = private_dir();
        let state = dir.path().join("state");
        fs::write(&state, "a file in its place").unwrap();
        let (mut store, _) = opened(&state, false);
        assert!(!store.save(&history()));
        assert_eq!(store.durability().name(), "memory");
        assert!(store.durability().reason().unwrap().contains("state"), "{:?}", store.durability());
        fs::remove_file(&state).unwrap();
        assert!(store.save(&history()));
        assert_eq!((opened(&state, true).1, store.durability().name()), (history(), "durable"));
    }

    #[test]
    fn full_disk_is_reported_and_the_old_file_stays() {
        let dir = private_dir();
        let mount = |arguments: &[&str]| {
            let path = dir.path().to_str().unwrap();
            std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(path).status().unwrap()
        };
        let tmpfs = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=750", "tmpfs"];
        assert!(mount(&tmpfs).success(), "this test needs root");
        let (mut store, _) = opened(dir.path(), false);
        assert!(store.save(&history()));
        let filler = fs::write(dir.path().join("filler"), vec![0; 100_000]);
        let is_saved = store.save(&KillHistory { reports: 9, ..history() });
        let seen = opened(dir.path(), true).1;
        let durability = store.durability().clone();
        let names = fs::read_dir(dir.path()).unwrap().count();
        fs::remove_file(dir.path().join("filler")).unwrap();
        let is_saved_later = store.save(&KillHistory { reports: 9, ..history() });
        let later = store.durability().name();
        drop(store);
        assert!(mount(&["umount", "--lazy"]).success());
        assert!(filler.is_err() && !is_saved && seen == history());
        assert!(durability.reason().unwrap().contains("No space left on device"), "{durability:?}");
        assert_eq!(names, 3, "no temporary file is left");
        assert!(is_saved_later && later == "durable");
    }

    #[test]
    fn missing_descriptor_is_not_a_damaged_file() {
        let of = |errno: Errno| StateError::Io { action: "open", path: "x".into(), source: errno.into() };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR] {
            assert!(is_momentary(&of(errno)), "{errno}");
        }
        for error in [of(Errno::ACCESS), of(Errno::ROFS), of(Errno::NOSPC), StateError::InUse("x".into())] {
            assert!(!is_momentary(&error), "{error}");
        }
    }

    #[test]
    fn read_only_store_writes_nothing() {
        let dir = private_dir();
        let (mut store, _) = opened(dir.path(), true);
        store.save(&history());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn damaged_file_costs_a_warning_and_is_set_aside() {
        for bad in
            ["", "{", "\0\0\0\0", r#"{"version":0,"history":{}}"#, r#"{"version":1}"#, r#"{"version":2}"#]
        {
            let dir = private_dir();
            fs::write(dir.path().join(NAME), bad).unwrap();
            let (mut store, loaded) = opened(dir.path(), false);
            assert_eq!(loaded, KillHistory::default(), "{bad}");
            assert_eq!(fs::read(dir.path().join("oom.json.bad")).unwrap(), bad.as_bytes());
            store.save(&history());
            drop(store);
            assert_eq!(opened(dir.path(), false).1, history());
        }
    }

    #[test]
    fn file_of_a_newer_version_is_not_overwritten() {
        let newer = br#"{"version":99,"history":{"a":"b"}}"#;
        let dir = private_dir();
        fs::write(dir.path().join(NAME), newer).unwrap();
        for read_only in [false, true] {
            let (mut store, loaded) = opened(dir.path(), read_only);
            assert_eq!(loaded, KillHistory::default());
            store.save(&history());
            assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), newer);
            assert!(!dir.path().join("oom.json.bad").exists());
            assert_eq!(store.durability().name(), if read_only { "read-only" } else { "memory" });
            let reason = store.durability().reason().unwrap_or_default();
            assert_eq!(
                reason.contains("newer version of this program (its format has version 99"),
                !read_only
            );
        }
    }

    #[test]
    fn version_1_is_replaced_by_the_next_save() {
        let dir = private_dir();
        fs::write(dir.path().join(NAME), include_bytes!("../tests/data/oom-v1.json")).unwrap();
        let (mut store, loaded) = opened(dir.path(), false);
        assert_eq!((loaded.reports, store.durability().name()), (6, "durable"));
        store.save(&loaded);
        drop(store);
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(text.starts_with(r#"{"version":2,"#), "{text}");
        assert_eq!(opened(dir.path(), false).1, loaded);
    }
}
