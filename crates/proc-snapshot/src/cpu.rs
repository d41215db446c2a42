//! `proc.cpu.util`: histories of CPU time, without thread and clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::GoPattern;
use crate::error::ProcError;
use crate::polls::Polls;
use crate::top::NameTotal;

/// Processes that `proc.cpu.util` selects; empty strings do not restrict. Equal queries share a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CpuQuery {
    /// Process name.
    pub name: String,
    /// User name, resolved again every ten seconds.
    pub user: String,
    /// Go pattern for the command line.
    pub cmdline: String,
}

/// Mode of CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CpuType {
    /// `total`, the default: user and system.
    Total,
    /// `user`.
    User,
    /// `system`.
    System,
}

impl CpuType {
    /// Words of the item key and their values, the default first.
    pub const WORDS: [(&'static str, Self); 3] =
        [("total", Self::Total), ("user", Self::User), ("system", Self::System)];

    /// Returns the value of a word of the item key.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
    }
}

/// Window of the average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CpuWindow {
    /// `avg1`, the default: the last 60 samples.
    Avg1,
    /// `avg5`: the last 300 samples.
    Avg5,
    /// `avg15`: the last 900 samples.
    Avg15,
}

impl CpuWindow {
    /// Words of the item key and their values, the default first.
    pub const WORDS: [(&'static str, Self); 3] =
        [("avg1", Self::Avg1), ("avg5", Self::Avg5), ("avg15", Self::Avg15)];

    /// Returns the value of a word of the item key.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
    }
}

/// Names ranked by CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuRanking {
    /// Window over which the percentages were measured: about a minute, less soon after the sampler's start.
    pub window: Duration,
    /// Percent of one CPU by name, largest sum first, ties by name.
    pub names: Vec<NameTotal>,
}

/// Number of samples kept: a quarter of an hour.
const SAMPLES_KEPT: usize = 900;
/// Limit for queries. A full history takes 7.2 KB.
pub(crate) const MAX_QUERIES: usize = 2048;

impl CpuWindow {
    fn samples(self) -> usize {
        match self {
            Self::Avg1 => 60,
            Self::Avg5 => 300,
            Self::Avg15 => SAMPLES_KEPT,
        }
    }
}

/// CPU time in clock ticks, modulo 2^32: only differences over a quarter of an hour are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ticks {
    pub(crate) user: u32,
    pub(crate) system: u32,
}

impl Ticks {
    #[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
    pub(crate) fn new(user: u64, system: u64) -> Self {
        Self { user: user as u32, system: system as u32 }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.user = self.user.wrapping_add(other.user);
        self.system = self.system.wrapping_add(other.system);
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user.wrapping_sub(earlier.user), system: self.system.wrapping_sub(earlier.system) }
    }

    pub(crate) fn by_type(self, kind: CpuType) -> u64 {
        match kind {
            CpuType::Total => u64::from(self.user) + u64::from(self.system),
            CpuType::User => self.user.into(),
            CpuType::System => self.system.into(),
        }
    }
}

/// Owner of the processes that a query selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    AnyUser,
    /// The name is not resolved yet.
    Pending,
    Known(u32),
    Unknown,
    /// The name service failed with this error number.
    Failed(i32),
}

/// Criteria that the sampler matches for a query.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) query: CpuQuery,
    pub(crate) pattern: Option<GoPattern>,
    pub(crate) owner: Owner,
}

#[derive(Debug)]
struct History {
    number: usize,
    polls: Polls,
    total: Ticks,
    samples: VecDeque<Ticks>,
}

/// The histories of all queries, without thread, clock or files.
///
/// All queries are sampled together: the times are kept once, and a sample takes 8 bytes per query.
#[derive(Debug, Default)]
pub(crate) struct CpuHistory {
    histories: HashMap<CpuQuery, History>,
    watches: Vec<Watch>,
    /// Rises when the watches change.
    generation: u64,
    times: VecDeque<Duration>,
    /// Queries that are not sampled any more, and the interval at which they were polled.
    expired: HashMap<CpuQuery, Polls>,
}

impl CpuHistory {
    /// Returns the utilization so far, `None` before the second sample. Registers a new query.
    pub(crate) fn utilization(
        &mut self,
        now: Duration,
        query: &CpuQuery,
        kind: CpuType,
        window: CpuWindow,
        clock_ticks: u64,
    ) -> Result<Option<f64>, ProcError> {
        let Some(history) = self.histories.get_mut(query) else {
            self.register(now, query)?;
            return Ok(None);
        };
        history.polls = history.polls.again(now);
        match self.watches[history.number].owner {
            Owner::Unknown => Err(ProcError::UnknownUser { name: query.user.clone() }),
            Owner::Failed(errno) => Err(ProcError::UserLookup {
                name: query.user.clone(),
                source: std::io::Error::from_raw_os_error(errno),
            }),
            Owner::AnyUser | Owner::Pending | Owner::Known(_) => {
                Ok(history.utilization(&self.times, kind, window, clock_ticks))
            }
        }
    }

    fn register(&mut self, now: Duration, query: &CpuQuery) -> Result<(), ProcError> {
        if self.watches.len() >= MAX_QUERIES {
            return Err(ProcError::TooManyQueries { limit: MAX_QUERIES });
        }
        let pattern =
            (!query.cmdline.is_empty()).then(|| GoPattern::new(query.cmdline.as_bytes())).transpose()?;
        let owner = if query.user.is_empty() { Owner::AnyUser } else { Owner::Pending };
        let number = self.watches.len();
        self.watches.push(Watch { query: query.clone(), pattern, owner });
        let polls = self.expired.remove(query).map_or_else(|| Polls::first(now), |polls| polls.again(now));
        let history = History { number, polls, total: Ticks::default(), samples: VecDeque::new() };
        self.histories.insert(query.clone(), history);
        self.generation += 1;
        Ok(())
    }

    /// Drops queries for which no further poll is expected. Not to be called during a sample: queries get new numbers.
    pub(crate) fn expire(&mut self, now: Duration) {
        let unpolled: Vec<_> =
            self.histories.extract_if(|_, history| !history.polls.is_expected(now)).collect();
        if unpolled.is_empty() {
            return;
        }
        self.expired.retain(|_, polls| polls.is_remembered(now));
        let room = MAX_QUERIES.saturating_sub(self.expired.len());
        self.expired.extend(unpolled.into_iter().take(room).map(|(query, history)| (query, history.polls)));
        if self.histories.is_empty() {
            self.times = VecDeque::new();
        }
        let old = std::mem::take(&mut self.watches);
        for watch in old {
            if let Some(history) = self.histories.get_mut(&watch.query) {
                history.number = self.watches.len();
                self.watches.push(watch);
            }
        }
        self.generation += 1;
    }

    /// Drops all samples, because one is missing: the next value is that of a new query.
    pub(crate) fn forget_samples(&mut self) {
        self.histories.values_mut().for_each(|history| history.samples.clear());
    }

    pub(crate) fn len(&self) -> usize {
        self.watches.len()
    }

    /// Returns the criteria, and a number that changes when they change.
    pub(crate) fn watches(&self) -> (u64, &[Watch]) {
        (self.generation, &self.watches)
    }

    /// Records the current user id of a name.
    pub(crate) fn set_owner(&mut self, user: &str, owner: Owner) {
        for watch in self.watches.iter_mut().filter(|watch| watch.query.user == user) {
            if watch.owner != owner {
                watch.owner = owner;
                self.generation += 1;
            }
        }
    }

    /// Records one sample: the CPU time of each query since the previous sample, by its number. Queries registered during
    /// the sample have the highest numbers and no value yet.
    pub(crate) fn record(&mut self, now: Duration, used: &[Ticks]) {
        self.times.push_back(now);
        if self.times.len() > SAMPLES_KEPT {
            self.times.pop_front();
        }
        for history in self.histories.values_mut() {
            if let Some(&used) = used.get(history.number) {
                history.push(used);
            }
        }
    }
}

impl History {
    fn push(&mut self, used: Ticks) {
        self.total.add(used);
        if self.samples.len() == SAMPLES_KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(self.total);
    }

    /// 60 samples span 59 seconds, because the window starts at the oldest sample, as in the built-in key.
    fn utilization(
        &self,
        times: &VecDeque<Duration>,
        kind: CpuType,
        window: CpuWindow,
        clock_ticks: u64,
    ) -> Option<f64> {
        let samples = self.samples.len().min(window.samples());
        if samples < 2 {
            return None;
        }
        let span = times.back()?.checked_sub(*times.get(times.len().checked_sub(samples)?)?)?;
        let used = self.samples.back()?.since(self.samples[self.samples.len() - samples]);
        one_decimal(used.by_type(kind), span, clock_ticks)
    }
}

/// Returns the percentage of one CPU with one decimal. The built-in key divides in whole numbers before it rounds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn one_decimal(ticks: u64, span: Duration, clock_ticks: u64) -> Option<f64> {
    let scaled = (u128::from(ticks) * 1_000_000_000_000).checked_div(span.as_nanos())?;
    Some((scaled as f64 / clock_ticks as f64).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERTZ: u64 = 100;

    fn query(name: &str) -> CpuQuery {
        CpuQuery { name: name.to_owned(), ..CpuQuery::default() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn used(user: u32, system: u32) -> Ticks {
        Ticks { user, system }
    }

    fn poll(history: &mut CpuHistory, now: u64, name: &str, kind: CpuType, window: CpuWindow) -> Option<f64> {
        history.utilization(seconds(now), &query(name), kind, window, HERTZ).unwrap()
    }

    #[test]
    fn first_value_comes_with_the_second_sample() {
        let mut history = CpuHistory::default();
        let total = |history: &mut CpuHistory, now| poll(history, now, "a", CpuType::Total, CpuWindow::Avg1);
        assert_eq!(total(&mut history, 0), None);
        assert_eq!(total(&mut history, 0), None);
        history.record(seconds(1), &[used(1000, 1000)]);
        assert_eq!(total(&mut history, 1), None);
        history.record(seconds(2), &[used(30, 12)]);
        assert_eq!(total(&mut history, 2), Some(42.0));
        assert_eq!(poll(&mut history, 2, "a", CpuType::User, CpuWindow::Avg1), Some(30.0));
        assert_eq!(poll(&mut history, 2, "a", CpuType::System, CpuWindow::Avg15), Some(12.0));
    }

    #[test]
    fn windows_are_60_300_and_900_samples() {
        let mut history = CpuHistory::default();
        assert_eq!(poll(&mut history, 0, "a", CpuType::Total, CpuWindow::Avg1), None);
        // One second of full use at every hundredth sample.
        for sample in 1..=2000_u32 {
            let ticks = if sample % 100 == 0 { 100 } else { 0 };
            history.record(seconds(sample.into()), &[used(ticks, 0)]);
        }
        let mut average = |window| poll(&mut history, 2000, "a", CpuType::Total, window).unwrap();
        // One of 59 seconds, three of 299, nine of 899.
        assert_eq!(average(CpuWindow::Avg1), 1.7);
        assert_eq!(average(CpuWindow::Avg5), 1.0);
        assert_eq!(average(CpuWindow::Avg15), 1.0);
        assert_eq!(history.times.len(), SAMPLES_KEPT);
        assert_eq!(history.histories[&query("a")].samples.len(), SAMPLES_KEPT);
    }

    #[test]
    fn late_samples_are_divided_by_the_elapsed_time() {
        assert_eq!(one_decimal(100, Duration::from_millis(3000), HERTZ), Some(33.3));
        assert_eq!(one_decimal(1, Duration::from_secs(59), HERTZ), Some(0.0));
        assert_eq!(one_decimal(5, Duration::from_secs(100), HERTZ), Some(0.1));
        assert_eq!(one_decimal(1, Duration::ZERO, HERTZ), None);
        // 512 CPUs for a quarter of an hour overflow the built-in key's 64 bits.
        assert_eq!(one_decimal(512 * 90_000, Duration::from_secs(900), HERTZ), Some(51_200.0));
    }

    #[test]
    fn wrapped_counters_give_correct_differences() {
        let mut history = CpuHistory::default();
        poll(&mut history, 0, "a", CpuType::Total, CpuWindow::Avg1);
        history.record(seconds(1), &[used(u32::MAX - 10, 0)]);
        history.record(seconds(2), &[used(50, 0)]);
        assert_eq!(poll(&mut history, 2, "a", CpuType::Total, CpuWindow::Avg1), Some(50.0));
    }

    #[test]
    fn unused_queries_expire_and_others_keep_their_history() {
        let mut history = CpuHistory::default();
        poll(&mut history, 0, "old", CpuType::Total, CpuWindow::Avg1);
        poll(&mut history, 0, "kept", CpuType::Total, CpuWindow::Avg1);
        history.record(seconds(1), &[used(1, 0), used(2, 0)]);
        let later = 91;
        poll(&mut history, later, "kept", CpuType::Total, CpuWindow::Avg1);
        history.expire(seconds(later));
        assert_eq!(history.len(), 1);
        history.record(seconds(2), &[used(70, 0)]);
        assert_eq!(poll(&mut history, later, "kept", CpuType::Total, CpuWindow::Avg1), Some(70.0));
    }

    #[test]
    fn query_beyond_the_limit_is_rejected() {
        let mut history = CpuHistory::default();
        for number in 0..MAX_QUERIES {
            poll(&mut history, 0, &number.to_string(), CpuType::Total, CpuWindow::Avg1);
        }
        let rejected =
            history.utilization(seconds(0), &query("more"), CpuType::Total, CpuWindow::Avg1, HERTZ);
        assert!(matches!(rejected, Err(ProcError::TooManyQueries { limit: MAX_QUERIES })));
    }

    #[test]
    fn invalid_pattern_is_rejected_and_not_watched() {
        let mut history = CpuHistory::default();
        let bad = CpuQuery { cmdline: "(abc".to_owned(), ..CpuQuery::default() };
        let rejected = history.utilization(seconds(0), &bad, CpuType::Total, CpuWindow::Avg1, HERTZ);
        assert_eq!(rejected.unwrap_err().to_string(), "error parsing regexp: missing closing ): `(abc`");
        assert_eq!(history.len(), 0);
    }

    #[test]
    fn unknown_user_is_an_error_until_it_exists() {
        let mut history = CpuHistory::default();
        let whose = CpuQuery { user: "ghost".to_owned(), ..CpuQuery::default() };
        let poll = |history: &mut CpuHistory| {
            history.utilization(seconds(0), &whose, CpuType::Total, CpuWindow::Avg1, HERTZ)
        };
        assert_eq!(poll(&mut history).unwrap(), None);
        history.set_owner("ghost", Owner::Unknown);
        assert!(matches!(poll(&mut history), Err(ProcError::UnknownUser { name }) if name == "ghost"));
        history.set_owner("ghost", Owner::Known(5));
        assert_eq!(poll(&mut history).unwrap(), None);
        history.set_owner("ghost", Owner::Failed(5));
        assert!(matches!(poll(&mut history), Err(ProcError::UserLookup { .. })));
    }

    #[test]
    fn query_that_is_polled_every_hour_is_sampled_from_its_second_poll_on() {
        let mut history = CpuHistory::default();
        let poll = |history: &mut CpuHistory, now| poll(history, now, "a", CpuType::Total, CpuWindow::Avg1);
        poll(&mut history, 0);
        history.expire(seconds(90));
        assert_eq!(history.len(), 1);
        history.expire(seconds(91));
        assert_eq!(history.len(), 0);
        assert_eq!(poll(&mut history, 3600), None);
        history.expire(seconds(3600 + 7200));
        assert_eq!(history.len(), 1);
        history.expire(seconds(3600 + 7201));
        assert_eq!((history.len(), history.expired.len()), (0, 1));
    }

    #[test]
    fn number_of_remembered_intervals_is_bounded() {
        let mut history = CpuHistory::default();
        for batch in 0..3_u64 {
            for number in 0..MAX_QUERIES {
                poll(
                    &mut history,
                    batch * 100,
                    &format!("{batch} {number}"),
                    CpuType::Total,
                    CpuWindow::Avg1,
                );
            }
            history.expire(seconds(batch * 100 + 91));
        }
        assert_eq!((history.len(), history.expired.len()), (0, MAX_QUERIES));
    }

    #[test]
    fn forgotten_samples_leave_no_value() {
        let mut history = CpuHistory::default();
        poll(&mut history, 0, "a", CpuType::Total, CpuWindow::Avg1);
        history.record(seconds(1), &[used(1, 0)]);
        history.record(seconds(2), &[used(70, 0)]);
        history.forget_samples();
        assert_eq!(poll(&mut history, 2, "a", CpuType::Total, CpuWindow::Avg1), None);
        history.record(seconds(4), &[used(500, 0)]);
        history.record(seconds(5), &[used(70, 0)]);
        assert_eq!(poll(&mut history, 5, "a", CpuType::Total, CpuWindow::Avg1), Some(70.0));
    }
}
