//! One session with an agent, from *register* to *terminate*.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::export::Request;
use crate::exporter::{Context, Exporter};
use crate::frame::{self, Accepted, Frame};
use crate::guard::guarded;
use crate::launch::LaunchMode;
use crate::link::{self, Arrival};
use crate::logger;
use crate::message::{AnswerType, ExportRequest, Incoming, MessageError, Outgoing};
use crate::node::Node;
use crate::options::OptionError;
use crate::outbox::{Outbox, Peer};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::supervision::Supervision;
use crate::threads::HandlerThreads;
use crate::timeout::{DEFAULT_TIMEOUT, time_limit};

/// An agent 7.0 that cannot use the register response waits for the plugin's exit and never sends *terminate*.
const REGISTER_SILENCE: Duration = Duration::from_secs(5);
/// Time limit for the agent to read the last replies and log lines.
const FLUSH_FOR: Duration = Duration::from_millis(500);
/// Time limit for [`Exporter::stop`]. The agent kills the process after its own timeout.
const STOP_FOR: Duration = Duration::from_secs(2);

/// The reason why a session ended without *terminate* or a closed socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The socket cannot be reached, or failed.
    #[error("the agent's socket: {0}")]
    Socket(#[from] io::Error),
}

/// Next step of the session.
#[derive(PartialEq, Eq)]
enum Next {
    Read,
    End(Ending),
}

/// Normal end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The agent sent *terminate*.
    Terminated,
    /// The agent is gone, or did not send an expected message.
    Vanished,
}

pub(crate) struct Session<'a, E: Exporter> {
    settings: &'a Settings,
    stream: UnixStream,
    mode: LaunchMode,
    outbox: Arc<Outbox>,
    has_writer: bool,
    stats: Arc<Stats>,
    timeout: Duration,
    supervision: Option<Supervision>,
    service: Option<Result<Service<E>, String>>,
}

/// A configured exporter and the threads that call it.
struct Service<E> {
    exporter: Arc<E>,
    threads: HandlerThreads,
}

impl<'a, E: Exporter> Session<'a, E> {
    pub(crate) fn open(
        settings: &'a Settings,
        stream: UnixStream,
        mode: LaunchMode,
    ) -> Result<Self, SessionError> {
        let stats = Arc::new(Stats::default());
        let peer = if mode == LaunchMode::Work { Peer::Supervisor } else { Peer::Agent };
        let outbox = Arc::new(Outbox::new(peer, settings.max_reply_bytes, Arc::clone(&stats)));
        logger::log_to(&outbox, settings.log_level);
        if mode == LaunchMode::Register {
            stream.set_read_timeout(Some(REGISTER_SILENCE))?;
        }
        let (timeout, has_writer, supervision, service) = (DEFAULT_TIMEOUT, false, None, None);
        Ok(Self { settings, stream, mode, outbox, has_writer, stats, timeout, supervision, service })
    }

    /// Ensures that queued frames are written. If the machine cannot start a writer thread, this thread writes them and
    /// retries at the agent's next message. The process must not exit for lack of a thread.
    fn keep_writing(&mut self) {
        if self.has_writer {
            return;
        }
        match self.start_writer() {
            Ok(()) => self.has_writer = true,
            Err(error) => {
                log::warn!("cannot start a thread that writes to the agent: {error}");
                // The reader detects errors of the stream.
                let _ = self.outbox.write_queued(&mut &self.stream);
            }
        }
    }

    fn start_writer(&self) -> io::Result<()> {
        let (mut stream, letters) = (self.stream.try_clone()?, Arc::clone(&self.outbox));
        let body = move || {
            if letters.write_to(&mut stream).is_err() {
                // The reader sees this as the end of the stream.
                let _ = stream.shutdown(Shutdown::Both);
            }
        };
        thread::Builder::new().name("writer".to_owned()).spawn(body).map(drop)
    }

    /// Serves until *terminate* or the end of the stream.
    pub(crate) fn run(mut self) -> Result<(), SessionError> {
        let outcome = self.read_messages();
        if self.mode == LaunchMode::Register {
            // All requests have their responses, or the agent would not have sent *terminate*. Exit quickly: an agent
            // 6.0 sometimes panics if this process exits only after the agent's start is complete ("failed to obtain
            // PID of dead child process"), because two of its threads then wait for the same child.
            self.outbox.close();
            return outcome.map(drop);
        }
        if let Ok(Ending::Terminated) = outcome {
            self.stop();
        }
        self.outbox.flush(FLUSH_FOR);
        self.outbox.close();
        outcome.map(drop)
    }

    fn read_messages(&mut self) -> Result<Ending, SessionError> {
        let mut reader = BufReader::new(self.stream.try_clone()?);
        loop {
            let frame = match frame::read(&mut reader, self.accepted_frames()) {
                Ok(frame) => frame,
                Err(error) if self.is_silence(&error) => return Ok(Ending::Vanished),
                Err(error) => return Err(error.into()),
            };
            let next = self.take(frame);
            self.keep_writing();
            if let Next::End(ending) = next {
                return Ok(ending);
            }
        }
    }

    fn accepted_frames(&self) -> Accepted {
        let max_bytes = self.settings.max_request_bytes;
        if self.mode == LaunchMode::Work { link::accepted(max_bytes) } else { Accepted::messages(max_bytes) }
    }

    fn is_silence(&self, error: &io::Error) -> bool {
        self.mode == LaunchMode::Register
            && matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    }

    fn take(&mut self, frame: Frame) -> Next {
        match frame {
            Frame::End => return Next::End(Ending::Vanished),
            Frame::Skipped { frame_type, length } => {
                log::error!("skipped a frame of type {frame_type} with {length} bytes from the agent");
            }
            Frame::Whole { frame_type, body } => return self.take_body(frame_type, &body),
        }
        Next::Read
    }

    fn take_body(&mut self, frame_type: u32, body: &[u8]) -> Next {
        match frame_type {
            link::EXPORT => match link::parse_export(body) {
                Some((arrival, json)) => return self.take_message(json, arrival),
                None => log::error!("skipped an export of {} bytes from the supervisor", body.len()),
            },
            link::DELIVERY => {
                if let Some((id, delivery)) = link::parse_delivery(body) {
                    self.outbox.confirm(id, delivery);
                }
            }
            link::SETUP => self.supervision = serde_json::from_slice(body).ok(),
            _ => return self.take_message(body, Arrival::now()),
        }
        Next::Read
    }

    fn take_message(&mut self, json: &[u8], arrival: Arrival) -> Next {
        match Incoming::parse(json) {
            Ok(message) => self.handle(message, arrival),
            Err(error) => {
                self.report_malformed(error);
                Next::Read
            }
        }
    }

    fn handle(&mut self, message: Incoming, arrival: Arrival) -> Next {
        match message {
            Incoming::Register { id, version } => self.register(id, &version),
            Incoming::Validate { id, options } => self.validate(id, &options),
            Incoming::Configure { options, timeout_seconds, source_ip } => {
                self.configure(&options, timeout_seconds, source_ip);
            }
            Incoming::Start => self.start(),
            Incoming::Export(request) => self.export(request, arrival),
            Incoming::Terminate => return Next::End(Ending::Terminated),
        }
        Next::Read
    }

    /// Sends an error for a malformed request if its id is known, so that the item shows the error.
    fn report_malformed(&self, error: MessageError) {
        log::error!("cannot parse a message from the agent: {error}");
        let MessageError::Malformed { id, answer, error } = error else { return };
        let text = format!("malformed request: {error}");
        match answer {
            AnswerType::Register => self.outbox.send(&self.settings.registered(id, Some(&text))),
            AnswerType::Validate => self.outbox.send(&Outgoing::Validated { id, error: Some(&text) }),
            AnswerType::Export => self.outbox.send_error(id, &text),
            AnswerType::Nothing => {}
        }
    }

    fn register(&self, id: u32, version: &str) {
        log::debug!("an agent registers the plugin with protocol version {version}");
        let error = self.settings.check().err().map(|error| error.to_string());
        self.outbox.send(&self.settings.registered(id, error.as_deref()));
    }

    fn validate(&self, id: u32, options: &Node) {
        let outcome =
            guarded(&self.stats, || -> Result<(), OptionError> { E::validate(&options.options()?) });
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(format!("the check of the options panicked: {panic}")),
        };
        self.outbox.send(&Outgoing::Validated { id, error: error.as_deref() });
    }

    fn configure(&mut self, options: &Node, timeout_seconds: Option<f64>, source_ip: String) {
        if let Some(timeout) = timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            self.timeout = timeout;
        }
        if let Some(Ok(_)) = &self.service {
            log::warn!("the agent configures the plugin a second time; the first configuration stays");
            return;
        }
        let context = Context {
            timeout: self.timeout,
            source_ip,
            stats: Arc::clone(&self.stats),
            supervision: self.supervision.clone(),
        };
        let made = guarded(&self.stats, || {
            let options = options.options().map_err(|error: OptionError| error.to_string())?;
            E::configure(options, context).map_err(|error| error.to_string())
        });
        let made = made.unwrap_or_else(|panic| Err(format!("the plugin's configuration panicked: {panic}")));
        if let Err(error) = &made {
            log::error!("cannot configure the plugin: {error}");
        }
        self.service = Some(made.map(|exporter| self.serve_with(exporter)));
    }

    fn serve_with(&self, exporter: E) -> Service<E> {
        let exporter = Arc::new(exporter);
        let exports = Arc::clone(&exporter);
        let handler = Box::new(move |request: &Request| exports.export(request));
        let (outbox, stats) = (Arc::clone(&self.outbox), Arc::clone(&self.stats));
        Service { exporter, threads: HandlerThreads::start(self.settings.limits, handler, outbox, stats) }
    }

    fn start(&mut self) {
        if let Ok(service) = self.service()
            && let Err(panic) = guarded(&Stats::default(), || service.exporter.start())
        {
            log::error!("the plugin's start panicked: {panic}");
        }
    }

    /// Returns the exporter. Without *configure* it is created from empty options.
    fn service(&mut self) -> Result<&Service<E>, &str> {
        if self.service.is_none() {
            self.configure(&Node::default(), None, String::new());
        }
        match &self.service {
            Some(Ok(service)) => Ok(service),
            Some(Err(error)) => Err(error),
            None => Err("the plugin is not configured"),
        }
    }

    fn export(&mut self, export: ExportRequest, arrival: Arrival) {
        let (wait, generation) = time_limit(export.timeout_seconds, self.timeout);
        let deadline = arrival.time + wait;
        let outbox = Arc::clone(&self.outbox);
        match self.service() {
            Ok(service) => {
                let (key, parameters) = (export.key, export.parameters);
                let request =
                    Request::from_agent(key, parameters, deadline, generation, arrival.is_age_known);
                service.threads.submit(export.id, request);
            }
            Err(error) => outbox.send_error(export.id, error),
        }
    }

    /// Calls [`Exporter::stop`] with a time limit, because it may hang like any handler.
    fn stop(&mut self) {
        let Some(Ok(service)) = self.service.take() else { return };
        let (done, wait) = mpsc::channel();
        let stopping = thread::Builder::new().name("stop".to_owned()).spawn(move || {
            let outcome = guarded(&Stats::default(), || service.exporter.stop());
            if let Err(panic) = outcome {
                log::error!("the plugin's stop panicked: {panic}");
            }
            let _ = done.send(());
        });
        if stopping.is_ok() && wait.recv_timeout(STOP_FOR) == Err(mpsc::RecvTimeoutError::Timeout) {
            log::warn!("the plugin's stop takes longer than {} s and is cut short", STOP_FOR.as_secs());
        }
    }
}
