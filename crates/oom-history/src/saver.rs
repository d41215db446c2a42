//! When the history is written.

use std::path::Path;
use std::time::{Duration, Instant};

use state_files::{Durability, StateError};

use crate::history::KillHistory;
use crate::store::Store;

/// New positions alone are written this often: what is read again merges with the records.
const SAVE_POSITIONS_EVERY: Duration = Duration::from_secs(60);
/// A directory that could not be written is tried this often.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Writes the history if it has changed.
#[derive(Debug)]
pub(crate) struct Saver {
    store: Store,
    saved: KillHistory,
    tried_at: Option<Instant>,
}

impl Saver {
    /// Opens the store and loads the history.
    ///
    /// # Errors
    /// If the file cannot be read for a moment.
    pub(crate) fn open(state_dir: &Path, read_only: bool) -> Result<(Self, KillHistory), StateError> {
        let (store, history) = Store::open(state_dir, read_only)?;
        Ok((Self { store, saved: history.clone(), tried_at: None }, history))
    }

    pub(crate) fn durability(&self) -> &Durability {
        self.store.durability()
    }

    /// Whether another process owned the file and has ended.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.store.is_abandoned()
    }

    /// Writes new kills at once, and new positions once a minute. Writes all again if the directory was removed.
    pub(crate) fn save(&mut self, history: &KillHistory) {
        let is_failing = self.durability().reason().is_some();
        let every = if is_failing { RETRY_EVERY } else { SAVE_POSITIONS_EVERY };
        let is_due = self.tried_at.is_none_or(|at| at.elapsed() >= every);
        let has_kills = history.total() != self.saved.total()
            || history.reports != self.saved.reports
            || history.services != self.saved.services;
        let is_wanted = if is_failing { is_due } else { is_due || has_kills };
        let is_new = is_wanted && (is_failing || *history != self.saved);
        if !is_new && (is_failing || !self.store.is_removed()) {
            return;
        }
        self.tried_at = Some(Instant::now());
        if self.store.save(history) {
            self.saved = history.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_saved_at_once_and_positions_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let (mut saver, mut history) = Saver::open(dir.path(), false).unwrap();
        let saved = || Store::open(dir.path(), true).unwrap().1;
        history.positions.kmsg = Some(1);
        saver.save(&history);
        assert_eq!(saved(), history, "the first save is due");
        let before = history.clone();
        history.positions.kmsg = Some(2);
        saver.save(&history);
        assert_eq!(saved(), before);
        history.reports += 1;
        saver.save(&history);
        assert_eq!(saved(), history);
        history.services.total += 1;
        saver.save(&history);
        assert_eq!(saved(), history);
        history.this_boot().kernel = Some(1);
        saver.save(&history);
        assert_eq!(saved(), history);
    }

    #[test]
    fn removed_directory_is_written_without_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let (mut saver, mut history) = Saver::open(&state, false).unwrap();
        history.reports = 7;
        saver.save(&history);
        std::fs::remove_dir_all(&state).unwrap();
        saver.save(&history);
        assert_eq!(Store::open(&state, true).unwrap().1, history);
    }
}
