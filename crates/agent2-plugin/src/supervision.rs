//! What a supervisor reports to each worker that it starts.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The supervisor's report to a worker at its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Supervision {
    /// Process id of the agent, which is the supervisor's parent.
    pub agent_pid: Option<u32>,
    /// Process id of the supervisor.
    pub supervisor_pid: u32,
    /// Workers that ended before this one.
    pub ended_workers: u64,
    /// The end of the worker before this one.
    pub last_end: Option<WorkerEnd>,
}

/// The end of a worker before the agent ended the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerEnd {
    /// The time of the end.
    pub time: SystemTime,
    /// The cause, such as `was killed by SIGSEGV`.
    pub cause: String,
}
