//! Programs that run beside a test and end with it.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::agent::read_lossy;
use crate::{Error, cost, wait_until};

/// Shell script that ends with the program or ends it: when the other end of the pipe is closed, the program gets the signal `$1`
/// and 5 s later its whole process group is killed. Every kind of death of the test closes the pipe.
const SCRIPT: &str = r#"
signal=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{
    read -r nothing <&3
    kill -s "$signal" $child 2>/dev/null
    tries=0
    while kill -0 $child 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -s KILL 0
} &
exec 3<&-
wait $child
"#;
const END_LIMIT: Duration = Duration::from_secs(10);
const TAIL_LINES: usize = 40;

/// A program and its children, until this is dropped or the process that holds it dies.
#[derive(Debug)]
pub struct Supervised {
    program: &'static str,
    child: Child,
    output: PathBuf,
}

impl Supervised {
    /// Starts the program. `signal` is the one that ends it quickly; its output goes to the file `output`.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be started.
    pub fn start(
        program: &'static str,
        command: &Command,
        signal: &str,
        output: &Path,
    ) -> Result<Self, Error> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, program, signal]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        let file = File::create(output).map_err(Error::file(output))?;
        let errors = file.try_clone().map_err(Error::file(output))?;
        shell.process_group(0).stdin(Stdio::piped()).stdout(file).stderr(errors);
        let child = shell.spawn().map_err(|source| Error::Spawn { command: program.to_owned(), source })?;
        Ok(Self { program, child, output: output.to_owned() })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    ///
    /// Returns an error with its output if it ends before or takes longer than `limit`.
    pub fn wait_until_ready(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let mut ended = None;
        let done = wait_until(limit, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || ready()
        });
        match ended {
            Some(status) => Err(self.failure(format!("ended with {status}"))),
            None if done => Ok(()),
            None => Err(self.failure(format!("not ready after {} s", limit.as_secs()))),
        }
    }

    /// Its standard output and error.
    #[must_use]
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    fn failure(&self, reason: String) -> Error {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        Error::Service { program: self.program, reason, output: tail }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let group = self.child.id();
        let _ = self.child.wait();
        let _ = wait_until(END_LIMIT, || has_ended(group));
    }
}

/// Returns whether all processes of a group have ended. Orphans may be reaped seconds later, so the group itself remains.
fn has_ended(group: u32) -> bool {
    let members = cost::pids().filter(|pid| cost::group(*pid) == Some(group));
    members.map(cost::state).all(|state| matches!(state, None | Some('Z')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, directory: &Path) -> Supervised {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Supervised::start("sh", &command, "TERM", &directory.join("out")).unwrap()
    }

    #[test]
    fn children_that_ignore_signals_end_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut service =
            run("(trap '' TERM; sleep 1000) & echo $! started; exec sleep 1000", directory.path());
        let output = directory.path().join("out");
        let started = || read_lossy(&output).contains("started");
        service.wait_until_ready(Duration::from_secs(10), started).unwrap();
        let text = service.output();
        let pid: u32 = text.split(' ').next().unwrap().parse().unwrap();
        let process = crate::cost::Process::find(pid).unwrap();
        assert!(!process.has_ended());
        drop(service);
        assert!(process.has_ended());
    }

    #[test]
    fn early_end_is_an_error_with_the_output() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = run("echo no such thing; exit 3", directory.path());
        let error = service.wait_until_ready(Duration::from_secs(10), || false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such thing"), "{error}");
    }
}
