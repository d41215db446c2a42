//! The supervisor: the process that the agent starts, made too small to fail.
//!
//! An agent goes down with the process that it started. So that process relays frames only, and a second process of the
//! same program, the worker, runs the handlers:
//!
//! ```text
//! agent <-- socket --> Supervisor <-- link --> worker (Session, handlers)
//! ```
//!
//! * A [`Channel`] is a socket with its buffers, for the agent and for the worker.
//! * [`OpenRequests`] are the requests without a reply. If the worker ends or is late, the supervisor replies with an error.
//! * [`Arrivals`] decide how old a request is. [`Deliveries`] decide which replies the agent has read in time.
//! * A [`Worker`] is the process. [`Restarts`] decide when the next one starts.
//!
//! The supervisor has one thread, waits in one system call, and parses nothing but the agent's messages.

mod arrivals;
mod channel;
mod deliveries;
mod requests;
mod restarts;
mod unread;
mod worker;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;

use self::arrivals::Arrivals;
use self::channel::{Channel, Filled, Input, InputFrame};
use self::deliveries::Deliveries;
use self::requests::OpenRequests;
use self::restarts::Restarts;
use self::worker::Worker;
use crate::export::Delivery;
use crate::frame::{self, Accepted};
use crate::link::{self, ReplyHead};
use crate::message::{Incoming, Outgoing, kind};
use crate::settings::Settings;
use crate::supervision::Supervision;
use crate::timeout::{DEFAULT_TIMEOUT, time_limit};

/// Time after its deadline at which the supervisor replies to a request itself. The worker does so at the deadline.
const GRACE: Duration = Duration::from_millis(100);
/// The worker is killed at the first deadline after it has sent nothing at all for this long: it is stopped or locked up.
const SILENCE: Duration = Duration::from_secs(30);
/// The worker's end after *terminate* takes at most its own limits for the stop and the last replies.
const END_FOR: Duration = Duration::from_millis(2700);
/// The same if the agent is gone: nothing is left to write.
const END_WITHOUT_AGENT_FOR: Duration = Duration::from_millis(300);
/// Time limit for the agent to read the last replies.
const FLUSH_FOR: Duration = Duration::from_millis(500);
/// The worker is not read while more than this is waiting for the agent.
const AGENT_BACKLOG_BYTES: usize = 1024 * 1024;
/// Requests are rejected while more than this is waiting for the worker.
const WORKER_BACKLOG_BYTES: usize = 4 * 1024 * 1024;
/// Space for what surrounds a value in a reply, and for log lines.
const MESSAGE_BYTES: usize = 64 * 1024;

const INFO: u32 = 0;
const ERROR: u32 = 2;
const WARNING: u32 = 3;

/// Supervises workers for one agent.
pub(crate) struct Supervisor<'a> {
    settings: &'a Settings,
    socket: PathBuf,
    agent: Channel,
    worker: Option<Worker>,
    /// The agent's *configure* and *start*, which each worker gets.
    greeting: Greeting,
    agent_timeout: Duration,
    requests: OpenRequests,
    deliveries: Deliveries,
    arrivals: Arrivals,
    restarts: Restarts,
    /// The first request since the worker's last frame.
    silent_since: Option<Instant>,
    /// The worker must have ended by then.
    ends_by: Option<Instant>,
}

#[derive(Default)]
struct Greeting {
    configure: Option<Vec<u8>>,
    start: Option<Vec<u8>>,
}

/// The fields of a message that decide where it goes.
#[derive(Deserialize)]
struct Head {
    id: u32,
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    timeout: Option<f64>,
}

/// The descriptors that the last wait found ready.
#[derive(Default)]
struct Ready {
    agent: bool,
    worker: bool,
    stderr: bool,
}

impl<'a> Supervisor<'a> {
    /// # Errors
    /// The socket or the signal handler cannot be set up.
    pub(crate) fn new(settings: &'a Settings, socket: &Path, stream: UnixStream) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            settings,
            socket: socket.to_owned(),
            agent: Channel::new(stream, Accepted::messages(settings.max_request_bytes))?,
            worker: None,
            greeting: Greeting::default(),
            agent_timeout: DEFAULT_TIMEOUT,
            requests: OpenRequests::default(),
            deliveries: Deliveries::new(now),
            arrivals: Arrivals::new(now)?,
            restarts: Restarts::default(),
            silent_since: None,
            ends_by: None,
        })
    }

    /// Serves the agent until *terminate* or the end of its socket.
    pub(crate) fn run(mut self) {
        self.start_worker();
        while self.ends_by.is_none() {
            self.turn();
        }
        while self.worker.is_some() && self.ends_by.is_some_and(|time| Instant::now() < time) {
            self.turn();
        }
        if let Some(mut worker) = self.worker.take() {
            worker.kill();
            worker.cause_of_end();
        }
        self.write_last_frames();
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        let ready = self.wait();
        if ready.stderr
            && let Some(worker) = &mut self.worker
        {
            worker.read_stderr();
        }
        // Replies go before requests, so that the agent's next poll finds the one before it settled.
        if ready.worker {
            self.read_worker();
        }
        self.flush_agent();
        self.settle_deliveries();
        if ready.agent {
            self.read_agent();
        } else {
            self.arrivals.begin(Instant::now());
            self.arrivals.end(Instant::now());
        }
        self.keep_time(Instant::now());
        self.flush_agent();
        self.flush_worker();
    }

    // Waiting.

    fn wait(&self) -> Ready {
        let now = Instant::now();
        let timeout = self.next_time().map(|time| timespec(time.saturating_duration_since(now)));
        let mut fds =
            vec![PollFd::from_borrowed_fd(self.agent.fd(), events(true, self.agent.unwritten() > 0))];
        if let Some(worker) = &self.worker {
            let may_read = self.agent.unwritten() < AGENT_BACKLOG_BYTES;
            let flags = events(may_read, worker.channel.unwritten() > 0);
            fds.push(PollFd::from_borrowed_fd(worker.channel.fd(), flags));
            fds.extend(worker.stderr().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            // A signal: only a read shows whether the agent's socket is empty.
            return Ready { agent: true, ..Ready::default() };
        }
        let is_ready = |index: usize| {
            let incoming = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
            fds.get(index).is_some_and(|fd: &PollFd<'_>| fd.revents().intersects(incoming))
        };
        Ready { agent: is_ready(0), worker: is_ready(1), stderr: is_ready(2) }
    }

    fn next_time(&self) -> Option<Instant> {
        let times = [
            self.requests.next_deadline().map(|deadline| deadline + GRACE),
            self.deliveries.next_check(),
            self.arrivals.next_check(),
            self.restarts.due(),
            self.ends_by,
        ];
        times.into_iter().flatten().min()
    }

    // From the agent.

    fn read_agent(&mut self) {
        let filled = self.agent.fill();
        // After the reading: the process may have been stopped before it.
        self.arrivals.begin(Instant::now());
        let mut input = self.agent.input.take();
        while let Some(frame) = input.next_frame() {
            match frame {
                InputFrame::Whole { body, .. } => self.take_message(input.body(body)),
                InputFrame::Rejected { frame_type, length } => {
                    let text =
                        format!("skipped a frame of type {frame_type} with {length} bytes from the agent");
                    self.log(ERROR, &text);
                }
            }
        }
        input.discard_taken();
        self.agent.input = input;
        match filled {
            Filled::Drained => self.arrivals.end(Instant::now()),
            Filled::Partly => {}
            Filled::Ended => self.end(END_WITHOUT_AGENT_FOR),
        }
    }

    fn take_message(&mut self, json: &[u8]) {
        let Ok(head) = serde_json::from_slice::<Head>(json) else { return self.pass_on(json) };
        match head.kind {
            kind::EXPORT_REQUEST => self.export(&head, json),
            kind::REGISTER_REQUEST => self.register(head.id),
            kind::CONFIGURE => {
                self.read_timeout(json);
                self.greeting.configure.get_or_insert_with(|| json.to_vec());
                self.pass_on(json);
            }
            kind::START => {
                self.greeting.start.get_or_insert_with(|| json.to_vec());
                self.pass_on(json);
            }
            kind::TERMINATE => {
                self.pass_on(json);
                self.end(END_FOR);
            }
            _ => self.pass_on(json),
        }
    }

    fn register(&mut self, id: u32) {
        let error = self.settings.check().err().map(|error| error.to_string());
        let response = self.settings.registered(id, error.as_deref());
        frame::append(self.agent.output(), &response.to_json());
    }

    fn read_timeout(&mut self, json: &[u8]) {
        if let Ok(Incoming::Configure { timeout_seconds: Some(seconds), .. }) = Incoming::parse(json)
            && let Ok(timeout) = Duration::try_from_secs_f64(seconds)
        {
            self.agent_timeout = timeout;
        }
    }

    fn pass_on(&mut self, json: &[u8]) {
        if let Some(worker) = &mut self.worker {
            frame::append(worker.channel.output(), json);
        }
    }

    fn export(&mut self, head: &Head, json: &[u8]) {
        let now = Instant::now();
        let (limit, _) = time_limit(head.timeout, self.agent_timeout);
        let arrival = self.arrivals.arrival(now, limit);
        let Some(worker) = &mut self.worker else {
            let reason = self.restarts.reason(now);
            return self.send_error(head.id, &reason);
        };
        if worker.channel.unwritten() > WORKER_BACKLOG_BYTES {
            return self.send_error(head.id, "the plugin's worker process does not read its requests");
        }
        link::append_export(worker.channel.output(), arrival, json);
        self.silent_since.get_or_insert(now);
        self.requests.insert(head.id, arrival.time + limit);
    }

    // From the worker.

    fn read_worker(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        let filled = worker.channel.fill();
        let mut input = worker.channel.input.take();
        self.silent_since = None;
        self.take_frames(&mut input);
        input.discard_taken();
        if let Some(worker) = &mut self.worker {
            worker.channel.input = input;
        }
        if filled == Filled::Ended {
            self.replace_worker();
        }
    }

    fn take_frames(&mut self, input: &mut Input) {
        while let Some(frame) = input.next_frame() {
            match frame {
                InputFrame::Whole { frame_type: link::MESSAGE, body } => {
                    frame::append(self.agent.output(), input.body(body));
                }
                InputFrame::Whole { frame_type: link::REPLY, body } => {
                    if let Some((head, json)) = link::parse_reply(input.body(body)) {
                        self.reply(head, json);
                    }
                }
                InputFrame::Whole { .. } => {}
                InputFrame::Rejected { frame_type, length } => {
                    let text =
                        format!("skipped a frame of type {frame_type} with {length} bytes from the worker");
                    self.log(ERROR, &text);
                }
            }
        }
    }

    /// Passes a reply to the agent, unless its request has got an error already.
    fn reply(&mut self, head: ReplyHead, json: &[u8]) {
        let now = Instant::now();
        let Some(deadline) = self.requests.remove(head.id) else {
            if head.wants_delivery {
                self.report_delivery(head.id, Delivery::Lost);
            }
            return;
        };
        frame::append(self.agent.output(), json);
        if let Some(worker) = &mut self.worker {
            worker.has_replied |= head.is_value;
        }
        if head.wants_delivery {
            self.deliveries.insert(head.id, deadline, now);
        }
    }

    fn report_delivery(&mut self, id: u32, delivery: Delivery) {
        if let Some(worker) = &mut self.worker {
            link::append_delivery(worker.channel.output(), id, delivery);
        }
    }

    fn settle_deliveries(&mut self) {
        let now = Instant::now();
        if !self.deliveries.is_due(now) {
            return;
        }
        let is_all_read = self.agent.unwritten() == 0 && unread::is_all_read(self.agent.fd());
        // The agent may have read later than `now`, while this process was stopped.
        let now = if is_all_read { Instant::now() } else { now };
        for (id, delivery) in self.deliveries.settle(is_all_read, now) {
            self.report_delivery(id, delivery);
        }
    }

    // The worker's life.

    fn start_worker(&mut self) {
        let report = Supervision {
            agent_pid: rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_pid()).ok()),
            supervisor_pid: std::process::id(),
            ended_workers: self.restarts.ended,
            last_end: self.restarts.last_end.clone(),
        };
        let max_json = self.settings.max_reply_bytes.saturating_add(MESSAGE_BYTES);
        let accepted = link::accepted(u32::try_from(max_json).unwrap_or(u32::MAX));
        match Worker::start(&self.socket, &report, accepted) {
            Ok(worker) => {
                self.worker = Some(worker);
                self.restarts.started();
                self.silent_since = None;
                for message in [self.greeting.configure.clone(), self.greeting.start.clone()] {
                    message.into_iter().for_each(|json| self.pass_on(&json));
                }
            }
            Err(error) => {
                let cause = format!("cannot be started: {error}");
                self.restarts.record(&cause, false, Instant::now());
                self.log(ERROR, &self.restarts.reason(Instant::now()));
            }
        }
    }

    /// Replies for a worker that has ended, and plans the start of the next one.
    fn replace_worker(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let (pid, has_replied) = (worker.pid(), worker.has_replied);
        let cause = worker.cause_of_end();
        self.deliveries.clear();
        let open = self.requests.remove_all();
        if self.ends_by.is_some() {
            return;
        }
        let pause = self.restarts.record(&cause, has_replied, Instant::now());
        let seconds = pause.as_secs_f64();
        let count = open.len();
        let text = format!(
            "the worker process {pid} {cause}; {count} polls get an error; the next worker starts in {seconds:.1} s"
        );
        self.log(ERROR, &text);
        for id in open {
            let error = format!("the plugin's worker process {cause} during this poll; a new one starts");
            self.send_error(id, &error);
        }
    }

    /// Does what is due at `now`.
    fn keep_time(&mut self, now: Instant) {
        self.reply_for_late_worker(now);
        if self.ends_by.is_none() && self.restarts.due().is_some_and(|due| due <= now) {
            self.start_worker();
            if self.worker.is_some() {
                self.log(INFO, &format!("worker process {} of the plugin started", self.worker_pid()));
            }
        }
    }

    fn worker_pid(&self) -> u32 {
        self.worker.as_ref().map_or(0, Worker::pid)
    }

    fn reply_for_late_worker(&mut self, now: Instant) {
        let Some(late) = now.checked_sub(GRACE) else { return };
        while let Some(id) = self.requests.remove_late(late) {
            self.send_error(id, "the plugin's worker process did not reply before the deadline");
            if self.silent_since.is_some_and(|since| now.duration_since(since) > SILENCE)
                && let Some(worker) = &mut self.worker
            {
                let text = format!(
                    "the worker process {} has sent nothing for too long and is killed",
                    worker.pid()
                );
                worker.kill();
                self.log(WARNING, &text);
            }
        }
    }

    // To the agent and to the worker.

    fn send_error(&mut self, id: u32, error: &str) {
        frame::append(self.agent.output(), &Outgoing::Exported { id, answer: Err(error) }.to_json());
    }

    fn log(&mut self, severity: u32, message: &str) {
        frame::append(self.agent.output(), &Outgoing::Log { severity, message }.to_json());
    }

    fn flush_agent(&mut self) {
        if self.agent.flush().is_err() {
            self.end(END_WITHOUT_AGENT_FOR);
        }
    }

    fn flush_worker(&mut self) {
        if let Some(worker) = &mut self.worker {
            // Reading finds the end as well, after the worker's last replies.
            let _ = worker.channel.flush();
        }
    }

    /// Begins the end: the worker gets this time.
    fn end(&mut self, limit: Duration) {
        if self.ends_by.is_none() {
            self.ends_by = Some(Instant::now() + limit);
        }
    }

    fn write_last_frames(&mut self) {
        let give_up = Instant::now() + FLUSH_FOR;
        while self.agent.flush().is_ok() && self.agent.unwritten() > 0 {
            let left = give_up.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::from_borrowed_fd(self.agent.fd(), PollFlags::OUT)];
            if left.is_zero() || poll(&mut fds, Some(&timespec(left))).is_err() {
                return;
            }
        }
    }
}

fn events(reads: bool, writes: bool) -> PollFlags {
    let (reading, writing) = (PollFlags::IN, PollFlags::OUT);
    match (reads, writes) {
        (true, true) => reading | writing,
        (true, false) => reading,
        (false, true) => writing,
        (false, false) => PollFlags::empty(),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: i64::from(u32::MAX), tv_nsec: 0 })
}
