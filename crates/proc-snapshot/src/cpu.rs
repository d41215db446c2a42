//! `proc.cpu.util`: histories of CPU time, without thread and clock.

use std::time::Duration;

use crate::top::NameTotal;

/// What `proc.cpu.util` asks about; empty strings do not restrict. Equal queries share a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CpuQuery {
    /// Process name.
    pub name: String,
    /// User name, looked up again from time to time.
    pub user: String,
    /// Go pattern for the command line.
    pub cmdline: String,
}

/// Which CPU time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CpuType {
    /// `total`, the default: user and system.
    Total,
    /// `user`.
    User,
    /// `system`.
    System,
}

impl CpuType {
    /// By the word of the item key; the empty word is `total`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "" | "total" => Some(Self::Total),
            "user" => Some(Self::User),
            "system" => Some(Self::System),
            _ => None,
        }
    }
}

/// Over which time the average goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CpuWindow {
    /// `avg1`, the default: the last 60 looks.
    Avg1,
    /// `avg5`: the last 300 looks.
    Avg5,
    /// `avg15`: the last 900 looks.
    Avg15,
}

impl CpuWindow {
    /// By the word of the item key; the empty word is `avg1`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "" | "avg1" => Some(Self::Avg1),
            "avg5" => Some(Self::Avg5),
            "avg15" => Some(Self::Avg15),
            _ => None,
        }
    }
}

/// Names ranked by CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuRanking {
    /// The time over which the percentages were measured: about a minute, less soon after the sampler's start.
    pub window: Duration,
    /// Percent of one CPU by name, largest sum first, ties by name.
    pub names: Vec<NameTotal>,
}

/// One process at one look of the sampler.
#[derive(Debug, Clone, Copy)]
pub struct CpuLook {}

/// The histories.
#[derive(Debug)]
pub struct CpuHistory {}
