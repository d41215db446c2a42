//! Computes the memory of a pool from that of single processes.

use super::words::bytes;

/// A worker has at least one page.
const PRIVATE_MIN_BYTES: u64 = 4096;

/// The memory of one process in bytes, as far as it could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// `VmRSS`.
    pub rss_bytes: u64,
    /// `VmSwap`, which returns to memory when it is used.
    pub swap_bytes: u64,
    /// `RssAnon` (Linux 4.5): heap and stack, including pages that are shared with the parent since the fork.
    pub anon_bytes: Option<u64>,
    /// `RssFile` and `RssShmem`: program, libraries and shared memory segments.
    pub mapped_bytes: Option<u64>,
    /// From `smaps_rollup`, which needs the right to trace the process.
    pub shares: Option<Shares>,
}

/// Memory in bytes, by the number of processes that map it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shares {
    /// Proportional set size: each page divided by the number of processes that map it.
    pub pss_bytes: u64,
    /// Pages that only this process maps.
    pub uss_bytes: u64,
    /// Swapped-out pages, divided likewise.
    pub swap_pss_bytes: u64,
}

/// The source of a pool's numbers, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `smaps_rollup`, which separates private and shared pages.
    Pss,
    /// `RssAnon` of `status`, which every user may read.
    RssAnon,
    /// `VmRSS`, on kernels before 4.5.
    Rss,
    /// Configured buffers, without any process.
    Configured,
}

impl Source {
    /// The word in the items' values.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pss => "pss",
            Self::RssAnon => "rss_anon",
            Self::Rss => "rss",
            Self::Configured => "configured",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Pss => "private pages, measured",
            Self::RssAnon => "anonymous memory, measured",
            Self::Rss => "resident memory, measured",
            Self::Configured => "as configured",
        }
    }
}

/// The memory of a pool in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The source of the numbers.
    pub source: Source,
    /// The average of a worker process by this source: its PSS, its anonymous memory, or its RSS.
    pub worker_bytes: u64,
    /// The average private memory of a worker process, which the limit multiplies. At least one page.
    pub private_bytes: u64,
    /// The memory that all share, counted once, with the parent's own memory.
    pub shared_bytes: u64,
    /// The average RSS of a worker process; absent without a process.
    pub rss_bytes: Option<u64>,
    /// The private memory of the largest worker; absent without a process.
    pub largest_bytes: Option<u64>,
    /// The possible error of the numbers, as a sentence.
    pub doubt: String,
    /// The memory that the pool uses now, at least.
    pub(super) pool_now_bytes: u64,
}

impl Memory {
    /// From configured buffers: `private_bytes` for each worker, `shared_bytes` once.
    #[must_use]
    pub fn configured(private_bytes: u64, shared_bytes: u64) -> Self {
        Self {
            source: Source::Configured,
            worker_bytes: private_bytes,
            private_bytes: private_bytes.max(PRIVATE_MIN_BYTES),
            shared_bytes,
            rss_bytes: None,
            largest_bytes: None,
            doubt:
                "The largest that the configuration allows: most connections never use all of their buffers."
                    .to_owned(),
            pool_now_bytes: 0,
        }
    }

    /// Sets the memory that the server uses now.
    #[must_use]
    pub fn with_pool_now(self, pool_now_bytes: u64) -> Self {
        Self { pool_now_bytes, ..self }
    }

    /// Replaces the private memory by the mean over pools of different kinds: the private memory of a worker and the limit of
    /// each. It is the mean of the workers at the limits, not of those that run now.
    #[must_use]
    pub fn with_pools(self, pools: &[(u64, u64)]) -> Self {
        let limits: u128 = pools.iter().map(|&(_, limit)| u128::from(limit)).sum();
        if limits == 0 {
            return self;
        }
        let total = pools.iter().fold(0_u128, |total, &(private_bytes, limit)| {
            total.saturating_add(u128::from(private_bytes) * u128::from(limit))
        });
        let private_bytes = u64::try_from(total.div_ceil(limits)).unwrap_or(u64::MAX).max(PRIVATE_MIN_BYTES);
        Self { private_bytes, ..self }
    }

    /// From running processes. `workers` may be a sample of the `live` ones; `parents` are the processes that forked them.
    /// `None` without a worker.
    #[must_use]
    pub fn measured(parents: &[Footprint], workers: &[Footprint], live: u64) -> Option<Self> {
        if workers.is_empty() {
            return None;
        }
        let live = live.max(workers.len() as u64);
        let shares: Option<Vec<Shares>> = workers.iter().map(|worker| worker.shares).collect();
        let anon: Option<Vec<u64>> = workers.iter().map(|worker| worker.anon_bytes).collect();
        let mut memory = match (shares, anon) {
            (Some(shares), _) => Self::by_pss(parents, &shares, live),
            (None, Some(anon)) => Self::by_anon(parents, workers, &anon, live),
            (None, None) => Self::by_rss(parents, workers, live),
        };
        let looked_at = workers.len() as u64;
        if looked_at < live {
            memory.doubt = format!("{looked_at} of {live} workers were looked at. {}", memory.doubt);
        }
        memory.private_bytes = memory.private_bytes.max(PRIVATE_MIN_BYTES);
        memory.rss_bytes = Some(mean(workers.iter().map(|worker| worker.rss_bytes)));
        Some(memory)
    }

    /// The memory of this number of worker processes.
    pub(super) fn at(&self, processes: u64) -> u64 {
        self.private_bytes.saturating_mul(processes).saturating_add(self.shared_bytes)
    }

    fn by_pss(parents: &[Footprint], workers: &[Shares], live: u64) -> Self {
        let private = |shares: &Shares| shares.uss_bytes.saturating_add(shares.swap_pss_bytes);
        // Each process that shares a page has its part of it, so all parts together are the page, once.
        let shared_each =
            mean(workers.iter().map(|shares| shares.pss_bytes.saturating_sub(shares.uss_bytes)));
        let parents_bytes = sum(parents.iter().map(|parent| match parent.shares {
            Some(shares) => shares.pss_bytes.saturating_add(shares.swap_pss_bytes),
            None => parent.anon_bytes.unwrap_or(parent.rss_bytes).saturating_add(parent.swap_bytes),
        }));
        let pss = mean(workers.iter().map(|shares| shares.pss_bytes));
        Self {
            source: Source::Pss,
            worker_bytes: mean(workers.iter().map(|s| s.pss_bytes.saturating_add(s.swap_pss_bytes))),
            private_bytes: mean(workers.iter().map(private)),
            shared_bytes: shared_each.saturating_mul(live).saturating_add(parents_bytes),
            rss_bytes: None,
            largest_bytes: workers.iter().map(private).max(),
            doubt: "Pages are counted exactly, for the workers as they are now: workers that have just been started are \
                    smaller than they will be."
                .to_owned(),
            pool_now_bytes: pss.saturating_mul(live).saturating_add(parents_bytes),
        }
    }

    fn by_anon(parents: &[Footprint], workers: &[Footprint], anon: &[u64], live: u64) -> Self {
        let own = |worker: &Footprint| worker.anon_bytes.unwrap_or(0).saturating_add(worker.swap_bytes);
        let private_bytes = mean(workers.iter().map(own));
        let of_parents = |parent: &Footprint| parent.anon_bytes.unwrap_or(parent.rss_bytes);
        let inherited = parents.iter().map(of_parents).max().unwrap_or(0);
        let parents_bytes =
            sum(parents.iter().map(|parent| of_parents(parent).saturating_add(parent.swap_bytes)));
        // All processes map the same libraries and shared segments.
        let mapped = workers.iter().filter_map(|worker| worker.mapped_bytes).max().unwrap_or(0);
        let at_least = mean(anon.iter().map(|bytes| bytes.saturating_sub(inherited)));
        Self {
            source: Source::RssAnon,
            worker_bytes: private_bytes,
            private_bytes,
            shared_bytes: mapped.saturating_add(parents_bytes),
            rss_bytes: None,
            largest_bytes: workers.iter().map(own).max(),
            doubt: format!(
                "RssAnon also counts pages that a worker still shares with its parent: each has between {} and {} for \
                 itself. AmbientCapabilities=CAP_SYS_PTRACE in the agent's unit lets the exact figure be read.",
                bytes(private_bytes.saturating_sub(inherited)),
                bytes(private_bytes),
            ),
            pool_now_bytes: at_least.saturating_mul(live).saturating_add(sum(parents.iter().map(of_parents))),
        }
    }

    fn by_rss(parents: &[Footprint], workers: &[Footprint], live: u64) -> Self {
        let own = |worker: &Footprint| worker.rss_bytes.saturating_add(worker.swap_bytes);
        let private_bytes = mean(workers.iter().map(own));
        let shared_bytes = sum(parents.iter().map(own));
        let smallest = workers.iter().map(|worker| worker.rss_bytes).min().unwrap_or(0);
        Self {
            source: Source::Rss,
            worker_bytes: private_bytes,
            private_bytes,
            shared_bytes,
            rss_bytes: None,
            largest_bytes: workers.iter().map(own).max(),
            doubt: "RSS counts shared pages for each worker anew: several times as many workers may fit. \
                    AmbientCapabilities=CAP_SYS_PTRACE in the agent's unit lets the exact figure be read."
                .to_owned(),
            // All pages may be shared, except those that only one worker had: the lower bound is one worker.
            pool_now_bytes: if live == 0 { 0 } else { smallest },
        }
    }
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}

/// Rounds up, so that the computed limit is on the safe side.
fn mean(values: impl ExactSizeIterator<Item = u64>) -> u64 {
    let count = values.len() as u128;
    let total: u128 = values.map(u128::from).sum();
    u64::try_from(total.div_ceil(count.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn with_shares(pss: u64, uss: u64) -> Footprint {
        let shares = Shares { pss_bytes: pss * MIB, uss_bytes: uss * MIB, swap_pss_bytes: 0 };
        Footprint {
            rss_bytes: 60 * MIB,
            anon_bytes: Some(50 * MIB),
            shares: Some(shares),
            ..Footprint::default()
        }
    }

    fn without_shares(anon: u64, mapped: u64) -> Footprint {
        Footprint {
            rss_bytes: (anon + mapped) * MIB,
            anon_bytes: Some(anon * MIB),
            mapped_bytes: Some(mapped * MIB),
            ..Footprint::default()
        }
    }

    #[test]
    fn with_pss_each_shared_page_counts_once() {
        // 40 MiB are shared by a parent and four workers: 8 in the PSS of each.
        let parent = with_shares(9, 1);
        let workers = [with_shares(12, 4), with_shares(14, 6), with_shares(12, 4), with_shares(14, 6)];
        let memory = Memory::measured(&[parent], &workers, 4).unwrap();
        assert_eq!(memory.source, Source::Pss);
        assert_eq!((memory.worker_bytes, memory.private_bytes), (13 * MIB, 5 * MIB));
        assert_eq!((memory.shared_bytes, memory.largest_bytes), (41 * MIB, Some(6 * MIB)));
        assert_eq!(memory.rss_bytes, Some(60 * MIB));
        assert_eq!(memory.at(4), 61 * MIB);
        assert_eq!(memory.pool_now_bytes, 61 * MIB);
    }

    #[test]
    fn a_sample_stands_for_all() {
        let parent = with_shares(9, 1);
        let sample = [with_shares(12, 4), with_shares(14, 6)];
        let memory = Memory::measured(&[parent], &sample, 4).unwrap();
        assert_eq!((memory.private_bytes, memory.shared_bytes), (5 * MIB, 41 * MIB));
    }

    #[test]
    fn number_of_measured_workers_is_reported() {
        let sample = [with_shares(12, 4), with_shares(14, 6)];
        let doubt = |live| Memory::measured(&[], &sample, live).unwrap().doubt;
        assert!(doubt(9).starts_with("2 of 9 workers were looked at. Pages are counted"), "{}", doubt(9));
        assert!(doubt(2).starts_with("Pages are counted"), "{}", doubt(2));
    }

    #[test]
    fn one_worker_that_cannot_be_traced_makes_anonymous_memory_count() {
        let parent = without_shares(10, 30);
        let workers = [with_shares(12, 4), without_shares(30, 20), without_shares(40, 22)];
        let memory = Memory::measured(&[parent], &workers, 3).unwrap();
        assert_eq!(memory.source, Source::RssAnon);
        assert_eq!((memory.private_bytes, memory.shared_bytes), (40 * MIB, 32 * MIB));
        assert!(memory.doubt.contains("between 30.0 MiB and 40.0 MiB for itself"), "{}", memory.doubt);
    }

    #[test]
    fn pools_count_by_their_limits() {
        let memory = Memory::configured(50 * MIB, 0).with_pools(&[(20 * MIB, 3), (100 * MIB, 1)]);
        assert_eq!(memory.private_bytes, 40 * MIB);
        assert_eq!(memory.at(4), 160 * MIB);
        assert_eq!(memory.with_pools(&[]).private_bytes, 40 * MIB);
    }

    #[test]
    fn swapped_memory_comes_back() {
        let mut worker = without_shares(10, 20);
        worker.swap_bytes = 30 * MIB;
        let memory = Memory::measured(&[], &[worker], 1).unwrap();
        assert_eq!((memory.private_bytes, memory.pool_now_bytes), (40 * MIB, 10 * MIB));
    }

    #[test]
    fn rss_is_the_last_resort() {
        let worker = Footprint { rss_bytes: 50 * MIB, ..Footprint::default() };
        let memory = Memory::measured(&[worker], &[worker, worker], 9).unwrap();
        assert_eq!((memory.source.as_str(), memory.private_bytes), ("rss", 50 * MIB));
        assert_eq!((memory.shared_bytes, memory.pool_now_bytes), (50 * MIB, 50 * MIB));
        assert_eq!(Memory::measured(&[worker], &[], 0), None);
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let huge = Footprint {
            rss_bytes: u64::MAX,
            swap_bytes: u64::MAX,
            anon_bytes: Some(u64::MAX),
            mapped_bytes: Some(u64::MAX),
            shares: Some(Shares { pss_bytes: u64::MAX, uss_bytes: 0, swap_pss_bytes: u64::MAX }),
        };
        let mut untraced = huge;
        untraced.shares = None;
        for worker in [huge, untraced] {
            let memory = Memory::measured(&[worker, worker], &[worker, worker], u64::MAX).unwrap();
            assert_eq!(memory.at(u64::MAX), u64::MAX);
        }
    }
}
