//! Queue of outgoing frames: whole frames, replies before log lines, and delivery callbacks.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::export::{Delivery, Reply};
use crate::frame;
use crate::guard::guarded;
use crate::message::Outgoing;
use crate::stats::Stats;

/// Frames are written together up to about this size, with one system call for many small replies.
const BATCH_BYTES: usize = 64 * 1024;
/// Limit for queued log lines. Further lines are dropped and counted, so that no worker waits for the log.
const MAX_LOG_LINES: usize = 256;

/// Frames that are queued for the agent.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
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
    is_writing: bool,
    is_closed: bool,
}

/// A message with its delivery callback.
struct Letter {
    json: Vec<u8>,
    receipt: Option<Receipt>,
}

struct Receipt {
    id: u32,
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
    pub(crate) fn new(max_reply_bytes: usize, stats: Arc<Stats>) -> Self {
        let (ready, idle) = (Condvar::new(), Condvar::new());
        Self { queue: Mutex::default(), ready, idle, max_reply_bytes, stats }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message that is neither a reply to a poll nor a log line.
    pub(crate) fn send(&self, message: &Outgoing<'_>) {
        self.push(Letter { json: message.to_json(), receipt: None });
    }

    pub(crate) fn send_error(&self, id: u32, error: &str) {
        self.stats.count_export(true);
        self.send(&Outgoing::Exported { id, answer: Err(error) });
    }

    /// Queues the reply to a poll. Its callback runs after the write, or when the reply is late.
    pub(crate) fn send_reply(&self, id: u32, deadline: Instant, reply: Reply) {
        let (value, callback) = reply.into_parts();
        let receipt = callback.map(|callback| Receipt { id, deadline, callback });
        let json = Outgoing::Exported { id, answer: Ok(value.as_deref()) }.to_json();
        if json.len() > self.max_reply_bytes {
            self.send_error(id, &too_large(value.map_or(0, |value| value.len()), self.max_reply_bytes));
            if let Some(receipt) = receipt {
                receipt.settle(Delivery::Lost, &self.stats);
            }
            return;
        }
        self.stats.count_export(false);
        self.push(Letter { json, receipt });
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
        let is_busy =
            |queue: &mut Queue| queue.is_writing || !queue.letters.is_empty() || !queue.log_lines.is_empty();
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
            let Some(batch) = self.lock().next_batch(&self.stats) else { return Ok(()) };
            self.write(batch, stream)?;
        }
    }

    fn write(&self, batch: Batch, stream: &mut impl Write) -> io::Result<()> {
        let written = stream.write_all(&batch.bytes);
        batch.settle(written.is_ok(), &self.stats);
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
        for receipt in letters.into_iter().filter_map(|letter| letter.receipt) {
            receipt.settle(Delivery::Lost, &self.stats);
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let is_waiting =
            |queue: &mut Queue| !queue.is_closed && queue.letters.is_empty() && queue.log_lines.is_empty();
        let waited = self.ready.wait_while(self.lock(), is_waiting);
        waited.unwrap_or_else(PoisonError::into_inner).next_batch(&self.stats)
    }
}

impl Queue {
    fn next_batch(&mut self, stats: &Stats) -> Option<Batch> {
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH_BYTES
            && let Some(letter) = self.next_letter()
        {
            batch.add(letter, stats);
        }
        self.is_writing = !batch.bytes.is_empty();
        self.is_writing.then_some(batch)
    }

    fn next_letter(&mut self) -> Option<Letter> {
        self.letters.pop_front().or_else(|| self.next_log_line().map(|json| Letter { json, receipt: None }))
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
    receipts: Vec<Receipt>,
}

impl Batch {
    fn settle(self, was_written: bool, stats: &Stats) {
        for receipt in self.receipts {
            let in_time = was_written && Instant::now() <= receipt.deadline;
            receipt.settle(if in_time { Delivery::Written } else { Delivery::Lost }, stats);
        }
    }

    /// Drops replies that became late in the queue, because the agent would not accept them.
    fn add(&mut self, letter: Letter, stats: &Stats) {
        match letter.receipt {
            Some(receipt) if receipt.deadline < Instant::now() => {
                let error = "the reply was ready only after the deadline";
                frame::append(
                    &mut self.bytes,
                    &Outgoing::Exported { id: receipt.id, answer: Err(error) }.to_json(),
                );
                receipt.settle(Delivery::Lost, stats);
            }
            receipt => {
                frame::append(&mut self.bytes, &letter.json);
                self.receipts.extend(receipt);
            }
        }
    }
}

fn too_large(bytes: usize, limit: usize) -> String {
    format!("the value of {bytes} bytes does not fit into one reply of at most {limit} bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn outbox(max_reply_bytes: usize) -> Outbox {
        Outbox::new(max_reply_bytes, Arc::default())
    }

    fn written(outbox: &Outbox) -> Vec<serde_json::Value> {
        let mut bytes = Vec::new();
        outbox.close();
        outbox.write_to(&mut bytes).unwrap();
        let mut stream = bytes.as_slice();
        let mut messages = Vec::new();
        while let frame::Frame::Message(json) = frame::read(&mut stream, u32::MAX).unwrap() {
            messages.push(serde_json::from_slice(&json).unwrap());
        }
        messages
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn replies_go_before_log_lines() {
        let outbox = outbox(1000);
        outbox.send_log(0, "first");
        outbox.send_reply(5, soon(), Reply::value("x"));
        let types: Vec<_> = written(&outbox).iter().map(|message| message["type"].clone()).collect();
        assert_eq!(types, [7, 1]);
    }

    #[test]
    fn reply_beyond_the_limit_becomes_an_error_and_is_lost() {
        let outbox = outbox(100);
        let (sender, receiver) = mpsc::channel();
        let reply = Reply::value("x".repeat(500)).on_delivery(move |delivery| sender.send(delivery).unwrap());
        outbox.send_reply(5, soon(), reply);
        assert_eq!(receiver.try_recv(), Ok(Delivery::Lost));
        let error = written(&outbox)[0]["error"].as_str().unwrap().to_owned();
        assert_eq!(error, "the value of 500 bytes does not fit into one reply of at most 100 bytes");
    }

    #[test]
    fn reply_of_exactly_the_limit_is_sent() {
        let json = Outgoing::Exported { id: 5, answer: Ok(Some("x")) }.to_json();
        for (limit, is_error) in [(json.len(), false), (json.len() - 1, true)] {
            let outbox = outbox(limit);
            outbox.send_reply(5, soon(), Reply::value("x"));
            assert_eq!(written(&outbox)[0].get("error").is_some(), is_error);
        }
    }

    #[test]
    fn callback_runs_after_the_write_and_not_before() {
        let outbox = outbox(1000);
        let (sender, receiver) = mpsc::channel();
        outbox.send_reply(5, soon(), Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
        assert!(receiver.try_recv().is_err());
        assert_eq!(written(&outbox)[0]["value"], "x");
        assert_eq!(receiver.try_recv(), Ok(Delivery::Written));
    }

    #[test]
    fn reply_that_became_late_in_the_queue_is_lost_and_not_written() {
        let outbox = outbox(1000);
        let (sender, receiver) = mpsc::channel();
        let past = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        outbox.send_reply(5, past, Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
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
        outbox.send_reply(5, soon(), Reply::value("x").on_delivery(move |d| sender.send(d).unwrap()));
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
        outbox.send_reply(1, soon(), Reply::value("a").on_delivery(|_| panic!("in a callback")));
        outbox.send_reply(2, soon(), Reply::value("b"));
        assert_eq!(written(&outbox).len(), 2);
        assert_eq!(outbox.stats.panics(), 1);
    }
}
