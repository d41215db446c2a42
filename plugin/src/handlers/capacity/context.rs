//! The context that the readers of all servers share.

use std::path::Path;

use agent2_plugin::{ItemError, Request};
use pool_capacity::{Reading, ServerProcess, TrustedFiles};

use super::processes::Running;
use crate::state::PluginState;

/// The plugin's state, the poll, and the processes and files that count for a kind of server.
pub(super) struct Context<'a> {
    pub(super) plugin: &'a PluginState,
    pub(super) request: &'a Request,
    pub(super) running: Running,
    /// The servers' main processes and their children.
    pub(super) processes: Vec<ServerProcess>,
    pub(super) trusted: &'a TrustedFiles,
    /// The same files with the poll's budget.
    pub(super) files: Reading<'a>,
}

impl Context<'_> {
    /// Checks a main configuration file.
    ///
    /// # Errors
    ///
    /// Returns an error if an ordinary user may change the file and the operator has not named it.
    pub(super) fn require_trusted(&self, path: &Path) -> Result<(), ItemError> {
        let advice = |fault| ItemError::new(format!("{fault}: name the file in the item to read it"));
        self.trusted.check(path).map_err(advice)
    }
}
