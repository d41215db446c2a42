//! 10,000 kills of the worker while logs are written.

use std::path::Path;
use std::time::Instant;

use oomwatch_tests::{KillReport, kill_workers};

use crate::output::say;

const KILLS: u32 = 10_000;
const LOGS: usize = 20;

pub(super) fn run(plugin: &Path) -> Result<String, Box<dyn std::error::Error>> {
    say(&format!("{KILLS} kills, {LOGS} logs ..."));
    let start = Instant::now();
    let report = kill_workers(plugin, KILLS, LOGS)?;
    if report.lost > 0 || !report.wrong_totals.is_empty() {
        return Err(format!("{report:?}").into());
    }
    Ok(table(&report, start.elapsed().as_secs()))
}

fn table(report: &KillReport, seconds: u64) -> String {
    format!(
        "{} SIGKILLs at random times, at most 120 ms apart, while {LOGS} logs were written and polled. Took {seconds} s.\n\n\
         | | |\n|---|---|\n\
         | lines written | {} |\n\
         | lines lost | {} |\n\
         | lines that came again, each in the last reply before a kill | {} |\n\
         | `log.total` different from the number of lines | {} of {LOGS} |\n\
         | polls with an error, because their worker had ended | {} |",
        report.kills,
        report.written,
        report.lost,
        report.repeated,
        report.wrong_totals.len(),
        report.errors
    )
}
