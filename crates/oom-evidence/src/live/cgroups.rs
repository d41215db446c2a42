//! Memory cgroups with a limit or with kills.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{read_file, value_of};
use crate::scan;

/// Neither machines with thousands of containers nor leaks of dead cgroups come near.
const DIRECTORIES_MAX: usize = 50_000;
/// v1 writes the largest number of whole pages where there is no limit: 9223372036854771712 with pages of 4 KiB.
pub(super) const NO_LIMIT: u64 = 1 << 62;

/// Why cgroups cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// No hierarchy has the memory controller: it is not mounted, not compiled in, or off (`cgroup_disable=memory`).
    #[error("{} has no memory controller, neither of cgroup v2 nor of v1", path.display())]
    NoController {
        /// `sys/fs/cgroup` of the machine.
        path: PathBuf,
    },
}

/// Which interface the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// `memory.limit_in_bytes` and its kin.
    V1,
    /// `memory.max` and its kin.
    V2,
}

/// One cgroup. What the kernel does not tell is absent; amounts are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup {
    /// Below the mount, such as `/system.slice/httpd.service`.
    pub path: Vec<u8>,
    /// Memory now, caches among it.
    pub current_bytes: u64,
    /// The limit; absent where there is none.
    pub max_bytes: Option<u64>,
    /// The most it ever had (v2: 5.19).
    pub peak_bytes: Option<u64>,
    /// How often the limit was hit with nothing to reclaim (v2), in this cgroup and below.
    pub oom: Option<u64>,
    /// Processes killed (v1: 4.13): v2 counts those of cgroups below, too.
    pub oom_kill: Option<u64>,
}

impl Cgroup {
    fn matters(&self) -> bool {
        self.max_bytes.is_some() || self.oom_kill.is_some_and(|kills| kills > 0)
    }
}

/// How many processes of one cgroup were killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupKills {
    /// Which cgroup it is: the one that has the same path later, as when a service is started again, has another number.
    pub inode: u64,
    /// Processes killed since it was made, by the killer of the machine's memory, too; those of cgroups below among them
    /// (v2).
    pub oom_kill: u64,
}

impl CgroupKills {
    /// Of the cgroup at a path below the mount; none where there is no such cgroup, or its kills are not counted.
    #[must_use]
    pub fn read(host_root: &Path, path: &str) -> Option<Self> {
        let (version, top) = hierarchy(&host_root.join("sys/fs/cgroup"))?;
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let dir = top.join(path.trim_start_matches('/'));
        let name = match version {
            CgroupVersion::V1 => "memory.oom_control",
            CgroupVersion::V2 => "memory.events",
        };
        let inode = std::fs::metadata(&dir).ok()?.ino();
        let oom_kill = value_of(&read_file(&dir.join(name)).ok()?, b"oom_kill")?;
        // Made anew between the two looks, it would be counted for the one before.
        (std::fs::metadata(&dir).ok()?.ino() == inode).then_some(Self { inode, oom_kill })
    }
}

/// The cgroups of a machine that have a limit or had kills, largest first.
///
/// A count goes with its cgroup: a service that is started again has a new one. What must not be forgotten is in the
/// kernel's count and in its reports.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// let cgroups = oom_evidence::Cgroups::read("/".as_ref(), Instant::now() + Duration::from_secs(1))?;
/// println!("{} cgroups, {} with a limit or kills", cgroups.seen, cgroups.list.len());
/// # Ok::<(), oom_evidence::CgroupError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroups {
    /// Which files were read.
    pub version: CgroupVersion,
    /// All cgroups that were looked at.
    pub seen: usize,
    /// False where time did not suffice, or there are more than 50,000.
    pub complete: bool,
    /// Those with a limit or kills, largest first.
    pub list: Vec<Cgroup>,
}

impl Cgroups {
    /// Walks the hierarchy below `sys/fs/cgroup` of the machine whose root is at `host_root`. A cgroup that vanishes
    /// meanwhile is left out.
    ///
    /// # Errors
    ///
    /// [`CgroupError::NoController`] where no cgroup counts memory.
    pub fn read(host_root: &Path, deadline: Instant) -> Result<Self, CgroupError> {
        let mount = host_root.join("sys/fs/cgroup");
        let (version, top) = hierarchy(&mount).ok_or(CgroupError::NoController { path: mount })?;
        let mut cgroups = Self { version, seen: 0, complete: true, list: Vec::new() };
        let mut pending = vec![top.clone()];
        while let Some(dir) = pending.pop() {
            if cgroups.seen >= DIRECTORIES_MAX || Instant::now() >= deadline {
                cgroups.complete = false;
                break;
            }
            cgroups.look_at(&top, &dir);
            pending.extend(children(&dir));
        }
        cgroups
            .list
            .sort_by(|a, b| (Reverse(a.current_bytes), &a.path).cmp(&(Reverse(b.current_bytes), &b.path)));
        Ok(cgroups)
    }

    fn look_at(&mut self, top: &Path, dir: &Path) {
        self.seen += 1;
        let cgroup = match self.version {
            CgroupVersion::V1 => v1(dir),
            CgroupVersion::V2 => v2(dir),
        };
        if let Some(cgroup) = cgroup.filter(Cgroup::matters) {
            let path = dir.strip_prefix(top).unwrap_or(dir).as_os_str().as_bytes();
            self.list.push(Cgroup { path: [b"/", path].concat(), ..cgroup });
        }
    }
}

/// A machine may have both versions mounted (`sys/fs/cgroup/unified`), but a controller belongs to one of them.
pub(super) fn hierarchy(mount: &Path) -> Option<(CgroupVersion, PathBuf)> {
    let has_memory = |dir: &Path| {
        let controllers = read_file(&dir.join("cgroup.controllers")).unwrap_or_default();
        controllers.split(u8::is_ascii_whitespace).any(|name| name == b"memory")
    };
    let v2 = [mount.to_owned(), mount.join("unified")].into_iter().find(|dir| has_memory(dir));
    let v1 = || Some(mount.join("memory")).filter(|dir| dir.join("memory.usage_in_bytes").exists());
    v2.map(|dir| (CgroupVersion::V2, dir)).or_else(|| Some((CgroupVersion::V1, v1()?)))
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| entry.path()).collect()
}

pub(super) fn number_in(dir: &Path, name: &str) -> Option<u64> {
    scan::number(&read_file(&dir.join(name)).ok()?).map(|(value, _)| value)
}

/// The root of v2 has none of the files.
fn v2(dir: &Path) -> Option<Cgroup> {
    let events = read_file(&dir.join("memory.events")).unwrap_or_default();
    Some(Cgroup {
        path: Vec::new(),
        current_bytes: number_in(dir, "memory.current")?,
        max_bytes: number_in(dir, "memory.max"),
        peak_bytes: number_in(dir, "memory.peak"),
        oom: value_of(&events, b"oom"),
        oom_kill: value_of(&events, b"oom_kill"),
    })
}

fn v1(dir: &Path) -> Option<Cgroup> {
    let control = read_file(&dir.join("memory.oom_control")).unwrap_or_default();
    Some(Cgroup {
        path: Vec::new(),
        current_bytes: number_in(dir, "memory.usage_in_bytes")?,
        max_bytes: number_in(dir, "memory.limit_in_bytes").filter(|limit| *limit < NO_LIMIT),
        peak_bytes: number_in(dir, "memory.max_usage_in_bytes"),
        oom: None,
        oom_kill: value_of(&control, b"oom_kill"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join("sys/fs/cgroup").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn group_v2(root: &Path, path: &str, current: &str, max: &str, kills: u64) {
        write(root, &format!("{path}/memory.current"), current);
        write(root, &format!("{path}/memory.max"), max);
        write(
            root,
            &format!("{path}/memory.events"),
            &format!("low 0\nmax 7\noom 3\noom_kill {kills}\noom_group_kill 0\n"),
        );
    }

    #[test]
    fn v2_lists_limits_and_kills_largest_first() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cgroup.controllers", "cpu memory pids\n");
        group_v2(root.path(), "a.slice", "50\n", "100\n", 0);
        group_v2(root.path(), "a.slice/b.service", "900\n", "max\n", 2);
        group_v2(root.path(), "c.slice", "5000\n", "max\n", 0);
        write(root.path(), "a.slice/memory.peak", "80\n");
        let cgroups = Cgroups::read(root.path(), soon()).unwrap();
        assert_eq!((cgroups.version, cgroups.seen, cgroups.complete), (CgroupVersion::V2, 4, true));
        let [b, a] = &*cgroups.list else { panic!("{cgroups:?}") };
        assert_eq!(
            (&*b.path, b.max_bytes, b.oom, b.oom_kill),
            (&b"/a.slice/b.service"[..], None, Some(3), Some(2))
        );
        assert_eq!(
            (&*a.path, a.max_bytes, a.peak_bytes, a.current_bytes),
            (&b"/a.slice"[..], Some(100), Some(80), 50)
        );
    }

    #[test]
    fn v1_is_read_where_v2_has_no_memory_controller() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "unified/cgroup.controllers", "pids\n");
        assert!(matches!(Cgroups::read(root.path(), soon()), Err(CgroupError::NoController { .. })));
        for (path, limit) in [("memory", "9223372036854771712\n"), ("memory/x", "1000\n")] {
            write(root.path(), &format!("{path}/memory.usage_in_bytes"), "500\n");
            write(root.path(), &format!("{path}/memory.limit_in_bytes"), limit);
            write(
                root.path(),
                &format!("{path}/memory.oom_control"),
                "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
            );
        }
        let cgroups = Cgroups::read(root.path(), soon()).unwrap();
        assert_eq!((cgroups.version, cgroups.seen, cgroups.list.len()), (CgroupVersion::V1, 2, 1));
        let x = &cgroups.list[0];
        assert_eq!((&*x.path, x.max_bytes, x.oom, x.oom_kill), (&b"/x"[..], Some(1000), None, Some(0)));
    }

    #[test]
    fn kills_of_one_cgroup_are_known_by_its_inode() {
        let root = tempfile::tempdir().unwrap();
        let of = |path: &str| CgroupKills::read(root.path(), path);
        assert_eq!(of("/a.slice"), None);
        write(root.path(), "cgroup.controllers", "memory\n");
        group_v2(root.path(), "a.slice/b.service", "50\n", "max\n", 2);
        let b = of("/a.slice/b.service").unwrap();
        assert_eq!((b.oom_kill, b.inode > 0), (2, true));
        let none = ["/a.slice", "/no.slice", "/a.slice/../a.slice/b.service"];
        assert_eq!(none.map(of), [None; 3]);
        let v1 = tempfile::tempdir().unwrap();
        write(v1.path(), "memory/b/memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 4\n");
        write(v1.path(), "memory/memory.usage_in_bytes", "1\n");
        assert_eq!(CgroupKills::read(v1.path(), "/b").map(|kills| kills.oom_kill), Some(4));
    }

    #[test]
    fn without_time_the_list_says_that_it_is_not_whole() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cgroup.controllers", "memory\n");
        assert!(!Cgroups::read(root.path(), Instant::now()).unwrap().complete);
    }
}
