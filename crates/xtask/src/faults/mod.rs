//! Faults and long runs that are too long for a test, and their part of docs/reliability.md.

mod kills;
mod part;
mod soak;

use std::fs;

use oomwatch_tests::binaries;

use crate::generated::{cores_and_kernel, first_line, today, with_part};
use crate::output::{Done, say};
pub(crate) use part::Part;

/// Runs a part, or all of them, and writes each into the page when it is done.
pub(crate) fn run(part: Option<Part>) -> Done {
    say("Building for release ...");
    let plugin = binaries::release("oomwatch-plugin", binaries::PLUGIN)?;
    let path = binaries::workspace().join("docs/reliability.md");
    for part in Part::ALL.into_iter().filter(|one| part.is_none_or(|part| part == *one)) {
        let table = match part {
            Part::Kills => kills::run(&plugin)?,
            Part::Soak => soak::run(&plugin)?,
        };
        let commit = first_line("git", &["rev-parse", "--short", "HEAD"]);
        let text = format!("{}, {}, commit {commit}.\n\n{table}", today(), cores_and_kernel());
        let page = fs::read_to_string(&path)?;
        fs::write(&path, with_part(&page, &format!("faults {}", part.name()), part.title(), &text))?;
        say(&format!("{table}\n\nwritten to {}", path.display()));
    }
    Ok(())
}
