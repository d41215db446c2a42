//! The values of an item so far.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oomwatch_tests::{Generation, Received};

use crate::differences::without_position;

/// How values are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each value is one line, or several with newlines between them.
    Lines,
    /// Each value is a number of lines.
    Count,
}

/// Texts, and reasons why the item is not supported. A repeated reason counts once.
#[derive(PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) texts: Vec<String>,
    pub(crate) reasons: Vec<String>,
}

impl Outcome {
    pub(crate) fn from_values<'a>(kind: Kind, rows: impl IntoIterator<Item = &'a Received>) -> Self {
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

    /// The same outcome in the form that this agent gives to a plugin's reply.
    pub(crate) fn passed_on_by(mut self, generation: Generation) -> Self {
        for reason in &mut self.reasons {
            *reason = generation.passed_on(reason);
        }
        self
    }
}

/// The first value that exceeded the permitted lines a second, if there is one: its time, the number of lines up to it,
/// and the permitted number.
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

/// The number of seconds that the polls so far may have counted. There is one poll for each second. Late polls come close
/// together; each counts the time since the previous one, rounded to seconds, but at least one.
fn most_seconds(elapsed: Duration) -> u64 {
    2 * (elapsed.as_secs() + 1)
}

fn lines_of(kind: Kind, value: &str) -> u64 {
    match kind {
        Kind::Count => value.parse().unwrap_or(0),
        Kind::Lines => value.split('\n').count() as u64,
    }
}

/// The sum as text. Absent if there were no values; text that is not a number is kept.
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
