//! What is known of OOM kills: events, each once whatever the number of sources that tell it, and counts for each boot.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use oom_evidence::{CgroupKills, Killer, OomdKill, Report, ServiceKill};
use serde::{Deserialize, Serialize};

use super::files::Position;
use super::moment::{self, Clocks};
use crate::report::{HIGH, ReportJson, Word};

/// Events that are kept; older ones are only counted.
pub(crate) const EVENTS_MAX: usize = 100;
const VICTIMS_MAX: usize = 20;
const TASKS_MAX: usize = 10;
/// Log daemons and the journal write late when memory is short.
const SAME_MICROS: u64 = 120_000_000;
/// On the kernel's own clock the parts of one report are within a second.
const SAME_SECONDS_OF_BOOT: f64 = 10.0;
/// The kernel's stamps have microseconds.
const SAME_LINE_SECONDS: f64 = 0.000_01;
const BOOTS_MAX: usize = 3;
/// Services whose kills are counted for each; of more of them the one that was killed longest ago is forgotten.
const SERVICES_MAX: usize = 500;

/// The sources of reports, by the names that they have in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Kmsg,
    Journal,
    File,
    Systemd,
    SystemdOomd,
}

impl Source {
    pub(crate) const ALL: [Self; 5] =
        [Self::Kmsg, Self::Journal, Self::File, Self::Systemd, Self::SystemdOomd];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// Whether it is the kernel's report, and not somebody else's word.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Kmsg | Self::Journal | Self::File)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kmsg => "kmsg",
            Self::Journal => "journal",
            Self::File => "file",
            Self::Systemd => "systemd",
            Self::SystemdOomd => "systemd-oomd",
        }
    }
}

/// An OOM kill, or a storm of them that the kernel reports as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Absent where the text does not tell the boot.
    boot: Option<String>,
    unix_micros: Option<i64>,
    /// How far from it the truth may be.
    #[serde(default)]
    error_micros: u64,
    /// Of the service that systemd says was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    main_pid: Option<u32>,
    /// Kills as the kernel counts them: in a group the chosen process may be killed, and counted, twice.
    #[serde(default)]
    counted: u64,
    pub(crate) report: ReportJson,
}

impl Event {
    /// `boot` is the boot that the text is of, where the source tells it.
    pub(crate) fn of(report: &Report, source: Source, boot: Option<&str>, clocks: &Clocks) -> Self {
        let is_of_this_boot = source == Source::Kmsg;
        let now = moment::now();
        let moment = report.time.as_ref().and_then(|time| clocks.instant(time, is_of_this_boot, now));
        // Text that is dated into the future would be the last report for ever.
        let unix_micros = moment.map(|moment| moment.micros.min(now));
        let error_micros = moment.map_or(0, |moment| moment.error_micros);
        let mut json = ReportJson::of(report, source.name());
        json.victims.truncate(VICTIMS_MAX);
        json.tasks.truncate(TASKS_MAX);
        json.units.truncate(VICTIMS_MAX);
        json.unit = json.task_cgroup.as_deref().or(json.cgroup.as_deref()).and_then(unit_of);
        json.clock = unix_micros.map(moment::seconds);
        json.time = unix_micros.and_then(moment::rfc_3339).or(json.time);
        let counted = match report.killer {
            Killer::Kernel => report.kill_lines.max(json.kills.unwrap_or_default()),
            _ => 0,
        };
        Self {
            boot: boot.map(str::to_owned),
            unix_micros,
            error_micros,
            main_pid: None,
            counted,
            report: json,
        }
    }

    /// systemd tells that a service has ended, not who was killed in it, nor by whom.
    pub(crate) fn of_service(kill: &ServiceKill, boot: &str) -> Self {
        let mut report = ReportJson::bare(Killer::Kernel.as_str(), Source::Systemd.name());
        report.unit = Some(kill.unit.clone());
        Self { main_pid: kill.main_pid, ..Self::at(kill.at, boot, report) }
    }

    pub(crate) fn of_oomd(kill: &OomdKill, boot: &str) -> Self {
        let mut report = ReportJson::bare(Killer::SystemdOomd.as_str(), Source::SystemdOomd.name());
        report.unit = unit_of(&kill.cgroup);
        report.cgroup = Some(kill.cgroup.clone());
        report.reason = Some(kill.reason.clone());
        Self::at(kill.at, boot, report)
    }

    fn at(at: SystemTime, boot: &str, mut report: ReportJson) -> Self {
        let unix_micros = moment::micros(at);
        report.clock = unix_micros.map(moment::seconds);
        report.time = unix_micros.and_then(moment::rfc_3339);
        let boot = Some(boot).filter(|boot| !boot.is_empty()).map(str::to_owned);
        // systemd does not count processes: one is what it is sure of.
        Self { boot, unix_micros, error_micros: 0, main_pid: None, counted: 1, report }
    }

    fn is_told_by(&self, source: Source) -> bool {
        self.report.sources.iter().any(|name| name == source.name())
    }

    fn is_same(&self, other: &Self) -> bool {
        let is_other_boot = self.boot.as_ref().zip(other.boot.as_ref()).is_some_and(|(a, b)| a != b);
        !is_other_boot && self.is_about_the_same(other) && self.is_near(other)
    }

    fn is_about_the_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.report.victims, &other.report.victims);
        if !ours.is_empty() && !theirs.is_empty() {
            return ours.iter().any(|our| theirs.iter().any(|their| our.is_same(their)));
        }
        if self.names_killer() && other.names_killer() && self.report.killer != other.report.killer {
            return false;
        }
        if self.has_unit() || other.has_unit() {
            return self.is_other_view(other) && (self.has_main_process_of(other) || self.shares_unit(other));
        }
        ours.is_empty() && theirs.is_empty() && self.report.invoked_by == other.report.invoked_by
    }

    /// systemd tells of each end of a service once, so what it tells twice happened twice. Text may be read twice.
    fn is_other_view(&self, other: &Self) -> bool {
        let both = |source| self.is_told_by(source) && other.is_told_by(source);
        !both(Source::Systemd) && !both(Source::SystemdOomd)
    }

    /// systemd alone does not know who killed.
    fn names_killer(&self) -> bool {
        !self.report.victims.is_empty() || self.report.cgroup.is_some()
    }

    /// A service and each slice above it are named; only the service tells one kill from another.
    fn services(&self) -> impl Iterator<Item = &str> {
        let report = &self.report;
        let units = report.unit.iter().chain(&report.units).map(String::as_str);
        units.filter(|unit| !unit.ends_with(".slice"))
    }

    fn has_unit(&self) -> bool {
        self.services().next().is_some()
    }

    fn shares_unit(&self, other: &Self) -> bool {
        self.services().any(|ours| other.services().any(|theirs| ours == theirs))
    }

    fn has_main_process_of(&self, other: &Self) -> bool {
        let is_in = |pid: Option<u32>, event: &Self| {
            pid.is_some_and(|pid| event.report.victims.iter().any(|victim| victim.pid == pid))
        };
        is_in(self.main_pid, other) || is_in(other.main_pid, self)
    }

    /// How far apart two views of what may be the same are: a service may be killed again within seconds.
    fn distance(&self, other: &Self) -> u64 {
        if self.has_main_process_of(other) {
            return 0;
        }
        self.unix_micros.zip(other.unix_micros).map_or(0, |(a, b)| a.abs_diff(b).max(1))
    }

    fn is_near(&self, other: &Self) -> bool {
        let of_boot = self.report.since_boot_seconds.zip(other.report.since_boot_seconds);
        let Some((ours, theirs)) = of_boot else { return self.is_near_by_wall(other, SAME_MICROS) };
        let apart = (ours - theirs).abs();
        // The same line, however late a log daemon has read it; or another line of the same report.
        apart < SAME_LINE_SECONDS || (apart <= SAME_SECONDS_OF_BOOT && self.is_of_boot_of(other, ours))
    }

    /// Two boots reach the same age at times that lie at least this age apart.
    fn is_of_boot_of(&self, other: &Self, age_seconds: f64) -> bool {
        let is_known = self.boot.is_some() && self.boot == other.boot;
        let half = Duration::try_from_secs_f64(age_seconds / 2.0).unwrap_or_default();
        let half_micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        is_known || self.is_near_by_wall(other, SAME_MICROS.min(half_micros))
    }

    fn is_near_by_wall(&self, other: &Self, most_micros: u64) -> bool {
        let most = most_micros + self.error_micros + other.error_micros;
        self.unix_micros.zip(other.unix_micros).is_none_or(|(ours, theirs)| ours.abs_diff(theirs) <= most)
    }

    /// Takes what another source tells of the same event: its words, where they are to be trusted more or say more.
    fn absorb(&mut self, other: Self) {
        let weight = |event: &Self| {
            let report = &event.report;
            (report.trust == HIGH, report.victims.len(), report.tasks.len(), event.names_killer())
        };
        let mut sources = self.report.sources.clone();
        sources.extend(
            other.report.sources.iter().filter(|source| !self.report.sources.contains(source)).cloned(),
        );
        if weight(&other) > weight(self) {
            let known = std::mem::replace(self, other);
            self.fill(&known);
        } else {
            self.fill(&other);
        }
        self.report.sources = sources;
    }

    fn fill(&mut self, other: &Self) {
        if self.unix_micros.is_none() {
            (self.unix_micros, self.error_micros) = (other.unix_micros, other.error_micros);
            self.report.clock = other.report.clock;
            self.report.time.clone_from(&other.report.time);
        }
        self.boot = self.boot.take().or_else(|| other.boot.clone());
        self.counted = self.counted.max(other.counted);
        self.main_pid = self.main_pid.or(other.main_pid);
        let (ours, theirs) = (&mut self.report, &other.report);
        ours.unit = ours.unit.take().or_else(|| theirs.unit.clone());
        ours.cgroup = ours.cgroup.take().or_else(|| theirs.cgroup.clone());
        ours.reason = ours.reason.take().or_else(|| theirs.reason.clone());
    }

    /// What is left when a kill was told before its reaper's or a header's end.
    fn says_nothing(&self) -> bool {
        let report = &self.report;
        report.victims.is_empty()
            && report.invoked_by.is_none()
            && !report.panic
            && report.units.is_empty()
            && report.unit.is_none()
    }
}

/// The last part of the path that is a unit.
fn unit_of(cgroup: &str) -> Option<String> {
    let is_unit =
        |part: &&str| [".service", ".scope", ".slice", ".socket"].iter().any(|end| part.ends_with(end));
    cgroup.rsplit('/').find(is_unit).map(str::to_owned)
}

/// What one boot's kills were counted to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BootCount {
    pub(crate) id: String,
    /// The kernel's count, when it was last looked at.
    pub(crate) kernel: Option<u64>,
    /// Kills in the reports of each source.
    pub(crate) found: BTreeMap<Word, u64>,
}

impl BootCount {
    /// Kills in reports: of the sources that cannot be forged, else of what there is.
    pub(crate) fn reported(&self) -> u64 {
        self.in_text().or_else(|| self.found_by(Source::Systemd)).unwrap_or_default()
    }

    fn found_by(&self, source: Source) -> Option<u64> {
        self.found.get(source.name()).copied()
    }

    /// None where no source of the kernel's text was ever read in this boot.
    fn in_text(&self) -> Option<u64> {
        let of = |source| self.found_by(source);
        of(Source::Kmsg).max(of(Source::Journal)).or_else(|| of(Source::File))
    }

    /// Whether every kill that the kernel has counted is in its text, and the other way round. What is equal agrees even while
    /// the text cannot be read; what is not then says nothing.
    pub(crate) fn agree(&self, sees_text: bool) -> Option<bool> {
        let is_equal = self.kernel? == self.in_text()?;
        (is_equal || sees_text).then_some(is_equal)
    }

    /// Between the last look at the kernel's count and the end of a boot there may have been more.
    fn closed(&self) -> u64 {
        self.kernel.unwrap_or_default().max(self.reported())
    }
}

/// How far each source was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Positions {
    pub(crate) kmsg: Option<u64>,
    pub(crate) journal: Option<String>,
    pub(crate) files: BTreeMap<String, Position>,
}

/// How often a service ended in an OOM kill.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceCount {
    pub(crate) kills: u64,
    /// Seconds since 1970.
    pub(crate) last: i64,
    /// Which run of the service was killed last, and in which boot.
    run: u64,
    boot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlived: Option<Outlived>,
}

/// What the cgroup of a service that outlives kills has counted until now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outlived {
    boot: String,
    inode: u64,
    kills: u64,
}

/// Services that ended in OOM kills, as systemd told it, and kills that services have outlived.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceKills {
    /// Of all services, those that are not kept any more among them.
    pub(crate) total: u64,
    pub(crate) counts: BTreeMap<String, ServiceCount>,
}

impl ServiceKills {
    /// Counts a kill, unless it was counted before: what is found afterwards may have been seen by an earlier process.
    pub(crate) fn add(&mut self, kill: &ServiceKill, boot: &str) -> bool {
        let count = self.counts.entry(kill.unit.clone()).or_default();
        let is_same_run = count.kills > 0 && count.run == kill.run && count.boot == boot;
        if is_same_run && (kill.run != 0 || !kill.witnessed) {
            return false;
        }
        count.kills += 1;
        count.last = moment::micros(kill.at).map(moment::seconds).unwrap_or_default();
        (count.run, count.boot) = (kill.run, boot.to_owned());
        self.total += 1;
        self.forget_oldest();
        true
    }

    /// Counts the kills that a service with OOMPolicy=continue has outlived. systemd does not tell of them: such a service
    /// never has the result oom-kill, so nothing is counted twice.
    pub(crate) fn add_outlived(&mut self, unit: &str, kills: CgroupKills, boot: &str) {
        if kills.oom_kill == 0 {
            return;
        }
        let count = self.counts.entry(unit.to_owned()).or_default();
        let is_its = |known: &&Outlived| {
            known.inode == kills.inode && known.boot == boot && known.kills <= kills.oom_kill
        };
        let known = count.outlived.as_ref().filter(is_its).map_or(0, |known| known.kills);
        let new = kills.oom_kill.saturating_sub(known);
        count.outlived = Some(Outlived { boot: boot.to_owned(), inode: kills.inode, kills: kills.oom_kill });
        count.kills += new;
        self.total += new;
        if new > 0 {
            count.last = moment::seconds(moment::now());
        }
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        if self.counts.len() > SERVICES_MAX {
            let oldest = self.counts.iter().min_by_key(|(_, count)| count.last).map(|(unit, _)| unit.clone());
            self.counts.remove(&oldest.unwrap_or_default());
        }
    }
}

/// Everything that outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// Reports ever told, those that are not kept any more among them.
    pub(crate) reports: u64,
    /// Oldest first.
    events: Vec<Event>,
    /// Kills of boots that are not in `boots` any more.
    older_kills: u64,
    /// This boot last.
    boots: Vec<BootCount>,
    pub(crate) positions: Positions,
    /// Kernel messages of this boot that were overwritten before they could be read.
    pub(crate) lost: u64,
    /// Those of them that came before the very first reading.
    pub(crate) before_start: u64,
    /// Services that ended in OOM kills.
    #[serde(default)]
    pub(crate) services: ServiceKills,
}

impl Ledger {
    /// Goes on in this boot; `""` where the machine does not tell it, so that sequence numbers cannot be compared.
    pub(crate) fn enter(&mut self, boot: &str) {
        let is_known = self.boots.last().is_some_and(|last| last.id == boot);
        if !is_known || boot.is_empty() {
            self.positions.kmsg = None;
            self.lost = 0;
            self.before_start = 0;
        }
        if !is_known {
            self.boots.push(BootCount { id: boot.to_owned(), ..BootCount::default() });
        }
        while self.boots.len() > BOOTS_MAX {
            self.older_kills += self.boots.remove(0).closed();
        }
    }

    pub(crate) fn this_boot(&mut self) -> &mut BootCount {
        if self.boots.is_empty() {
            self.boots.push(BootCount::default());
        }
        let last = self.boots.len() - 1;
        &mut self.boots[last]
    }

    pub(crate) fn count_of_boot(&self) -> BootCount {
        self.boots.last().cloned().unwrap_or_default()
    }

    /// Kills over all boots that were seen.
    pub(crate) fn total(&self) -> u64 {
        let Some((this, closed)) = self.boots.split_last() else { return self.older_kills };
        let now = this.kernel.unwrap_or_else(|| this.reported());
        self.older_kills + closed.iter().map(BootCount::closed).sum::<u64>() + now
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev()
    }

    /// Adds what a source tells. `boot_start` is the beginning of this boot, for text that does not tell its boot.
    pub(crate) fn tell(&mut self, event: Event, source: Source, boot_start: Option<i64>) {
        if event.says_nothing() {
            return;
        }
        let same = self.events.iter().enumerate().rev().filter(|(_, known)| known.is_same(&event));
        let known = same.min_by_key(|(_, known)| known.distance(&event)).map(|(at, _)| at);
        self.count(&event, source, boot_start, known);
        if let Some(at) = known {
            self.events[at].absorb(event);
            return;
        }
        let is_too_old =
            |oldest: &Event| event.unix_micros.is_some() && event.unix_micros < oldest.unix_micros;
        if self.events.len() >= EVENTS_MAX && self.events.first().is_some_and(is_too_old) {
            return;
        }
        self.reports += 1;
        self.events.push(event);
        self.sort();
        if self.events.len() > EVENTS_MAX {
            // Whoever can write into a log file must not be able to push out what the kernel says.
            let first_of_low_trust = self.events.iter().position(|event| event.report.trust != HIGH);
            self.events.remove(first_of_low_trust.unwrap_or(0));
        }
    }

    /// By time; an event without one is as new as what came before it.
    fn sort(&mut self) {
        let mut latest = i64::MIN;
        let keyed = self.events.drain(..).map(|event| {
            latest = event.unix_micros.unwrap_or(latest);
            (latest, event)
        });
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_by_key(|(at, _)| *at);
        self.events.extend(keyed.into_iter().map(|(_, event)| event));
    }

    /// What a source tells again, because a log daemon has read the kernel's ring anew, is no further kill.
    fn count(&mut self, event: &Event, source: Source, boot_start: Option<i64>, known: Option<usize>) {
        let again = known.map(|at| &self.events[at]).filter(|known| known.is_told_by(source));
        let known = again.filter(|_| source.is_text()).map_or(0, |known| known.counted);
        let kills = event.counted.saturating_sub(known);
        let is_of_this_boot = || event.unix_micros.zip(boot_start).is_some_and(|(at, start)| at >= start);
        let boot = match &event.boot {
            Some(id) => self.boots.iter_mut().find(|boot| boot.id == *id),
            None if is_of_this_boot() => self.boots.last_mut(),
            None => None,
        };
        if let Some(boot) = boot {
            *boot.found.entry(source.name().into()).or_default() += kills;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use jiff::tz::TimeZone;
    use oom_evidence::{Origin, Parser};

    use super::*;

    fn clocks() -> Clocks {
        Clocks { boot: Some(1_700_000_000), zone: TimeZone::UTC, suspended: Duration::ZERO }
    }

    fn kill(pid: u32) -> String {
        format!("Out of memory: Killed process {pid} (hog) total-vm:8kB, anon-rss:4kB\n")
    }

    fn events(origin: Origin, source: Source, boot: Option<&str>, text: &str) -> Vec<Event> {
        parsed(origin, text).iter().map(|report| Event::of(report, source, boot, &clocks())).collect()
    }

    fn parsed(origin: Origin, text: &str) -> Vec<Report> {
        let mut parser = Parser::new(origin);
        let mut reports: Vec<_> = parser.feed(text.as_bytes()).collect();
        reports.extend(parser.finish());
        reports
    }

    fn tell(ledger: &mut Ledger, events: Vec<Event>, source: Source) {
        for event in events {
            ledger.tell(event, source, Some(1_700_000_000_000_000));
        }
    }

    fn kmsg(pid: u32, seconds: u64) -> Vec<Event> {
        let text = format!("3,{seconds},{seconds}000000,-;{}", kill(pid));
        events(Origin::KernelRing, Source::Kmsg, Some("b1"), &text)
    }

    fn file(pid: u32, second: u32) -> Vec<Event> {
        // 100 s after the boot at 22:13:20.
        let text = format!("2023-11-14T22:15:{second:02}+00:00 web kernel: {}", kill(pid));
        events(Origin::Text, Source::File, None, &text)
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.enter("b1");
        ledger
    }

    #[test]
    fn the_same_kill_from_two_sources_is_one_event() {
        for file_first in [false, true] {
            let mut ledger = ledger();
            if file_first {
                tell(&mut ledger, file(7, 3), Source::File);
            }
            tell(&mut ledger, kmsg(7, 100), Source::Kmsg);
            tell(&mut ledger, file(7, 3), Source::File);
            assert_eq!((ledger.reports, ledger.newest().count()), (1, 1));
            let report = &ledger.newest().next().unwrap().report;
            assert_eq!((report.sources.len(), &*report.trust), (2, "high"));
            assert_eq!(report.time.as_deref(), Some("2023-11-14T22:15:00.000Z"));
        }
    }

    #[test]
    fn other_pids_and_later_times_are_other_events() {
        let mut ledger = ledger();
        tell(&mut ledger, kmsg(7, 100), Source::Kmsg);
        tell(&mut ledger, kmsg(8, 100), Source::Kmsg);
        tell(&mut ledger, kmsg(7, 5000), Source::Kmsg);
        tell(&mut ledger, file(9, 0), Source::File);
        assert_eq!(ledger.reports, 4);
        assert_eq!(ledger.newest().next().unwrap().report.since_boot_seconds, Some(5000.0));
        let counts = ledger.count_of_boot();
        assert_eq!((counts.found["kmsg"], counts.found["file"], counts.reported()), (3, 1, 3));
    }

    #[test]
    fn a_storm_is_counted_whole_and_kept_in_part() {
        let mut ledger = ledger();
        for pid in 1..=250 {
            tell(&mut ledger, kmsg(pid, 100 + u64::from(pid)), Source::Kmsg);
        }
        // What another source tells of the kills that are not kept any more is nothing new.
        for pid in 1..=250 {
            tell(
                &mut ledger,
                events(Origin::Text, Source::File, None, &format!("{} {}", at(100 + pid), kill(pid))),
                Source::File,
            );
        }
        assert_eq!((ledger.newest().count(), ledger.reports), (EVENTS_MAX, 250));
        assert_eq!(ledger.newest().next().unwrap().report.victims[0].pid, 250);
        assert_eq!(ledger.newest().next().unwrap().report.sources, ["kmsg", "file"]);
        assert_eq!(ledger.count_of_boot().found["kmsg"], 250);
    }

    #[test]
    fn forged_lines_neither_push_out_the_kernels_nor_come_from_the_future() {
        let mut ledger = ledger();
        tell(&mut ledger, kmsg(7, 100), Source::Kmsg);
        for pid in 1000..1300 {
            let text = format!("2099-01-01T00:00:00+00:00 web kernel: {}", kill(pid));
            tell(&mut ledger, events(Origin::Text, Source::File, None, &text), Source::File);
        }
        let pids: Vec<_> = ledger.newest().map(|event| event.report.victims[0].pid).collect();
        assert_eq!((pids.len(), pids.last()), (EVENTS_MAX, Some(&7)));
        assert!(ledger.newest().all(|event| event.unix_micros <= Some(moment::now())));
    }

    fn in_file(second_of_boot: u32, printk: &str, pid: u32) -> Vec<Event> {
        events(Origin::Text, Source::File, None, &format!("{} {printk}{}", at(second_of_boot), kill(pid)))
    }

    fn count_after(tellings: Vec<(Vec<Event>, Source)>) -> (u64, u64) {
        let mut ledger = ledger();
        for (events, source) in tellings {
            tell(&mut ledger, events, source);
        }
        (ledger.reports, ledger.count_of_boot().reported())
    }

    /// A log daemon that starts anew may read the kernel's ring from its beginning and dates it all as of now.
    #[test]
    fn a_ring_that_is_read_again_holds_no_new_kill() {
        let first = || in_file(101, "[  100.123456] ", 7);
        let replayed = || in_file(4000, "[  100.123456] ", 7);
        assert_eq!(count_after(vec![(first(), Source::File), (replayed(), Source::File)]), (1, 1));
        let known = vec![(kmsg(7, 100), Source::Kmsg), (in_file(9000, "[  100.000000] ", 7), Source::File)];
        assert_eq!(count_after(known), (1, 1));
    }

    /// A machine that panics comes back, and its services get the same numbers at the same age.
    #[test]
    fn each_boot_kills_its_own() {
        let boots = [100, 200, 300].map(|second| (in_file(second, "[   60.5000] ", 7), Source::File));
        assert_eq!(count_after(boots.into()).0, 1, "the same line thrice");
        let boots = [(100, "[   60.500100] "), (200, "[   61.200000] "), (300, "[   59.900000] ")];
        let boots = boots.map(|(second, printk)| (in_file(second, printk, 7), Source::File));
        assert_eq!(count_after(boots.into()), (3, 3));
        let other = |boot| {
            let text = format!("3,9,100000000,-;{}", kill(7));
            events(Origin::KernelRing, Source::Kmsg, Some(boot), &text)
        };
        assert_eq!(count_after(vec![(other("b0"), Source::Kmsg), (other("b1"), Source::Kmsg)]), (2, 1));
    }

    #[test]
    fn a_number_that_is_given_again_is_another_process() {
        let text = |second: u32, size: &str| {
            let line = kill(7).replace("total-vm:8kB", size);
            events(Origin::Text, Source::File, None, &format!("{} {line}", at(second)))
        };
        let tellings = vec![
            (text(1000, "total-vm:8kB"), Source::File),
            (text(1100, "total-vm:9kB"), Source::File),
            (text(1500, "total-vm:9kB"), Source::File),
        ];
        assert_eq!(count_after(tellings), (3, 3));
    }

    #[test]
    fn two_processes_of_one_name_in_the_same_second_are_two() {
        let both = vec![(kmsg(7, 100), Source::Kmsg), (kmsg(8, 100), Source::Kmsg)];
        let in_files = vec![(in_file(100, "", 7), Source::File), (in_file(100, "", 8), Source::File)];
        assert_eq!(count_after(both.into_iter().chain(in_files).collect()), (2, 2));
    }

    /// The kernel's clock drifts, and stands still while the machine sleeps; log daemons write what the wall clock says.
    #[test]
    fn a_clock_that_slept_or_drifted_makes_no_second_kill() {
        let days_100 = 8_640_000;
        let drifted = vec![
            (kmsg(7, days_100), Source::Kmsg),
            (in_file(u32::try_from(days_100).unwrap() + 700, "", 7), Source::File),
        ];
        assert_eq!(count_after(drifted).0, 1);
        let asleep = Clocks { suspended: Duration::from_secs(8 * 3600), ..clocks() };
        let report = parsed(Origin::KernelRing, &format!("3,9,100000000,-;{}", kill(7))).remove(0);
        let slept = Event::of(&report, Source::Kmsg, Some("b1"), &asleep);
        let written = in_file(100 + 7 * 3600, "", 7);
        assert_eq!(count_after(vec![(vec![slept], Source::Kmsg), (written, Source::File)]).0, 1);
        let awake = vec![(kmsg(7, 100), Source::Kmsg), (in_file(100 + 7 * 3600, "", 7), Source::File)];
        assert_eq!(count_after(awake).0, 2);
    }

    /// On the last Sunday of October 2:30 comes twice, and a log daemon writes local time.
    #[test]
    fn an_hour_that_comes_twice_makes_no_second_kill() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2023-10-29T01:30:00Z is the second half past two.
        let clocks = Clocks { boot: Some(1_698_543_000 - 100), zone, suspended: Duration::ZERO };
        let of =
            |origin, source, boot, text: &str| Event::of(&parsed(origin, text)[0], source, boot, &clocks);
        let ring = format!("3,9,100000000,-;{}", kill(7));
        let tellings = vec![
            (vec![of(Origin::KernelRing, Source::Kmsg, Some("b1"), &ring)], Source::Kmsg),
            (
                vec![of(
                    Origin::Text,
                    Source::File,
                    None,
                    &format!("2023-10-29T02:30:01 web kernel: {}", kill(7)),
                )],
                Source::File,
            ),
        ];
        assert_eq!(count_after(tellings).0, 1);
    }

    fn at(seconds_of_boot: u32) -> String {
        let micros = (1_700_000_000 + i64::from(seconds_of_boot)) * 1_000_000;
        format!("{} web kernel:", moment::rfc_3339(micros).unwrap())
    }

    #[test]
    fn the_total_grows_over_reboots_with_or_without_the_kernels_count() {
        let mut ledger = ledger();
        ledger.this_boot().kernel = Some(5);
        assert_eq!(ledger.total(), 5);
        ledger.enter("b2");
        ledger.this_boot().kernel = Some(0);
        assert_eq!(ledger.total(), 5);
        ledger.this_boot().kernel = None;
        ledger.this_boot().found.insert("kmsg".into(), 2);
        for boot in ["b3", "b4", "b5", "b6"] {
            ledger.enter(boot);
            ledger.enter(boot);
            assert_eq!(ledger.total(), 7);
        }
        assert_eq!(ledger.boots.len(), BOOTS_MAX);
    }

    #[test]
    fn what_is_equal_agrees_and_what_nobody_reads_says_nothing() {
        let count = |kernel, found: &[(&'static str, u64)]| BootCount {
            id: String::new(),
            kernel,
            found: found.iter().map(|(name, kills)| (Word::from(*name), *kills)).collect(),
        };
        let agree = |kernel, found: &[_]| [true, false].map(|sees| count(kernel, found).agree(sees));
        assert_eq!(agree(Some(3), &[("journal", 3)]), [Some(true); 2]);
        assert_eq!(agree(Some(3), &[("journal", 2), ("systemd", 3)]), [Some(false), None]);
        assert_eq!(agree(Some(3), &[("systemd", 3)]), [None; 2], "it counts services and no processes");
        assert_eq!(agree(None, &[("journal", 3)]), [None; 2]);
    }

    /// The chosen process of a group is killed first and then, with the others, once more.
    #[test]
    fn a_line_that_comes_twice_counts_as_the_kernel_counts() {
        let mut text = String::from("3,9,100000000,-;");
        text += &kill(7).replace("Out of memory", "Memory cgroup out of memory");
        text += "6,10,100000001,-;Tasks in /a.service are going to be killed due to memory.oom.group set\n";
        for pid in [7, 8] {
            text += &format!(
                "3,1{pid},100000002,-;{}",
                kill(pid).replace("Out of memory", "Memory cgroup out of memory")
            );
        }
        let mut ledger = ledger();
        for _ in 0..2 {
            tell(&mut ledger, events(Origin::KernelRing, Source::Kmsg, Some("b1"), &text), Source::Kmsg);
        }
        let kills: Vec<_> = ledger.newest().map(|event| event.report.kills).collect();
        assert_eq!((kills, ledger.count_of_boot().reported()), (vec![Some(2)], 3));
    }

    #[test]
    fn sequence_numbers_of_another_boot_say_nothing() {
        let mut ledger = ledger();
        ledger.positions.kmsg = Some(10);
        ledger.enter("b1");
        assert_eq!(ledger.positions.kmsg, Some(10));
        ledger.enter("b2");
        assert_eq!(ledger.positions.kmsg, None);
    }

    fn ended(unit: &str, run: u64, pid: u32, seconds: u64) -> ServiceKill {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
        ServiceKill { unit: unit.to_owned(), run, main_pid: Some(pid), at, witnessed: true }
    }

    fn in_cgroup(pid: u32, seconds: u64, unit: &str) -> Vec<Event> {
        let path = format!("/system.slice/{unit}");
        let constraint = format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={path},\
             task_memcg={path},task=hog,pid={pid},uid=0"
        );
        let text = format!(
            "6,{seconds}0,{seconds}000000,-;{constraint}\n3,{seconds}1,{seconds}000001,-;{}",
            kill(pid).replace("Out of memory", "Memory cgroup out of memory")
        );
        events(Origin::KernelRing, Source::Kmsg, Some("b1"), &text)
    }

    /// The sources of each event and its unit, oldest first.
    fn told(ledger: &Ledger) -> Vec<(String, Option<String>)> {
        let of = |event: &Event| (event.report.sources.join(" "), event.report.unit.clone());
        ledger.events.iter().map(of).collect()
    }

    #[test]
    fn each_end_of_a_service_meets_its_own_kill() {
        let a = || ("kmsg systemd".to_owned(), Some("a.service".to_owned()));
        for kernel_first in [true, false] {
            let mut ledger = ledger();
            let kernel: Vec<_> =
                [100, 102, 104].map(|seconds| in_cgroup(seconds, seconds.into(), "a.service")).into();
            let tell_kernel = |ledger: &mut Ledger| {
                kernel.clone().into_iter().for_each(|event| tell(ledger, event, Source::Kmsg));
            };
            if kernel_first {
                tell_kernel(&mut ledger);
            }
            // Main processes that are not the victims: unit and time must do.
            for (run, seconds) in [(1, 100), (2, 102), (3, 104)] {
                let event = Event::of_service(&ended("a.service", run, 7, seconds), "b1");
                tell(&mut ledger, vec![event], Source::Systemd);
            }
            if !kernel_first {
                tell_kernel(&mut ledger);
            }
            let mut seen = told(&ledger);
            seen.iter_mut()
                .for_each(|(sources, _)| *sources = sources.replace("systemd kmsg", "kmsg systemd"));
            assert_eq!((ledger.reports, seen), (3, vec![a(), a(), a()]), "{kernel_first}");
        }
    }

    #[test]
    fn other_services_and_other_killers_are_other_events() {
        let mut ledger = ledger();
        tell(&mut ledger, in_cgroup(100, 100, "a.service"), Source::Kmsg);
        let b = Event::of_service(&ended("b.service", 1, 9, 100), "b1");
        tell(&mut ledger, vec![b], Source::Systemd);
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_101);
        let oomd =
            OomdKill { cgroup: "/system.slice/a.service".to_owned(), reason: "memory-used".to_owned(), at };
        tell(&mut ledger, vec![Event::of_oomd(&oomd, "b1")], Source::SystemdOomd);
        let told: Vec<_> = told(&ledger).into_iter().map(|(sources, _)| sources).collect();
        assert_eq!(
            (ledger.reports, told),
            (3, ["kmsg", "systemd", "systemd-oomd"].map(str::to_owned).to_vec())
        );
        // A main process that the kernel named without its cgroup.
        tell(&mut ledger, kmsg(9, 100), Source::Kmsg);
        let units: Vec<_> = ledger.newest().filter_map(|event| event.report.unit.as_deref()).collect();
        assert_eq!((ledger.reports, units.contains(&"b.service")), (3, true));
    }

    #[test]
    fn what_is_found_afterwards_is_counted_once_and_services_are_bounded() {
        let mut kills = ServiceKills::default();
        let found = |run| ServiceKill { witnessed: false, ..ended("a.service", run, 1, 5) };
        assert!(kills.add(&ended("a.service", 4, 1, 5), "b1"));
        assert!(!kills.add(&found(4), "b1") && !kills.add(&ended("a.service", 4, 1, 5), "b1"));
        assert!(kills.add(&found(4), "b2"), "another boot");
        assert!(kills.add(&found(0), "b2") && !kills.add(&found(0), "b2"));
        assert!(kills.add(&ended("a.service", 0, 1, 5), "b2"), "seen: it is another");
        for number in 0..600 {
            kills.add(&ended(&format!("{number}.service"), 1, 1, 10 + number), "b2");
        }
        assert_eq!((kills.total, kills.counts.len()), (604, SERVICES_MAX));
        assert!(kills.counts.contains_key("599.service") && !kills.counts.contains_key("a.service"));
    }

    #[test]
    fn kills_that_a_service_outlives_are_counted_once() {
        let mut kills = ServiceKills::default();
        let mut total = |inode, oom_kill, boot| {
            kills.add_outlived("a.service", CgroupKills { inode, oom_kill }, boot);
            (kills.total, kills.counts.get("a.service").map(|count| count.kills))
        };
        assert_eq!(total(7, 0, "b1"), (0, None), "nothing to remember");
        assert_eq!(
            [total(7, 2, "b1"), total(7, 2, "b1"), total(7, 3, "b1")],
            [2, 2, 3].map(|n| (n, Some(n)))
        );
        assert_eq!(total(8, 1, "b1"), (4, Some(4)), "started again, it counts anew");
        assert_eq!(total(8, 1, "b2"), (5, Some(5)), "another boot");
        assert!(kills.add(&ended("a.service", 4, 1, 5), "b2"), "its policy was changed, and it was killed");
        assert_eq!(kills.total, 6);
    }

    #[test]
    fn units_are_found_in_paths() {
        assert_eq!(unit_of("/system.slice/php-fpm.service/worker").as_deref(), Some("php-fpm.service"));
        assert_eq!(unit_of("/owtest"), None);
    }
}
