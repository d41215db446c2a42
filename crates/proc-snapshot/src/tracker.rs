//! Processes from one sample to the next: which queries each matches, and how much CPU time it used.
//!
//! Each second only `stat` is read of every process. Command lines and owners are read when a process is new, when its
//! name changes (exec), when the queries change, and every ten seconds, because a process may set a new title. The
//! built-in key reads them each second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cpu::{CpuRanking, CpuType, Owner, Ticks, Watch};
use crate::memory::to_float;
use crate::stat::Stat;
use crate::text::{self, Cmdline};
use crate::top::{NameTotal, rank};

/// How long command line and owner of a process stay valid.
const TEXTS_AGE: Duration = Duration::from_secs(10);
/// The ranking starts at a mark that is a minute old or slightly older.
const MARK_EVERY: Duration = Duration::from_secs(5);
const MARKS: usize = 13;

/// Files of a process that are read besides `stat`.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) cmdline: Option<Cmdline>,
    pub(crate) uid: Option<u32>,
}

/// CPU time used so far, and its values at the last marks.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    total: Ticks,
    marks: [Ticks; MARKS],
}

#[derive(Debug)]
struct Tracked {
    start: u64,
    last: Ticks,
    meter: Meter,
    comm: Box<[u8]>,
    identity: ProcessIdentity,
    last_sample: u64,
}

/// Full name of a process and the queries it matches.
#[derive(Debug)]
struct ProcessIdentity {
    name: Arc<[u8]>,
    /// Numbers of the queries that the process matches.
    matches: Box<[u16]>,
    texts_read: Duration,
}

/// All processes as of the last sample.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    processes: HashMap<u32, Tracked>,
    names: HashMap<Arc<[u8]>, Meter>,
    watches: Vec<Watch>,
    generation: Option<u64>,
    used: Vec<Ticks>,
    sample: u64,
    now: Duration,
    changed: bool,
    mark_times: [Duration; MARKS],
    marks: usize,
}

impl Tracker {
    /// Begins a sample at the time `now`.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.now = now;
        self.sample += 1;
        self.used.clear();
        self.used.resize(self.watches.len(), Ticks::default());
    }

    /// Replaces the criteria of the queries if they have changed.
    pub(crate) fn watch(&mut self, generation: u64, watches: &[Watch]) {
        self.changed = self.generation != Some(generation);
        if self.changed {
            self.generation = Some(generation);
            self.watches = watches.to_vec();
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Adds one process to the sample. `read` returns its command line and owner if they are needed.
    ///
    /// # Errors
    ///
    /// That of `read`.
    pub(crate) fn take<E>(
        &mut self,
        pid: u32,
        stat: &Stat<'_>,
        read: impl FnOnce() -> Result<Texts, E>,
    ) -> Result<(), E> {
        if !stat.complete {
            return Ok(());
        }
        let known = self.processes.get(&pid).filter(|tracked| tracked.start == stat.start);
        let stale = known.is_none_or(|tracked| {
            self.changed
                || *tracked.comm != *stat.comm
                || self.now.saturating_sub(tracked.identity.texts_read) >= TEXTS_AGE
        });
        if known.is_none() {
            self.processes.insert(pid, Tracked::new(stat));
        }
        let texts = if stale { Some(read()?) } else { None };
        let identity = texts.map(|texts| self.identify(pid, stat, &texts));
        self.charge(pid, stat, identity);
        Ok(())
    }

    /// Determines the name of a process and the queries it matches.
    fn identify(&self, pid: u32, stat: &Stat<'_>, texts: &Texts) -> ProcessIdentity {
        let cmdline = texts.cmdline.as_ref().map_or(&b""[..], Cmdline::matched);
        let name = text::full_name(stat.comm, cmdline);
        let name = match self.names.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(name),
        };
        let matching = self.watches.iter().zip(0_u16..).filter(|(watch, _)| watch.matches(stat.comm, texts));
        let matches = matching.map(|(_, number)| number).collect();
        // Spread over the ten seconds, so that not all are read again in the same second.
        let spread = Duration::from_secs(u64::from(pid) % TEXTS_AGE.as_secs());
        ProcessIdentity { name, matches, texts_read: self.now.saturating_sub(spread) }
    }

    fn charge(&mut self, pid: u32, stat: &Stat<'_>, identity: Option<ProcessIdentity>) {
        let Some(tracked) = self.processes.get_mut(&pid) else { return };
        tracked.last_sample = self.sample;
        if let Some(identity) = identity {
            if *tracked.comm != *stat.comm {
                tracked.comm = stat.comm.into();
            }
            tracked.identity = identity;
        }
        let total = ticks_of(stat);
        let used = total.since(tracked.last);
        tracked.last = total;
        tracked.meter.total.add(used);
        for &number in &tracked.identity.matches {
            if let Some(sum) = self.used.get_mut(usize::from(number)) {
                sum.add(used);
            }
        }
        if let Some(meter) = self.names.get_mut(&tracked.identity.name) {
            meter.total.add(used);
        } else {
            let mut meter = Meter::default();
            meter.total.add(used);
            self.names.insert(Arc::clone(&tracked.identity.name), meter);
        }
    }

    /// Ends the sample. Returns the CPU time of each query.
    pub(crate) fn end(&mut self) -> &[Ticks] {
        let sample = self.sample;
        self.processes.retain(|_, tracked| tracked.last_sample == sample);
        if self.marks == 0 || self.now.saturating_sub(self.mark_time(self.marks - 1)) >= MARK_EVERY {
            self.mark();
        }
        self.changed = false;
        &self.used
    }

    fn mark_time(&self, mark: usize) -> Duration {
        self.mark_times[mark % MARKS]
    }

    fn mark(&mut self) {
        let slot = self.marks % MARKS;
        self.mark_times[slot] = self.now;
        self.marks += 1;
        for tracked in self.processes.values_mut() {
            tracked.meter.marks[slot] = tracked.meter.total;
        }
        for meter in self.names.values_mut() {
            meter.marks[slot] = meter.total;
        }
        let live: std::collections::HashSet<&Arc<[u8]>> =
            self.processes.values().map(|tracked| &tracked.identity.name).collect();
        // A name without processes is kept as long as its use is part of the last minute.
        self.names
            .retain(|name, meter| live.contains(name) || meter.marks.iter().any(|mark| *mark != meter.total));
    }

    /// Returns names ranked by CPU time since the oldest mark; `None` before the second sample.
    pub(crate) fn ranking(&self, clock_ticks: u64) -> Option<CpuRanking> {
        let oldest = self.marks.checked_sub(1)?.saturating_sub(MARKS - 1);
        let window = self.now.saturating_sub(self.mark_time(oldest));
        if window.is_zero() {
            return None;
        }
        let percent = |meter: &Meter| {
            let used = meter.total.since(meter.marks[oldest % MARKS]).by_type(CpuType::Total);
            to_float(used) * 100.0 / to_float(clock_ticks) / window.as_secs_f64()
        };
        let mut names: HashMap<&Arc<[u8]>, (u64, f64)> = HashMap::new();
        for tracked in self.processes.values() {
            let (count, max) = names.entry(&tracked.identity.name).or_default();
            *count += 1;
            *max = max.max(percent(&tracked.meter));
        }
        let totals = self.names.iter().filter_map(|(name, meter)| {
            let (count, max) = names.get(name).copied().unwrap_or_default();
            let sum = percent(meter);
            (sum > 0.0).then(|| NameTotal::from_cpu(name, count, sum, max))
        });
        Some(CpuRanking { window, names: rank(totals.collect()) })
    }
}

impl Tracked {
    fn new(stat: &Stat<'_>) -> Self {
        Self {
            start: stat.start,
            last: ticks_of(stat),
            meter: Meter::default(),
            comm: stat.comm.into(),
            identity: ProcessIdentity {
                name: Arc::from(&b""[..]),
                matches: Box::default(),
                texts_read: Duration::ZERO,
            },
            last_sample: 0,
        }
    }
}

fn ticks_of(stat: &Stat<'_>) -> Ticks {
    Ticks::new(stat.utime, stat.stime)
}

impl Watch {
    fn matches(&self, comm: &[u8], texts: &Texts) -> bool {
        let name = self.query.name.as_bytes();
        let arg0 = texts.cmdline.as_ref().map(Cmdline::arg0);
        let named = name.is_empty() || name == comm || arg0 == Some(name);
        let owned = match self.owner {
            Owner::AnyUser => true,
            Owner::Known(uid) => texts.uid == Some(uid),
            Owner::Pending | Owner::Unknown | Owner::Failed(_) => false,
        };
        let lined = self.pattern.as_ref().is_none_or(|pattern| {
            texts.cmdline.as_ref().is_some_and(|line| pattern.is_match(line.matched()))
        });
        named && owned && lined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoPattern;
    use crate::cpu::CpuQuery;

    fn stat(comm: &'static str, start: u64, ticks: u64) -> Stat<'static> {
        Stat { comm: comm.as_bytes(), start, utime: ticks, complete: true, ..Stat::default() }
    }

    fn texts(cmdline: &str) -> Texts {
        Texts { cmdline: Some(Cmdline::new(cmdline.as_bytes().to_vec())), uid: Some(5) }
    }

    fn watch(name: &str, cmdline: &str, owner: Owner) -> Watch {
        let query = CpuQuery { name: name.to_owned(), user: String::new(), cmdline: cmdline.to_owned() };
        let pattern = (!cmdline.is_empty()).then(|| GoPattern::new(cmdline.as_bytes()).unwrap());
        Watch { query, pattern, owner }
    }

    /// Takes one sample of a few processes: pid, `stat`, command line.
    fn sample(tracker: &mut Tracker, now: u64, processes: &[(u32, Stat<'static>, &str)]) -> Vec<u32> {
        tracker.begin(Duration::from_secs(now));
        for (pid, stat, cmdline) in processes {
            tracker.take(*pid, stat, || Ok::<_, ()>(texts(cmdline))).unwrap();
        }
        tracker.end().iter().map(|used| used.user).collect()
    }

    fn tracker(watches: &[Watch]) -> Tracker {
        let mut tracker = Tracker::default();
        tracker.watch(1, watches);
        tracker
    }

    #[test]
    fn cpu_time_counts_for_every_query_that_matches() {
        let watches = [
            watch("httpd", "", Owner::AnyUser),
            watch("", "-D", Owner::Known(5)),
            watch("", "", Owner::Known(6)),
            watch("apache", "", Owner::Unknown),
        ];
        let mut tracker = tracker(&watches);
        let line = "/usr/sbin/httpd\0-D\0";
        assert_eq!(sample(&mut tracker, 1, &[(1, stat("httpd", 7, 100), line)]), [0, 0, 0, 0]);
        assert_eq!(sample(&mut tracker, 2, &[(1, stat("httpd", 7, 142), line)]), [42, 42, 0, 0]);
        assert_eq!(sample(&mut tracker, 3, &[]), [0, 0, 0, 0]);
    }

    #[test]
    fn reused_pid_is_a_new_process() {
        let mut tracker = tracker(&[watch("", "", Owner::AnyUser)]);
        sample(&mut tracker, 1, &[(1, stat("a", 7, 100), "")]);
        assert_eq!(sample(&mut tracker, 2, &[(1, stat("a", 8, 150), "")]), [0]);
        assert_eq!(sample(&mut tracker, 3, &[(1, stat("a", 8, 151), "")]), [1]);
    }

    #[test]
    fn texts_are_read_again_after_exec_and_every_ten_seconds() {
        let mut tracker = tracker(&[watch("", "busy", Owner::AnyUser)]);
        sample(&mut tracker, 100, &[(10, stat("a", 7, 0), "idle")]);
        assert_eq!(sample(&mut tracker, 101, &[(10, stat("a", 7, 1), "busy")]), [0], "known for ten seconds");
        assert_eq!(sample(&mut tracker, 110, &[(10, stat("a", 7, 3), "busy")]), [2]);
        assert_eq!(
            sample(&mut tracker, 111, &[(10, stat("b", 7, 6), "idle")]),
            [0],
            "another name after exec"
        );
        tracker.watch(2, &[watch("", "", Owner::AnyUser)]);
        assert_eq!(sample(&mut tracker, 112, &[(10, stat("b", 7, 7), "idle")]), [1], "other queries");
    }

    #[test]
    fn ranking_covers_about_a_minute() {
        let mut tracker = tracker(&[]);
        let mut ticks = 0;
        for now in 1..=200 {
            ticks += if now > 150 { 100 } else { 0 };
            sample(&mut tracker, now, &[(1, stat("busy", 7, ticks), ""), (2, stat("idle", 7, 5), "")]);
        }
        let ranking = tracker.ranking(100).unwrap();
        assert_eq!(ranking.window, Duration::from_secs(64));
        let names: Vec<_> =
            ranking.names.iter().map(|total| (&*total.name, total.count, total.sum)).collect();
        assert_eq!(names, [(&b"busy"[..], 1, 50.0 * 100.0 / 64.0)]);
    }

    #[test]
    fn names_are_summed_and_ended_processes_count_for_a_minute() {
        let mut tracker = tracker(&[]);
        sample(
            &mut tracker,
            1,
            &[(1, stat("w", 7, 0), ""), (2, stat("w", 7, 0), ""), (3, stat("gone", 7, 0), "")],
        );
        assert_eq!(tracker.ranking(100), None);
        sample(
            &mut tracker,
            2,
            &[(1, stat("w", 7, 10), ""), (2, stat("w", 7, 30), ""), (3, stat("gone", 7, 20), "")],
        );
        sample(&mut tracker, 3, &[(1, stat("w", 7, 10), ""), (2, stat("w", 7, 30), "")]);
        let ranking = tracker.ranking(100).unwrap();
        let total =
            |name: &str| ranking.names.iter().find(|total| total.name == name.as_bytes()).cloned().unwrap();
        assert_eq!(total("w"), NameTotal { avg: 10.0, ..NameTotal::from_cpu(b"w", 2, 20.0, 15.0) });
        assert_eq!((total("gone").count, total("gone").sum), (0, 10.0));
        for now in 4..=100 {
            sample(&mut tracker, now, &[(1, stat("w", 7, 10), "")]);
        }
        assert_eq!(tracker.ranking(100).unwrap().names, []);
        assert_eq!(tracker.names.len(), 1, "forgotten names take no memory");
    }
}
