use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::Generation;
use crate::debian::{self, AgentFiles};
use crate::wire::{read_frame, write_frame};
use crate::{Error, cost, wait_until};

/// Limit for the first answer of an agent. Without plugins an agent answers after 0.2 s.
const START_LIMIT: Duration = Duration::from_secs(60);
/// If a passive poll has no value, agent 7.0 sends nothing and closes the connection after 30 s.
const REPLY_LIMIT: Duration = Duration::from_secs(40);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_LINES: usize = 60;
const START_ATTEMPTS: usize = 5;

/// An agent's reply to a passive poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The item's value.
    Value(String),
    /// The item is not supported, with the reason.
    NotSupported(String),
    /// The agent closed the connection without a reply: the item has no value now.
    NoData,
}

impl Reply {
    /// The value, if the item has one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Value(value) => Some(value),
            Self::NotSupported(_) | Self::NoData => None,
        }
    }

    fn from_plain(body: &[u8]) -> Self {
        match body.strip_prefix(b"ZBX_NOTSUPPORTED\0") {
            Some(reason) => Self::NotSupported(String::from_utf8_lossy(reason).into_owned()),
            None => Self::Value(String::from_utf8_lossy(body).into_owned()),
        }
    }

    /// Parses `{"data":[{"value":..}]}`, `{"data":[{"error":..}]}`, or `{"error":..}` for a request that the agent refused.
    fn from_json(body: &[u8]) -> io::Result<Self> {
        let reply: serde_json::Value = serde_json::from_slice(body)?;
        let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
        let first = &reply["data"][0];
        let error = text(&first["error"]).or_else(|| text(&reply["error"]));
        let unclear = || io::Error::new(io::ErrorKind::InvalidData, reply.to_string());
        text(&first["value"]).map(Self::Value).or(error.map(Self::NotSupported)).ok_or_else(unclear)
    }
}

/// How an agent ended.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// Time from the signal to the end.
    pub took: Duration,
    /// Whether the agent did not end by itself and was killed.
    pub forced: bool,
}

/// A loadable plugin for an agent to load.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    name: String,
    path: PathBuf,
    options: Vec<(String, String)>,
}

impl PluginSpec {
    /// The plugin in this executable. `name` is the name with which it registers.
    #[must_use]
    pub fn new(name: &str, path: impl Into<PathBuf>) -> Self {
        Self { name: name.to_owned(), path: path.into(), options: Vec::new() }
    }

    /// Adds `Plugins.NAME.OPTION=VALUE` to the agent's configuration.
    #[must_use]
    pub fn option(mut self, option: &str, value: impl Into<String>) -> Self {
        self.options.push((option.to_owned(), value.into()));
        self
    }

    fn lines(&self) -> String {
        let mut lines = format!("Plugins.{}.System.Path={}\n", self.name, self.path.display());
        for (option, value) in &self.options {
            let _ = writeln!(lines, "Plugins.{}.{option}={value}", self.name);
        }
        lines
    }
}

/// An agent that is not started yet, with its differences from the harness's default configuration.
#[derive(Debug, Clone)]
#[must_use]
pub struct AgentBuilder {
    generation: Generation,
    timeout: Duration,
    plugins: Vec<PluginSpec>,
    active_server: Option<SocketAddr>,
    lines: Vec<String>,
    rights: Vec<String>,
}

impl AgentBuilder {
    /// Sets the agent's `Timeout`, in whole seconds from 1 to 30. The default is the agent's own, 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Loads a plugin.
    pub fn plugin(mut self, plugin: PluginSpec) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// Sends active checks to a server, usually [`ActiveServer`](crate::ActiveServer).
    pub fn active_server(mut self, address: SocketAddr) -> Self {
        self.active_server = Some(address);
        self
    }

    /// Answers `from` with the item `to`: `Alias=from:to`.
    pub fn alias(self, from: &str, to: &str) -> Self {
        self.line(format!("Alias={from}:{to}"))
    }

    /// Runs the agent with other rights than the caller's: arguments of setpriv(1), such as `--reuid` and its user. `--` and
    /// a further command may follow; that command then starts the agent.
    pub fn rights(mut self, rights: &[&str]) -> Self {
        self.rights = rights.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds one line of configuration.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Starts the agent and waits until it answers.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent is not available, ends at its start, or does not answer in 60 s.
    pub fn start(self) -> Result<RealAgent, Error> {
        let files = debian::agent(self.generation)?;
        let mut result = self.attempt(&files);
        for _ in 1..START_ATTEMPTS {
            match &result {
                Err(Error::AgentExited { output, .. }) if is_unrelated_failure(output) => {
                    result = self.attempt(&files);
                }
                _ => break,
            }
        }
        result
    }

    fn attempt(&self, files: &AgentFiles) -> Result<RealAgent, Error> {
        let mut agent = self.spawn(files)?;
        agent.wait_until_it_answers()?;
        Ok(agent)
    }

    fn spawn(&self, files: &AgentFiles) -> Result<RealAgent, Error> {
        // The address of a unix socket has at most 108 bytes, so the directory's path must be short.
        let scratch =
            tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").map_err(Error::file("/tmp"))?;
        let port = free_port().map_err(Error::file("127.0.0.1"))?;
        let hostname = unique_hostname();
        let configuration = scratch.path().join("agent.conf");
        let text = self.configuration(scratch.path(), port, &hostname);
        fs::write(&configuration, text).map_err(Error::file(&configuration))?;
        if !self.rights.is_empty() {
            // Another user must be able to create its files there.
            fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777))
                .map_err(Error::file(scratch.path()))?;
        }
        let child = foreground(files, scratch.path(), &self.rights)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (generation, files, rights) = (self.generation, files.clone(), self.rights.clone());
        Ok(RealAgent { generation, files, rights, scratch, hostname, address, child, status: None })
    }

    fn configuration(&self, scratch: &Path, port: u16, hostname: &str) -> String {
        let scratch = scratch.display();
        let timeout = self.timeout.as_secs().max(1);
        let mut text = format!(
            "LogType=file\nLogFile={scratch}/log\nLogFileSize=0\nPidFile={scratch}/pid\nControlSocket={scratch}/c\n\
             PluginSocket={scratch}/p\nServer=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\nHostname={hostname}\n\
             Timeout={timeout}\n"
        );
        if let Some(server) = self.active_server {
            let _ = writeln!(text, "ServerActive={server}");
        }
        self.plugins.iter().for_each(|plugin| text.push_str(&plugin.lines()));
        self.lines.iter().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        text
    }
}

/// The agent runs in a process group of its own, so that a test can signal the group. A terminal or test runner that
/// ends its own group would then miss the agent, so the kernel is asked to end the agent with this process.
fn foreground(files: &AgentFiles, scratch: &Path, rights: &[String]) -> Result<Child, Error> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(rights).arg("--").arg(&files.program);
    command.arg("-f").arg("-c").arg(scratch.join("agent.conf"));
    with_libraries(&mut command, files);
    let path = scratch.join("out");
    let output = File::options().create(true).append(true).open(&path).map_err(Error::file(&path))?;
    let errors = output.try_clone().map_err(Error::file(&path))?;
    command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors);
    command.spawn().map_err(|source| Error::Spawn { command: "setpriv".into(), source })
}

fn with_libraries(command: &mut Command, files: &AgentFiles) {
    if let Some(path) = &files.library_path {
        command.env("LD_LIBRARY_PATH", path);
    }
}

/// Start failures that do not concern the plugin: two tests chose the same free port at the same time, or agent 6.0
/// reaped the plugin's first process before it waited for it, which happens with any plugin on a busy machine.
fn is_unrelated_failure(output: &str) -> bool {
    output.contains("address already in use") || output.contains("failed to obtain PID of dead child process")
}

/// Returns a port without a listener. Agents accept ports from 1024 to 32767 only; the kernel's own choice is higher.
///
/// # Errors
///
/// Returns an error if a thousand ports are in use.
pub fn free_port() -> io::Result<u16> {
    const FIRST: u32 = 10_100;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..1000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Test processes start at distant ports, so that parallel tests rarely try the same one.
        let port = FIRST + std::process::id().wrapping_mul(131).wrapping_add(step) % COUNT;
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unique_hostname() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("oomwatch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A real agent 2 in the foreground, on loopback, with all its files in a scratch directory.
#[derive(Debug)]
pub struct RealAgent {
    generation: Generation,
    files: AgentFiles,
    rights: Vec<String>,
    scratch: TempDir,
    hostname: String,
    address: SocketAddr,
    child: Child,
    status: Option<ExitStatus>,
}

impl RealAgent {
    /// Returns a builder for an agent of this generation.
    pub fn builder(generation: Generation) -> AgentBuilder {
        let timeout = Duration::from_secs(3);
        AgentBuilder {
            generation,
            timeout,
            plugins: Vec::new(),
            active_server: None,
            lines: Vec::new(),
            rights: Vec::new(),
        }
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The agent's process id, which is also its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The host name that the agent sends to servers.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The address at which the agent listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory with its configuration, log and sockets.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Polls an item by the plain passive protocol, which both generations speak. Agent 7.0 gives such an item one
    /// minute, independent of its `Timeout`; see [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or no reply in 40 s.
    pub fn get(&self, key: impl Into<String>) -> Result<Reply, Error> {
        self.get_within(key, REPLY_LIMIT)
    }

    /// Like [`get`](Self::get), with another limit.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or no reply within the limit.
    pub fn get_within(&self, key: impl Into<String>, limit: Duration) -> Result<Reply, Error> {
        let key = key.into();
        let body = self.exchange(key.as_bytes(), limit).map_err(|source| Error::Exchange { key, source })?;
        Ok(body.map_or(Reply::NoData, |body| Reply::from_plain(&body)))
    }

    /// Polls an item as servers from 7.0 on do, with the item's own timeout. Only 7.0 agents understand it.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or no reply in 40 s.
    pub fn get_json(&self, key: impl Into<String>, timeout: Duration) -> Result<Reply, Error> {
        let key = key.into();
        let item = serde_json::json!({"key": key, "timeout": timeout.as_secs()});
        let request = serde_json::json!({"request": "passive checks", "data": [item]}).to_string();
        let reply = self.exchange(request.as_bytes(), REPLY_LIMIT);
        let reply = reply.and_then(|body| body.map_or(Ok(Reply::NoData), |body| Reply::from_json(&body)));
        reply.map_err(|source| Error::Exchange { key, source })
    }

    /// Polls an item as a server of the agent's generation does: the request to a 7.0 agent contains the item's timeout; a
    /// 6.0 agent uses its own `Timeout`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or no reply in 40 s.
    pub fn poll(&self, key: impl Into<String>, timeout: Duration) -> Result<Reply, Error> {
        match self.generation {
            Generation::V6_0 => self.get(key),
            Generation::V7_0 => self.get_json(key, timeout),
        }
    }

    fn exchange(&self, request: &[u8], limit: Duration) -> io::Result<Option<Vec<u8>>> {
        let stream = TcpStream::connect_timeout(&self.address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        write_frame(&stream, request)?;
        read_frame(&stream)
    }

    /// Runs `zabbix_agent2 -t KEY`: a second process with the same configuration beside this one. Returns its output.
    ///
    /// # Errors
    ///
    /// Returns an error if the second process fails.
    pub fn test_item(&self, key: impl Into<String>) -> Result<String, Error> {
        let mut command = Command::new(&self.files.program);
        with_libraries(&mut command, &self.files);
        command.arg("-c").arg(self.scratch().join("agent.conf")).arg("-t").arg(key.into());
        crate::error::run(command.stdin(Stdio::null()))
    }

    /// Returns whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.poll_status().is_none()
    }

    fn poll_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for the agent to end by itself.
    pub fn wait_for_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let _ = wait_until(limit, || self.poll_status().is_some());
        self.status
    }

    /// The contents of its log file.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.scratch().join("log"))
    }

    /// All output: standard output and error, then the log.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", read_lossy(&self.scratch().join("out")), self.log())
    }

    /// The processes of the agent's plugins.
    #[must_use]
    pub fn plugin_pids(&self) -> Vec<u32> {
        // Agent 6.0 does not reap the process of the register pass.
        cost::children(self.pid()).into_iter().filter(|&pid| cost::state(pid) != Some('Z')).collect()
    }

    /// Sends a signal to the agent alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = as_pid(self.pid()) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to the agent's process group, as a terminal does: the plugins receive it as well.
    pub fn signal_group(&self, signal: Signal) {
        if let Some(pid) = as_pid(self.pid()) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Sends SIGTERM, and SIGKILL if the agent has not ended after 60 s.
    pub fn stop(mut self) -> Stopped {
        self.end(STOP_LIMIT)
    }

    /// Sets [`AgentBuilder::rights`] from the next start on.
    pub fn set_rights(&mut self, rights: &[&str]) {
        self.rights = rights.iter().map(ToString::to_string).collect();
    }

    /// Ends the agent. It can be started again.
    pub fn pause(&mut self) {
        if self.poll_status().is_none() {
            self.end(STOP_LIMIT);
        }
    }

    /// Starts the agent again with the same directory, configuration, name and port, and waits until it answers. Stops a
    /// running agent first. Does not wait for plugins that a killed agent left behind.
    ///
    /// # Errors
    ///
    /// Like [`AgentBuilder::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.pause();
        let mut result = self.start_again();
        for _ in 1..START_ATTEMPTS {
            match &result {
                Err(Error::AgentExited { output, .. }) if is_unrelated_failure(output) => {
                    result = self.start_again();
                }
                _ => break,
            }
        }
        result
    }

    fn start_again(&mut self) -> Result<(), Error> {
        self.child = foreground(&self.files, self.scratch(), &self.rights)?;
        self.status = None;
        self.wait_until_it_answers()
    }

    /// Sends SIGKILL: the agent cannot end its plugins.
    pub fn kill(mut self) -> Stopped {
        let start = Instant::now();
        self.signal(Signal::KILL);
        Stopped { status: self.reap(), took: start.elapsed(), forced: true }
    }

    fn end(&mut self, limit: Duration) -> Stopped {
        let start = Instant::now();
        self.signal(Signal::TERM);
        let ended = self.wait_for_end(limit);
        let status = ended.unwrap_or_else(|| {
            self.signal(Signal::KILL);
            self.reap()
        });
        Stopped { status, took: start.elapsed(), forced: ended.is_none() }
    }

    /// Waits for a killed process. Returns `ExitStatus::default` if the kernel refuses to wait.
    fn reap(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap_or_default();
        self.status = Some(status);
        status
    }

    fn wait_until_it_answers(&mut self) -> Result<(), Error> {
        let ready = wait_until(START_LIMIT, || self.poll_status().is_some() || self.answers());
        if let Some(status) = self.poll_status() {
            return Err(Error::AgentExited { generation: self.generation, status, output: self.output() });
        }
        if ready {
            return Ok(());
        }
        let seconds = START_LIMIT.as_secs();
        Err(Error::AgentSilent { generation: self.generation, seconds, output: self.output() })
    }

    /// Another agent may have the port by now, so the host name is compared.
    fn answers(&self) -> bool {
        let reply = self.get_within("agent.hostname", Duration::from_secs(1));
        reply.is_ok_and(|reply| reply.value() == Some(&self.hostname))
    }

    fn print_tail(&self) {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        eprintln!("--- agent {} ({}), last lines:\n{}\n---", self.generation, self.hostname, tail.join("\n"));
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_tail();
        }
        if self.poll_status().is_none() {
            self.end(Duration::from_secs(5));
        }
        Leftovers(self.scratch().join("p")).end();
    }
}

/// Plugin processes that should have ended with their agent, also after a kill or a crash. Only their command lines
/// contain this agent's own socket.
struct Leftovers(PathBuf);

impl Leftovers {
    fn pids(&self) -> Vec<u32> {
        cost::pids()
            .filter(|pid| cost::arguments(*pid).nth(1).is_some_and(|socket| socket == self.0))
            .collect()
    }

    fn end(&self) {
        if wait_until(Duration::from_secs(2), || self.pids().is_empty()) {
            return;
        }
        for pid in self.pids().into_iter().filter_map(as_pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

pub(crate) fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
