use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use crate::Generation;

/// What can go wrong in the harness itself, as against in what is tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the harness could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command could not be started at all.
    #[error("cannot run {command}: {source}")]
    Spawn {
        /// The command as it would be typed.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("{command} failed ({status}): {output}")]
    Command {
        /// The command as it would be typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, standard error last.
        output: String,
    },
    /// apt on this machine is not configured with an archive of Debian.
    #[error(
        "apt-get indextargets names no Debian archive; set {} to the address of one",
        crate::debian::MIRROR
    )]
    NoArchive,
    /// None of the archives that apt knows served a package.
    #[error("{package} of {suite} could not be had from any archive that apt knows: {last}")]
    NoPackage {
        /// The package wanted.
        package: &'static str,
        /// The suite it was wanted from.
        suite: &'static str,
        /// The last archive's failure.
        last: Box<Error>,
    },
    /// An executable of this workspace is not where it is looked for.
    #[error("no executable {name} in {}: build it with `cargo build --workspace --bins`", directory.display())]
    NoExecutable {
        /// The executable's name.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The agent ended instead of answering.
    #[error("agent {generation} ended at its start ({status}):\n{output}")]
    AgentExited {
        /// Which agent.
        generation: Generation,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard output, standard error and log.
        output: String,
    },
    /// The agent runs and does not answer.
    #[error("agent {generation} does not answer {seconds} s after its start:\n{output}")]
    AgentSilent {
        /// Which agent.
        generation: Generation,
        /// How long was waited.
        seconds: u64,
        /// What it wrote to its standard output, standard error and log.
        output: String,
    },
    /// The connection to an agent broke, or brought something that is no reply.
    #[error("no reply to {key}: {source}")]
    Exchange {
        /// The item asked for.
        key: String,
        /// What the connection said.
        source: io::Error,
    },
    /// A program that was to run on ended, or never got ready.
    #[error("{program} did not get ready: {reason}\n{output}")]
    Service {
        /// The program.
        program: &'static str,
        /// What was seen instead.
        reason: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A request over HTTP brought no answer that could be read.
    #[error("{request}: {source}")]
    Http {
        /// What was asked for.
        request: String,
        /// What the connection said.
        source: Box<ureq::Error>,
    },
    /// A server answered a request with an error, or with something unforeseen.
    #[error("{request}: {answer}")]
    Refused {
        /// What was asked for.
        request: String,
        /// What it said.
        answer: String,
    },
    /// An actor did not come to life.
    #[error("actor {name} did not get ready: {reason}")]
    Actor {
        /// The actor's name.
        name: String,
        /// What was seen instead.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { path, source }
    }
}

/// Runs a command to its end and hands out its standard output; a failure carries everything it wrote.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|source| Error::Spawn { command: typed(command), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command { command: typed(command), status: output.status, output: both(&output) })
}

/// The command as one would type it; the environment is left out.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn both(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    text.join("\n")
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
