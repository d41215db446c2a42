use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::wire::{read_frame, write_frame};

const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// An active check.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// The item's key.
    pub key: String,
    /// The number under which the agent sends its values.
    pub itemid: u64,
    /// The update interval, as a server writes it: `1s`.
    pub delay: String,
    /// The position of a log item, in bytes.
    pub lastlogsize: u64,
    /// The modification time up to which a log item was read, in seconds since 1970.
    pub mtime: i64,
    /// The item's own timeout; only 7.0 agents use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl Item {
    /// An item that is polled every second and has no log position yet.
    #[must_use]
    pub fn new(itemid: u64, key: impl Into<String>) -> Self {
        Self { key: key.into(), itemid, delay: "1s".into(), lastlogsize: 0, mtime: 0, timeout: None }
    }
}

/// A value as an agent sent it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct Received {
    /// The agent's number of the value, which grows within its session.
    pub id: u64,
    /// The item.
    pub itemid: u64,
    /// The value, or the reason why the item is not supported. Absent if the agent only sent a log position.
    pub value: Option<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub clock: u64,
    /// Nanoseconds of that second.
    #[serde(default)]
    pub ns: u32,
    /// 1 if the item is not supported.
    #[serde(default)]
    pub state: u8,
    /// The position of a log item, in bytes.
    pub lastlogsize: Option<u64>,
    /// The modification time of a log item's file.
    pub mtime: Option<i64>,
}

#[derive(Deserialize)]
struct Request {
    request: String,
    #[serde(default)]
    session: String,
    #[serde(default)]
    data: Vec<Received>,
}

/// A replacement for a Zabbix server's active checks: sends items, receives values, can disappear and return.
///
/// It accepts every value once, as a real server does: an agent without an answer sends the values again, and values
/// with an id that the session has already passed are dropped. It has no database, so it does not show how a real
/// server stores values.
#[derive(Debug)]
pub struct ActiveServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
    gone: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    revision: u64,
    values: Vec<Received>,
    newest: HashMap<String, u64>,
    heartbeats: usize,
}

impl ActiveServer {
    /// Starts a server with these items on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free.
    pub fn start(items: Vec<Item>) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::file("127.0.0.1"))?;
        let address = listener.local_addr().map_err(Error::file("127.0.0.1"))?;
        let shared = Arc::<Shared>::default();
        let mut server = Self { address, shared, listener: None };
        server.set_items(items);
        server.listen(listener);
        Ok(server)
    }

    /// Its address, valid also while the port is closed.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends other items from the agent's next request on.
    pub fn set_items(&self, items: Vec<Item>) {
        let mut state = self.shared.state();
        state.items = items;
        state.revision += 1;
    }

    /// Closes the port: agents are refused.
    pub fn go_away(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        // The listener waits in accept(); a connection from here wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }

    /// Opens the same port again.
    ///
    /// # Errors
    ///
    /// Returns an error if another process has taken the port.
    pub fn come_back(&mut self) -> Result<(), Error> {
        self.go_away();
        let listener = TcpListener::bind(self.address).map_err(Error::file(self.address.to_string()))?;
        self.listen(listener);
        Ok(())
    }

    /// The number of heartbeats so far (agents from 6.4 on).
    #[must_use]
    pub fn heartbeats(&self) -> usize {
        self.shared.state().heartbeats
    }

    /// All values so far, in the order of arrival.
    #[must_use]
    pub fn values(&self) -> Vec<Received> {
        self.shared.state().values.clone()
    }

    /// The values of one item so far, without rows that only contain a log position.
    #[must_use]
    pub fn values_of(&self, itemid: u64) -> Vec<String> {
        let state = self.shared.state();
        state.values.iter().filter(|row| row.itemid == itemid).filter_map(|row| row.value.clone()).collect()
    }

    /// Waits until `enough` accepts the received values, and returns whether that happened within `limit`. `enough` gets
    /// all values so far and is called once per delivery.
    #[must_use]
    pub fn wait_for(&self, limit: Duration, mut enough: impl FnMut(&[Received]) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            if enough(&state.values) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.news.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn listen(&mut self, listener: TcpListener) {
        self.shared.gone.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        self.listener = Some(thread::spawn(move || accept(&listener, &shared)));
    }
}

impl Drop for ActiveServer {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.gone.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // An agent that breaks the connection will connect again.
        thread::spawn(move || shared.serve(&stream).unwrap_or_default());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(EXCHANGE_LIMIT))?;
        stream.set_write_timeout(Some(EXCHANGE_LIMIT))?;
        let Some(body) = read_frame(stream)? else { return Ok(()) };
        let request: Request = serde_json::from_slice(&body)?;
        let reply = self.answer(request);
        write_frame(stream, reply.to_string().as_bytes())
    }

    fn answer(&self, request: Request) -> serde_json::Value {
        match request.request.as_str() {
            "active checks" => self.checks(),
            "agent data" => self.take(&request.session, request.data),
            "active check heartbeat" => self.heartbeat(),
            other => json!({"response": "failed", "info": format!("unknown request {other}")}),
        }
    }

    fn checks(&self) -> serde_json::Value {
        let state = self.state();
        json!({"response": "success", "config_revision": state.revision, "data": state.items})
    }

    fn take(&self, session: &str, rows: Vec<Received>) -> serde_json::Value {
        let total = rows.len();
        let mut state = self.state();
        let newest = state.newest.get(session).copied().unwrap_or(0);
        state.newest.insert(session.to_owned(), rows.iter().map(|row| row.id).max().unwrap_or(0).max(newest));
        state.values.extend(rows.into_iter().filter(|row| row.id > newest));
        self.news.notify_all();
        let info = format!("processed: {total}; failed: 0; total: {total}; seconds spent: 0.001");
        json!({"response": "success", "info": info})
    }

    fn heartbeat(&self) -> serde_json::Value {
        self.state().heartbeats += 1;
        json!({"response": "success"})
    }
}
