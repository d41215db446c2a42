//! What an item said so far.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oomwatch_tests::{Generation, Received};

use crate::differences::without_position;

/// How values add up to an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each value is one line, or several with newlines between them.
    Lines,
    /// Each value is a number of lines.
    Count,
}

/// Texts, and reasons for not being supported, one that is repeated once.
#[derive(PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) texts: Vec<String>,
    pub(crate) reasons: Vec<String>,
}

impl Outcome {
    pub(crate) fn of<'a>(kind: Kind, rows: impl IntoIterator<Item = &'a Received>) -> Self {
        let mut outcome = Self { texts: Vec::new(), reasons: Vec::new() };
        for row in rows {
            let Some(value) = &row.value else { continue };
            match row.state {
                0 => outcome.texts.push(value.clone()),
                _ => outcome.reasons.push(without_position(value)),
            }
        }
        outcome.reasons.dedup();
        outcome.texts = match kind {
            Kind::Lines => {
                outcome.texts.iter().flat_map(|text| text.split('\n').map(str::to_owned)).collect()
            }
            Kind::Count => sum(&outcome.texts),
        };
        outcome
    }

    /// As this agent would say it if a plugin had said it.
    pub(crate) fn passed_on_by(mut self, generation: Generation) -> Self {
        for reason in &mut self.reasons {
            *reason = generation.passed_on(reason);
        }
        self
    }
}

/// The first value by which more lines had come than so many a second allow, if there is one: when it came, how many there
/// had been by then, and how many may have been.
pub(crate) fn too_soon(
    kind: Kind,
    rows: &[&Received],
    lines_per_second: u64,
    start: SystemTime,
) -> Option<String> {
    let mut lines = 0;
    rows.iter().filter(|row| row.state == 0).find_map(|row| {
        lines += lines_of(kind, row.value.as_deref()?);
        let time = UNIX_EPOCH + Duration::new(row.clock, row.ns);
        let elapsed = time.duration_since(start).unwrap_or_default();
        let most = lines_per_second * most_seconds(elapsed);
        (lines > most).then(|| format!("{lines} lines after {elapsed:?}, {most} at most"))
    })
}

/// For how many seconds' lines the polls may have counted until then. There is one poll for each second, late ones come
/// close together, and each counts for the time since the one before it, to the nearest second, but for one at least.
fn most_seconds(elapsed: Duration) -> u64 {
    2 * (elapsed.as_secs() + 1)
}

fn lines_of(kind: Kind, value: &str) -> u64 {
    match kind {
        Kind::Count => value.parse().unwrap_or(0),
        Kind::Lines => value.split('\n').count() as u64,
    }
}

/// One text: the sum. None where nothing was said; what is no number stays.
fn sum(texts: &[String]) -> Vec<String> {
    let numbers: Result<Vec<u64>, _> = texts.iter().map(|text| text.parse()).collect();
    match numbers {
        Ok(numbers) if !numbers.is_empty() => vec![numbers.iter().sum::<u64>().to_string()],
        _ => texts.to_vec(),
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reasons.as_slice() {
            [] => write!(f, "{:?}", self.texts),
            reasons => write!(f, "{:?}, not supported: {reasons:?}", self.texts),
        }
    }
}
