//! The history of OOM kills: each kill once, however many sources report it, and the counts of each boot.

use oom_evidence::Trust;
use serde::{Deserialize, Serialize};

use crate::boots::BootCount;
use crate::position::Positions;
use crate::record::KillRecord;
use crate::services::ServiceKills;
use crate::source::OomSource;

/// Records that are kept; older ones are only counted.
pub(crate) const RECORDS_MAX: usize = 100;
const BOOTS_MAX: usize = 3;

/// Everything that outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KillHistory {
    /// Kills and storms ever recorded, including those that are no longer kept.
    pub(crate) reports: u64,
    /// Oldest first.
    pub(crate) records: Vec<KillRecord>,
    /// Kills of boots that are no longer in `boots`.
    pub(crate) older_kills: u64,
    /// This boot last.
    pub(crate) boots: Vec<BootCount>,
    pub(crate) positions: Positions,
    /// Kernel messages of this boot that were overwritten before they could be read.
    pub(crate) messages_lost: u64,
    /// Those of them that came before the very first reading.
    pub(crate) messages_before_start: u64,
    pub(crate) services: ServiceKills,
}

impl KillHistory {
    /// Kills and storms ever recorded, including those that are no longer kept.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reports
    }

    /// Returns the records, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &KillRecord> {
        self.records.iter().rev()
    }

    /// Returns the kills of all boots that were seen.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Some((this, closed)) = self.boots.split_last() else { return self.older_kills };
        let now = this.kernel.unwrap_or_else(|| this.reported());
        closed.iter().map(BootCount::closed).chain([now]).fold(self.older_kills, u64::saturating_add)
    }

    /// Returns the counts of this boot.
    #[must_use]
    pub fn count_of_boot(&self) -> BootCount {
        self.boots.last().cloned().unwrap_or_default()
    }

    /// Kernel messages of this boot that were overwritten before they could be read.
    #[must_use]
    pub fn messages_lost(&self) -> u64 {
        self.messages_lost
    }

    /// Lost kernel messages of this boot that came before the very first reading.
    #[must_use]
    pub fn messages_before_start(&self) -> u64 {
        self.messages_before_start
    }

    /// Services that ended in OOM kills or outlived them.
    #[must_use]
    pub fn services(&self) -> &ServiceKills {
        &self.services
    }

    /// Continues in this boot. `boot` is empty if the machine does not name it: then sequence numbers of `/dev/kmsg`
    /// cannot be compared.
    pub(crate) fn enter(&mut self, boot: &str) {
        let is_known = self.boots.last().is_some_and(|last| last.id == boot);
        if !is_known || boot.is_empty() {
            self.positions.kmsg = None;
            self.messages_lost = 0;
            self.messages_before_start = 0;
        }
        if !is_known {
            self.boots.push(BootCount { id: boot.to_owned(), ..BootCount::default() });
        }
        while self.boots.len() > BOOTS_MAX {
            self.older_kills = self.older_kills.saturating_add(self.boots.remove(0).closed());
        }
    }

    pub(crate) fn this_boot(&mut self) -> &mut BootCount {
        if self.boots.is_empty() {
            self.boots.push(BootCount::default());
        }
        let last = self.boots.len() - 1;
        &mut self.boots[last]
    }

    /// Records what a source reports. `boot_start` is the start of this boot in microseconds since 1970, for text that
    /// does not name its boot.
    pub(crate) fn record(&mut self, record: KillRecord, source: OomSource, boot_start: Option<i64>) {
        if record.is_empty() {
            return;
        }
        let same = self.records.iter().enumerate().rev().filter(|(_, known)| known.is_same(&record));
        let known = same.min_by_key(|(_, known)| known.distance(&record)).map(|(at, _)| at);
        self.count(&record, source, boot_start, known);
        match known {
            Some(at) => self.records[at].absorb(record),
            None => self.add(record),
        }
    }

    fn add(&mut self, record: KillRecord) {
        let is_older =
            |oldest: &KillRecord| record.unix_micros.is_some() && record.unix_micros < oldest.unix_micros;
        if self.records.len() >= RECORDS_MAX && self.records.first().is_some_and(is_older) {
            return;
        }
        self.reports = self.reports.saturating_add(1);
        self.records.push(record);
        self.sort();
        if self.records.len() > RECORDS_MAX {
            // A user who can write into a log file must not be able to push out the kernel's reports.
            let first_of_low_trust = self.records.iter().position(|record| record.trust != Trust::High);
            self.records.remove(first_of_low_trust.unwrap_or(0));
        }
    }

    /// Sorts by time. A record without a time is as new as the one before it.
    fn sort(&mut self) {
        let mut latest = i64::MIN;
        let keyed = self.records.drain(..).map(|record| {
            latest = record.unix_micros.unwrap_or(latest);
            (latest, record)
        });
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_by_key(|(at, _)| *at);
        self.records.extend(keyed.into_iter().map(|(_, record)| record));
    }

    /// Counts the kills of a record for its boot. A log daemon may read the kernel's ring buffer again: what a source
    /// reports a second time is not a further kill.
    fn count(
        &mut self,
        record: &KillRecord,
        source: OomSource,
        boot_start: Option<i64>,
        known: Option<usize>,
    ) {
        let again = known.map(|at| &self.records[at]).filter(|known| known.is_reported_by(source));
        let known = again.map_or(0, |known| known.counted_kills);
        let kills = record.counted_kills.saturating_sub(known);
        let is_of_this_boot = || record.unix_micros.zip(boot_start).is_some_and(|(at, start)| at >= start);
        let boot = match &record.boot {
            Some(id) => self.boots.iter_mut().find(|boot| boot.id == *id),
            None if is_of_this_boot() => self.boots.last_mut(),
            None => None,
        };
        if let Some(boot) = boot {
            let count = boot.by_source.entry(source).or_default();
            *count = count.saturating_add(kills);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use jiff::tz::TimeZone;
    use oom_evidence::{OomdKill, Origin, Parser, Report, ServiceKill};

    use super::*;
    use crate::clocks::{self, Clocks};

    fn clocks() -> Clocks {
        Clocks { boot: Some(1_700_000_000), zone: TimeZone::UTC, suspended: Duration::ZERO }
    }

    fn kill(pid: u32) -> String {
        format!("Out of memory: Killed process {pid} (hog) total-vm:8kB, anon-rss:4kB\n")
    }

    fn records(origin: Origin, source: OomSource, boot: Option<&str>, text: &str) -> Vec<KillRecord> {
        parsed(origin, text).iter().map(|report| KillRecord::dated(report, source, boot, &clocks())).collect()
    }

    fn parsed(origin: Origin, text: &str) -> Vec<Report> {
        let mut parser = Parser::new(origin);
        let mut reports: Vec<_> = parser.feed(text.as_bytes()).collect();
        reports.extend(parser.finish());
        reports
    }

    fn record_all(history: &mut KillHistory, records: Vec<KillRecord>, source: OomSource) {
        for record in records {
            history.record(record, source, Some(1_700_000_000_000_000));
        }
    }

    fn kmsg(pid: u32, seconds: u64) -> Vec<KillRecord> {
        let text = format!("3,{seconds},{seconds}000000,-;{}", kill(pid));
        records(Origin::KernelRing, OomSource::Kmsg, Some("b1"), &text)
    }

    fn file(pid: u32, second: u32) -> Vec<KillRecord> {
        // 100 s after the boot at 22:13:20.
        let text = format!("2023-11-14T22:15:{second:02}+00:00 web kernel: {}", kill(pid));
        records(Origin::Text, OomSource::File, None, &text)
    }

    fn history() -> KillHistory {
        let mut history = KillHistory::default();
        history.enter("b1");
        history
    }

    #[test]
    fn same_kill_from_two_sources_is_one_record() {
        for file_first in [false, true] {
            let mut history = history();
            if file_first {
                record_all(&mut history, file(7, 3), OomSource::File);
            }
            record_all(&mut history, kmsg(7, 100), OomSource::Kmsg);
            record_all(&mut history, file(7, 3), OomSource::File);
            assert_eq!((history.reports, history.newest().count()), (1, 1));
            let record = history.newest().next().unwrap();
            assert_eq!((record.sources.len(), record.trust), (2, Trust::High));
            assert_eq!(record.time().as_deref(), Some("2023-11-14T22:15:00.000Z"));
        }
    }

    #[test]
    fn other_pids_and_later_times_are_other_records() {
        let mut history = history();
        record_all(&mut history, kmsg(7, 100), OomSource::Kmsg);
        record_all(&mut history, kmsg(8, 100), OomSource::Kmsg);
        record_all(&mut history, kmsg(7, 5000), OomSource::Kmsg);
        record_all(&mut history, file(9, 0), OomSource::File);
        assert_eq!(history.reports, 4);
        assert_eq!(history.newest().next().unwrap().since_boot_seconds, Some(5000.0));
        let counts = history.count_of_boot();
        assert_eq!(
            (counts.by_source[&OomSource::Kmsg], counts.by_source[&OomSource::File], counts.reported()),
            (3, 1, 3)
        );
    }

    #[test]
    fn storm_is_counted_in_full_and_kept_in_part() {
        let mut history = history();
        for pid in 1..=250 {
            record_all(&mut history, kmsg(pid, 100 + u64::from(pid)), OomSource::Kmsg);
        }
        // Reports of another source about kills that are no longer kept are not new.
        for pid in 1..=250 {
            record_all(
                &mut history,
                records(Origin::Text, OomSource::File, None, &format!("{} {}", at(100 + pid), kill(pid))),
                OomSource::File,
            );
        }
        assert_eq!((history.newest().count(), history.reports), (100, 250));
        assert_eq!(history.newest().next().unwrap().victims[0].pid, 250);
        assert_eq!(history.newest().next().unwrap().sources, [OomSource::Kmsg, OomSource::File]);
        assert_eq!(history.count_of_boot().by_source[&OomSource::Kmsg], 250);
    }

    #[test]
    fn forged_lines_neither_evict_those_of_the_kernel_nor_come_from_the_future() {
        let mut history = history();
        record_all(&mut history, kmsg(7, 100), OomSource::Kmsg);
        for pid in 1000..1300 {
            let text = format!("2099-01-01T00:00:00+00:00 web kernel: {}", kill(pid));
            record_all(&mut history, records(Origin::Text, OomSource::File, None, &text), OomSource::File);
        }
        let pids: Vec<_> = history.newest().map(|record| record.victims[0].pid).collect();
        assert_eq!((pids.len(), pids.last()), (100, Some(&7)));
        assert!(history.newest().all(|record| record.unix_micros <= Some(clocks::now_micros())));
    }

    fn in_file(second_of_boot: u32, printk: &str, pid: u32) -> Vec<KillRecord> {
        records(Origin::Text, OomSource::File, None, &format!("{} {printk}{}", at(second_of_boot), kill(pid)))
    }

    fn count_after(reported: Vec<(Vec<KillRecord>, OomSource)>) -> (u64, u64) {
        let mut history = history();
        for (records, source) in reported {
            record_all(&mut history, records, source);
        }
        (history.reports, history.count_of_boot().reported())
    }

    /// A log daemon that starts anew may read the kernel's ring from its beginning and dates it all as of now.
    #[test]
    fn ring_buffer_that_is_read_again_adds_no_kill() {
        let first = || in_file(101, "[  100.123456] ", 7);
        let replayed = || in_file(4000, "[  100.123456] ", 7);
        assert_eq!(count_after(vec![(first(), OomSource::File), (replayed(), OomSource::File)]), (1, 1));
        let known =
            vec![(kmsg(7, 100), OomSource::Kmsg), (in_file(9000, "[  100.000000] ", 7), OomSource::File)];
        assert_eq!(count_after(known), (1, 1));
    }

    /// A machine that panics comes back, and its services get the same numbers at the same age.
    #[test]
    fn same_pid_in_each_boot_is_another_kill() {
        let boots = [100, 200, 300].map(|second| (in_file(second, "[   60.5000] ", 7), OomSource::File));
        assert_eq!(count_after(boots.into()).0, 1, "the same line thrice");
        let boots = [(100, "[   60.500100] "), (200, "[   61.200000] "), (300, "[   59.900000] ")];
        let boots = boots.map(|(second, printk)| (in_file(second, printk, 7), OomSource::File));
        assert_eq!(count_after(boots.into()), (3, 3));
        let other = |boot| {
            let text = format!("3,9,100000000,-;{}", kill(7));
            records(Origin::KernelRing, OomSource::Kmsg, Some(boot), &text)
        };
        assert_eq!(count_after(vec![(other("b0"), OomSource::Kmsg), (other("b1"), OomSource::Kmsg)]), (2, 1));
    }

    #[test]
    fn reused_pid_is_another_process() {
        let text = |second: u32, size: &str| {
            let line = kill(7).replace("total-vm:8kB", size);
            records(Origin::Text, OomSource::File, None, &format!("{} {line}", at(second)))
        };
        let reported = vec![
            (text(1000, "total-vm:8kB"), OomSource::File),
            (text(1100, "total-vm:9kB"), OomSource::File),
            (text(1500, "total-vm:9kB"), OomSource::File),
        ];
        assert_eq!(count_after(reported), (3, 3));
    }

    #[test]
    fn two_processes_of_one_name_in_the_same_second_are_two_kills() {
        let both = vec![(kmsg(7, 100), OomSource::Kmsg), (kmsg(8, 100), OomSource::Kmsg)];
        let in_files = vec![(in_file(100, "", 7), OomSource::File), (in_file(100, "", 8), OomSource::File)];
        assert_eq!(count_after(both.into_iter().chain(in_files).collect()), (2, 2));
    }

    /// The kernel's clock drifts, and stands still while the machine sleeps; log daemons write what the wall clock says.
    #[test]
    fn suspended_or_drifting_clock_adds_no_kill() {
        let days_100 = 8_640_000;
        let drifted = vec![
            (kmsg(7, days_100), OomSource::Kmsg),
            (in_file(u32::try_from(days_100).unwrap() + 700, "", 7), OomSource::File),
        ];
        assert_eq!(count_after(drifted).0, 1);
        let asleep = Clocks { suspended: Duration::from_secs(8 * 3600), ..clocks() };
        let report = parsed(Origin::KernelRing, &format!("3,9,100000000,-;{}", kill(7))).remove(0);
        let slept = KillRecord::dated(&report, OomSource::Kmsg, Some("b1"), &asleep);
        let written = in_file(100 + 7 * 3600, "", 7);
        assert_eq!(count_after(vec![(vec![slept], OomSource::Kmsg), (written, OomSource::File)]).0, 1);
        let awake = vec![(kmsg(7, 100), OomSource::Kmsg), (in_file(100 + 7 * 3600, "", 7), OomSource::File)];
        assert_eq!(count_after(awake).0, 2);
    }

    /// On the last Sunday of October 2:30 comes twice, and a log daemon writes local time.
    #[test]
    fn repeated_hour_adds_no_kill() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2023-10-29T01:30:00Z is the second half past two.
        let clocks = Clocks { boot: Some(1_698_543_000 - 100), zone, suspended: Duration::ZERO };
        let of = |origin, source, boot, text: &str| {
            KillRecord::dated(&parsed(origin, text)[0], source, boot, &clocks)
        };
        let ring = format!("3,9,100000000,-;{}", kill(7));
        let reported = vec![
            (vec![of(Origin::KernelRing, OomSource::Kmsg, Some("b1"), &ring)], OomSource::Kmsg),
            (
                vec![of(
                    Origin::Text,
                    OomSource::File,
                    None,
                    &format!("2023-10-29T02:30:01 web kernel: {}", kill(7)),
                )],
                OomSource::File,
            ),
        ];
        assert_eq!(count_after(reported).0, 1);
    }

    fn at(seconds_of_boot: u32) -> String {
        let micros = (1_700_000_000 + i64::from(seconds_of_boot)) * 1_000_000;
        format!("{} web kernel:", clocks::rfc_3339(micros).unwrap())
    }

    #[test]
    fn total_grows_over_reboots_with_or_without_the_count_of_the_kernel() {
        let mut history = history();
        history.this_boot().kernel = Some(5);
        assert_eq!(history.total(), 5);
        history.enter("b2");
        history.this_boot().kernel = Some(0);
        assert_eq!(history.total(), 5);
        history.this_boot().kernel = None;
        history.this_boot().by_source.insert(OomSource::Kmsg, 2);
        for boot in ["b3", "b4", "b5", "b6"] {
            history.enter(boot);
            history.enter(boot);
            assert_eq!(history.total(), 7);
        }
        assert_eq!(history.boots.len(), 3);
    }

    /// The chosen process of a group is killed first and then, with the others, once more.
    #[test]
    fn repeated_line_is_counted_as_the_kernel_counts() {
        let mut text = String::from("3,9,100000000,-;");
        text += &kill(7).replace("Out of memory", "Memory cgroup out of memory");
        text += "6,10,100000001,-;Tasks in /a.service are going to be killed due to memory.oom.group set\n";
        for pid in [7, 8] {
            text += &format!(
                "3,1{pid},100000002,-;{}",
                kill(pid).replace("Out of memory", "Memory cgroup out of memory")
            );
        }
        let mut history = history();
        for _ in 0..2 {
            record_all(
                &mut history,
                records(Origin::KernelRing, OomSource::Kmsg, Some("b1"), &text),
                OomSource::Kmsg,
            );
        }
        let kills: Vec<_> = history.newest().map(|record| record.kills).collect();
        assert_eq!((kills, history.count_of_boot().reported()), (vec![Some(2)], 3));
    }

    #[test]
    fn counts_of_a_damaged_state_do_not_wrap() {
        let boot = |id: &str| BootCount {
            id: id.to_owned(),
            kernel: Some(u64::MAX),
            by_source: [(OomSource::Kmsg, u64::MAX)].into(),
        };
        let boots = vec![boot("b1"), boot("b2"), boot("b3")];
        let mut history =
            KillHistory { older_kills: u64::MAX, reports: u64::MAX, boots, ..KillHistory::default() };
        record_all(&mut history, kmsg(7, 100), OomSource::Kmsg);
        history.enter("b4");
        assert_eq!((history.total(), history.reports()), (u64::MAX, u64::MAX));
        let mut record = kmsg(8, 200).remove(0);
        record.error_micros = u64::MAX;
        let again = record.clone();
        assert!(again.is_same(&record));
    }

    #[test]
    fn sequence_numbers_of_another_boot_are_dropped() {
        let mut history = history();
        history.positions.kmsg = Some(10);
        history.enter("b1");
        assert_eq!(history.positions.kmsg, Some(10));
        history.enter("b2");
        assert_eq!(history.positions.kmsg, None);
    }

    #[test]
    fn counts_of_lost_messages_belong_to_one_boot() {
        let lost = |history: &KillHistory| (history.messages_lost(), history.messages_before_start());
        let mut history = KillHistory { messages_lost: 3, messages_before_start: 2, ..history() };
        history.enter("b1");
        assert_eq!(lost(&history), (3, 2));
        history.enter("b2");
        assert_eq!(lost(&history), (0, 0));
        history.enter("");
        (history.messages_lost, history.messages_before_start, history.positions.kmsg) = (3, 2, Some(9));
        history.enter("");
        assert_eq!((lost(&history), history.positions.kmsg), ((0, 0), None), "perhaps another boot");
    }

    #[test]
    fn text_without_a_boot_counts_from_the_start_of_this_boot() {
        assert_eq!(count_after(vec![(in_file(0, "", 7), OomSource::File)]), (1, 1));
        let line = format!("2023-11-14T22:13:19.999999+00:00 web kernel: {}", kill(7));
        let before = records(Origin::Text, OomSource::File, None, &line);
        assert_eq!(count_after(vec![(before, OomSource::File)]), (1, 0));
    }

    #[test]
    fn full_history_takes_a_record_that_is_not_older_than_all() {
        let mut history = history();
        for pid in 1..=100 {
            record_all(&mut history, kmsg(pid, 1000), OomSource::Kmsg);
        }
        record_all(&mut history, kmsg(101, 999), OomSource::Kmsg);
        assert_eq!(history.reports, 100, "older than all");
        record_all(&mut history, kmsg(102, 1000), OomSource::Kmsg);
        assert_eq!((history.reports, history.newest().count()), (101, 100));
    }

    #[test]
    fn without_text_the_kills_of_systemd_count() {
        let mut history = history();
        let kill = KillRecord::from_service_kill(&ended("a.service", 1, 7, 100), "b1");
        record_all(&mut history, vec![kill], OomSource::Systemd);
        assert_eq!((history.count_of_boot().reported(), history.total()), (1, 1));
    }

    fn ended(unit: &str, run: u64, pid: u32, seconds: u64) -> ServiceKill {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
        ServiceKill { unit: unit.to_owned(), run, main_pid: Some(pid), at, witnessed: true }
    }

    fn in_cgroup(pid: u32, seconds: u64, unit: &str) -> Vec<KillRecord> {
        let path = format!("/system.slice/{unit}");
        let constraint = format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={path},\
             task_memcg={path},task=hog,pid={pid},uid=0"
        );
        let text = format!(
            "6,{seconds}0,{seconds}000000,-;{constraint}\n3,{seconds}1,{seconds}000001,-;{}",
            kill(pid).replace("Out of memory", "Memory cgroup out of memory")
        );
        records(Origin::KernelRing, OomSource::Kmsg, Some("b1"), &text)
    }

    /// The sources of each record and its unit, oldest first.
    fn sources_and_units(history: &KillHistory) -> Vec<(String, Option<String>)> {
        let of = |record: &KillRecord| {
            let names: Vec<_> = record.sources.iter().map(|source| source.name()).collect();
            (names.join(" "), record.unit.clone())
        };
        history.records.iter().map(of).collect()
    }

    #[test]
    fn each_end_of_a_service_merges_with_its_own_kill() {
        let a = || ("kmsg systemd".to_owned(), Some("a.service".to_owned()));
        for kernel_first in [true, false] {
            let mut history = history();
            let kernel: Vec<_> =
                [100, 102, 104].map(|seconds| in_cgroup(seconds, seconds.into(), "a.service")).into();
            let record_kernel = |history: &mut KillHistory| {
                kernel.clone().into_iter().for_each(|record| record_all(history, record, OomSource::Kmsg));
            };
            if kernel_first {
                record_kernel(&mut history);
            }
            // Main processes that are not the victims: unit and time must do.
            for (run, seconds) in [(1, 100), (2, 102), (3, 104)] {
                let record = KillRecord::from_service_kill(&ended("a.service", run, 7, seconds), "b1");
                record_all(&mut history, vec![record], OomSource::Systemd);
            }
            if !kernel_first {
                record_kernel(&mut history);
            }
            let mut seen = sources_and_units(&history);
            seen.iter_mut()
                .for_each(|(sources, _)| *sources = sources.replace("systemd kmsg", "kmsg systemd"));
            assert_eq!((history.reports, seen), (3, vec![a(), a(), a()]), "{kernel_first}");
        }
    }

    #[test]
    fn other_services_and_other_killers_are_other_records() {
        let mut history = history();
        record_all(&mut history, in_cgroup(100, 100, "a.service"), OomSource::Kmsg);
        let b = KillRecord::from_service_kill(&ended("b.service", 1, 9, 100), "b1");
        record_all(&mut history, vec![b], OomSource::Systemd);
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_101);
        let oomd =
            OomdKill { cgroup: "/system.slice/a.service".to_owned(), reason: "memory-used".to_owned(), at };
        record_all(&mut history, vec![KillRecord::from_oomd_kill(&oomd, "b1")], OomSource::SystemdOomd);
        let sources: Vec<_> = sources_and_units(&history).into_iter().map(|(sources, _)| sources).collect();
        assert_eq!(
            (history.reports, sources),
            (3, ["kmsg", "systemd", "systemd-oomd"].map(str::to_owned).to_vec())
        );
        // A main process that the kernel named without its cgroup.
        record_all(&mut history, kmsg(9, 100), OomSource::Kmsg);
        let units: Vec<_> = history.newest().filter_map(|record| record.unit.as_deref()).collect();
        assert_eq!((history.reports, units.contains(&"b.service")), (3, true));
    }
}
