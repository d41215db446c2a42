//! The memory limit that applies to a process.

use std::path::{Path, PathBuf};

use super::hierarchy::{CgroupVersion, NO_LIMIT, find_hierarchy};
use crate::machine::error::MachineError;
use crate::machine::files::{read_if_readable, read_number, value_of};

/// The smallest limit among those of a process's memory cgroup and all cgroups above it.
///
/// ```no_run
/// let limit = proc_snapshot::CgroupLimit::of_process("/".as_ref(), std::process::id())?;
/// println!("{limit:?}");
/// # Ok::<(), proc_snapshot::CgroupLimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgroupLimit {
    /// Path below the mount of the cgroup that has the limit, such as `/system.slice/httpd.service`.
    pub path: String,
    /// The limit, in bytes.
    pub max_bytes: u64,
    /// Memory charged to the cgroup without the page cache, which the kernel can reclaim. In bytes.
    pub used_bytes: u64,
}

/// The reason why the limit of a process is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupLimitError {
    /// The cgroup of the process is not visible from this process, as in another container.
    #[error("the memory cgroup {cgroup} is not below {}", mount.display())]
    Hidden {
        /// Path that the kernel reports.
        cgroup: String,
        /// Top directory of the hierarchy.
        mount: PathBuf,
    },
    /// A resource of the system is exhausted.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

impl CgroupLimit {
    /// Finds the limit of a process of the machine whose root is at `host_root`. `None` if no limit is set, no hierarchy has
    /// the memory controller, or the process is gone.
    ///
    /// # Errors
    ///
    /// [`CgroupLimitError`]
    pub fn of_process(host_root: &Path, pid: u32) -> Result<Option<Self>, CgroupLimitError> {
        let Some((version, mount)) = find_hierarchy(&host_root.join("sys/fs/cgroup"))? else {
            return Ok(None);
        };
        let text = read_if_readable(&host_root.join(format!("proc/{pid}/cgroup")))?.unwrap_or_default();
        let Some(cgroup) = path_in(&text, version) else { return Ok(None) };
        let mut dir = mount.join(cgroup.trim_start_matches('/'));
        if cgroup.split('/').any(|part| part == "..") || !dir.is_dir() {
            // In a container without a cgroup namespace the mount is the container's own cgroup, under another name.
            return Self::in_directory(&mount, &mount, version)?
                .map(Some)
                .ok_or(CgroupLimitError::Hidden { cgroup, mount });
        }
        let mut smallest: Option<Self> = None;
        // If the mount is a container's, its top directory may have a limit, too.
        while dir.starts_with(&mount) {
            let limit = Self::in_directory(&mount, &dir, version)?;
            smallest = smallest.into_iter().chain(limit).min_by_key(|limit| limit.max_bytes);
            if !dir.pop() {
                break;
            }
        }
        Ok(smallest)
    }

    fn in_directory(mount: &Path, dir: &Path, version: CgroupVersion) -> Result<Option<Self>, MachineError> {
        let (max, current, prefix) = match version {
            CgroupVersion::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
            CgroupVersion::V2 => ("memory.max", "memory.current", ""),
        };
        let Some(max_bytes) = read_number(&dir.join(max))?.filter(|limit| *limit < NO_LIMIT) else {
            return Ok(None);
        };
        let stat = read_if_readable(&dir.join("memory.stat"))?.unwrap_or_default();
        let cache = ["inactive_file", "active_file"]
            .map(|list| value_of(&stat, format!("{prefix}{list}").as_bytes()).unwrap_or(0));
        let used_bytes =
            read_number(&dir.join(current))?.unwrap_or(0).saturating_sub(cache[0].saturating_add(cache[1]));
        let path = dir.strip_prefix(mount).unwrap_or(dir).display();
        Ok(Some(Self { path: format!("/{path}"), max_bytes, used_bytes }))
    }
}

/// Returns the path in `/proc/PID/cgroup`: `4:memory:/system.slice/httpd.service` in v1, `0::/system.slice/httpd.service`
/// in v2.
pub(crate) fn path_in(text: &[u8], version: CgroupVersion) -> Option<String> {
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

    /// Writes files below a root, with process 7 in the cgroup that `line` names.
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
    fn smallest_limit_of_all_ancestors_is_returned() {
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
    fn top_directory_of_a_container_may_have_the_limit() {
        for line in ["0::/\n", "0::/docker/f00\n"] {
            let root = machine(line, &[V2, ("sys/fs/cgroup/memory.max", "536870912\n")]);
            let found = limit(&root).unwrap();
            assert_eq!((&*found.path, found.max_bytes, found.used_bytes), ("/", 512 * MIB, 0));
        }
    }

    #[test]
    fn v1_uses_the_hierarchy_of_the_memory_controller() {
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
    fn no_limit_is_none_and_a_hidden_cgroup_is_an_error() {
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
