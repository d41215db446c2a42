//! The plugin as an agent starts it: its name, its metrics, its process.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use std::{io, thread};

use log::LevelFilter;
use serde::de::DeserializeOwned;

use crate::export::{ItemError, Reply, Request};
use crate::guard;
use crate::options::OptionError;
use crate::session::{Session, SessionError};
use crate::stats::Stats;
use crate::workers::Limits;

/// What a plugin does: the options that it takes and the items that it answers.
///
/// One value lives from the agent's *configure* to its *terminate*; exports come from several threads at once.
pub trait Exporter: Send + Sync + Sized + 'static {
    /// The options below `Plugins.<Name>`; `serde::de::IgnoredAny` for a plugin without any.
    type Options: DeserializeOwned;

    /// Checks options at the agent's start, beyond what their types say. An error stops the agent's start.
    ///
    /// This runs in a process of its own, beside the one that may be serving already: it touches no state.
    ///
    /// # Errors
    /// With a text for the administrator.
    fn validate(_options: &Self::Options) -> Result<(), OptionError> {
        Ok(())
    }

    /// Makes the exporter. Where this fails every item is *not supported* with the error's text.
    ///
    /// # Errors
    /// With a text for the administrator.
    fn configure(options: Self::Options, context: Context) -> Result<Self, ItemError>;

    /// Called once before the first export.
    fn start(&self) {}

    /// Called when the agent says *terminate*; it has about two seconds. Not called when the agent is gone without it: an
    /// agent that was killed may have lost what it was told last.
    fn stop(&self) {}

    /// Answers one poll of one item.
    ///
    /// # Errors
    /// The item becomes *not supported* with the error's text.
    fn export(&self, request: &Request) -> Result<Reply, ItemError>;
}

/// What an exporter is told about its surroundings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// The agent's own `Timeout`.
    pub timeout: Duration,
    /// The agent's `SourceIP`; empty when it is not set.
    pub source_ip: String,
    /// What the session counts.
    pub stats: Arc<Stats>,
}

/// An item key with the description that the agent shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) key: String,
    pub(crate) description: String,
}

/// Why a plugin cannot be registered. An agent 6.0 panics on such a plugin, a 7.0 hangs: it is better not to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Keys consist of letters, digits, `_`, `-` and `.`.
    #[error("metric key `{0}` is not made of letters, digits, `_`, `-` and `.`")]
    Key(String),
    /// Two metrics have the same key.
    #[error("metric key `{0}` is given twice")]
    Twice(String),
    /// Agents want a capital at the beginning and a full stop at the end.
    #[error("the description of metric `{0}` does not begin with a capital and end with a full stop")]
    Description(String),
}

/// Which of its two passes a plugin's process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The agent's start: tell name and metrics, check options, end. Touches no state.
    Register,
    /// Answer polls until the agent ends the plugin.
    Serve,
}

/// The arguments with which an agent starts a plugin: its socket's absolute path, and `true` or `false`.
///
/// A plugin that is also a command line tells the two apart with this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCall {
    /// The socket at which the agent listens.
    pub socket: PathBuf,
    /// What the process is started for.
    pub pass: Pass,
}

impl AgentCall {
    /// Takes the arguments after the program's name.
    ///
    /// ```
    /// use agent2_plugin::{AgentCall, Pass};
    ///
    /// let call = AgentCall::from_args(["/run/zabbix/agent.plugin.sock", "false"]).unwrap();
    /// assert_eq!(call.pass, Pass::Serve);
    /// assert_eq!(AgentCall::from_args(["--help"]), None);
    /// ```
    pub fn from_args<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Option<Self> {
        let mut arguments = arguments.into_iter().map(Into::into);
        let socket = PathBuf::from(arguments.next()?);
        let pass = match arguments.next()?.to_str()? {
            "true" => Pass::Register,
            "false" => Pass::Serve,
            _ => return None,
        };
        (socket.is_absolute() && arguments.next().is_none()).then_some(Self { socket, pass })
    }
}

/// A plugin: its name and its metrics. [`Plugin::run`] makes it the process that an agent starts.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) limits: Limits,
    pub(crate) max_request_bytes: u32,
    pub(crate) max_reply_bytes: usize,
    pub(crate) log_level: LevelFilter,
}

/// The agent listens before it starts the plugin, so this is for a machine under load.
const CONNECT_FOR: Duration = Duration::from_secs(2);

impl Plugin {
    /// A plugin of this name: the one in `Plugins.<Name>.System.Path`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            metrics: Vec::new(),
            limits: Limits::default(),
            max_request_bytes: 16 * 1024 * 1024,
            max_reply_bytes: 16 * 1024 * 1024,
            log_level: LevelFilter::Info,
        }
    }

    /// Adds an item key. It must not be one that the agent or another plugin has; the description begins with a
    /// capital and ends with a full stop.
    #[must_use]
    pub fn metric(mut self, key: impl Into<String>, description: impl Into<String>) -> Self {
        self.metrics.push(Metric { key: key.into(), description: description.into() });
        self
    }

    /// The most threads that run handlers at once, 128 by default; there are as few as the polls need. Late ones that hang
    /// are not among them.
    #[must_use]
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.limits.workers = workers.max(1);
        self
    }

    /// The largest reply in bytes of JSON, 16 MiB by default. A larger one becomes an error.
    #[must_use]
    pub fn max_reply_bytes(mut self, bytes: usize) -> Self {
        // An agent panics at 2^31.
        self.max_reply_bytes = bytes.min(1 << 30);
        self
    }

    /// Which `log` records go to the agent's log, `Info` and above by default. The agent's own `DebugLevel` decides
    /// which of them it keeps, and is not told to plugins.
    #[must_use]
    pub fn log_level(mut self, level: LevelFilter) -> Self {
        self.log_level = level;
        self
    }

    /// Checks what would otherwise take the agent down at its start.
    ///
    /// # Errors
    /// Names the metric that an agent would not take.
    pub fn check(&self) -> Result<(), MetricError> {
        for (place, metric) in self.metrics.iter().enumerate() {
            metric.check()?;
            if self.metrics[..place].iter().any(|other| other.key == metric.key) {
                return Err(MetricError::Twice(metric.key.clone()));
            }
        }
        Ok(())
    }

    /// The plugin's `main`: serves the agent that started this process, until it says *terminate* or is gone.
    ///
    /// Signals that an agent's process group gets (SIGTERM, SIGINT, SIGHUP and others) are ignored, because an agent
    /// panics when its plugin ends before it said so. Standard output goes nowhere: agents keep it in memory.
    #[must_use]
    pub fn run<E: Exporter>(&self) -> ExitCode {
        match AgentCall::from_args(std::env::args_os().skip(1)) {
            Some(call) => self.answer::<E>(&call),
            None => self.explain(),
        }
    }

    /// As [`Plugin::run`], for a program that has looked at its arguments itself.
    #[must_use]
    pub fn answer<E: Exporter>(&self, call: &AgentCall) -> ExitCode {
        let outcome = prepare_process()
            .and_then(|()| connect(call))
            .map_err(SessionError::from)
            .and_then(|stream| self.serve::<E>(stream, call.pass));
        // A reader of the agent's trace log finds this; there is no other place left.
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("{}: {error}", self.name)),
        }
    }

    /// Speaks to the agent at the other end of `stream`, until *terminate* or the end of the stream.
    ///
    /// # Errors
    /// When the stream breaks in the middle.
    pub fn serve<E: Exporter>(&self, stream: UnixStream, pass: Pass) -> Result<(), SessionError> {
        Session::<E>::open(self, stream, pass)?.run()
    }

    fn explain(&self) -> ExitCode {
        complain(&format!(
            "this is a plugin of Zabbix agent 2, which starts it; its configuration needs\n\
             Plugins.{}.System.Path={}",
            self.name,
            std::env::current_exe().unwrap_or_default().display()
        ))
    }
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

#[expect(clippy::print_stderr, reason = "the one line that says why the process could not do its work")]
fn complain(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// Nothing but the agent ends this process: not a signal to its group, not a line on standard output.
fn prepare_process() -> io::Result<()> {
    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    guard::install_hook();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM] {
        // A flag that nobody reads: the signal is caught and forgotten.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(())
}

fn connect(call: &AgentCall) -> io::Result<UnixStream> {
    let give_up = Instant::now() + CONNECT_FOR;
    loop {
        match UnixStream::connect(&call.socket) {
            Err(error) if Instant::now() >= give_up => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
            connected => return connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_would_take_an_agent_down_are_found() {
        let check = |key: &str, description: &str| Plugin::new("P").metric(key, description).check();
        assert_eq!(check("a.b-c_1", "Text."), Ok(()));
        assert_eq!(check("a[b]", "Text."), Err(MetricError::Key("a[b]".into())));
        assert_eq!(check("", "Text."), Err(MetricError::Key(String::new())));
        assert_eq!(check("a", "text."), Err(MetricError::Description("a".into())));
        assert_eq!(check("a", "Text"), Err(MetricError::Description("a".into())));
        let twice = Plugin::new("P").metric("a", "A.").metric("a", "B.");
        assert_eq!(twice.check(), Err(MetricError::Twice("a".into())));
    }

    #[test]
    fn only_an_absolute_path_with_true_or_false_is_an_agents_call() {
        let call = |arguments: &[&str]| AgentCall::from_args(arguments.iter().copied());
        assert_eq!(call(&["/s", "true"]), Some(AgentCall { socket: "/s".into(), pass: Pass::Register }));
        for other in [&["s", "true"][..], &["/s"], &["/s", "maybe"], &["/s", "true", "x"], &[]] {
            assert_eq!(call(other), None, "{other:?}");
        }
    }
}
