//! What the last run saw, in `docs/alerts.md`, and its seconds in short in `docs/benchmarks.md`. Introductions are written by hand.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use oomwatch_tests::Generation;

use super::checks::Checks;
use super::hosts::HostReport;
use super::play::Outcome;
use crate::generated::{cell, cores_and_kernel, today, with_part};

/// Puts the results into both pages in this directory, in place of those that were there.
pub(super) fn write(docs: &Path, outcomes: &[Outcome], hosts: &[HostReport]) -> io::Result<()> {
    let mut sorted: Vec<_> = outcomes.iter().collect();
    sorted.sort_by_key(|outcome| (outcome.family, outcome.trigger));
    let whole = format!("{}\n\n{}\n\n{}", machine(CELLS), triggers(&sorted), host_reports(hosts));
    renew(&docs.join("alerts.md"), "# Alerts\n", "The last run", &whole)?;
    let short = format!("{}\n\n{}", machine(SPANS), spans(&sorted));
    renew(&docs.join("benchmarks.md"), "# Benchmarks\n", "Problems", &short)
}

fn renew(path: &Path, empty: &str, title: &str, text: &str) -> io::Result<()> {
    let page = fs::read_to_string(path).unwrap_or_else(|_| empty.to_owned());
    fs::write(path, with_part(&page, "alerts", title, text))
}

const CELLS: &str = "In each cell: seconds from the cause to the problem / from its end to the problem's.";
const SPANS: &str = "The least and the most seconds of the hosts.";

fn machine(about: &str) -> String {
    format!(
        "Zabbix 6.0 and 7.0 with agents of the same versions at the same time, {}, {}. {about}",
        cores_and_kernel(),
        today()
    )
}

const NEVER: &str = "**never**";
const COLUMNS: [(Generation, Checks); 4] = [
    (Generation::V6_0, Checks::Passive),
    (Generation::V6_0, Checks::Active),
    (Generation::V7_0, Checks::Passive),
    (Generation::V7_0, Checks::Active),
];

fn triggers(outcomes: &[&Outcome]) -> String {
    let mut table = "| template | trigger | cause | ended by |".to_owned();
    for (generation, checks) in COLUMNS {
        let _ = write!(table, " {generation} {} |", checks.name());
    }
    table += "\n|---|---|---|---|---|---|---|---|";
    for outcome in outcomes {
        let Outcome { family, trigger, what, ended_by, .. } = outcome;
        let _ = write!(table, "\n| {family} | {} | {what} | {ended_by} |", cell(trigger));
        for column in COLUMNS {
            let _ = write!(table, " {} |", seconds(outcome, column));
        }
    }
    table
}

fn spans(outcomes: &[&Outcome]) -> String {
    let mut table = "| template | trigger | from the cause to the problem | from its end to the problem's |\n|---|---|---|---|".to_owned();
    for Outcome { family, trigger, timings, .. } in outcomes {
        let raised = span(timings.iter().map(|timing| timing.raised));
        let over = span(timings.iter().map(|timing| timing.over));
        let _ = write!(table, "\n| {family} | {} | {raised} | {over} |", cell(trigger));
    }
    table
}

/// What never came on one host came never.
fn span(seconds: impl Iterator<Item = Option<u64>>) -> String {
    let all: Option<Vec<u64>> = seconds.collect();
    let ends = all.and_then(|all| Some((*all.iter().min()?, *all.iter().max()?)));
    ends.map_or(NEVER.to_owned(), |(least, most)| format!("{least} to {most} s"))
}

fn seconds(outcome: &Outcome, column: (Generation, Checks)) -> String {
    let timing = outcome.timings.iter().find(|timing| (timing.generation, timing.checks) == column);
    let number = |seconds: Option<u64>| seconds.map_or(NEVER.to_owned(), |seconds| seconds.to_string());
    timing.map_or(String::new(), |timing| format!("{} / {}", number(timing.raised), number(timing.over)))
}

fn host_reports(hosts: &[HostReport]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_of_all_hosts_or_of_none() {
        assert_eq!(span([Some(7), Some(2), Some(31)].into_iter()), "2 to 31 s");
        assert_eq!(span([Some(7), None].into_iter()), NEVER);
        assert_eq!(span([].into_iter()), NEVER);
    }
}
