//! The page that tells what the last run saw.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use oomwatch_tests::Generation;

use super::hosts::HostReport;
use super::play::{Checks, Outcome};
use crate::generated::{cell, cores_and_kernel, today, with_part};

/// The introduction is written by hand.
const EMPTY: &str = "# Alerts\n";

/// Puts the results into the page, in place of those that were there.
pub(super) fn write(path: &Path, outcomes: &[Outcome], hosts: &[HostReport]) -> io::Result<()> {
    let page = fs::read_to_string(path).unwrap_or_else(|_| EMPTY.to_owned());
    let text = format!("{}\n\n{}\n\n{}", machine(), triggers(outcomes), told(hosts));
    fs::write(path, with_part(&page, "alerts", "The last run", &text))
}

fn machine() -> String {
    format!(
        "Zabbix 6.0 and 7.0 with agents of the same versions at the same time, {}, {}. In each cell: seconds from the cause to \
         the problem / from its end to the problem's.",
        cores_and_kernel(),
        today()
    )
}

const COLUMNS: [(Generation, Checks); 4] = [
    (Generation::V6_0, Checks::Passive),
    (Generation::V6_0, Checks::Active),
    (Generation::V7_0, Checks::Passive),
    (Generation::V7_0, Checks::Active),
];

fn triggers(outcomes: &[Outcome]) -> String {
    let mut table = "| template | trigger | cause | ended by |".to_owned();
    for (generation, checks) in COLUMNS {
        let _ = write!(table, " {generation} {} |", checks.name());
    }
    table += "\n|---|---|---|---|---|---|---|---|";
    let mut sorted: Vec<_> = outcomes.iter().collect();
    sorted.sort_by_key(|outcome| (outcome.family, outcome.trigger));
    for outcome in sorted {
        let Outcome { family, trigger, what, ended_by, .. } = outcome;
        let _ = write!(table, "\n| {family} | {} | {what} | {ended_by} |", cell(trigger));
        for column in COLUMNS {
            let _ = write!(table, " {} |", seconds(outcome, column));
        }
    }
    table
}

fn seconds(outcome: &Outcome, column: (Generation, Checks)) -> String {
    let timing = outcome.timings.iter().find(|timing| (timing.generation, timing.checks) == column);
    let number = |seconds: Option<u64>| seconds.map_or("**never**".to_owned(), |seconds| seconds.to_string());
    timing.map_or(String::new(), |timing| format!("{} / {}", number(timing.raised), number(timing.over)))
}

fn told(hosts: &[HostReport]) -> String {
    let mut text = String::new();
    for host in hosts {
        let _ = writeln!(text, "### {}\n\n{}.\n", host.name, capital(host.about));
        let _ = writeln!(text, "* Items: {}; unsupported: {}.", host.items, list(&host.unsupported));
        let _ = writeln!(text, "* Problems: {}.", list(&host.problems));
        let _ = writeln!(text, "* Without a value: {}.\n", list(&host.absent));
    }
    text
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.iter().map(|name| cell(name)).collect::<Vec<_>>().join("; ")
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}
