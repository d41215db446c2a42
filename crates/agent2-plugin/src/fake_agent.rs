//! The agent's side of the socket, for tests of plugins.

use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::exporter::Exporter;
use crate::frame::{self, Accepted, Frame};
use crate::launch::LaunchMode;
use crate::node::Node;
use crate::plugin::Plugin;

/// Time limit for replies that agents expect at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest frame that an agent accepts.
const MAX_FRAME_BYTES: u32 = i32::MAX as u32;

/// Speaks to a plugin as an agent does: over a real socket, to a real process or to a thread of the test.
///
/// ```
/// use agent2_plugin::{Context, Exporter, FakeAgent, ItemError, Plugin, Reply, Request};
///
/// struct Answer;
///
/// impl Exporter for Answer {
///     type Options = serde::de::IgnoredAny;
///     fn configure(_: Self::Options, _: Context) -> Result<Self, ItemError> {
///         Ok(Self)
///     }
///     fn export(&self, _: &Request) -> Result<Reply, ItemError> {
///         Ok("42".into())
///     }
/// }
///
/// let plugin = Plugin::new("Answer").metric("answer", "The answer.");
/// let mut agent = FakeAgent::in_thread::<Answer>(&plugin)?;
/// agent.configure("", 3)?;
/// assert_eq!(agent.export("answer", &[])?, Ok(Some("42".to_owned())));
/// agent.terminate()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FakeAgent {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    child: Option<Child>,
    _directory: Option<tempfile::TempDir>,
    next_id: u32,
    request_timeout: Option<u32>,
    name: String,
    log: Vec<LogLine>,
}

/// Result of a poll: a value, no value, or an error.
pub type ExportResult = Result<Option<String>, String>;

/// A plugin's response to *register*.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// The plugin's name.
    pub name: String,
    /// Keys with their descriptions.
    pub metrics: Vec<(String, String)>,
    /// Bits: 1 exporter, 2 configurator, 4 runner.
    pub interfaces: u32,
    /// The reason why the plugin cannot be used; empty if it can.
    pub error: String,
}

/// A line that the plugin sent to the agent's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// 0 info, 1 critical, 2 error, 3 warning, 4 debug, 5 trace.
    pub severity: u32,
    /// The text.
    pub message: String,
}

#[derive(Deserialize)]
struct FromPlugin {
    id: u32,
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    severity: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    interfaces: u32,
    value: Option<serde_json::Value>,
    error: Option<String>,
}

impl FakeAgent {
    /// Starts the program as an agent does and waits until it connects.
    ///
    /// # Errors
    /// The program cannot be started or does not connect in time.
    pub fn launch(program: &Path, name: &str, mode: LaunchMode) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("plugin.sock");
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        let register_only = (mode == LaunchMode::Register).to_string();
        let mut child = Command::new(program).arg(&socket).arg(register_only).stdin(Stdio::null()).spawn()?;
        match accept(&listener) {
            Ok(stream) => Self::over(stream, Some(child), Some(directory), name),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Serves the plugin in a thread of this process.
    ///
    /// # Errors
    /// No socket pair can be created.
    pub fn in_thread<E: Exporter>(plugin: &Plugin) -> io::Result<Self> {
        Self::in_thread_with::<E>(plugin, LaunchMode::Serve)
    }

    /// As [`FakeAgent::in_thread`], for either mode.
    ///
    /// # Errors
    /// No socket pair can be created.
    pub fn in_thread_with<E: Exporter>(plugin: &Plugin, mode: LaunchMode) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let plugin = plugin.clone();
        let name = plugin.name().to_owned();
        thread::spawn(move || plugin.serve::<E>(theirs, mode));
        Self::over(ours, None, None, &name)
    }

    fn over(
        stream: UnixStream,
        child: Option<Child>,
        directory: Option<tempfile::TempDir>,
        name: &str,
    ) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
            child,
            _directory: directory,
            next_id: 1,
            request_timeout: Some(3),
            name: name.to_owned(),
            log: Vec::new(),
        })
    }

    /// The timeout in seconds that export requests carry; `None` as agents before 6.4. It is 3 at first.
    pub fn set_request_timeout(&mut self, seconds: Option<u32>) {
        self.request_timeout = seconds;
    }

    /// Sends *register* with this protocol version.
    ///
    /// # Errors
    /// The plugin does not reply.
    pub fn register(&mut self, version: &str) -> io::Result<Registration> {
        let id = self.send(json!({"type": 2, "version": version}))?;
        let answer = self.answer_to(id, 3)?;
        let pairs =
            answer.metrics.chunks(2).map(|pair| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default()));
        Ok(Registration {
            name: answer.name,
            metrics: pairs.collect(),
            interfaces: answer.interfaces,
            error: answer.error.unwrap_or_default(),
        })
    }

    /// Sends *validate* with the lines `Plugins.<Name>.*` of a configuration file. The inner error is the plugin's.
    ///
    /// # Errors
    /// The plugin does not reply.
    pub fn validate(&mut self, conf: &str) -> io::Result<Result<(), String>> {
        let options = Node::from_conf(&self.name, conf).to_wire();
        let id = self.send(json!({"type": 9, "private_options": options}))?;
        Ok(self.answer_to(id, 10)?.error.map_or(Ok(()), Err))
    }

    /// Sends *configure* with the agent's `Timeout` in seconds, then *start*. Neither has a response.
    ///
    /// # Errors
    /// The plugin is gone.
    pub fn configure(&mut self, conf: &str, timeout: u32) -> io::Result<()> {
        let options = Node::from_conf(&self.name, conf).to_wire();
        let global = json!({"Timeout": timeout, "SourceIP": ""});
        self.send(json!({"type": 8, "global_options": global, "private_options": options}))?;
        self.send(json!({"type": 4})).map(drop)
    }

    /// Sends *export*, a poll, and waits for its result.
    ///
    /// # Errors
    /// The plugin does not reply.
    pub fn export(&mut self, key: &str, parameters: &[&str]) -> io::Result<ExportResult> {
        let id = self.send_export(key, parameters)?;
        loop {
            let (answered, answer) = self.next_result()?;
            if answered == id {
                return Ok(answer);
            }
        }
    }

    /// Sends a poll without waiting for its result.
    ///
    /// # Errors
    /// The plugin is gone.
    pub fn send_export(&mut self, key: &str, parameters: &[&str]) -> io::Result<u32> {
        let mut request = json!({"type": 6, "key": key});
        if !parameters.is_empty() {
            request["parameters"] = json!(parameters);
        }
        if let Some(seconds) = self.request_timeout {
            request["timeout"] = json!(seconds);
        }
        self.send(request)
    }

    /// Waits for the next result of a poll, with the id of its request.
    ///
    /// # Errors
    /// There is no response, or it violates the protocol, for example with a value that is not a string.
    pub fn next_result(&mut self) -> io::Result<(u32, ExportResult)> {
        let message = self.next_of(7)?;
        let answer = match (message.error, message.value) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(None),
            (None, Some(serde_json::Value::String(text))) => Ok(Some(text)),
            (None, Some(other)) => {
                return Err(io::Error::other(format!("the value is not a string: {other}")));
            }
        };
        Ok((message.id, answer))
    }

    /// Sends *terminate* and waits until the plugin has closed the socket and its process has ended.
    ///
    /// # Errors
    /// The plugin does not end.
    pub fn terminate(&mut self) -> io::Result<()> {
        self.send(json!({"type": 5}))?;
        while self.next_message()?.is_some() {}
        match self.wait(PATIENCE)? {
            Some(status) if !status.success() => {
                Err(io::Error::other(format!("the plugin ended with {status}")))
            }
            _ => Ok(()),
        }
    }

    /// Closes the socket without *terminate*, like an agent that was killed, and waits for the end of the process.
    ///
    /// # Errors
    /// The process is still running after `limit`.
    pub fn hang_up(mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        self.writer.shutdown(Shutdown::Both)?;
        self.wait(limit)
    }

    /// Waits for the end of the process. Returns at once if the plugin is a thread.
    ///
    /// # Errors
    /// The process is still running after `limit`.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let give_up = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > give_up {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the plugin's process is still running"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the process id if the plugin is a process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends any bytes, for input that violates the protocol.
    ///
    /// # Errors
    /// The plugin is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Returns the log lines received while results were read.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    fn send(&mut self, mut message: serde_json::Value) -> io::Result<u32> {
        let id = self.next_id;
        self.next_id += 1;
        message["id"] = json!(id);
        let mut bytes = Vec::new();
        frame::append(&mut bytes, message.to_string().as_bytes());
        self.writer.write_all(&bytes)?;
        Ok(id)
    }

    fn answer_to(&mut self, id: u32, kind: u32) -> io::Result<FromPlugin> {
        loop {
            let message = self.next_of(kind)?;
            if message.id == id {
                return Ok(message);
            }
        }
    }

    fn next_of(&mut self, kind: u32) -> io::Result<FromPlugin> {
        loop {
            let message = self.next_message()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if message.kind == kind {
                return Ok(message);
            }
        }
    }

    fn next_message(&mut self) -> io::Result<Option<FromPlugin>> {
        match frame::read(&mut self.reader, Accepted::messages(MAX_FRAME_BYTES)) {
            Ok(Frame::Whole { body, .. }) => {
                let message: FromPlugin = serde_json::from_slice(&body)?;
                if message.kind == 1 {
                    self.log.push(LogLine { severity: message.severity, message: message.message.clone() });
                }
                Ok(Some(message))
            }
            Ok(Frame::Skipped { frame_type, length }) => {
                Err(io::Error::other(format!("a frame of type {frame_type} and {length} bytes")))
            }
            Ok(Frame::End) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
}
