use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use crate::Generation;

/// Environment variable: the address of a Debian archive, for machines without one in apt's configuration.
pub const MIRROR: &str = "OOMWATCH_DEBIAN_MIRROR";

/// An error of the harness itself, as opposed to a failure of the tested program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the harness is not usable.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The plugin runs without a worker.
    #[error("the plugin's process {supervisor} has no worker")]
    NoWorker {
        /// The process that the agent started.
        supervisor: u32,
    },
    /// A command did not start.
    #[error("cannot run {command}: {source}")]
    Spawn {
        /// The command line.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("{command} failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// The exit status.
        status: ExitStatus,
        /// The output, standard error last.
        output: String,
    },
    /// apt's configuration on this machine names no Debian archive.
    #[error("apt-get indextargets names no Debian archive; set {} to the address of one", MIRROR)]
    NoArchive,
    /// No archive in apt's configuration served a package.
    #[error("{package} of {suite} could not be had from any archive that apt knows: {last}")]
    NoPackage {
        /// The package.
        package: &'static str,
        /// The suite.
        suite: &'static str,
        /// The last archive's failure.
        last: Box<Error>,
    },
    /// An executable of this workspace is missing.
    #[error("no executable {name} in {}: build it with `cargo build --workspace --bins`", directory.display())]
    NoExecutable {
        /// The executable's name.
        name: String,
        /// The searched directory.
        directory: PathBuf,
    },
    /// The agent ended before its first answer.
    #[error("agent {generation} ended at its start ({status}):\n{output}")]
    AgentExited {
        /// The agent's generation.
        generation: Generation,
        /// The exit status.
        status: ExitStatus,
        /// Its standard output, standard error and log.
        output: String,
    },
    /// The agent runs and does not answer.
    #[error("agent {generation} does not answer {seconds} s after its start:\n{output}")]
    AgentSilent {
        /// The agent's generation.
        generation: Generation,
        /// The waiting time.
        seconds: u64,
        /// Its standard output, standard error and log.
        output: String,
    },
    /// The connection to an agent broke, or the reply was invalid.
    #[error("no reply to {key}: {source}")]
    Exchange {
        /// The item key.
        key: String,
        /// The connection's error.
        source: io::Error,
    },
    /// A program ended, or was not ready in time.
    #[error("{program} did not get ready: {reason}\n{output}")]
    Service {
        /// The program.
        program: &'static str,
        /// The observed state.
        reason: String,
        /// The end of its output.
        output: String,
    },
    /// An HTTP request got no readable answer.
    #[error("{request}: {source}")]
    Http {
        /// The request.
        request: String,
        /// The connection's error.
        source: Box<ureq::Error>,
    },
    /// A server answered a request with an error or an unexpected value.
    #[error("{request}: {answer}")]
    Refused {
        /// The request.
        request: String,
        /// The server's answer.
        answer: String,
    },
    /// An actor was not ready in time.
    #[error("actor {name} did not get ready: {reason}")]
    Actor {
        /// The actor's name.
        name: String,
        /// The observed state.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { path, source }
    }
}

/// Runs a command to its end and returns its standard output. The error of a failed command contains all of its output.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|source| Error::Spawn { command: typed(command), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command { command: typed(command), status: output.status, output: both(&output) })
}

/// The command line without the environment.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn both(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    text.join("\n")
}
