//! Name, metrics and limits of a plugin.

use log::LevelFilter;

use crate::message::Outgoing;
use crate::threads::Limits;

/// Limit of the agents' frames: they panic at 2^31 bytes.
pub(crate) const REPLY_BYTES_MAX: usize = 1 << 30;

const EXPORTER: u32 = 1;
const CONFIGURATOR: u32 = 2;
const RUNNER: u32 = 4;

/// Name, metrics and limits, which the session reads.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) limits: Limits,
    pub(crate) max_request_bytes: u32,
    pub(crate) max_reply_bytes: usize,
    pub(crate) log_level: LevelFilter,
    /// Limit for the private memory of the worker, in bytes. `None`: the plugin runs without a supervisor.
    pub(crate) worker_memory: Option<u64>,
}

impl Settings {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            metrics: Vec::new(),
            limits: Limits::default(),
            max_request_bytes: 16 * 1024 * 1024,
            max_reply_bytes: 16 * 1024 * 1024,
            log_level: LevelFilter::Info,
            worker_memory: None,
        }
    }

    /// Returns the response to *register*.
    pub(crate) fn registered<'m>(&'m self, id: u32, error: Option<&'m str>) -> Outgoing<'m> {
        let metrics = self.metrics.iter();
        let metrics = metrics.flat_map(|metric| [metric.key.as_str(), metric.description.as_str()]).collect();
        let interfaces = EXPORTER | CONFIGURATOR | RUNNER;
        Outgoing::Registered { id, name: &self.name, metrics, interfaces, error }
    }

    /// Checks for metrics that agents do not accept.
    pub(crate) fn check(&self) -> Result<(), MetricError> {
        for (index, metric) in self.metrics.iter().enumerate() {
            metric.check()?;
            if self.metrics[..index].iter().any(|other| other.key == metric.key) {
                return Err(MetricError::Twice(metric.key.clone()));
            }
        }
        Ok(())
    }
}

/// An item key with the description that the agent shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) key: String,
    pub(crate) description: String,
}

/// The reason why a plugin cannot be registered. With such a plugin an agent 6.0 panics and an agent 7.0 hangs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Keys consist of letters, digits, `_`, `-` and `.`.
    #[error("metric key `{0}` is not made of letters, digits, `_`, `-` and `.`")]
    Key(String),
    /// Two metrics have the same key.
    #[error("metric key `{0}` is given twice")]
    Twice(String),
    /// Agents require a capital at the beginning and a full stop at the end.
    #[error("the description of metric `{0}` does not begin with a capital and end with a full stop")]
    Description(String),
}

impl Metric {
    fn check(&self) -> Result<(), MetricError> {
        let is_key_character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.key.is_empty() || !self.key.chars().all(is_key_character) {
            return Err(MetricError::Key(self.key.clone()));
        }
        if !self.description.starts_with(char::is_uppercase) || !self.description.ends_with('.') {
            return Err(MetricError::Description(self.key.clone()));
        }
        Ok(())
    }
}
