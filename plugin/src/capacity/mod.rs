//! `apache.capacity`, `phpfpm.capacity` and `mysql.capacity`: how many workers a server is allowed, and whether the machine
//! has the memory for them.

mod apache;
mod mysql;
mod phpfpm;
mod processes;
mod table;

use std::io::Read;
use std::path::{Path, PathBuf};

use agent2_plugin::{ItemError, Reply, Request};
use pool_capacity::HostFiles;
use pool_capacity::sizing::{Cgroup, Demand, Machine, Memory, Sizing};
use pool_capacity::sockets::{Address, Connections};
use serde::Serialize;

use crate::arguments::Arguments;
use crate::exporter::OomWatch;
use crate::json;

pub(crate) use mysql::Versions;
pub(crate) use table::table;

/// A server with workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Apache,
    PhpFpm,
    Mysql,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Apache, Self::PhpFpm, Self::Mysql];

    /// As the command line calls it, and the key.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::PhpFpm => "phpfpm",
            Self::Mysql => "mysql",
        }
    }
}

/// `apache.capacity[conf]`
pub(crate) fn apache(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(oomwatch, Kind::Apache, arguments)
}

/// `phpfpm.capacity[conf]`
pub(crate) fn phpfpm(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(oomwatch, Kind::PhpFpm, arguments)
}

/// `mysql.capacity[conf]`
pub(crate) fn mysql(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(oomwatch, Kind::Mysql, arguments)
}

fn reply(oomwatch: &OomWatch, kind: Kind, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    json::reply(&Capacity::of(oomwatch, kind, arguments.filter(0), arguments.request())?)
}

/// What one server's configuration and processes say together. Everything that is not known is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Capacity {
    pub(crate) pool: &'static str,
    pub(crate) conf: String,
    /// Absent where the processes of others cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mpm: Option<&'static str>,
    pub(crate) limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_written: Option<u64>,
    pub(crate) limit_name: &'static str,
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
    /// Of a database server, those of its own work among them.
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
    /// What in the configuration is not as it seems, and what of it could not be taken in.
    pub(crate) warnings: Vec<String>,
    /// What could not be measured now, for no fault of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pools: Vec<PoolJson>,
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
    pub(crate) error: String,
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
    pub(crate) how: String,
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
    /// All workers may run without any load, so that their number says nothing.
    #[serde(skip)]
    pub(crate) keeps_idle: bool,
}

impl Capacity {
    /// Of the configuration that is named, of the one in the agent's options, or of those at the usual places.
    pub(crate) fn of(
        oomwatch: &OomWatch,
        kind: Kind,
        conf: Option<&str>,
        request: &Request,
    ) -> Result<Self, ItemError> {
        let conf = given(oomwatch, kind, conf)?;
        let context = Context { oomwatch, request, files: HostFiles::below(oomwatch.host_root()) };
        match kind {
            Kind::Apache => apache::capacity(&context, conf.as_deref()),
            Kind::PhpFpm => phpfpm::capacity(&context, conf),
            Kind::Mysql => mysql::capacity(&context, conf),
        }
    }

    /// Takes in what the workers' memory says, and the limit of the cgroup that `parents` run in. Where the machine's
    /// memory cannot be read, there is no sizing, and a warning.
    fn size(&mut self, host_root: &Path, parents: &[u32], memory: Option<&Memory>, demand: Demand) {
        let Some(memory) = memory else { return };
        self.memory = Some(MemoryJson::of(memory));
        let machine = match oom_evidence::Memory::read(host_root) {
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

    /// The limit that all of these processes are under together. What cannot be known is a warning.
    fn cgroup(&mut self, host_root: &Path, parents: &[u32]) -> Option<Cgroup> {
        let mut limits = Vec::new();
        for pid in parents {
            match oom_evidence::CgroupLimit::of_process(host_root, *pid) {
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
                "the pools run in several memory cgroups: their limits are not looked at, the machine's memory is"
                    .to_owned(),
            );
            return None;
        }
        let limit = limits.pop()??;
        Some(Cgroup { path: limit.path, max_bytes: limit.max_bytes, used_bytes: limit.used_bytes })
    }
}

/// What the answer is made from.
struct Context<'a> {
    oomwatch: &'a OomWatch,
    request: &'a Request,
    files: HostFiles,
}

/// More than the table of the connections of any machine.
const PROC_FILE_BYTES_MAX: u64 = 64 << 20;

impl Context<'_> {
    /// A file of a process of the watched machine; nothing where it is gone or may not be read.
    fn read_proc(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        let path = self.oomwatch.host_root().join(format!("proc/{pid}/{name}"));
        let mut content = Vec::new();
        std::fs::File::open(path).ok()?.take(PROC_FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// Whether a process lives in a container: in a pid namespace below the one that this /proc shows, where it has another
    /// number. The paths that it names are those of its own files.
    fn is_contained(&self, pid: u32) -> bool {
        let status = self.read_proc(pid, "status").unwrap_or_default();
        let pids = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
        pids.is_some_and(|pids| pids.trim_ascii().contains(&b'\t'))
    }

    /// Connections to an address in the network namespace of a process.
    fn connections(&self, pid: u32, address: &Address) -> Option<Connections> {
        let count = |table: &&str| Some(address.connections(&self.read_proc(pid, &format!("net/{table}"))?));
        // Without IPv6 there is no table for it.
        address.tables().iter().filter_map(count).reduce(|one, other| one + other)
    }
}

fn given(oomwatch: &OomWatch, kind: Kind, conf: Option<&str>) -> Result<Option<PathBuf>, ItemError> {
    let option = match kind {
        Kind::Apache => &oomwatch.confs.apache,
        Kind::PhpFpm => &oomwatch.confs.php_fpm,
        Kind::Mysql => &oomwatch.confs.mysql,
    };
    match conf.map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(Some(path)),
        Some(path) => Err(ItemError::new(format!("{} is not an absolute path", path.display()))),
        None => Ok(option.clone()),
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
            error: memory.doubt.clone(),
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
            how: sizing.how,
        }
    }
}

/// With two decimals: more would only be noise in a history.
fn percent(part: u64, whole: u64) -> Option<f64> {
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
}
