//! Counts of what a session did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the process started, for a plugin's item about itself.
#[derive(Debug, Default)]
pub struct Stats {
    exports: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
    panics: AtomicU64,
    hanging: AtomicU64,
    log_lines_dropped: AtomicU64,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident),*) => {
        impl Stats {
            $($(#[$doc])*
            #[must_use]
            pub fn $field(&self) -> u64 {
                self.$field.load(Relaxed)
            })*
        }
    };
}

counts! {
    /// Polls that were answered, in whatever way.
    exports,
    /// Polls that were answered with an error, late ones and panics among them.
    errors,
    /// Polls whose handler was late, so that an error was answered for it.
    timeouts,
    /// Panics that were caught.
    panics,
    /// Handlers that are past their deadline and still running, now.
    hanging,
    /// Log lines that were dropped because the agent did not take them fast enough.
    log_lines_dropped
}

impl Stats {
    pub(crate) fn count_export(&self, is_error: bool) {
        self.exports.fetch_add(1, Relaxed);
        if is_error {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_timeout(&self) {
        self.timeouts.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_hanging(&self, handlers: usize) {
        self.hanging.store(handlers as u64, Relaxed);
    }

    pub(crate) fn count_dropped_log_line(&self) {
        self.log_lines_dropped.fetch_add(1, Relaxed);
    }
}
