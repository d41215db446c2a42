//! The content of a report.

use serde::{Deserialize, Serialize};

use crate::time::Time;
use crate::trust::Trust;

/// One event of running out of memory. What its text does not contain is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Time of the first line that has one.
    pub time: Option<Time>,
    /// Name of the process whose request for memory started the killer: `NAME invoked oom-killer`. It is not always
    /// the victim.
    pub invoked_by: Option<Box<[u8]>>,
    /// Which limit was hit.
    pub constraint: Option<Constraint>,
    /// The constraint's name as printed since 5.0, such as `CONSTRAINT_MEMCG`. Kernels 5.0 to 5.2 print
    /// `CONSTRAINT_NONE` for memory cgroups as well, and patched kernels have further names. [`Report::constraint`]
    /// is the judgement, this is the text.
    pub constraint_text: Option<Box<[u8]>>,
    /// The cgroup whose limit was hit; absent for an event of the whole machine. For [`Killer::SystemdOomd`] the cgroup
    /// that was killed.
    pub cgroup: Option<Box<[u8]>>,
    /// The cgroup of the selected process.
    pub task_cgroup: Option<Box<[u8]>>,
    /// The cgroup that was killed as a whole because of its `memory.oom.group` (4.19).
    pub group: Option<Box<[u8]>>,
    /// OpenVZ's user beancounter or virtual environment whose limit was hit.
    pub container: Option<u64>,
    /// The machine went down in a panic because memory was exhausted.
    pub panic: bool,
    /// Who killed.
    pub killer: Killer,
    /// Who reported it.
    pub witness: Witness,
    /// The process with the highest score. Kernels before 5.1 may kill a child instead.
    pub selected: Option<Selection>,
    /// The killed processes in the order of their kill lines, at most [`Report::VICTIMS_MAX`].
    pub victims: Vec<Victim>,
    /// Number of killed processes. It is larger than the number of victims if the text counts processes that it does
    /// not name. Absent if processes were killed and the text does not count them.
    pub kills: Option<u64>,
    /// Number of lines that report a killed process. A process may be printed twice (`memory.oom.group`, a victim
    /// that is slow to die).
    pub kill_lines: u64,
    /// The largest processes by RSS of the report's table, largest first, at most [`Report::TASKS_MAX`].
    pub tasks: Vec<Task>,
    /// Number of rows of the table.
    pub tasks_total: u64,
    /// Processes whose memory the kernel's reaper freed (4.6). Most are victims; a process whose kill line was lost
    /// is listed only here. At most [`Report::VICTIMS_MAX`].
    pub reaped: Vec<Reaped>,
    /// Units in which systemd noticed a kill (`A process of this unit has been killed by the OOM killer`), in the
    /// order of the lines: a service and each slice above it.
    pub units: Vec<Box<[u8]>>,
    /// Whether an ordinary user could have written it.
    pub trust: Trust,
}

impl Report {
    /// Limit of [`victims`](Report::victims); further ones are only counted.
    pub const VICTIMS_MAX: usize = 1024;
    /// Limit of [`tasks`](Report::tasks).
    pub const TASKS_MAX: usize = 512;

    pub(crate) fn new(killer: Killer, trust: Trust) -> Self {
        Self {
            time: None,
            invoked_by: None,
            constraint: None,
            constraint_text: None,
            cgroup: None,
            task_cgroup: None,
            group: None,
            container: None,
            panic: false,
            killer,
            witness: Witness::Killer,
            selected: None,
            victims: Vec::new(),
            kills: Some(0),
            kill_lines: 0,
            tasks: Vec::new(),
            tasks_total: 0,
            reaped: Vec::new(),
            units: Vec::new(),
            trust,
        }
    }

    /// Returns about how much memory the report occupies, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        // The limit of a name, and the overhead of its allocation.
        const NAME_BYTES: usize = 80;
        let texts = [&self.invoked_by, &self.constraint_text, &self.cgroup, &self.task_cgroup, &self.group];
        let text_bytes: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let unit_bytes: usize = self.units.iter().map(|unit| unit.len() + NAME_BYTES).sum();
        size_of::<Self>()
            + text_bytes
            + unit_bytes
            + self.victims.len() * (size_of::<Victim>() + NAME_BYTES)
            + self.tasks.len() * (size_of::<Task>() + NAME_BYTES)
            + self.reaped.len() * (size_of::<Reaped>() + NAME_BYTES)
    }
}

/// Which limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Constraint {
    /// No limit: the whole machine is out of memory.
    None,
    /// The limit of a memory cgroup.
    Memcg,
    /// The memory nodes of a cpuset.
    Cpuset,
    /// The memory nodes of a process's policy (`mbind`, `numactl`).
    Mempolicy,
}

impl Constraint {
    /// The name: `none`, `memcg`, `cpuset` or `mempolicy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memcg => "memcg",
            Self::Cpuset => "cpuset",
            Self::Mempolicy => "mempolicy",
        }
    }
}

/// Who killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Killer {
    /// The kernel's OOM killer.
    Kernel,
    /// systemd-oomd, which kills whole cgroups.
    SystemdOomd,
    /// earlyoom.
    Earlyoom,
}

impl Killer {
    /// The name: `kernel`, `systemd-oomd` or `earlyoom`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::SystemdOomd => "systemd-oomd",
            Self::Earlyoom => "earlyoom",
        }
    }
}

/// Who reported an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Witness {
    /// The killer itself.
    Killer,
    /// systemd alone: the lines of the kernel are missing, so the victims and their number are unknown.
    Systemd,
}

/// A killed process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Victim {
    /// Process id in the first pid namespace of the machine. It may be the id of a thread.
    pub pid: u32,
    /// Name (at most 15 bytes of any kind); absent if the line is cut.
    pub name: Option<Box<[u8]>>,
    /// Time of the kill line.
    pub time: Option<Time>,
    /// User id, from the kill line or the constraint line of the same process.
    pub uid: Option<u32>,
    /// Virtual size in bytes.
    pub total_vm_bytes: Option<u64>,
    /// Resident anonymous memory in bytes.
    pub anon_rss_bytes: Option<u64>,
    /// Resident file pages in bytes.
    pub file_rss_bytes: Option<u64>,
    /// Resident shared memory in bytes (4.5).
    pub shmem_rss_bytes: Option<u64>,
    /// Resident memory in bytes, if the line has one number for all of it (OpenVZ, earlyoom).
    pub rss_bytes: Option<u64>,
    /// Swapped-out memory in bytes (OpenVZ).
    pub swap_bytes: Option<u64>,
    /// Page tables in bytes (5.4).
    pub pgtables_bytes: Option<u64>,
    /// -1000 to 1000 (5.4).
    pub oom_score_adj: Option<i64>,
}

impl Victim {
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            pid,
            name: None,
            time: None,
            uid: None,
            total_vm_bytes: None,
            anon_rss_bytes: None,
            file_rss_bytes: None,
            shmem_rss_bytes: None,
            rss_bytes: None,
            swap_bytes: None,
            pgtables_bytes: None,
            oom_score_adj: None,
        }
    }
}

/// The process that the kernel chose: `Kill process 28266 (mysqld) score 51 or sacrifice child`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// Process id.
    pub pid: u32,
    /// Name; absent if the line is cut.
    pub name: Option<Box<[u8]>>,
    /// Badness: thousandths of memory since 2.6.36, points without a unit before.
    pub score: Option<u64>,
}

/// A process whose memory the kernel's reaper freed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaped {
    /// Process id.
    pub pid: u32,
    /// Name; absent if the line is cut.
    pub name: Option<Box<[u8]>>,
}

/// A row of the table of processes. The kernel prints pages. The page size comes from other lines of the report if
/// they show it (ppc64le and some arm64 kernels have 64 KiB), else it is 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Task {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: Option<u32>,
    /// Name; absent if the table is cut.
    pub name: Option<Box<[u8]>>,
    /// Virtual size in bytes.
    pub total_vm_bytes: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Swapped-out memory in bytes (3.8).
    pub swap_bytes: Option<u64>,
    /// -1000 to 1000 (2.6.36).
    pub oom_score_adj: Option<i64>,
}
