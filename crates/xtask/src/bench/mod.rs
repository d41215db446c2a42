//! Measurements, each beside its peer in the same run, and the page that tells them.

mod exports;
mod logs;
mod page;
mod processes;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use oomwatch_tests::{PluginSpec, binaries};

use crate::{Done, say};

/// What one piece of work takes here, and what it takes the peer.
pub(super) struct Row {
    pub(super) work: &'static str,
    pub(super) ours: Samples,
    pub(super) peer_name: &'static str,
    pub(super) peer: Samples,
    pub(super) target: Target,
}

/// What ours should be, in terms of the peer or by itself.
pub(super) enum Target {
    /// SentValue for the record.
    None,
    TimesPeer(f64),
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    PerSecond,
    Mebibytes,
    MegabytesPerSecond,
}

/// The same measured several times.
#[derive(Clone)]
pub(super) struct Samples {
    unit: Unit,
    sorted: Vec<f64>,
}

impl Samples {
    pub(super) fn new(unit: Unit, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { unit, sorted: values }
    }

    pub(super) fn milliseconds(times: &[Duration]) -> Self {
        Self::new(Unit::Milliseconds, times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    fn median(&self) -> f64 {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours.median() / self.peer.median()
    }

    fn reached(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::TimesPeer(times) => Some(self.ratio() <= times),
            Target::AtMost(most) => Some(self.ours.median() <= most),
            Target::AtLeast(least) => Some(self.ours.median() >= least),
        }
    }
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Processes,
    Logs,
}

impl Part {
    const ALL: [Self; 2] = [Self::Processes, Self::Logs];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Logs => "logs",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Processes => "Processes and the socket",
            Self::Logs => "Logs",
        }
    }

    fn rows(self, plugin: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
        match self {
            Self::Processes => {
                let mut rows = processes::rows(&PluginSpec::new(processes::NAME, plugin))?;
                rows.extend(exports::rows(plugin)?);
                Ok(rows)
            }
            Self::Logs => logs::rows(plugin),
        }
    }
}

/// Measures a part, or all of them, and writes each into the page when it is done.
pub(crate) fn run(part: Option<Part>) -> Done {
    say("Building for release ...");
    let plugin = binaries::release("oomwatch-plugin", binaries::PLUGIN)?;
    let path = binaries::workspace().join("docs/benchmarks.md");
    for part in Part::ALL.into_iter().filter(|one| part.is_none_or(|part| part == *one)) {
        let rows = part.rows(&plugin)?;
        page::write(&path, part, &rows)?;
        say(&format!("{}\n\nwritten to {}", page::table(&rows), path.display()));
    }
    Ok(())
}
