//! The real Apache from Debian's packages, with the configuration of a [`Machine`](crate::machine::Machine).

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use oomwatch_tests::debian::{Packages, Root};
use oomwatch_tests::wait_until;
use pool_capacity::ServerProcess;
use pool_capacity::apache::Invocation;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::machine::Materialised;

/// Limit on a loaded machine for work that takes a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn packages() -> Root {
    Packages::new("bookworm", &["apache2"]).unpacked("apache").unwrap()
}

/// A running Apache. It ends, with its children, when this is dropped.
pub(crate) struct Server {
    child: Child,
    errors: PathBuf,
    /// The process names in Debian and in other distributions.
    logs: [PathBuf; 2],
}

impl Server {
    /// Starts Apache in the foreground; `extra` directives come after its configuration.
    pub(crate) fn start(files: &Materialised, invocation: &Invocation, extra: &[&str]) -> Self {
        let errors = files.directory().join("stderr");
        let mut command = command(files, invocation);
        // Debian's configuration names the machine's own modules.
        let room = format!("DefaultRuntimeDir {}", files.directory().join("var/run/apache2").display());
        command.args(["-D", "FOREGROUND", "-c", &room]).args(extra.iter().flat_map(|line| ["-c", *line]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap());
        let child = command.process_group(0).spawn().unwrap();
        let server = Self { child, errors, logs: files.error_logs() };
        let up = wait_until(PATIENCE, || server.log().contains("resuming normal operations"));
        assert!(up, "not started: {} {}", server.messages(), server.log());
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output on standard error.
    pub(crate) fn messages(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> String {
        self.logs.iter().filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The number of workers: children of prefork; for the other MPMs threads without the two that only manage.
    pub(crate) fn workers(&self, has_threads: bool) -> usize {
        let of = |pid: &u32| if has_threads { threads(*pid).saturating_sub(2) } else { 1 };
        self.children().iter().map(of).sum()
    }

    /// The parent and its children, in the form that a caller of `pool-capacity` passes.
    pub(crate) fn processes(&self) -> Vec<ServerProcess> {
        [self.pid()].into_iter().chain(self.children()).filter_map(process).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // All processes are killed at once: nothing outlives them, and a graceful stop takes seconds.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn command(files: &Materialised, invocation: &Invocation) -> Command {
    let mut command = files.apache.command("usr/sbin/apache2");
    command.envs(invocation.environment.iter().map(|(name, value)| (name, files.rewritten(value))));
    command.arg("-d").arg(files.moved(&invocation.server_root));
    command.arg("-f").arg(files.moved(&invocation.configuration));
    command.args(invocation.defines.iter().flat_map(|name| ["-D", name]));
    command
}

/// Reads the configuration, prints the result, and ends.
pub(crate) fn check(files: &Materialised, invocation: &Invocation) -> Output {
    let mut command = command(files, invocation);
    command.args(["-t", "-D", "DUMP_INCLUDES", "-D", "DUMP_RUN_CFG"]).output().unwrap()
}

/// The codes of Apache's messages in a text.
pub(crate) fn codes(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("AH").filter_map(|(at, _)| text.get(at..at + 7));
    let codes = starts.filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()));
    codes.map(ToOwned::to_owned).collect()
}

fn status(pid: u32, name: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

pub(crate) fn threads(pid: u32) -> usize {
    status(pid, "Threads").unwrap_or(0) as usize
}

fn process(pid: u32) -> Option<ServerProcess> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = arguments.strip_suffix(&[0]).unwrap_or(&arguments).split(|byte| *byte == 0);
    Some(ServerProcess {
        pid,
        ppid: status(pid, "PPid")?,
        name: fs::read(format!("/proc/{pid}/comm")).ok()?.trim_ascii_end().to_vec(),
        arguments: arguments.map(<[u8]>::to_vec).collect(),
        threads: status(pid, "Threads")?,
        uid: None,
    })
}

/// A connection that keeps a worker busy with an incomplete request.
pub(crate) fn half_open(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    stream
}

pub(crate) fn lines_of<'a>(output: &'a Output, start: &str) -> Vec<&'a str> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().filter_map(|line| line.trim_start().strip_prefix(start)).collect()
}

/// The files that `DUMP_INCLUDES` lists, in order: `(*)` is the main one, `(12)` the line that includes one.
pub(crate) fn dumped_files(output: &Output) -> Vec<&Path> {
    let included = lines_of(output, "(");
    included.into_iter().filter_map(|line| Some(Path::new(line.split_once(") ")?.1))).collect()
}
