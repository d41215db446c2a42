//! When the history is written.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::history::KillHistory;
use crate::store::{Persistence, Store};

/// New positions alone are written this often: what is read again merges with the records.
const SAVE_POSITIONS_EVERY: Duration = Duration::from_secs(60);

/// Writes the history if it has changed.
#[derive(Debug)]
pub(crate) struct Saver {
    store: Store,
    saved: KillHistory,
    saved_at: Option<Instant>,
}

impl Saver {
    /// Opens the store and loads the history.
    pub(crate) fn open(state_dir: &Path, read_only: bool) -> (Self, KillHistory) {
        let (store, history) = Store::open(state_dir, read_only);
        (Self { store, saved: history.clone(), saved_at: None }, history)
    }

    pub(crate) fn persistence(&self) -> &Persistence {
        self.store.persistence()
    }

    /// Writes new kills at once, and new positions once a minute.
    pub(crate) fn save(&mut self, history: &KillHistory) {
        let is_due = self.saved_at.is_none_or(|at| at.elapsed() >= SAVE_POSITIONS_EVERY);
        let has_kills = history.total() != self.saved.total()
            || history.reports != self.saved.reports
            || history.services != self.saved.services;
        if !(is_due || has_kills) || *history == self.saved {
            return;
        }
        self.saved_at = Some(Instant::now());
        match self.store.save(history) {
            Ok(()) => self.saved = history.clone(),
            Err(error) => log::warn!("cannot save the history of OOM kills: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_saved_at_once_and_positions_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let (mut saver, mut history) = Saver::open(dir.path(), false);
        let saved = || Store::open(dir.path(), true).1;
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
}
