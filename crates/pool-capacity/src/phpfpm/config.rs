//! A configuration after reading.

use std::path::PathBuf;

use super::pool::Pool;

/// A configuration with all its included files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The main file.
    pub conf: PathBuf,
    /// The pools, in the order of the files.
    pub pools: Vec<Pool>,
    /// `process.max`: the largest number of workers in all pools; 0 means no such limit.
    pub process_max: u32,
    /// Settings whose effect differs from the configured value, or is unknown.
    pub warnings: Vec<String>,
}

impl Config {
    /// The largest number of workers in all pools together.
    #[must_use]
    pub fn limit(&self) -> u64 {
        let sum = self.written();
        if self.process_max == 0 { sum } else { sum.min(self.process_max.into()) }
    }

    /// The sum of `pm.max_children`.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.max_children)).sum()
    }
}
