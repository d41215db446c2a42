//! What an item said so far.

use std::fmt;
use std::time::Duration;

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

/// Values of one poll are made within moments of each other; the next poll is a second later.
const ONE_POLL_NS: u128 = 400_000_000;

/// How many lines came with the first poll that brought any.
pub(crate) fn first_lines(kind: Kind, rows: &[&Received]) -> u64 {
    let values: Vec<_> = rows.iter().filter_map(|row| Some((time_ns(row), row.value.as_deref()?))).collect();
    let Some(&(start, first)) = values.first() else { return 0 };
    match kind {
        Kind::Count => first.parse().unwrap_or(0),
        Kind::Lines => {
            let poll = values.iter().take_while(|(time, _)| *time < start + ONE_POLL_NS);
            poll.map(|(_, text)| text.split('\n').count() as u64).sum()
        }
    }
}

fn time_ns(row: &Received) -> u128 {
    Duration::new(row.clock, row.ns).as_nanos()
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
