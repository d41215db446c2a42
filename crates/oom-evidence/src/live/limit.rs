//! The memory cgroup whose limit a process is under.

use std::path::{Path, PathBuf};

use super::cgroups::{CgroupVersion, NO_LIMIT, hierarchy, number_in};
use super::{read_file, value_of};

/// The smallest limit among those of a process's memory cgroup and of all above it.
///
/// ```no_run
/// let limit = oom_evidence::CgroupLimit::of_process("/".as_ref(), std::process::id())?;
/// println!("{limit:?}");
/// # Ok::<(), oom_evidence::HiddenCgroup>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgroupLimit {
    /// The cgroup that has it, below the mount, such as `/system.slice/httpd.service`.
    pub path: String,
    /// The limit, in bytes.
    pub max_bytes: u64,
    /// What is charged to it now without the page cache, which can be dropped. In bytes.
    pub used_bytes: u64,
}

/// A process's cgroup cannot be seen from here, and so not its limit.
#[derive(Debug, thiserror::Error)]
#[error("the memory cgroup {cgroup} is not below {}", mount.display())]
pub struct HiddenCgroup {
    cgroup: String,
    mount: PathBuf,
}

impl CgroupLimit {
    /// Of a process of the machine whose root is at `host_root`. Nothing where no limit is set, where no cgroup counts memory,
    /// and where the process is gone.
    ///
    /// # Errors
    ///
    /// [`HiddenCgroup`] where the process is in a cgroup that cannot be seen from here, as from another container.
    pub fn of_process(host_root: &Path, pid: u32) -> Result<Option<Self>, HiddenCgroup> {
        let Some((version, mount)) = hierarchy(&host_root.join("sys/fs/cgroup")) else { return Ok(None) };
        let text = read_file(&host_root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
        let Some(cgroup) = path_in(&text, version) else { return Ok(None) };
        let mut dir = mount.join(cgroup.trim_start_matches('/'));
        if cgroup.split('/').any(|part| part == "..") || !dir.is_dir() {
            // In a container without a namespace for cgroups the mount is its own cgroup, under another name.
            return Self::in_directory(&mount, &mount, version)
                .map(Some)
                .ok_or(HiddenCgroup { cgroup, mount });
        }
        let mut smallest: Option<Self> = None;
        // The mount's own directory is a cgroup like any other where it is a container's.
        while dir.starts_with(&mount) {
            let limit = Self::in_directory(&mount, &dir, version);
            smallest = smallest.into_iter().chain(limit).min_by_key(|limit| limit.max_bytes);
            if !dir.pop() {
                break;
            }
        }
        Ok(smallest)
    }

    fn in_directory(mount: &Path, dir: &Path, version: CgroupVersion) -> Option<Self> {
        let (max, current, prefix) = match version {
            CgroupVersion::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
            CgroupVersion::V2 => ("memory.max", "memory.current", ""),
        };
        let max_bytes = number_in(dir, max).filter(|limit| *limit < NO_LIMIT)?;
        let stat = read_file(&dir.join("memory.stat")).unwrap_or_default();
        let cache = ["inactive_file", "active_file"]
            .map(|list| value_of(&stat, format!("{prefix}{list}").as_bytes()).unwrap_or(0));
        let used_bytes = number_in(dir, current).unwrap_or(0).saturating_sub(cache.iter().sum());
        let path = dir.strip_prefix(mount).unwrap_or(dir).display();
        Some(Self { path: format!("/{path}"), max_bytes, used_bytes })
    }
}

/// `4:memory:/system.slice/httpd.service` of v1, `0::/system.slice/httpd.service` of v2.
fn path_in(text: &[u8], version: CgroupVersion) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let of_memory = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let found = match version {
            CgroupVersion::V1 => controllers.split(',').any(|name| name == "memory"),
            CgroupVersion::V2 => controllers.is_empty(),
        };
        found.then(|| path.to_owned())
    };
    text.lines().find_map(of_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Files below a root; a process 7 in the cgroup that `line` names.
    fn machine(line: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let all = [("proc/7/cgroup", line)].into_iter().chain(files.iter().copied());
        for (path, text) in all {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn limit(root: &tempfile::TempDir) -> Option<CgroupLimit> {
        CgroupLimit::of_process(root.path(), 7).unwrap()
    }

    const V2: (&str, &str) = ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");

    #[test]
    fn the_smallest_of_all_ancestors_counts() {
        let slice = "sys/fs/cgroup/web.slice";
        let max = |name: &str| format!("{slice}{name}/memory.max");
        let (current, stat) = (format!("{slice}/memory.current"), format!("{slice}/memory.stat"));
        let files = [
            V2,
            (&max(""), "1073741824\n"),
            (&current, "629145600\n"),
            (&stat, "anon 1\ninactive_file 104857600\nactive_file 104857600\n"),
            (&max("/httpd.service"), "max\n"),
            (&max("/httpd.service/inner"), "2147483648\n"),
        ];
        let root = machine("0::/web.slice/httpd.service/inner\n", &files);
        let found = limit(&root).unwrap();
        assert_eq!((&*found.path, found.max_bytes, found.used_bytes), ("/web.slice", 1 << 30, 400 * MIB));
    }

    #[test]
    fn a_container_s_own_root_may_have_the_limit() {
        for line in ["0::/\n", "0::/docker/f00\n"] {
            let root = machine(line, &[V2, ("sys/fs/cgroup/memory.max", "536870912\n")]);
            let found = limit(&root).unwrap();
            assert_eq!((&*found.path, found.max_bytes, found.used_bytes), ("/", 512 * MIB, 0));
        }
    }

    #[test]
    fn v1_has_a_hierarchy_for_memory_alone() {
        let top = "sys/fs/cgroup/memory";
        let lines = "9:name=systemd:/other\n4:cpu,memory:/x\n0::/\n";
        let at = |name: &str| format!("{top}/{name}");
        let names =
            ["memory.usage_in_bytes", "x/memory.limit_in_bytes", "x/memory.usage_in_bytes", "x/memory.stat"];
        let [root, max, usage, stat] = names.map(at);
        let texts = ["cache 9\ninactive_file 1\ntotal_inactive_file 1048576\n"];
        let files = [(&*root, "1\n"), (&*max, "10485760\n"), (&*usage, "3145728\n"), (&*stat, texts[0])];
        let machine = machine(lines, &files);
        let found = limit(&machine).unwrap();
        assert_eq!((&*found.path, found.max_bytes, found.used_bytes), ("/x", 10 * MIB, 2 * MIB));
    }

    #[test]
    fn without_a_limit_there_is_none_and_what_is_hidden_is_said_to_be() {
        assert_eq!(limit(&machine("0::/\n", &[])), None);
        assert_eq!(limit(&machine("0::/\n", &[V2])), None);
        assert_eq!(limit(&machine("", &[V2])), None);
        for line in ["0::/gone\n", "0::/../x\n"] {
            let root = machine(line, &[V2]);
            let error = CgroupLimit::of_process(root.path(), 7).unwrap_err().to_string();
            assert!(error.contains(line.trim_end().trim_start_matches("0::")), "{error}");
        }
    }
}
