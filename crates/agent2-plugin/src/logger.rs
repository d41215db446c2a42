//! Sends records of the `log` crate to the agent's log.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::outbox::Outbox;

/// Limit for a message, which the agent writes into one line of its log. Longer ones are truncated.
const MAX_MESSAGE_BYTES: usize = 4096;

/// The logger of the process. It sends to the session that was opened last.
static LOGGER: OnceLock<AgentLog> = OnceLock::new();

#[derive(Default)]
struct AgentLog {
    outbox: RwLock<Weak<Outbox>>,
}

/// Sends all further `log` records to the agent at the other end of `outbox`.
pub(crate) fn log_to(outbox: &Arc<Outbox>, level: LevelFilter) {
    let logger = LOGGER.get_or_init(AgentLog::default);
    *logger.outbox.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(outbox);
    // A plugin that has set its own logger keeps it.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for AgentLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let outbox = self.outbox.read().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(outbox) = outbox {
            outbox.send_log(severity(record.level()), &one_line(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// The agent's numbers; 1 is "critical", which `log` does not know.
fn severity(level: Level) -> u32 {
    match level {
        Level::Error => 2,
        Level::Warn => 3,
        Level::Info => 0,
        Level::Debug => 4,
        Level::Trace => 5,
    }
}

fn one_line(message: &str) -> String {
    let cut = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    message[..cut].trim_end().replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_line_of_limited_length() {
        assert_eq!(one_line("a\nb\r\nc\n"), "a b  c");
        let long = "あ".repeat(MAX_MESSAGE_BYTES);
        assert!(one_line(&long).len() <= MAX_MESSAGE_BYTES);
    }
}
