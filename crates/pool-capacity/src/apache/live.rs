//! The running server of a configuration.

use std::path::Path;

use super::invocation::Options;
use super::pool::{Pool, pid_in};
use crate::{Files, ServerProcess};

/// The processes of a running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The parent, which answers no requests.
    pub parent: u32,
    /// The children that do.
    pub children: Vec<u32>,
    /// Children that do something else, such as mod_cgid's daemon.
    pub others: Vec<u32>,
}

/// What a server's processes are called: Debian, Red Hat, Red Hat's 2.2 with another MPM, SUSE.
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

fn is_httpd(process: &ServerProcess) -> bool {
    NAMES.contains(&process.name.as_slice())
}

/// The parents of all servers that run.
pub fn parents(processes: &[ServerProcess]) -> impl Iterator<Item = &ServerProcess> {
    let of_httpd = |pid: u32| processes.iter().any(|process| process.pid == pid && is_httpd(process));
    processes.iter().filter(move |process| is_httpd(process) && !of_httpd(process.ppid))
}

/// The parent that runs a configuration, told by its options before the configuration is read; the only one there is
/// where none is asked for.
#[must_use]
pub fn parent_of<'a>(
    files: &dyn Files,
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
    /// The server of a configuration: the parent that the PID file names or, where that cannot be read or names no such
    /// process, the one whose options fit.
    #[must_use]
    pub fn find(files: &dyn Files, pool: &Pool, processes: &[ServerProcess]) -> Option<Self> {
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

    /// How many requests the children can work on.
    #[must_use]
    pub fn workers(&self, pool: &Pool) -> u64 {
        self.children.len() as u64 * u64::from(pool.threads_per_child)
    }
}

/// Children with threads have one for each worker and two of their own. mod_cgid's daemon has none, and mod_wsgi's
/// rename themselves.
fn is_worker(child: &ServerProcess, pool: &Pool) -> bool {
    let renamed = child.arguments.first().is_some_and(|title| title.starts_with(b"("));
    !renamed && (!pool.mpm.has_threads() || child.threads > 1)
}
