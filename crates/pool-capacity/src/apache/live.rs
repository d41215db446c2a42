//! The running server of a configuration.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::invocation::Options;
use super::pool::{Pool, pid_in};
use crate::{Reading, ServerProcess};

/// The processes of a running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The parent, which serves no requests.
    pub parent: u32,
    /// The children that serve requests.
    pub children: Vec<u32>,
    /// Children with another task, such as mod_cgid's daemon.
    pub others: Vec<u32>,
}

/// The names of a server's processes: Debian, Red Hat, Red Hat's 2.2 with another MPM, SUSE.
const NAMES: [&[u8]; 10] = [
    b"apache2",
    b"httpd",
    b"httpd.worker",
    b"httpd.event",
    b"httpd-prefork",
    b"httpd-worker",
    b"httpd-event",
    b"httpd2-prefork",
    b"httpd2-worker",
    b"httpd2-event",
];

/// Returns whether a process of a server has this name.
#[must_use]
pub fn is_server_name(name: &[u8]) -> bool {
    NAMES.contains(&name)
}

fn is_httpd(process: &ServerProcess) -> bool {
    is_server_name(&process.name)
}

/// Returns the parents of all running servers.
pub fn parents(processes: &[ServerProcess]) -> impl Iterator<Item = &ServerProcess> {
    let all: HashSet<u32> = processes.iter().filter(|p| is_httpd(p)).map(|process| process.pid).collect();
    processes.iter().filter(move |process| all.contains(&process.pid) && !all.contains(&process.ppid))
}

/// Returns the absolute paths on a server's command line: its program, its root (`-d`) and its configuration (`-f`).
#[must_use]
pub fn named_paths(process: &ServerProcess) -> Vec<PathBuf> {
    Options::parse(&process.arguments).paths()
}

/// Returns the parent that runs a configuration, by its options, before the configuration is read. Without a configuration, the
/// only one.
#[must_use]
pub fn parent_of<'a>(
    files: &Reading<'_>,
    processes: &'a [ServerProcess],
    configuration: Option<&Path>,
) -> Option<&'a ServerProcess> {
    let configured = |parent: &&ServerProcess| Options::parse(&parent.arguments).configuration(files);
    match configuration {
        Some(wanted) => parents(processes).find(|parent| configured(parent).as_deref() == Some(wanted)),
        None => parents(processes).next(),
    }
}

impl Running {
    /// Finds the server of a configuration: the parent that the PID file names. If the file cannot be read or names no such
    /// process, the parent whose options fit.
    #[must_use]
    pub fn find(files: &Reading<'_>, pool: &Pool, processes: &[ServerProcess]) -> Option<Self> {
        let by_pid = pid_in(files, &pool.pid_file);
        let named = parents(processes).find(|parent| Some(parent.pid) == by_pid);
        let parent = named.or_else(|| parent_of(files, processes, Some(&pool.conf)))?;
        let children =
            processes.iter().filter(|process| process.ppid == parent.pid && process.name == parent.name);
        let (workers, others): (Vec<_>, Vec<_>) = children.partition(|child| is_worker(child, pool));
        let pids =
            |processes: Vec<&ServerProcess>| processes.into_iter().map(|process| process.pid).collect();
        Some(Self { parent: parent.pid, children: pids(workers), others: pids(others) })
    }

    /// The number of requests that the children can serve at the same time.
    #[must_use]
    pub fn workers(&self, pool: &Pool) -> u64 {
        self.children.len() as u64 * u64::from(pool.threads_per_child)
    }
}

/// Children with threads have one for each worker and two of their own. mod_cgid's daemon has none, and mod_wsgi's daemons
/// change their names.
fn is_worker(child: &ServerProcess, pool: &Pool) -> bool {
    let renamed = child.arguments.first().is_some_and(|title| title.starts_with(b"("));
    !renamed && (!pool.mpm.has_threads() || child.threads > 1)
}
