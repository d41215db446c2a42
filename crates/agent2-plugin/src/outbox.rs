//! Queue of outgoing frames: whole frames, replies before log lines, and delivery callbacks.
//!
//! Without a supervisor a reply counts as delivered when it was written before its deadline. A supervisor reports each
//! delivery, because only it sees when the agent has read the reply.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::export::{Delivery, Reply, Request};
use crate::frame;
use crate::guard::guarded;
use crate::link::{self, ReplyHead};
use crate::message::Outgoing;
use crate::stats::Stats;

/// Frames are written together up to about this size, with one system call for many small replies.
const BATCH_BYTES: usize = 64 * 1024;
/// Error of a poll whose value must not get lost, if the agent may have given up the poll.
const UNKNOWN_AGE: &str = "the plugin was stopped, so this poll may be older than its timeout; the value follows with the next poll";
/// Limit for queued log lines. Further lines are dropped and counted, so that no worker waits for the log.
const MAX_LOG_LINES: usize = 256;

/// The process at the other end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Agent,
    Supervisor,
}

/// Frames that are queued for the agent.
pub(crate) struct Outbox {
    peer: Peer,
    queue: Mutex<Queue>,
    /// Written replies whose delivery the supervisor has not reported yet.
    unconfirmed: Mutex<HashMap<u32, Receipt>>,
    ready: Condvar,
    idle: Condvar,
    max_reply_bytes: usize,
    stats: Arc<Stats>,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Letter>,
    log_lines: VecDeque<Vec<u8>>,
    log_lines_dropped: u64,
    /// Deliveries that the supervisor reported, for the writer's thread to settle.
    confirmed: Vec<(Receipt, Delivery)>,
    is_writing: bool,
    is_closed: bool,
}

/// A message, and for a reply what its delivery needs.
struct Letter {
    json: Vec<u8>,
    reply: Option<ReplyParts>,
}

struct ReplyParts {
    id: u32,
    is_value: bool,
    receipt: Option<Receipt>,
}

impl ReplyParts {
    fn head(&self) -> ReplyHead {
        ReplyHead { id: self.id, wants_delivery: self.receipt.is_some(), is_value: self.is_value }
    }
}

struct Receipt {
    deadline: Instant,
    callback: Box<dyn FnOnce(Delivery) + Send>,
}

impl Receipt {
    fn settle(self, delivery: Delivery, stats: &Stats) {
        let callback = self.callback;
        if guarded(stats, || callback(delivery)).is_err() {
            log::error!("a delivery callback panicked");
        }
    }
}

impl Outbox {
    pub(crate) fn new(peer: Peer, max_reply_bytes: usize, stats: Arc<Stats>) -> Self {
        let (ready, idle) = (Condvar::new(), Condvar::new());
        let (queue, unconfirmed) = (Mutex::default(), Mutex::default());
        Self { peer, queue, unconfirmed, ready, idle, max_reply_bytes, stats }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unconfirmed(&self) -> MutexGuard<'_, HashMap<u32, Receipt>> {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message that is neither a reply to a poll nor a log line.
    pub(crate) fn send(&self, message: &Outgoing<'_>) {
        self.push(Letter { json: message.to_json(), reply: None });
    }

    pub(crate) fn send_error(&self, id: u32, error: &str) {
        self.stats.count_export(true);
        let json = Outgoing::Exported { id, answer: Err(error) }.to_json();
        self.push(Letter { json, reply: Some(ReplyParts { id, is_value: false, receipt: None }) });
    }

    /// Queues the reply to a poll. Its callback runs after the delivery, or when the reply is lost.
    pub(crate) fn send_reply(&self, id: u32, request: &Request, reply: Reply) {
        let (value, callback) = reply.into_parts();
        let receipt = callback.map(|callback| Receipt { deadline: request.deadline(), callback });
        let json = Outgoing::Exported { id, answer: Ok(value.as_deref()) }.to_json();
        if let Err(error) = self.check_reply(&json, value.as_deref(), receipt.is_some(), request) {
            self.send_error(id, &error);
            if let Some(receipt) = receipt {
                receipt.settle(Delivery::Lost, &self.stats);
            }
            return;
        }
        self.stats.count_export(false);
        self.push(Letter { json, reply: Some(ReplyParts { id, is_value: true, receipt }) });
    }

    fn check_reply(
        &self,
        json: &[u8],
        value: Option<&str>,
        has_receipt: bool,
        request: &Request,
    ) -> Result<(), String> {
        if json.len() > self.max_reply_bytes {
            return Err(too_large(value.map_or(0, str::len), self.max_reply_bytes));
        }
        // The agent may have given up already, and a lost value of this kind would not come again.
        if has_receipt && !request.is_age_known() {
            return Err(UNKNOWN_AGE.to_owned());
        }
        Ok(())
    }

    /// Has the writer settle a reply whose delivery the supervisor reports.
    pub(crate) fn confirm(&self, id: u32, delivery: Delivery) {
        let receipt = self.unconfirmed().remove(&id);
        if let Some(receipt) = receipt {
            self.lock().confirmed.push((receipt, delivery));
            self.ready.notify_one();
        }
    }

    /// Queues a log line without waiting. If the queue is full, drops and counts it.
    pub(crate) fn send_log(&self, severity: u32, message: &str) {
        let json = Outgoing::Log { severity, message }.to_json();
        let mut queue = self.lock();
        if queue.log_lines.len() >= MAX_LOG_LINES {
            queue.log_lines_dropped += 1;
            self.stats.count_dropped_log_line();
            return;
        }
        queue.log_lines.push_back(json);
        self.ready.notify_one();
    }

    fn push(&self, letter: Letter) {
        self.lock().letters.push_back(letter);
        self.ready.notify_one();
    }

    /// Ends the writer when all queued frames are written.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_all();
    }

    /// Waits until all queued frames are written, but no longer than `limit`, because the agent may have stopped reading.
    pub(crate) fn flush(&self, limit: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.is_empty();
        drop(self.idle.wait_timeout_while(self.lock(), limit, is_busy));
    }

    /// Writes frames until the outbox is closed and empty.
    ///
    /// # Errors
    /// The agent no longer reads frames. Unwritten replies are reported as lost.
    pub(crate) fn write_to(&self, stream: &mut impl Write) -> io::Result<()> {
        while let Some(batch) = self.next_batch() {
            self.write(batch, stream)?;
        }
        Ok(())
    }

    /// Writes the queued frames and returns, for use if no writer thread can be started.
    ///
    /// # Errors
    /// As [`Outbox::write_to`].
    pub(crate) fn write_queued(&self, stream: &mut impl Write) -> io::Result<()> {
        loop {
            let Some(batch) = self.lock().next_batch(self.peer, &self.stats) else { return Ok(()) };
            self.write(batch, stream)?;
        }
    }

    fn write(&self, batch: Batch, stream: &mut impl Write) -> io::Result<()> {
        for (receipt, delivery) in batch.confirmed {
            receipt.settle(delivery, &self.stats);
        }
        let receipts = match self.peer {
            Peer::Agent => batch.receipts,
            Peer::Supervisor => {
                // Kept before the write, because the supervisor's report can follow at once.
                self.unconfirmed().extend(batch.receipts);
                Vec::new()
            }
        };
        let written = stream.write_all(&batch.bytes);
        for (_, receipt) in receipts {
            let in_time = written.is_ok() && Instant::now() <= receipt.deadline;
            receipt.settle(if in_time { Delivery::Written } else { Delivery::Lost }, &self.stats);
        }
        if written.is_err() {
            self.give_up();
        }
        self.lock().is_writing = false;
        self.idle.notify_all();
        written
    }

    /// Reports all queued replies as lost.
    fn give_up(&self) {
        let letters = {
            let mut queue = self.lock();
            queue.is_closed = true;
            queue.log_lines.clear();
            std::mem::take(&mut queue.letters)
        };
        let queued = letters.into_iter().filter_map(|letter| letter.reply?.receipt);
        let unconfirmed = std::mem::take(&mut *self.unconfirmed());
        for receipt in queued.chain(unconfirmed.into_values()) {
            receipt.settle(Delivery::Lost, &self.stats);
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let is_waiting = |queue: &mut Queue| !queue.is_closed && queue.is_empty();
        let waited = self.ready.wait_while(self.lock(), is_waiting);
        waited.unwrap_or_else(PoisonError::into_inner).next_batch(self.peer, &self.stats)
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.log_lines.is_empty() && self.confirmed.is_empty()
    }

    fn next_batch(&mut self, peer: Peer, stats: &Stats) -> Option<Batch> {
        let mut batch = Batch { confirmed: std::mem::take(&mut self.confirmed), ..Batch::default() };
        while batch.bytes.len() < BATCH_BYTES
            && let Some(letter) = self.next_letter()
        {
            batch.add(letter, peer, stats);
        }
        self.is_writing = !batch.bytes.is_empty() || !batch.confirmed.is_empty();
        self.is_writing.then_some(batch)
    }

    fn next_letter(&mut self) -> Option<Letter> {
        self.letters.pop_front().or_else(|| self.next_log_line().map(|json| Letter { json, reply: None }))
    }

    fn next_log_line(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.log_lines.pop_front() {
            return Some(line);
        }
        let dropped = std::mem::take(&mut self.log_lines_dropped);
        let message =
            format!("{dropped} log lines of the plugin were dropped: they came faster than the agent reads");
        (dropped > 0).then(|| Outgoing::Log { severity: 3, message: &message }.to_json())
    }
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    receipts: Vec<(u32, Receipt)>,
    confirmed: Vec<(Receipt, Delivery)>,
}

impl Batch {
    fn add(&mut self, letter: Letter, peer: Peer, stats: &Stats) {
        match letter.reply {
            Some(reply) => self.add_reply(letter.json, reply, peer, stats),
            None => frame::append(&mut self.bytes, &letter.json),
        }
    }

    /// Replaces a reply that became late in the queue by an error, because the agent would not accept it.
    fn add_reply(&mut self, mut json: Vec<u8>, mut reply: ReplyParts, peer: Peer, stats: &Stats) {
        if let Some(late) = reply.receipt.take_if(|receipt| receipt.deadline < Instant::now()) {
            late.settle(Delivery::Lost, stats);
            let error = "the reply was ready only after the deadline";
            json = Outgoing::Exported { id: reply.id, answer: Err(error) }.to_json();
            reply.is_value = false;
        }
        match peer {
            Peer::Agent => frame::append(&mut self.bytes, &json),
            Peer::Supervisor => link::append_reply(&mut self.bytes, reply.head(), &json),
        }
        self.receipts.extend(reply.receipt.map(|receipt| (reply.id, receipt)));
    }
}

fn too_large(bytes: usize, limit: usize) -> String {
    format!("the value of {bytes} bytes does not fit into one reply of at most {limit} bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const ALL: frame::Accepted = frame::Accepted { last_type: frame::TYPE_JSON, max_bytes: u32::MAX };

    fn outbox(max_reply_bytes: usize) -> Outbox {
        Outbox::new(Peer::Agent, max_reply_bytes, Arc::default())
    }

    fn written(outbox: &Outbox) -> Vec<serde_json::Value> {
        let mut bytes = Vec::new();
        outbox.close();
        outbox.write_to(&mut bytes).unwrap();
        let mut stream = bytes.as_slice();
        let mut messages = Vec::new();
        while let frame::Frame::Whole { body, .. } = frame::read(&mut stream, ALL).unwrap() {
            messages.push(serde_json::from_slice(&body).unwrap());
        }
        messages
    }

    fn soon() -> Request {
        Request::new("x", &[], Duration::from_secs(60))
    }

    #[test]
    fn replies_go_before_log_lines() {
        let outbox = outbox(1000);
        outbox.send_log(0, "first");
        outbox.send_reply(5, &soon(), Reply::value("x"));
        let types: Vec<_> = written(&outbox).iter().map(|message| message["type"].clone()).collect();
        assert_eq!(types, [7, 1]);
    }

    #[test]
    fn reply_beyond_the_limit_becomes_an_error_and_is_lost() {
        let outbox = outbox(100);
        let (sender, receiver) = mpsc::channel();
        let reply = Reply::value("x".repeat(500)).on_delivery(move |delivery| sender.send(delivery).unwrap());
        outbox.send_reply(5, &soon(), reply);
        assert_eq!(receiver.try_recv(), Ok(Delivery::Lost));
        let error = written(&outbox)[0]["error"].as_str().unwrap().to_owned();
        assert_eq!(error, "the value of 500 bytes does not fit into one reply of at most 100 bytes");
    }

    #[test]
    fn reply_of_exactly_the_limit_is_sent() {
        let json = Outgoing::Exported { id: 5, answer: Ok(Some("x")) }.to_json();
        for (limit, is_error) in [(json.len(), false), (json.len() - 1, true)] {
            let outbox = outbox(limit);
            outbox.send_reply(5, &soon(), Reply::value("x"));
            assert_eq!(written(&outbox)[0].get("error").is_some(), is_error);
        }
    }

    #[test]
    fn callback_runs_after_the_write_and_not_before() {
        let outbox = outbox(1000);
        let (sender, receiver) = mpsc::channel();
        outbox.send_reply(5, &soon(), Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
        assert!(receiver.try_recv().is_err());
        assert_eq!(written(&outbox)[0]["value"], "x");
        assert_eq!(receiver.try_recv(), Ok(Delivery::Written));
    }

    #[test]
    fn reply_that_became_late_in_the_queue_is_lost_and_not_written() {
        let outbox = outbox(1000);
        let (sender, receiver) = mpsc::channel();
        let past = Request::new("x", &[], Duration::ZERO);
        outbox.send_reply(5, &past, Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
        let messages = written(&outbox);
        assert_eq!(messages[0].get("value"), None);
        assert_eq!(messages[0]["error"], "the reply was ready only after the deadline");
        assert_eq!(receiver.try_recv(), Ok(Delivery::Lost));
    }

    #[test]
    fn reply_is_lost_if_the_stream_breaks() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let outbox = outbox(1000);
        let (sender, receiver) = mpsc::channel();
        outbox.send_reply(5, &soon(), Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
        assert!(outbox.write_to(&mut Broken).is_err());
        assert_eq!(receiver.try_recv(), Ok(Delivery::Lost));
    }

    #[test]
    fn log_lines_beyond_the_limit_are_dropped_and_counted() {
        let outbox = outbox(1000);
        for line in 0..MAX_LOG_LINES + 7 {
            outbox.send_log(0, &line.to_string());
        }
        assert_eq!(outbox.stats.log_lines_dropped(), 7);
        let messages = written(&outbox);
        assert_eq!(messages.len(), MAX_LOG_LINES + 1);
        let last = messages.last().unwrap()["message"].as_str().unwrap();
        assert!(last.starts_with("7 log lines"), "{last}");
    }

    #[test]
    fn panic_in_a_callback_does_not_end_the_writer() {
        let outbox = outbox(1000);
        outbox.send_reply(1, &soon(), Reply::value("a").on_delivery(|_| panic!("in a callback")));
        outbox.send_reply(2, &soon(), Reply::value("b"));
        assert_eq!(written(&outbox).len(), 2);
        assert_eq!(outbox.stats.panics(), 1);
    }
}
