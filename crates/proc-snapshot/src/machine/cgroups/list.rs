//! All memory cgroups with a limit or with kills.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::hierarchy::{CgroupVersion, NO_LIMIT, find_hierarchy};
use crate::machine::error::MachineError;
use crate::machine::files::{read_if_readable, read_number, value_of};

/// Limit for one scan. Machines with thousands of containers have fewer.
const DIRECTORIES_MAX: usize = 50_000;

/// The reason why cgroups cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// No hierarchy has the memory controller: it is not mounted, not compiled in, or off (`cgroup_disable=memory`).
    #[error("{} has no memory controller, neither of cgroup v2 nor of v1", path.display())]
    NoController {
        /// `sys/fs/cgroup` of the machine.
        path: PathBuf,
    },
    /// The deadline passed before all cgroups were read. Retry with more time.
    #[error("deadline passed after {scanned} cgroups were read, before {}", path.display())]
    Deadline {
        /// Number of cgroups that were read.
        scanned: usize,
        /// The next cgroup.
        path: PathBuf,
    },
    /// A file or directory cannot be read because a resource of the system is exhausted.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// One cgroup. Amounts are in bytes; fields that the kernel does not report are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup {
    /// Path below the mount, such as `/system.slice/httpd.service`.
    pub path: Vec<u8>,
    /// Memory in use, page cache included.
    pub current_bytes: u64,
    /// The limit; `None` if none is set.
    pub max_bytes: Option<u64>,
    /// Highest use so far (v2: Linux 5.19).
    pub peak_bytes: Option<u64>,
    /// Number of times that the limit was reached with nothing to reclaim (v2), cgroups below included.
    pub oom: Option<u64>,
    /// Processes killed (v1: Linux 4.13). v2 includes kills in cgroups below.
    pub oom_kill: Option<u64>,
}

/// The cgroups of a machine that have a limit or had kills, largest first.
///
/// A count ends with its cgroup: a service that is started again has a new cgroup. The kernel's count of all kills
/// ([`oom_kills`](crate::oom_kills)) does not have this gap.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// let cgroups = proc_snapshot::Cgroups::read("/".as_ref(), Instant::now() + Duration::from_secs(1))?;
/// println!("{} cgroups, {} with a limit or kills", cgroups.scanned, cgroups.list.len());
/// # Ok::<(), proc_snapshot::CgroupError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroups {
    /// Version of the files that were read.
    pub version: CgroupVersion,
    /// Number of cgroups scanned.
    pub scanned: usize,
    /// False if there are more than 50,000 cgroups.
    pub complete: bool,
    /// Cgroups with a limit or kills, largest first.
    pub list: Vec<Cgroup>,
}

impl Cgroups {
    /// Walks the hierarchy below `sys/fs/cgroup` of the machine whose root is at `host_root`. A cgroup that vanishes
    /// during the walk is left out.
    ///
    /// # Errors
    ///
    /// [`CgroupError::NoController`] if no hierarchy has the memory controller, [`CgroupError::Deadline`],
    /// [`CgroupError::Machine`] with [`MachineError::Shortage`].
    pub fn read(host_root: &Path, deadline: Instant) -> Result<Self, CgroupError> {
        Self::read_up_to(DIRECTORIES_MAX, host_root, deadline)
    }

    pub(super) fn read_up_to(limit: usize, host_root: &Path, deadline: Instant) -> Result<Self, CgroupError> {
        let mount = host_root.join("sys/fs/cgroup");
        let (version, top) = find_hierarchy(&mount)?.ok_or(CgroupError::NoController { path: mount })?;
        let mut cgroups = Self { version, scanned: 0, complete: true, list: Vec::new() };
        let mut pending = vec![top.clone()];
        while let Some(dir) = pending.pop() {
            if cgroups.scanned >= limit {
                cgroups.complete = false;
                break;
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Deadline { scanned: cgroups.scanned, path: dir });
            }
            cgroups.scan(&top, &dir)?;
            pending.extend(children(&dir)?);
        }
        cgroups
            .list
            .sort_by(|a, b| (Reverse(a.current_bytes), &a.path).cmp(&(Reverse(b.current_bytes), &b.path)));
        Ok(cgroups)
    }

    fn scan(&mut self, top: &Path, dir: &Path) -> Result<(), MachineError> {
        self.scanned += 1;
        let cgroup = match self.version {
            CgroupVersion::V1 => Cgroup::read_v1(dir)?,
            CgroupVersion::V2 => Cgroup::read_v2(dir)?,
        };
        if let Some(cgroup) = cgroup.filter(Cgroup::has_limit_or_kills) {
            let path = dir.strip_prefix(top).unwrap_or(dir).as_os_str().as_bytes();
            self.list.push(Cgroup { path: [b"/", path].concat(), ..cgroup });
        }
        Ok(())
    }
}

impl Cgroup {
    fn has_limit_or_kills(&self) -> bool {
        self.max_bytes.is_some() || self.oom_kill.is_some_and(|kills| kills > 0)
    }

    /// The root cgroup of v2 has none of the files.
    fn read_v2(dir: &Path) -> Result<Option<Self>, MachineError> {
        let Some(current_bytes) = read_number(&dir.join("memory.current"))? else { return Ok(None) };
        let events = read_if_readable(&dir.join("memory.events"))?.unwrap_or_default();
        Ok(Some(Self {
            path: Vec::new(),
            current_bytes,
            max_bytes: read_number(&dir.join("memory.max"))?,
            peak_bytes: read_number(&dir.join("memory.peak"))?,
            oom: value_of(&events, b"oom"),
            oom_kill: value_of(&events, b"oom_kill"),
        }))
    }

    fn read_v1(dir: &Path) -> Result<Option<Self>, MachineError> {
        let Some(current_bytes) = read_number(&dir.join("memory.usage_in_bytes"))? else { return Ok(None) };
        let control = read_if_readable(&dir.join("memory.oom_control"))?.unwrap_or_default();
        Ok(Some(Self {
            path: Vec::new(),
            current_bytes,
            max_bytes: read_number(&dir.join("memory.limit_in_bytes"))?.filter(|limit| *limit < NO_LIMIT),
            peak_bytes: read_number(&dir.join("memory.max_usage_in_bytes"))?,
            oom: None,
            oom_kill: value_of(&control, b"oom_kill"),
        }))
    }
}

/// A directory that vanished has no children.
fn children(dir: &Path) -> Result<Vec<PathBuf>, MachineError> {
    let entries = match std::fs::read_dir(dir).map_err(MachineError::read(dir)) {
        Ok(entries) => entries,
        Err(error) if error.concerns_the_file() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_dir = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.flatten().filter(is_dir).map(|entry| entry.path()).collect())
}
