//! The value of a capacity key.

use std::path::Path;

use pool_capacity::sizing::{Cgroup, Demand, Machine, Memory, Sizing};
use serde::Serialize;

/// The facts about one server from its configuration and processes. Unknown values are absent.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Capacity {
    pub(crate) pool: &'static str,
    pub(crate) conf: String,
    /// Absent if processes of other users are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mpm: Option<&'static str>,
    pub(crate) limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_configured: Option<u64>,
    pub(crate) limit_setting: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads_per_child: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) busy: Option<u64>,
    /// For a database server, including its own internal threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_limit: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<MemoryJson>,
    #[serde(flatten)]
    pub(crate) sizing: Option<SizingJson>,
    /// Settings whose effect differs from the configured value, and parts that could not be read.
    pub(crate) warnings: Vec<String>,
    /// Facts that could not be measured now, without a fault in the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// Processes that have the name of a server and do not count as one; at most 10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored: Vec<IgnoredJson>,
    /// The number of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ignored_total: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pools: Vec<PoolJson>,
}

/// A process that does not count as a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IgnoredJson {
    pub(crate) pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct MemoryJson {
    pub(crate) source: &'static str,
    pub(crate) worker_bytes: u64,
    pub(crate) private_bytes: u64,
    pub(crate) shared_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) largest_bytes: Option<u64>,
    pub(crate) accuracy: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct SizingJson {
    pub(crate) memory_at_limit_bytes: u64,
    pub(crate) mem_total_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup_max_bytes: Option<u64>,
    pub(crate) limited_by: &'static str,
    pub(crate) reserved_bytes: u64,
    pub(crate) available_bytes: u64,
    pub(crate) fits: bool,
    pub(crate) largest_limit: u64,
    pub(crate) basis: String,
}

/// One pool of php-fpm.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct PoolJson {
    pub(crate) name: String,
    pub(crate) conf: String,
    pub(crate) pm: &'static str,
    pub(crate) limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<u64>,
    /// Workers with a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) busy: Option<u64>,
    /// Connections that no worker has accepted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_limit: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Whether all workers may run without load, so that their number does not show load.
    #[serde(skip)]
    pub(crate) keeps_idle: bool,
}

impl Capacity {
    /// Adds the workers' memory, and the limit of the cgroup of `parents`. If the machine's memory cannot be read, there is a
    /// warning and no sizing.
    pub(super) fn size(
        &mut self,
        host_root: &Path,
        parents: &[u32],
        memory: Option<&Memory>,
        demand: Demand,
    ) {
        let Some(memory) = memory else { return };
        self.memory = Some(MemoryJson::of(memory));
        let machine = match proc_snapshot::MachineMemory::read(host_root) {
            Ok(machine) => machine,
            Err(error) => return self.warnings.push(format!("the machine's memory is not known: {error}")),
        };
        let machine =
            Machine { mem_total_bytes: machine.total_bytes, mem_available_bytes: machine.available_bytes };
        let cgroup =
            self.cgroup(host_root, parents).filter(|cgroup| cgroup.max_bytes < machine.mem_total_bytes);
        let sizing = Sizing::within(memory, demand, machine, cgroup.as_ref());
        self.sizing = Some(SizingJson::of(sizing, machine, cgroup));
    }

    /// Returns the limit that applies to all of these processes. An unknown limit is a warning.
    fn cgroup(&mut self, host_root: &Path, parents: &[u32]) -> Option<Cgroup> {
        let mut limits = Vec::new();
        for pid in parents {
            match proc_snapshot::CgroupLimit::of_process(host_root, *pid) {
                Ok(limit) => limits.push(limit),
                Err(error) => {
                    self.warnings.push(format!("whether a cgroup limits the memory is not known: {error}"));
                    return None;
                }
            }
        }
        limits.dedup_by(|a, b| a.as_ref().map(|limit| &limit.path) == b.as_ref().map(|limit| &limit.path));
        if limits.len() > 1 {
            self.warnings.push(
                "the pools run in several memory cgroups: these limits are ignored, only the machine's memory counts"
                    .to_owned(),
            );
            return None;
        }
        let limit = limits.pop()??;
        Some(Cgroup { path: limit.path, max_bytes: limit.max_bytes, used_bytes: limit.used_bytes })
    }
}

impl MemoryJson {
    fn of(memory: &Memory) -> Self {
        Self {
            source: memory.source.as_str(),
            worker_bytes: memory.worker_bytes,
            private_bytes: memory.private_bytes,
            shared_bytes: memory.shared_bytes,
            rss_bytes: memory.rss_bytes,
            largest_bytes: memory.largest_bytes,
            accuracy: memory.doubt.clone(),
        }
    }
}

impl SizingJson {
    fn of(sizing: Sizing, machine: Machine, cgroup: Option<Cgroup>) -> Self {
        Self {
            memory_at_limit_bytes: sizing.memory_at_limit_bytes,
            mem_total_bytes: machine.mem_total_bytes,
            cgroup_max_bytes: cgroup.as_ref().map(|cgroup| cgroup.max_bytes),
            cgroup: cgroup.map(|cgroup| cgroup.path),
            limited_by: sizing.limited_by.as_str(),
            reserved_bytes: sizing.reserved_bytes,
            available_bytes: sizing.available_bytes,
            fits: sizing.fits,
            largest_limit: sizing.largest_limit,
            basis: sizing.how,
        }
    }
}

/// Rounds to two decimals; more would be noise in a history.
pub(super) fn percent(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of workers")]
    let hundredths = (part as f64 / whole as f64 * 10_000.0).round();
    (whole > 0).then_some(hundredths / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_decimals() {
        assert_eq!([percent(12, 256), percent(1, 3), percent(0, 0)], [Some(4.69), Some(33.33), None]);
    }

    /// Returns the cgroup of processes 1, 2 ... and the warnings, where process N runs in `cgroups[N - 1]` and every cgroup has a limit.
    fn cgroup_of(cgroups: &[&str]) -> (Option<Cgroup>, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        let write = |path: String, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/fs/cgroup/cgroup.controllers".to_owned(), "memory\n");
        let parents: Vec<u32> = (1..).take(cgroups.len()).collect();
        for (pid, cgroup) in parents.iter().zip(cgroups) {
            write(format!("proc/{pid}/cgroup"), &format!("0::/{cgroup}\n"));
            write(format!("sys/fs/cgroup/{cgroup}/memory.max"), "1048576\n");
        }
        let mut capacity = Capacity::default();
        let cgroup = capacity.cgroup(root.path(), &parents);
        (cgroup, capacity.warnings)
    }

    #[test]
    fn the_limit_of_a_cgroup_counts_only_if_all_parents_run_in_it() {
        for one in [&["a.service"][..], &["a.service", "a.service"]] {
            let (cgroup, warnings) = cgroup_of(one);
            let cgroup = cgroup.map(|cgroup| (cgroup.path, cgroup.max_bytes));
            assert_eq!(cgroup, Some(("/a.service".to_owned(), 1 << 20)), "{one:?}");
            assert_eq!(warnings, [""; 0], "{one:?}");
        }
        for several in [&["a.service", "b.service"][..], &["a.service", "b.service", "a.service"]] {
            let (cgroup, warnings) = cgroup_of(several);
            assert!(cgroup.is_none(), "{several:?}");
            assert!(matches!(&*warnings, [one] if one.contains("several memory cgroups")), "{warnings:?}");
        }
    }
}
