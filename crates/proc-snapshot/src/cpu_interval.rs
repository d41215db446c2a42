//! CPU use between two walks: the value of a query that has no history yet.
//!
//! All queries that are new within a few seconds share the same two walks, so that a hundred first polls wait once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::{CpuRanking, CpuType, Ticks, one_decimal};
use crate::error::ProcError;
use crate::memory::to_float;
use crate::select::Selector;
use crate::shared::SharedWalk;
use crate::snapshot::{Needs, Process, Snapshot};
use crate::top::{NameTotal, rank};

/// Time between the two walks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A shorter interval shows the resolution of the counters (10 ms) rather than the use.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Age limit for a first walk that later queries are compared with.
const BASELINE_AGE_MAX: Duration = Duration::from_secs(5);
/// Time kept for the second walk besides twice the time of the last one.
const WALK_TIME: Duration = Duration::from_millis(50);

/// CPU times of the processes of one walk, by process id.
#[derive(Debug)]
struct Baseline {
    taken: Instant,
    rows: Box<[BaselineRow]>,
}

#[derive(Debug, Clone, Copy)]
struct BaselineRow {
    pid: u32,
    start: u64,
    ticks: Ticks,
}

impl Baseline {
    fn new(snapshot: &Snapshot) -> Self {
        let row = |process: Process<'_>| BaselineRow {
            pid: process.pid(),
            start: process.start_time_ticks(),
            ticks: ticks_of(&process),
        };
        let readable = snapshot.processes().filter(Process::has_numbers);
        let mut rows: Box<[_]> = readable.map(row).collect();
        rows.sort_unstable_by_key(|row| row.pid);
        Self { taken: snapshot.taken(), rows }
    }

    /// Returns the CPU time used since. A process that started since then has used none, as in the built-in key.
    fn used_by(&self, process: &Process<'_>) -> Ticks {
        let found = self.rows.binary_search_by_key(&process.pid(), |row| row.pid);
        let row = found.ok().map(|index| self.rows[index]);
        let same = row.filter(|row| process.has_numbers() && row.start == process.start_time_ticks());
        same.map_or_else(Ticks::default, |row| ticks_of(process).since(row.ticks))
    }
}

fn ticks_of(process: &Process<'_>) -> Ticks {
    Ticks::new(process.utime_ticks(), process.stime_ticks())
}

/// Makes intervals; keeps the first walk for a few seconds.
#[derive(Debug)]
pub(crate) struct CpuIntervals {
    walks: Arc<SharedWalk>,
    baseline: Mutex<Option<Arc<Baseline>>>,
}

impl CpuIntervals {
    pub(crate) fn new(walks: Arc<SharedWalk>) -> Self {
        Self { walks, baseline: Mutex::default() }
    }

    /// Returns an interval of a second, or of the longest time that the deadline leaves. Waits for its end.
    pub(crate) fn measure(&self, needs: Needs, deadline: Instant) -> Result<CpuInterval, ProcError> {
        let baseline = self.baseline(needs, deadline)?;
        let reserve = WALK_TIME + self.walks.stats().last * 2;
        let left = deadline.saturating_duration_since(baseline.taken).saturating_sub(reserve);
        if left < INTERVAL_MIN {
            return Err(ProcError::IntervalTooShort { needed: INTERVAL_MIN, left });
        }
        let interval = left.min(INTERVAL);
        thread::sleep((baseline.taken + interval).saturating_duration_since(Instant::now()));
        // Queries with slightly different deadlines share the second walk, too.
        let snapshot = self.walks.snapshot_since(baseline.taken + interval * 9 / 10, needs, deadline)?;
        Ok(CpuInterval { span: snapshot.taken() - baseline.taken, baseline, snapshot })
    }

    fn baseline(&self, needs: Needs, deadline: Instant) -> Result<Arc<Baseline>, ProcError> {
        if let Some(baseline) = self.fresh_baseline() {
            return Ok(baseline);
        }
        let made = Arc::new(Baseline::new(&*self.walks.snapshot(needs, deadline)?));
        if made.taken.elapsed() > BASELINE_AGE_MAX {
            // A long Proc.MaxAge: the interval reaches back to that walk.
            return Ok(made);
        }
        if let Some(earlier) = self.fresh_baseline() {
            return Ok(earlier);
        }
        *self.lock() = Some(Arc::clone(&made));
        Ok(made)
    }

    fn fresh_baseline(&self) -> Option<Arc<Baseline>> {
        self.forget_old();
        self.lock().clone()
    }

    /// Drops a first walk that is too old to be used again.
    pub(crate) fn forget_old(&self) {
        let mut baseline = self.lock();
        if baseline.as_ref().is_some_and(|baseline| baseline.taken.elapsed() > BASELINE_AGE_MAX) {
            *baseline = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Baseline>>> {
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two walks with some time between them.
#[derive(Debug)]
pub(crate) struct CpuInterval {
    baseline: Arc<Baseline>,
    snapshot: Arc<Snapshot>,
    span: Duration,
}

impl CpuInterval {
    /// Returns the CPU use of the selected processes in percent of one CPU, with one decimal.
    pub(crate) fn utilization(
        &self,
        selector: &Selector,
        kind: CpuType,
        deadline: Instant,
    ) -> Result<f64, ProcError> {
        let mut used = 0_u64;
        for process in self.snapshot.processes() {
            process.check(deadline)?;
            if selector.matches(&process) {
                used += self.baseline.used_by(&process).by_type(kind);
            }
        }
        let too_short = ProcError::IntervalTooShort { needed: INTERVAL_MIN, left: self.span };
        one_decimal(used, self.span, self.snapshot.root().facts().clock_ticks).ok_or(too_short)
    }

    /// Returns the names of running processes, ranked by their CPU use.
    pub(crate) fn ranking(&self, deadline: Instant) -> Result<CpuRanking, ProcError> {
        let ticks_per_percent =
            to_float(self.snapshot.root().facts().clock_ticks) * self.span.as_secs_f64() / 100.0;
        let mut totals: HashMap<&[u8], (u64, f64, f64)> = HashMap::new();
        for process in self.snapshot.processes() {
            process.check(deadline)?;
            let Some(name) = process.full_name() else { continue };
            let percent =
                to_float(self.baseline.used_by(&process).by_type(CpuType::Total)) / ticks_per_percent;
            let (count, sum, max) = totals.entry(name).or_default();
            *count += 1;
            *sum += percent;
            *max = max.max(percent);
        }
        let used = totals.into_iter().filter(|(_, (_, sum, _))| *sum > 0.0);
        let names = used.map(|(name, (count, sum, max))| NameTotal::from_cpu(name, count, sum, max));
        Ok(CpuRanking { window: self.span, names: rank(names.collect()) })
    }
}
