//! The exporter: polls of an agent or of the command line, passed to the handler of their key.

use agent2_plugin::{Context, Exporter, ItemError, OptionError, Plugin, Reply, Request};

use crate::config::Options;
use crate::error_text;
use crate::keys::{KEYS, find_key};
use crate::purpose::Purpose;
use crate::state::PluginState;

/// The plugin as an agent or the command line uses it.
pub struct OomWatch {
    state: PluginState,
}

/// The plugin's name, as in `Plugins.OomWatch.System.Path`.
pub(crate) const NAME: &str = "OomWatch";

/// Returns the plugin with its metrics, which are the keys of the table. Handlers run in a worker process.
#[must_use]
pub fn plugin() -> Plugin {
    KEYS.iter().fold(Plugin::new(NAME).supervised(), |plugin, key| plugin.metric(key.name, key.summary))
}

impl OomWatch {
    /// Returns an exporter for the command line: no position moves, nothing is written.
    ///
    /// # Errors
    /// If an option is wrong or `/proc` cannot be opened.
    pub(crate) fn read_only(options: &Options) -> Result<Self, ItemError> {
        let state = PluginState::new(options, Purpose::ReadOnly, Context::default())?;
        Ok(Self { state })
    }

    pub(crate) fn state(&self) -> &PluginState {
        &self.state
    }

    fn answer(&self, request: &Request) -> Result<Reply, ItemError> {
        let key = find_key(request.key())
            .ok_or_else(|| ItemError::new(format!("OomWatch has no key {}", request.key())))?;
        (key.handler)(&self.state, key.arguments(request)?)
    }
}

impl Exporter for OomWatch {
    type Options = Options;

    fn validate(options: &Options) -> Result<(), OptionError> {
        options.check().map(drop)
    }

    fn configure(options: Options, context: Context) -> Result<Self, ItemError> {
        let state = PluginState::new(&options, Purpose::from_agent(&context), context)?;
        Ok(Self { state })
    }

    /// Acknowledges open values: an agent that sends *terminate* has sent its values or keeps them.
    fn stop(&self) {
        self.state.logs.settle();
    }

    /// Every error of a handler passes through here, so that its text is short and visible.
    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        self.answer(request)
            .map_err(|error| ItemError::new(error_text::shortened(&error.to_string(), request.parameters())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_accept_every_key() {
        assert_eq!(plugin().check(), Ok(()));
    }
}
