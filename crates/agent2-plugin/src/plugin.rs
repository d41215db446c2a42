//! The plugin and its process.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use std::{io, thread};

use log::LevelFilter;

use crate::exporter::Exporter;
use crate::guard;
use crate::launch::{LaunchArguments, LaunchMode};
use crate::session::{Session, SessionError};
use crate::settings::{Metric, MetricError, REPLY_BYTES_MAX, Settings};
use crate::supervisor::Supervisor;
use crate::worker_process;

/// Time for the connection to the agent. The agent listens before it starts the plugin, so only a busy machine needs it.
const CONNECT_FOR: Duration = Duration::from_secs(2);

/// Limit for the private memory of a worker. Much more than one needs, so that only a fault reaches it.
const DEFAULT_WORKER_MEMORY: u64 = 256 * 1024 * 1024;

/// A plugin: its name and its metrics. [`Plugin::run`] is the `main` of the process that an agent starts.
#[derive(Debug, Clone)]
pub struct Plugin {
    settings: Settings,
}

impl Plugin {
    /// Creates a plugin with the name that is used in `Plugins.<Name>.System.Path`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { settings: Settings::new(name.into()) }
    }

    /// Returns the name of the plugin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Adds an item key. Neither the agent nor another plugin may have the same key. The description must begin with a
    /// capital and end with a full stop.
    #[must_use]
    pub fn metric(mut self, key: impl Into<String>, description: impl Into<String>) -> Self {
        self.settings.metrics.push(Metric { key: key.into(), description: description.into() });
        self
    }

    /// Runs handlers in a worker, a second process of the same program, which may fail without ending the agent.
    ///
    /// If the worker ends for any reason, open polls get an error that names it, and a new worker starts. Both processes
    /// end with the agent. A reply counts as delivered when the agent has read it.
    #[must_use]
    pub fn supervised(mut self) -> Self {
        self.settings.worker_memory.get_or_insert(DEFAULT_WORKER_MEMORY);
        self
    }

    /// Sets the limit for the private memory of a worker in bytes (`RLIMIT_DATA`), and runs handlers in one. The default is
    /// 256 MiB. A worker that needs more is aborted.
    #[must_use]
    pub fn max_worker_memory(mut self, bytes: u64) -> Self {
        self.settings.worker_memory = Some(bytes);
        self
    }

    /// Sets the limit for threads that run short handlers. The default is 8. Threads start on demand. Handlers that run for
    /// more than a tenth of a second do not count, because they are probably blocked.
    #[must_use]
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.settings.limits.threads = threads.max(1);
        self
    }

    /// Sets the limit for a reply in bytes of JSON. The default is 16 MiB. A larger reply becomes an error.
    #[must_use]
    pub fn max_reply_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_reply_bytes = bytes.min(REPLY_BYTES_MAX);
        self
    }

    /// Sets the level of `log` records that go to the agent's log. The default is `Info`. The agent filters them further by
    /// its own `DebugLevel`, which plugins cannot read.
    #[must_use]
    pub fn log_level(mut self, level: LevelFilter) -> Self {
        self.settings.log_level = level;
        self
    }

    /// Checks the metrics, because an agent does not survive the registration of an invalid one.
    ///
    /// # Errors
    /// Names the metric that an agent would not accept.
    pub fn check(&self) -> Result<(), MetricError> {
        self.settings.check()
    }

    /// Runs the plugin: serves the agent that started this process until the agent sends *terminate* or is gone.
    ///
    /// Signals that an agent's process group gets (SIGTERM, SIGINT, SIGHUP and others) are ignored, because an agent
    /// panics if its plugin exits before *terminate*. Standard output is discarded, because agents keep it in memory.
    #[must_use]
    pub fn run<E: Exporter>(&self) -> ExitCode {
        match LaunchArguments::from_args(std::env::args_os().skip(1)) {
            Some(launch) => self.run_with::<E>(&launch),
            None => self.report_misuse(),
        }
    }

    /// As [`Plugin::run`], for a program that has parsed its arguments itself.
    #[must_use]
    pub fn run_with<E: Exporter>(&self, launch: &LaunchArguments) -> ExitCode {
        let outcome = prepare_process().map_err(SessionError::from).and_then(|()| self.run_as::<E>(launch));
        // Standard error appears in the agent's trace log only. Without a session there is no other place for the error.
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{}: {error}", self.settings.name)),
        }
    }

    fn run_as<E: Exporter>(&self, launch: &LaunchArguments) -> Result<(), SessionError> {
        match (launch.mode, self.settings.worker_memory) {
            (LaunchMode::Serve, Some(_)) => {
                Supervisor::new(&self.settings, &launch.socket, connect(launch)?)?.run();
                Ok(())
            }
            (LaunchMode::Work, memory) => {
                let link = worker_process::prepare(memory.unwrap_or(DEFAULT_WORKER_MEMORY))?;
                self.serve::<E>(link, launch.mode)
            }
            (LaunchMode::Register | LaunchMode::Serve, _) => self.serve::<E>(connect(launch)?, launch.mode),
        }
    }

    /// Serves the agent at the other end of `stream` until *terminate* or the end of the stream.
    ///
    /// # Errors
    /// The stream breaks within a frame.
    pub fn serve<E: Exporter>(&self, stream: UnixStream, mode: LaunchMode) -> Result<(), SessionError> {
        Session::<E>::open(&self.settings, stream, mode)?.run()
    }

    fn report_misuse(&self) -> ExitCode {
        fail(&format!(
            "this is a plugin of Zabbix agent 2, which starts it; its configuration needs\n\
             Plugins.{}.System.Path={}",
            self.settings.name,
            std::env::current_exe().unwrap_or_default().display()
        ))
    }
}

#[expect(clippy::print_stderr, reason = "the process has no session through which to report the error")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// Ensures that only the agent ends this process, and no signal to its group or write to standard output.
fn prepare_process() -> io::Result<()> {
    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    guard::install_hook();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM] {
        // The flag is never read: the signal is caught and ignored.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(())
}

fn connect(launch: &LaunchArguments) -> io::Result<UnixStream> {
    let deadline = Instant::now() + CONNECT_FOR;
    loop {
        match UnixStream::connect(&launch.socket) {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
            connected => return connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_agents_do_not_accept_are_rejected() {
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
    fn limits_have_bounds() {
        let plugin = Plugin::new("P").max_threads(0).max_reply_bytes(usize::MAX);
        assert_eq!((plugin.settings.limits.threads, plugin.settings.max_reply_bytes), (1, 1 << 30));
        let plugin = Plugin::new("P").max_threads(5).max_reply_bytes(7);
        assert_eq!((plugin.settings.limits.threads, plugin.settings.max_reply_bytes), (5, 7));
    }
}
