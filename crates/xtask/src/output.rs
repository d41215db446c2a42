//! What every task returns and prints.

use std::error::Error;

/// The result of a task.
pub(crate) type Done = Result<(), Box<dyn Error>>;

/// Prints a line for the person who runs the task.
#[expect(clippy::print_stdout, reason = "a task reports to the person who runs it")]
pub(crate) fn say(text: &str) {
    println!("{}", text.trim_end());
}
