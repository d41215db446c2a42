//! Named steps. The duration of each is printed, and a failure ends the task.

use std::error::Error;
use std::fmt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::output::{Done, say};

/// A step that failed, and after how long.
#[derive(Debug)]
struct Failed {
    step: &'static str,
    seconds: f64,
    reason: String,
}

impl Error for Failed {}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}` failed after {:.1} s: {}", self.step, self.seconds, self.reason)
    }
}

/// Runs a step and prints its duration.
pub(crate) fn step(name: &'static str, work: impl FnOnce() -> Done) -> Done {
    let start = last_step(name, work)?;
    say(&format!("== {name}: {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// As [`step`], but prints nothing afterwards, so that the step's own last output stays last.
pub(crate) fn last_step(name: &'static str, work: impl FnOnce() -> Done) -> Result<Instant, Box<dyn Error>> {
    say(&format!("== {name}"));
    let start = Instant::now();
    let seconds = || start.elapsed().as_secs_f64();
    work().map_err(|error| Failed { step: name, seconds: seconds(), reason: error.to_string() })?;
    Ok(start)
}

/// Runs a command that talks to the terminal itself, with nothing to read.
pub(crate) fn command(command: &mut Command) -> Done {
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(ended(command, status).into()) }
}

fn ended(command: &Command, status: ExitStatus) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}` ended with {status}", words.join(" "))
}
