//! Measurements, each compared with a peer in the same run, and the page with the results.

mod exports;
mod logs;
mod measurement;
mod page;
mod part;
mod processes;

use std::error::Error;
use std::path::Path;

use oomwatch_tests::{PluginSpec, binaries};

use crate::output::{Done, say};
use measurement::Measurement;
pub(crate) use part::Part;

/// Measures a part, or all of them, and writes each into the page when it is done.
pub(crate) fn run(part: Option<Part>) -> Done {
    say("Building for release ...");
    let plugin = binaries::release("oomwatch-plugin", binaries::PLUGIN)?;
    let path = binaries::workspace().join("docs/benchmarks.md");
    for part in Part::ALL.into_iter().filter(|one| part.is_none_or(|part| part == *one)) {
        let rows = rows(part, &plugin)?;
        page::write(&path, part, &rows)?;
        say(&format!("{}\n\nwritten to {}", page::table(&rows), path.display()));
    }
    Ok(())
}

/// Measures a part.
fn rows(part: Part, plugin: &Path) -> Result<Vec<Measurement>, Box<dyn Error>> {
    match part {
        Part::Processes => {
            let mut rows = processes::rows(&PluginSpec::new(processes::NAME, plugin))?;
            rows.extend(exports::rows(plugin)?);
            Ok(rows)
        }
        Part::Logs => logs::rows(plugin),
    }
}
