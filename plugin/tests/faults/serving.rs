//! A plugin that answers polls, and its processes.

use std::fs;
use std::path::{Path, PathBuf};

use agent2_plugin::{FakeAgent, LaunchMode};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");

/// A plugin with a state directory of its own.
pub(crate) struct Serving {
    pub(crate) agent: FakeAgent,
    _state: TempDir,
}

impl Serving {
    /// Starts the plugin. Requests carry a timeout of `timeout_seconds`.
    pub(crate) fn start(timeout_seconds: u32) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut agent = FakeAgent::launch(Path::new(PROGRAM), "OomWatch", LaunchMode::Serve).unwrap();
        let conf = format!("Plugins.OomWatch.StateDir={}\n", state.path().display());
        agent.configure(&conf, timeout_seconds).unwrap();
        agent.set_request_timeout(Some(timeout_seconds));
        Self { agent, _state: state }
    }

    /// The plugin's process and all processes that it started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.agent.process_id().unwrap()];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            for task in tasks(pid) {
                let children = fs::read_to_string(task.join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
            }
            next += 1;
        }
        found
    }
}

/// The directories of the threads of a process.
pub(crate) fn tasks(pid: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
