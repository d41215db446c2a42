//! Which records are about the same kill, and how they are merged.

use std::time::Duration;

use oom_evidence::Trust;

use crate::record::KillRecord;
use crate::source::OomSource;

/// Log daemons and the journal write late when memory is short.
const SAME_MICROS: u64 = 120_000_000;
/// On the kernel's own clock the parts of one report are within a second.
const SAME_SECONDS_OF_BOOT: f64 = 10.0;
/// The kernel's stamps have microseconds.
const SAME_LINE_SECONDS: f64 = 0.000_01;

impl KillRecord {
    /// Whether both records are about the same kill.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_other_boot = self.boot.as_ref().zip(other.boot.as_ref()).is_some_and(|(a, b)| a != b);
        !is_other_boot && self.has_same_subject(other) && self.is_near(other)
    }

    fn has_same_subject(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.victims, &other.victims);
        if !ours.is_empty() && !theirs.is_empty() {
            return ours.iter().any(|our| theirs.iter().any(|their| our.is_same(their)));
        }
        if self.names_killer() && other.names_killer() && self.killer != other.killer {
            return false;
        }
        if self.has_service() || other.has_service() {
            return self.is_other_view(other)
                && (self.has_main_process_of(other) || self.shares_service(other));
        }
        ours.is_empty() && theirs.is_empty() && self.invoked_by == other.invoked_by
    }

    /// systemd reports each end of a service once, so two reports of systemd are two kills. Text may be read twice.
    fn is_other_view(&self, other: &Self) -> bool {
        let both = |source| self.is_reported_by(source) && other.is_reported_by(source);
        !both(OomSource::Systemd) && !both(OomSource::SystemdOomd)
    }

    /// A record of systemd alone has neither victims nor a cgroup, and its killer is not known.
    fn names_killer(&self) -> bool {
        !self.victims.is_empty() || self.cgroup.is_some()
    }

    /// Text names a service and each slice above it; only the service distinguishes kills.
    fn services(&self) -> impl Iterator<Item = &str> {
        let units = self.unit.iter().chain(&self.units).map(String::as_str);
        units.filter(|unit| !unit.ends_with(".slice"))
    }

    fn has_service(&self) -> bool {
        self.services().next().is_some()
    }

    fn shares_service(&self, other: &Self) -> bool {
        self.services().any(|ours| other.services().any(|theirs| ours == theirs))
    }

    fn has_main_process_of(&self, other: &Self) -> bool {
        let is_in = |pid: Option<u32>, record: &Self| {
            pid.is_some_and(|pid| record.victims.iter().any(|victim| victim.pid == pid))
        };
        is_in(self.main_pid, other) || is_in(other.main_pid, self)
    }

    /// Returns how far apart two records of perhaps the same kill are. A service may be killed again within seconds, so
    /// the nearest one is the same.
    pub(crate) fn distance(&self, other: &Self) -> u64 {
        if self.has_main_process_of(other) {
            return 0;
        }
        self.unix_micros.zip(other.unix_micros).map_or(0, |(a, b)| a.abs_diff(b).max(1))
    }

    fn is_near(&self, other: &Self) -> bool {
        let of_boot = self.since_boot_seconds.zip(other.since_boot_seconds);
        let Some((ours, theirs)) = of_boot else { return self.is_near_by_wall(other, SAME_MICROS) };
        let apart = (ours - theirs).abs();
        // The same line, however late a log daemon read it; or another line of the same report.
        apart < SAME_LINE_SECONDS || (apart <= SAME_SECONDS_OF_BOOT && self.is_of_boot_of(other, ours))
    }

    /// Two boots reach the same age at times that lie at least this age apart.
    fn is_of_boot_of(&self, other: &Self, age_seconds: f64) -> bool {
        let is_known = self.boot.is_some() && self.boot == other.boot;
        let half = Duration::try_from_secs_f64(age_seconds / 2.0).unwrap_or_default();
        let half_micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        is_known || self.is_near_by_wall(other, SAME_MICROS.min(half_micros))
    }

    fn is_near_by_wall(&self, other: &Self, max_micros: u64) -> bool {
        let max = max_micros + self.error_micros + other.error_micros;
        self.unix_micros.zip(other.unix_micros).is_none_or(|(ours, theirs)| ours.abs_diff(theirs) <= max)
    }

    /// Merges another source's record of the same kill. The record that is trusted more, or that has more details, wins.
    pub(crate) fn absorb(&mut self, other: Self) {
        let weight = |record: &Self| {
            (record.trust == Trust::High, record.victims.len(), record.tasks.len(), record.names_killer())
        };
        let mut sources = self.sources.clone();
        sources.extend(other.sources.iter().filter(|source| !self.sources.contains(source)));
        if weight(&other) > weight(self) {
            let known = std::mem::replace(self, other);
            self.fill(&known);
        } else {
            self.fill(&other);
        }
        self.sources = sources;
    }

    fn fill(&mut self, other: &Self) {
        if self.unix_micros.is_none() {
            (self.unix_micros, self.error_micros) = (other.unix_micros, other.error_micros);
            self.time_text.clone_from(&other.time_text);
        }
        self.boot = self.boot.take().or_else(|| other.boot.clone());
        self.counted_kills = self.counted_kills.max(other.counted_kills);
        self.main_pid = self.main_pid.or(other.main_pid);
        self.unit = self.unit.take().or_else(|| other.unit.clone());
        self.cgroup = self.cgroup.take().or_else(|| other.cgroup.clone());
        self.reason = self.reason.take().or_else(|| other.reason.clone());
    }
}
