//! The thread that takes one look a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cpu::{CpuQuery, CpuRanking, CpuType, CpuWindow};
use crate::error::ProcError;
use crate::root::ProcRoot;
use crate::users::Users;

/// Counts since the start, for the `self` item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SamplerStats {
    /// Queries with a history.
    pub queries: usize,
    /// Looks taken.
    pub looks: u64,
    /// Looks that ended in a panic or could not list `/proc`.
    pub failed: u64,
    /// Time spent looking.
    pub looking: Duration,
    /// Whether the thread is there.
    pub running: bool,
}

/// Takes one look a second at the CPU times of all processes, while anybody asks.
#[derive(Debug)]
pub struct CpuSampler {}

impl CpuSampler {
    /// A sampler that does nothing until it is asked.
    #[must_use]
    pub fn new(root: Arc<ProcRoot>, users: Arc<Users>) -> Self {
        unimplemented!()
    }

    /// CPU utilization in percent of one CPU, rounded to one decimal. `Ok(None)` when the query is new: the built-in
    /// key has no value then either. The query is watched from the first call on, until it is not asked for 25 hours.
    ///
    /// # Errors
    ///
    /// [`ProcError::Pattern`], [`ProcError::TooManyQueries`], [`ProcError::Sampler`]; and from the second look on
    /// [`ProcError::UnknownUser`] (agent 7.0 answers 0, agent 6.0 with an error) or [`ProcError::UserLookup`].
    pub fn utilization(
        &self,
        query: &CpuQuery,
        kind: CpuType,
        window: CpuWindow,
    ) -> Result<Option<f64>, ProcError> {
        unimplemented!()
    }

    /// Names ranked by CPU over about the last minute. The first who asks waits about a second for two looks.
    ///
    /// # Errors
    ///
    /// [`ProcError::Sampler`], [`ProcError::Deadline`] if the deadline comes before the second look.
    pub fn top(&self, deadline: Instant) -> Result<CpuRanking, ProcError> {
        unimplemented!()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> SamplerStats {
        unimplemented!()
    }
}
