//! The processes that count as servers. Any user may start a process with a server's name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use agent2_plugin::{ItemError, Request};
use pool_capacity::trust::{Distrust, Owner, Standing, SystemAccounts, TrustedOwners};
use pool_capacity::{Files, HostFiles, ServerProcess, TrustedFiles, apache, mysql, phpfpm};
use proc_snapshot::{ProcError, Process};

use super::kind::Kind;
use super::processes::Running;
use super::value::IgnoredJson;
use crate::state::PluginState;

/// At most this many processes of ordinary accounts are examined, so that a crowd of them does not use up the poll's time.
const USERS_MAX: usize = 1_000;
/// At most this many ignored processes are listed; all are counted.
const LISTED_MAX: usize = 10;
/// Larger than `status` and `cgroup` of any process.
const FACTS_BYTES_MAX: usize = 64 << 10;

/// The servers of one kind that count, and the processes that only have their names.
pub(super) struct Servers {
    /// The servers' main processes, the ones of services first, and behind them the children of these.
    pub(super) processes: Vec<ServerProcess>,
    pub(super) ignored: Ignored,
    /// The accounts whose files may steer the reading.
    pub(super) owners: TrustedOwners,
}

impl Servers {
    /// # Errors
    ///
    /// Returns an error at the deadline.
    pub(super) fn find(
        plugin: &PluginState,
        request: &Request,
        running: &Running,
        kind: Kind,
    ) -> Result<Self, ItemError> {
        let search = Search::new(plugin, request, running, kind);
        let (mut found, mut ignored) = (Vec::new(), Ignored::default());
        let mut users = 0;
        for candidate in search.candidates(kind)? {
            users += usize::from(!candidate.is_of_system);
            if users > USERS_MAX {
                ignored.total += 1;
                continue;
            }
            search.check_deadline()?;
            match search.standing(&candidate)? {
                Ok(standing) => found.push((standing, candidate)),
                Err(reason) => ignored.add(plugin, &candidate, &reason),
            }
        }
        found.sort_by_key(|(standing, candidate)| (*standing, candidate.server.pid));
        let is_session = |standing: &Standing| *standing == Standing::Session;
        if found.first().is_some_and(|(first, _)| !is_session(first)) {
            let sessions = found.extract_if(.., |(standing, _)| is_session(standing));
            sessions.for_each(|(_, candidate)| ignored.add(plugin, &candidate, &Distrust::Session));
        }
        Ok(search.with_children(found, ignored))
    }
}

/// A process with the name or the title of a main process.
struct Candidate<'a> {
    server: ServerProcess,
    row: Process<'a>,
    is_of_system: bool,
}

/// What all decisions of one search need.
struct Search<'a> {
    plugin: &'a PluginState,
    request: &'a Request,
    running: &'a Running,
    accounts: SystemAccounts,
    /// Returns the absolute paths that a main process names.
    named_paths: fn(&ServerProcess) -> Vec<PathBuf>,
}

impl<'a> Search<'a> {
    fn new(plugin: &'a PluginState, request: &'a Request, running: &'a Running, kind: Kind) -> Self {
        let files = HostFiles::below(plugin.host_root());
        let login_defs = files.read(Path::new("/etc/login.defs")).unwrap_or_default();
        let accounts = SystemAccounts::from_login_defs(&String::from_utf8_lossy(&login_defs));
        let named_paths = match kind {
            Kind::Apache => apache::named_paths,
            Kind::PhpFpm => phpfpm::named_paths,
            Kind::Mysql => mysql::named_paths,
        };
        Self { plugin, request, running, accounts, named_paths }
    }

    /// Returns the processes of system accounts first. Those in containers are left out, because the paths that they name are
    /// paths of the container's files.
    fn candidates(&self, kind: Kind) -> Result<Vec<Candidate<'a>>, ItemError> {
        let named: Vec<&ServerProcess> = match kind {
            Kind::Apache => apache::parents(&self.running.processes).collect(),
            Kind::PhpFpm => self.running.processes.iter().filter(|one| phpfpm::is_master(one)).collect(),
            Kind::Mysql => self.running.processes.iter().filter(|one| mysql::is_server(one)).collect(),
        };
        let rows = self.running.rows(&named.iter().map(|one| one.pid).collect());
        let mut candidates = Vec::new();
        for server in named {
            self.check_deadline()?;
            let Some(row) = rows.get(&server.pid) else { continue };
            let Some((uid, is_contained)) = owner_of(row)? else { continue };
            if !is_contained {
                let server = ServerProcess { uid, ..server.clone() };
                let is_of_system = uid.is_some_and(|uid| self.accounts.contains(uid));
                candidates.push(Candidate { server, row: *row, is_of_system });
            }
        }
        candidates.sort_by_key(|one| (!one.is_of_system, one.server.pid));
        Ok(candidates)
    }

    fn standing(&self, candidate: &Candidate<'_>) -> Result<Result<Standing, Distrust>, ProcError> {
        let read = |name| candidate.row.read_file(name, FACTS_BYTES_MAX);
        let cgroup = read(c"cgroup")?.unwrap_or_default();
        let login = read(c"loginuid")?.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        let owner = Owner { uid: candidate.server.uid, cgroup: &cgroup, login };
        Ok(self.with_safe_files(candidate, owner))
    }

    fn with_safe_files(&self, candidate: &Candidate<'_>, owner: Owner<'_>) -> Result<Standing, Distrust> {
        let standing = owner.standing(self.accounts)?;
        let paths = (self.named_paths)(&candidate.server);
        if !paths.is_empty() {
            let children = self.running.processes.iter().filter(|one| one.ppid == candidate.server.pid);
            let owners = self.owners(std::iter::once(&candidate.server).chain(children));
            let files = TrustedFiles::new(HostFiles::below(self.plugin.host_root()), owners, None);
            paths.iter().try_for_each(|path| files.check(path))?;
        }
        Ok(standing)
    }

    fn owners<'p>(&self, processes: impl IntoIterator<Item = &'p ServerProcess>) -> TrustedOwners {
        TrustedOwners::of_server(self.accounts, processes.into_iter().filter_map(|process| process.uid))
    }

    fn with_children(&self, found: Vec<(Standing, Candidate<'_>)>, ignored: Ignored) -> Servers {
        let mut processes: Vec<ServerProcess> =
            found.into_iter().map(|(_, candidate)| candidate.server).collect();
        let pids: HashSet<u32> = processes.iter().map(|server| server.pid).collect();
        let is_child = |one: &&ServerProcess| pids.contains(&one.ppid) && !pids.contains(&one.pid);
        processes.extend(self.running.processes.iter().filter(is_child).cloned());
        let owners = if processes.is_empty() {
            TrustedOwners::of_system(self.accounts)
        } else {
            self.owners(&processes)
        };
        Servers { processes, ignored, owners }
    }

    fn check_deadline(&self) -> Result<(), ItemError> {
        if self.request.time_left().is_zero() {
            return Err(ItemError::new("the deadline passed while the owners of processes were read"));
        }
        Ok(())
    }
}

/// Returns the real uid of a process, and whether it runs in a pid namespace below that of this /proc. `None` if the process
/// has ended.
fn owner_of(process: &Process<'_>) -> Result<Option<(Option<u32>, bool)>, ProcError> {
    let Some(status) = process.read_file(c"status", FACTS_BYTES_MAX)? else { return Ok(None) };
    let line = |name: &[u8]| {
        status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    let uid = line(b"Uid:").and_then(|uids| {
        let real = uids.split(|&byte| byte == b'\t').next()?;
        std::str::from_utf8(real).ok()?.parse().ok()
    });
    Ok(Some((uid, line(b"NSpid:").is_some_and(|pids| pids.contains(&b'\t')))))
}

/// Processes that do not count.
#[derive(Default)]
pub(super) struct Ignored {
    pub(super) listed: Vec<IgnoredJson>,
    pub(super) total: u64,
}

impl Ignored {
    fn add(&mut self, plugin: &PluginState, candidate: &Candidate<'_>, reason: &Distrust) {
        self.total += 1;
        if self.listed.len() < LISTED_MAX {
            let ServerProcess { pid, uid, .. } = candidate.server;
            let user = uid.map(|uid| plugin.users.user_name(uid).unwrap_or_else(|_| uid.to_string()));
            self.listed.push(IgnoredJson { pid, user, reason: reason.to_string() });
        }
    }
}
