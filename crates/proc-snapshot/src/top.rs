//! Process names ranked by memory or CPU.

use std::collections::HashMap;
use std::time::Instant;

use crate::error::ProcError;
use crate::memory::{MemSummary, MemType, Reading, to_float};
use crate::snapshot::Snapshot;

/// Value by which names are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopBy {
    /// Resident memory, bytes. Shared pages are counted once for each process.
    Rss,
    /// Proportional set size, bytes.
    Pss,
    /// Swapped-out memory, bytes.
    Swap,
    /// CPU, percent of one CPU over about the last minute ([`CpuSampler::top`](crate::CpuSampler::top)).
    Cpu,
}

impl TopBy {
    /// Words of the item key and their values, the default first.
    pub const WORDS: [(&'static str, Self); 4] =
        [("rss", Self::Rss), ("pss", Self::Pss), ("swap", Self::Swap), ("cpu", Self::Cpu)];

    /// Returns the value of a word of the item key.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
    }

    /// Returns the word of the item key.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// Totals of all processes of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct NameTotal {
    /// The kernel's name, completed from the first argument if the kernel truncated it.
    pub name: Vec<u8>,
    /// Number of processes with the name and a value.
    pub count: u64,
    /// Their sum: bytes, or percent of one CPU.
    pub sum: f64,
    /// Their mean.
    pub avg: f64,
    /// The largest.
    pub max: f64,
    /// Number of processes of the name whose memory could not be read ([`TopBy::Pss`] of other users' processes).
    pub unreadable: u64,
}

impl Snapshot {
    /// Returns names ranked by memory, largest sum first, ties by name. Needs a walk with
    /// [`Needs::CMDLINE`](crate::Needs::CMDLINE); [`TopBy::Rss`] and [`TopBy::Swap`] are cheapest with
    /// [`Needs::STATUS`](crate::Needs::STATUS). Names without any memory are left out. [`TopBy::Cpu`] returns an
    /// empty list: use [`CpuSampler::top`](crate::CpuSampler::top).
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`], [`ProcError::Shortage`].
    pub fn top(&self, by: TopBy, deadline: Instant) -> Result<Vec<NameTotal>, ProcError> {
        let kind = match by {
            TopBy::Rss => MemType::Rss,
            TopBy::Pss => MemType::Pss,
            TopBy::Swap => MemType::Swap,
            TopBy::Cpu => return Ok(Vec::new()),
        };
        let mut totals: HashMap<&[u8], MemSummary> = HashMap::new();
        for process in self.processes() {
            process.check(deadline)?;
            if process.vsize_bytes() == 0 {
                continue;
            }
            let Some(name) = process.full_name() else { continue };
            match process.memory(kind, deadline) {
                Ok(Reading::Bytes(bytes)) => totals.entry(name).or_default().add(to_float(bytes)),
                Ok(Reading::Unreadable) => totals.entry(name).or_default().unreadable += 1,
                // An unusable line of one process must not fail the whole ranking.
                Ok(Reading::Nothing) | Err(ProcError::StatusField { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rank(totals.into_iter().map(|(name, total)| NameTotal::new(name, &total)).collect()))
    }
}

impl NameTotal {
    /// Percent of one CPU. `sum` includes processes that have ended meanwhile, but `count` does not.
    pub(crate) fn from_cpu(name: &[u8], count: u64, sum: f64, max: f64) -> Self {
        let avg = if count == 0 { 0.0 } else { sum / to_float(count) };
        Self { name: name.to_vec(), count, sum, avg, max, unreadable: 0 }
    }

    pub(crate) fn new(name: &[u8], total: &MemSummary) -> Self {
        Self {
            name: name.to_vec(),
            count: total.count,
            sum: total.sum,
            avg: total.avg().unwrap_or(0.0),
            max: total.max,
            unreadable: total.unreadable,
        }
    }
}

/// Largest sum first, ties by name.
pub(crate) fn rank(mut totals: Vec<NameTotal>) -> Vec<NameTotal> {
    totals.sort_by(|a, b| b.sum.total_cmp(&a.sum).then_with(|| a.name.cmp(&b.name)));
    totals
}
