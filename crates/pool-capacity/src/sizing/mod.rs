//! Arithmetic: the memory of one worker, of all allowed workers, and the largest limit that fits.
//!
//! * A [`Footprint`] is the memory of one process, as far as it could be read.
//! * [`Memory`] is the memory of a pool: the private part of each worker, and the part that all share.
//! * A [`Machine`] is the total and the available memory. A [`Cgroup`] is the same for the pool's memory cgroup, which may be
//!   smaller.
//! * A [`Sizing`] is the result: the memory at the limit, whether it fits, and the largest limit that fits.
//!
//! Prefork children share most of their pages with their parent. Multiplying a child's RSS would count those pages once for
//! each child and make the limit several times too small. So shared memory counts once, and only the private memory of a worker
//! is multiplied.
//!
//! The incident: 256 workers of 50 MB on a machine of 4 GB.
//!
//! ```
//! use pool_capacity::sizing::{Demand, Machine, Memory, Sizing};
//!
//! let workers = Memory::configured(50 << 20, 0);
//! let machine = Machine { mem_total_bytes: 4 << 30, mem_available_bytes: 4 << 30 };
//! let sizing = Sizing::new(&workers, Demand { limit: 256, workers_per_process: 1 }, machine);
//! assert!(!sizing.fits);
//! assert_eq!(sizing.memory_at_limit_bytes, 256 * (50 << 20));
//! assert_eq!(sizing.largest_limit, 71);
//! ```

mod memory;
mod words;

pub use memory::{Footprint, Memory, Shares, Source};
use words::{bytes, count};

/// This share of the machine is reserved for everything except the pool, even if the rest uses little now: page cache, logins,
/// cron jobs.
const RESERVED_PART: u64 = 8;
/// On a large machine an eighth would be more than the rest ever needs.
const RESERVED_FLOOR_MAX_BYTES: u64 = 2 << 30;

/// The number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The limit as the server applies it.
    pub limit: u64,
    /// Threads per process; 1 if every worker is a process. Memory is counted by process.
    pub workers_per_process: u64,
}

impl Demand {
    fn processes(self) -> u64 {
        self.limit.div_ceil(self.workers_per_process.max(1))
    }
}

/// The machine's memory, from `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `MemTotal`.
    pub mem_total_bytes: u64,
    /// `MemAvailable`: memory that programs can get without swapping, including page cache.
    pub mem_available_bytes: u64,
}

impl Machine {
    /// The reserve for the rest of the machine: the memory that others use now, at least an eighth of all (2 GiB at most).
    #[must_use]
    pub fn reserved_bytes(self, pool_now_bytes: u64) -> u64 {
        self.others_bytes(pool_now_bytes).max(self.floor_bytes()).min(self.mem_total_bytes)
    }

    fn others_bytes(self, pool_now_bytes: u64) -> u64 {
        self.mem_total_bytes.saturating_sub(self.mem_available_bytes).saturating_sub(pool_now_bytes)
    }

    fn floor_bytes(self) -> u64 {
        (self.mem_total_bytes / RESERVED_PART).min(RESERVED_FLOOR_MAX_BYTES)
    }
}

/// A memory cgroup with a limit, in which a pool runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// The kernel's path, such as `/system.slice/httpd.service`.
    pub path: String,
    /// The limit.
    pub max_bytes: u64,
    /// The charged memory without page cache, including the pool's own memory.
    pub used_bytes: u64,
}

impl Cgroup {
    /// A machine of the cgroup's size. Charged memory outside the pool is that of other processes, kernel buffers and page
    /// cache, as on a machine.
    fn as_machine(&self) -> Machine {
        Machine {
            mem_total_bytes: self.max_bytes,
            mem_available_bytes: self.max_bytes.saturating_sub(self.used_bytes),
        }
    }
}

/// The one that leaves less room for the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// The machine's memory.
    Machine,
    /// The limit of the pool's memory cgroup.
    Cgroup,
}

impl LimitedBy {
    /// The word in the items' values.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Cgroup => "cgroup",
        }
    }
}

/// The result for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizing {
    /// The pool's memory when all allowed workers run: shared memory once, and each process's own.
    pub memory_at_limit_bytes: u64,
    /// The reserve for the rest of the machine, or of the cgroup.
    pub reserved_bytes: u64,
    /// The memory that is left for the pool.
    pub available_bytes: u64,
    /// Whether the memory at the limit fits into the available memory.
    pub fits: bool,
    /// The largest limit that fits; 0 if not even the shared memory fits.
    pub largest_limit: u64,
    /// The machine or the cgroup, whichever decided.
    pub limited_by: LimitedBy,
    /// The computation in words.
    pub how: String,
}

impl Sizing {
    /// Computes the result. It is monotone: more memory never lowers the largest limit.
    #[must_use]
    pub fn new(memory: &Memory, demand: Demand, machine: Machine) -> Self {
        Self::judged(memory, demand, machine, LimitedBy::Machine, ["of memory", "the rest of the machine"])
    }

    /// Computes the result for a pool in a memory cgroup: the one with less room for the pool decides.
    #[must_use]
    pub fn within(memory: &Memory, demand: Demand, machine: Machine, cgroup: Option<&Cgroup>) -> Self {
        let of_machine = Self::new(memory, demand, machine);
        let Some(cgroup) = cgroup else { return of_machine };
        let whose = format!("that cgroup {} may have", cgroup.path);
        let words = [&whose, "the other processes in it"];
        let of_cgroup = Self::judged(memory, demand, cgroup.as_machine(), LimitedBy::Cgroup, words);
        if of_cgroup.available_bytes < of_machine.available_bytes { of_cgroup } else { of_machine }
    }

    /// `words` names the memory and its reserve.
    fn judged(
        memory: &Memory,
        demand: Demand,
        machine: Machine,
        limited_by: LimitedBy,
        words: [&str; 2],
    ) -> Self {
        let reserved_bytes = machine.reserved_bytes(memory.pool_now_bytes);
        let available_bytes = machine.mem_total_bytes - reserved_bytes;
        let memory_at_limit_bytes = memory.at(demand.processes());
        let mut sizing = Self {
            memory_at_limit_bytes,
            reserved_bytes,
            available_bytes,
            fits: memory_at_limit_bytes <= available_bytes,
            largest_limit: largest_limit(memory, available_bytes, demand.workers_per_process),
            limited_by,
            how: String::new(),
        };
        let need = sizing.explain_need(memory, demand);
        sizing.how = format!("{need}. {}", sizing.explain_room(machine, words));
        sizing
    }

    fn explain_room(&self, machine: Machine, [whose, rest]: [&str; 2]) -> String {
        let verdict = match (self.fits, self.largest_limit) {
            (true, _) => format!("which fits; up to {} would", self.largest_limit),
            (false, 0) => "which does not fit, and no limit does".to_owned(),
            (false, largest) => format!("which does not fit; {largest} would"),
        };
        format!(
            "{} {whose} less {} for {rest} leave {}: {verdict}.",
            bytes(machine.mem_total_bytes),
            bytes(self.reserved_bytes),
            bytes(self.available_bytes),
        )
    }

    fn explain_need(&self, memory: &Memory, demand: Demand) -> String {
        let processes = demand.processes();
        let each = match (memory.source, demand.workers_per_process) {
            (Source::Configured, _) => count(processes, "connection"),
            (_, 0 | 1) => count(processes, "worker"),
            (_, threads) => {
                format!("{} of {}", count(processes, "process"), count(threads, "thread"))
            }
        };
        format!(
            "{} shared once and {each} with {} each ({}) are {}",
            bytes(memory.shared_bytes),
            bytes(memory.private_bytes),
            memory.source.words(),
            bytes(self.memory_at_limit_bytes),
        )
    }
}

fn largest_limit(memory: &Memory, available_bytes: u64, workers_per_process: u64) -> u64 {
    let for_workers = available_bytes.saturating_sub(memory.shared_bytes);
    (for_workers / memory.private_bytes).saturating_mul(workers_per_process.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn sizing(private: u64, shared: u64, limit: u64, threads: u64, total: u64, available: u64) -> Sizing {
        let memory = Memory::configured(private, shared);
        let machine = Machine { mem_total_bytes: total, mem_available_bytes: available };
        Sizing::new(&memory, Demand { limit, workers_per_process: threads }, machine)
    }

    #[test]
    fn shared_memory_counts_once() {
        let sizing = sizing(10 * MIB, 100 * MIB, 50, 1, 2 * GIB, GIB);
        assert_eq!(sizing.memory_at_limit_bytes, 600 * MIB);
        // Other processes use half of the machine.
        assert_eq!((sizing.reserved_bytes, sizing.available_bytes), (GIB, GIB));
        assert!(sizing.fits);
        assert_eq!(sizing.largest_limit, 92);
        assert_eq!(
            sizing.how,
            "100.0 MiB shared once and 50 connections with 10.0 MiB each (as configured) are 600.0 MiB. \
             2.0 GiB of memory less 1.0 GiB for the rest of the machine leave 1.0 GiB: which fits; up to 92 would."
        );
    }

    /// The numbers of docs/capacity.md.
    #[test]
    fn the_incident() {
        let first = sizing(50 * MIB, 0, 256, 1, 4 * GIB, 4 * GIB);
        assert!(!first.fits);
        assert_eq!((first.reserved_bytes, first.memory_at_limit_bytes), (512 * MIB, 12_800 * MIB));
        assert_eq!(first.largest_limit, 71);
        let second = sizing(50 * MIB, 0, 100, 1, 4 * GIB, 4 * GIB);
        assert_eq!((second.fits, second.largest_limit), (false, 71));
        let shared = sizing(35 * MIB, 15 * MIB, 100, 1, 4 * GIB, 4 * GIB);
        assert_eq!((shared.fits, shared.largest_limit), (true, 101));
    }

    #[test]
    fn a_cgroup_with_less_room_than_the_machine_counts() {
        let memory = Memory::configured(50 * MIB, 0).with_pool_now(200 * MIB);
        let machine = Machine { mem_total_bytes: 4 * GIB, mem_available_bytes: 4 * GIB };
        let at = |max_bytes, used_bytes| {
            let cgroup = Cgroup { path: "/web.slice".to_owned(), max_bytes, used_bytes };
            Sizing::within(&memory, Demand { limit: 60, workers_per_process: 1 }, machine, Some(&cgroup))
        };
        let sizing = at(2 * GIB, 200 * MIB);
        assert_eq!(
            (sizing.fits, sizing.limited_by, sizing.reserved_bytes),
            (false, LimitedBy::Cgroup, 256 * MIB)
        );
        assert_eq!((sizing.available_bytes, sizing.largest_limit), (1792 * MIB, 35));
        assert!(
            sizing.how.ends_with(
                "2.0 GiB that cgroup /web.slice may have less 256.0 MiB for the other processes in it leave 1.8 GiB: which \
                 does not fit; 35 would."
            ),
            "{}",
            sizing.how
        );
        // Other processes use half of the cgroup.
        assert_eq!(at(2 * GIB, 1224 * MIB).largest_limit, 20);
        let roomy = at(8 * GIB, 0);
        assert_eq!((roomy.limited_by, roomy.largest_limit), (LimitedBy::Machine, 71));
        assert_eq!(
            Sizing::within(&memory, Demand { limit: 60, workers_per_process: 1 }, machine, None),
            roomy
        );
    }

    #[test]
    fn threads_share_the_memory_of_their_process() {
        let sizing = sizing(64 * MIB, 0, 150, 25, GIB, GIB);
        assert_eq!(sizing.memory_at_limit_bytes, 6 * 64 * MIB);
        assert_eq!(sizing.largest_limit, 14 * 25);
    }

    #[test]
    fn an_eighth_is_kept_and_two_gibibytes_at_most() {
        let reserved = |total: u64, available: u64| sizing(MIB, 0, 1, 1, total, available).reserved_bytes;
        assert_eq!(reserved(4 * GIB, 4 * GIB), 512 * MIB);
        assert_eq!(reserved(64 * GIB, 64 * GIB), 2 * GIB);
        assert_eq!(reserved(64 * GIB, 60 * GIB), 4 * GIB);
        // Nonsensical values do not overflow.
        assert_eq!(reserved(GIB, 2 * GIB), 128 * MIB);
        assert_eq!(reserved(0, 0), 0);
    }

    #[test]
    fn what_the_pool_has_itself_is_not_reserved_for_others() {
        let machine = Machine { mem_total_bytes: 4 * GIB, mem_available_bytes: GIB };
        assert_eq!(machine.reserved_bytes(0), 3 * GIB);
        assert_eq!(machine.reserved_bytes(2 * GIB), GIB);
        assert_eq!(machine.reserved_bytes(9 * GIB), 512 * MIB);
    }

    #[test]
    fn where_the_shared_part_alone_is_too_large_no_limit_fits() {
        let sizing = sizing(MIB, 8 * GIB, 1, 1, 4 * GIB, 4 * GIB);
        assert!(!sizing.fits);
        assert_eq!(sizing.largest_limit, 0);
        assert!(sizing.how.ends_with("which does not fit, and no limit does."), "{}", sizing.how);
    }

    fn any_bytes() -> impl Strategy<Value = u64> {
        prop_oneof![0..64 * GIB, 0..4096_u64, any::<u64>()]
    }

    proptest! {
        #[test]
        fn recommended_limit_fits_and_one_more_does_not(
            private in any_bytes(), shared in any_bytes(), limit in 0_u64..100_000, threads in 0_u64..200,
            total in 0..1_u64 << 50, available in 0..1_u64 << 50,
        ) {
            let at = |limit| sizing(private, shared, limit, threads, total, available);
            let asked = at(limit);
            let largest = asked.largest_limit;
            prop_assert_eq!(asked.fits, asked.memory_at_limit_bytes <= asked.available_bytes);
            if largest > 0 {
                prop_assert!(at(largest).fits);
                prop_assert!(!at(largest + 1).fits);
            } else {
                prop_assert!(!at(1).fits);
            }
            prop_assert_eq!(at(largest).largest_limit, largest);
            prop_assert!(limit == 0 || asked.fits == (limit <= largest));
        }

        #[test]
        fn more_memory_never_lowers_the_limit(
            private in 1..GIB, shared in 0..8 * GIB, threads in 1_u64..100,
            total in 0..64 * GIB, used in 0..64 * GIB, more in 0..64 * GIB,
        ) {
            let at = |total: u64| {
                sizing(private, shared, 10, threads, total, total.saturating_sub(used)).largest_limit
            };
            prop_assert!(at(total + more) >= at(total));
        }

        #[test]
        fn smaller_workers_never_lower_the_limit(private in 1..GIB, less in 0..GIB, shared in 0..4 * GIB) {
            let at = |private: u64| sizing(private, shared, 10, 1, 8 * GIB, 6 * GIB).largest_limit;
            prop_assert!(at(private.saturating_sub(less)) >= at(private));
        }
    }
}
