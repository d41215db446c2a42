//! The worker process, as its supervisor sees it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::frame::{self, Accepted};
use crate::launch::WORKER_ARGUMENT;
use crate::link;
use crate::supervision::Supervision;

/// This program, even if its file was replaced since the start: both ends of the link must be the same program.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The last bytes that the worker printed, such as Rust's message about a stack overflow.
const PRINTED_BYTES: usize = 400;
/// Time for a worker to end after it closed its socket, before it is killed.
const END_WAIT: Duration = Duration::from_millis(100);

/// A running worker.
pub(super) struct Worker {
    child: Child,
    pub(super) channel: Channel,
    stderr: Option<ChildStderr>,
    printed: Vec<u8>,
    /// The worker has returned a value.
    pub(super) has_replied: bool,
    oom_kills: Option<u64>,
}

impl Worker {
    /// Starts a worker. `socket` is the agent's, which the process list then shows.
    ///
    /// # Errors
    /// The kernel starts no further process.
    pub(super) fn start(socket: &Path, report: &Supervision, accepted: Accepted) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let name = std::env::args_os().next().unwrap_or_else(|| OsString::from(OWN_PROGRAM));
        let mut child = Command::new(OWN_PROGRAM)
            .arg0(name)
            .arg(socket)
            .arg(WORKER_ARGUMENT)
            // So that the last line printed is the reason of an abort.
            .env("RUST_BACKTRACE", "0")
            // glibc would give each thread a heap of its own, and each heap keeps the size of its largest value: 300 items
            // on 2,000 processes took 37 MB in 8 threads, and 19 MB with two heaps. Other C libraries ignore it.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().filter(|stderr| rustix::io::ioctl_fionbio(stderr, true).is_ok());
        let mut channel = Channel::new(ours, accepted)?;
        let report = serde_json::to_vec(report).map_err(io::Error::other)?;
        frame::append_parts(channel.output(), link::SETUP, &[&report]);
        let (printed, oom_kills) = (Vec::new(), oom_kills());
        Ok(Self { child, channel, stderr, printed, has_replied: false, oom_kills })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the pipe with what the worker prints, until it is closed.
    pub(super) fn stderr(&self) -> Option<BorrowedFd<'_>> {
        self.stderr.as_ref().map(AsFd::as_fd)
    }

    /// Reads what the worker printed and keeps the end of it.
    pub(super) fn read_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut buffer = [0; 4096];
        match stderr.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(length) => {
                self.printed.extend_from_slice(&buffer[..length]);
                let surplus = self.printed.len().saturating_sub(PRINTED_BYTES);
                self.printed.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.stderr = None,
        }
    }

    pub(super) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
    }

    /// Waits for the end of a worker that has closed its socket, and returns the cause.
    pub(super) fn cause_of_end(mut self) -> String {
        let status = self.wait();
        while self.stderr.is_some() {
            let before = self.printed.clone();
            self.read_stderr();
            if self.printed == before {
                break;
            }
        }
        let cause = status.map_or_else(|error| format!("ended: {error}"), |status| self.describe(status));
        match self.last_printed_line() {
            Some(line) => format!("{cause} ({line})"),
            None => cause,
        }
    }

    /// Waits a short time for the end, and then forces it.
    fn wait(&mut self) -> io::Result<ExitStatus> {
        let give_up = Instant::now() + END_WAIT;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.kill();
        self.child.wait()
    }

    fn describe(&self, status: ExitStatus) -> String {
        match (status.signal(), status.code()) {
            (Some(signal), _)
                if signal == rustix::process::Signal::KILL.as_raw() && self.oom_killer_ran() =>
            {
                "was killed by SIGKILL, probably by the kernel's OOM killer".to_owned()
            }
            (Some(signal), _) => format!("was killed by {}", signal_name(signal)),
            (None, code) => format!("exited with status {}", code.unwrap_or_default()),
        }
    }

    fn oom_killer_ran(&self) -> bool {
        matches!((self.oom_kills, oom_kills()), (Some(before), Some(after)) if after > before)
    }

    fn last_printed_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.printed);
        let line =
            text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with("note:"))?;
        Some(line.replace(char::is_control, " "))
    }
}

/// The kernel's count of its kills, of any process on the machine.
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

fn signal_name(signal: i32) -> String {
    use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSYS, SIGXCPU};
    let names = [
        (SIGABRT, "SIGABRT"),
        (SIGBUS, "SIGBUS"),
        (SIGFPE, "SIGFPE"),
        (SIGILL, "SIGILL"),
        (SIGKILL, "SIGKILL"),
        (SIGSEGV, "SIGSEGV"),
        (SIGSYS, "SIGSYS"),
        (SIGXCPU, "SIGXCPU"),
    ];
    let name = names.iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
