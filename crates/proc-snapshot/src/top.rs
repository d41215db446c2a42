//! Process names ranked by what they use.

use std::time::Instant;

use crate::error::ProcError;
use crate::snapshot::Snapshot;

/// What to rank by.
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
    /// By the word of the item key: `rss`, `pss`, `swap`, `cpu`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "rss" => Some(Self::Rss),
            "pss" => Some(Self::Pss),
            "swap" => Some(Self::Swap),
            "cpu" => Some(Self::Cpu),
            _ => None,
        }
    }
}

/// What all processes of one name use together.
#[derive(Debug, Clone, PartialEq)]
pub struct NameTotal {
    /// The kernel's name, completed from the first argument where the kernel cut it.
    pub name: Vec<u8>,
    /// How many processes have the name and a value.
    pub count: u64,
    /// Their sum: bytes, or percent of one CPU.
    pub sum: f64,
    /// Their mean.
    pub avg: f64,
    /// The largest.
    pub max: f64,
}

impl Snapshot {
    /// Names ranked by memory, largest sum first, ties by name. Needs a walk with
    /// [`Needs::CMDLINE`](crate::Needs::CMDLINE); [`TopBy::Rss`] and [`TopBy::Swap`] are cheapest with
    /// [`Needs::STATUS`](crate::Needs::STATUS). Names without any memory are left out. [`TopBy::Cpu`] gives an empty
    /// list: ask [`CpuSampler::top`](crate::CpuSampler::top).
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`].
    pub fn top(&self, by: TopBy, deadline: Instant) -> Result<Vec<NameTotal>, ProcError> {
        unimplemented!()
    }
}
