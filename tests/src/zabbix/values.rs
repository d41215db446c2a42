//! Values sent to a server as an agent's active checks send them, with any time stamp.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Host, Zabbix};
use crate::Error;
use crate::wire::{read_frame, write_frame};

const LIMIT: Duration = Duration::from_secs(60);
/// An agent sends at most this many values at once.
const BATCH: usize = 250;

/// A value of an active check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentValue {
    /// The item's key, with macros as in the template.
    pub key: String,
    /// The value, or the reason why the item is not supported.
    pub value: Result<String, String>,
    /// Its time, in seconds since 1970.
    pub clock: u64,
}

impl Zabbix {
    /// Sends values of a host, oldest first, and returns how many the server accepted. It accepts those of items that its
    /// configuration cache already contains.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or no answer in a minute.
    pub fn send_values(&self, host: &Host, values: &[SentValue]) -> Result<usize, Error> {
        let failed = |source| Error::Exchange { key: "agent data".to_owned(), source };
        values.chunks(BATCH).try_fold(0, |taken, batch| {
            Ok(taken + processed(&self.exchange(&request(host, batch)).map_err(failed)?).map_err(failed)?)
        })
    }

    fn exchange(&self, request: &Value) -> io::Result<Value> {
        let stream = TcpStream::connect_timeout(&self.address(), LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write_frame(&stream, request.to_string().as_bytes())?;
        let body = read_frame(&stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Each batch is a session of its own, so that the server does not take a value for a repetition.
fn request(host: &Host, batch: &[SentValue]) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let session =
        format!("{:016x}{:016x}", begun & u128::from(u64::MAX), NEXT.fetch_add(1, Ordering::Relaxed));
    let data = batch.iter().zip(1_u64..).map(|(sent, id)| {
        let state = u8::from(sent.value.is_err());
        let (Ok(value) | Err(value)) = &sent.value;
        json!({"id": id, "host": host.name, "key": sent.key, "value": value, "state": state,
            "clock": sent.clock, "ns": 0})
    });
    // If the host stood beside the data, items would have to be named by number.
    json!({"request": "agent data", "session": session, "data": data.collect::<Vec<_>>()})
}

/// `processed: 2; failed: 0; total: 2; seconds spent: 0.000031`
fn processed(answer: &Value) -> io::Result<usize> {
    let info = answer["info"].as_str().unwrap_or_default();
    let number = info.strip_prefix("processed: ").and_then(|rest| rest.split(';').next());
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer.to_string()))
}
