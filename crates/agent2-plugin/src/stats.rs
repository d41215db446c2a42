//! Counters of a session.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the process started, for an item about the plugin itself.
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
    /// Polls with a reply, errors included.
    exports,
    /// Polls with an error, late handlers and panics included.
    errors,
    /// Polls with an error because their handler was late.
    timeouts,
    /// Caught panics.
    panics,
    /// Handlers that are now running past their deadline.
    hanging,
    /// Log lines dropped because the agent did not read them fast enough.
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
