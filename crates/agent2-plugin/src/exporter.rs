//! The trait that a plugin implements.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::export::{ItemError, Reply, Request};
use crate::options::OptionError;
use crate::stats::Stats;
use crate::supervision::Supervision;
use crate::timeout::DEFAULT_TIMEOUT;

/// The implementation of a plugin: its options and its items.
///
/// One value lives from the agent's *configure* to its *terminate*. Several threads call [`Exporter::export`] at once.
pub trait Exporter: Send + Sync + Sized + 'static {
    /// The options below `Plugins.<Name>`; `serde::de::IgnoredAny` for a plugin without any.
    type Options: DeserializeOwned;

    /// Checks options when the agent starts, after their types. An error stops the start of the agent.
    ///
    /// This runs in a separate process while another may be serving already, so it must not change any state.
    ///
    /// # Errors
    /// A text for the administrator.
    fn validate(_options: &Self::Options) -> Result<(), OptionError> {
        Ok(())
    }

    /// Creates the exporter. If this fails, every item is *not supported* with the error's text.
    ///
    /// # Errors
    /// A text for the administrator.
    fn configure(options: Self::Options, context: Context) -> Result<Self, ItemError>;

    /// Called once before the first export.
    fn start(&self) {}

    /// Called when the agent sends *terminate*; it must return within about two seconds. Not called if the agent is gone
    /// without *terminate*: an agent that was killed may have lost the last replies.
    fn stop(&self) {}

    /// Returns the value of one item for one poll.
    ///
    /// # Errors
    /// The item becomes *not supported* with the error's text.
    fn export(&self, request: &Request) -> Result<Reply, ItemError>;
}

/// Settings of the agent, and counters of the session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// The agent's own `Timeout`.
    pub timeout: Duration,
    /// The agent's `SourceIP`; empty if it is not set.
    pub source_ip: String,
    /// Counters of the session.
    pub stats: Arc<Stats>,
    /// The supervisor's report, if the plugin has one ([`Plugin::supervised`](crate::Plugin::supervised)).
    pub supervision: Option<Supervision>,
}

impl Default for Context {
    /// The context of an exporter that serves no agent, such as that of a command line tool.
    fn default() -> Self {
        Self { timeout: DEFAULT_TIMEOUT, source_ip: String::new(), stats: Arc::default(), supervision: None }
    }
}
