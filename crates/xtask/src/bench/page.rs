//! The page of measurements: generated parts between markers, and text written by hand around them.

use std::fs;
use std::io;
use std::path::Path;

use super::measurement::{Measurement, Samples, Target, Unit};
use super::part::Part;
use crate::generated::{cores_and_kernel, first_line, today, with_part};

const EMPTY: &str = "# Benchmarks\n\nEvery number stands beside its peer, measured in the same run on the same machine. \
                     Each is the median of several runs, the least and the most in brackets.\n";

/// Puts the table into the page, in place of the one that was there.
pub(super) fn write(path: &Path, part: Part, rows: &[Measurement]) -> io::Result<()> {
    let page = fs::read_to_string(path).unwrap_or_else(|_| EMPTY.to_owned());
    let generated = format!("{}\n\n{}", machine(), table(rows));
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, with_part(&page, &format!("bench {}", part.name()), part.title(), &generated))
}

/// The rows as Markdown.
pub(super) fn table(rows: &[Measurement]) -> String {
    let head =
        "| work | OomWatch | peer | | ratio | target | reached |\n|---|---|---|---|---|---|---|".to_owned();
    std::iter::once(head).chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn line(row: &Measurement) -> String {
    let Measurement { work, ours, peer_name, peer, .. } = row;
    let reached = row.reached().map_or("", |reached| if reached { "yes" } else { "no" });
    let (ours, peer, ratio) = (samples(ours), samples(peer), row.ratio());
    format!("| {work} | {ours} | {peer_name} | {peer} | {ratio:.3} | {} | {reached} |", target(row))
}

fn target(row: &Measurement) -> String {
    match row.target {
        Target::None => String::new(),
        Target::TimesPeer(times) => format!("at most {times} of the peer's"),
        Target::AtMost(most) => format!("at most {}", value(row.ours.unit, most)),
        Target::AtLeast(least) => format!("at least {}", value(row.ours.unit, least)),
    }
}

fn samples(samples: &Samples) -> String {
    let unit = samples.unit;
    let median = value(unit, samples.median());
    match samples.sorted.as_slice() {
        [least, .., most] => format!("{median} ({} to {})", value(unit, *least), value(unit, *most)),
        _ => median,
    }
}

fn value(unit: Unit, number: f64) -> String {
    match unit {
        Unit::Milliseconds => format!("{number:.2} ms"),
        Unit::Microseconds => format!("{number:.0} µs"),
        Unit::PerSecond => format!("{number:.0} a second"),
        Unit::Mebibytes => format!("{number:.1} MiB"),
        Unit::MegabytesPerSecond => format!("{number:.3} MB/s"),
    }
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, name)| name);
    let rust = first_line("rustc", &["--version"]);
    format!("{model}, {}, {rust}, Zabbix agent 2 7.0, {}.", cores_and_kernel(), today())
}
