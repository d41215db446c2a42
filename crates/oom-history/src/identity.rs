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
        let max = max_micros.saturating_add(self.error_micros).saturating_add(other.error_micros);
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use oom_evidence::{Killer, OomdKill, Origin, ServiceKill, parse_all};

    use super::*;

    fn kill(pid: u32) -> KillRecord {
        let line = format!("Out of memory: Killed process {pid} (hog) total-vm:8kB\n");
        KillRecord::from_report(&parse_all(Origin::Text, line.as_bytes())[0], OomSource::File)
    }

    fn kill_at(unix_micros: i64) -> KillRecord {
        KillRecord { unix_micros: Some(unix_micros), ..kill(7) }
    }

    fn service(unit: &str, main_pid: u32) -> KillRecord {
        let main_pid = Some(main_pid);
        let kill = ServiceKill { unit: unit.to_owned(), run: 1, main_pid, at: UNIX_EPOCH, witnessed: true };
        KillRecord::from_service_kill(&kill, "b1")
    }

    fn oomd(cgroup: &str) -> KillRecord {
        let kill = OomdKill { cgroup: cgroup.to_owned(), reason: "memory-used".to_owned(), at: UNIX_EPOCH };
        KillRecord::from_oomd_kill(&kill, "b1")
    }

    #[test]
    fn wall_clocks_may_differ_by_two_minutes_and_both_uncertainties() {
        assert!(kill_at(0).is_same(&kill_at(120_000_000)));
        assert!(!kill_at(0).is_same(&kill_at(120_000_001)));
        let uncertain = |at, error_micros| KillRecord { error_micros, ..kill_at(at) };
        assert!(uncertain(0, 1).is_same(&uncertain(120_000_003, 2)));
        assert!(!uncertain(0, 1).is_same(&uncertain(120_000_004, 2)));
        assert!(kill_at(0).is_same(&kill(7)), "without a time nothing contradicts");
    }

    #[test]
    fn times_since_boot_may_differ_by_ten_seconds_in_the_same_boot() {
        let at = |since_boot: f64, boot: &str| KillRecord {
            since_boot_seconds: Some(since_boot),
            boot: Some(boot.to_owned()),
            ..kill(7)
        };
        assert!(at(100.0, "b1").is_same(&at(110.0, "b1")));
        assert!(!at(100.0, "b1").is_same(&at(110.001, "b1")));
        assert!(!at(100.0, "b1").is_same(&at(100.0, "b2")), "another boot");
    }

    #[test]
    fn unknown_boots_are_separated_by_half_the_age() {
        let at = |since_boot: f64, unix_micros| KillRecord {
            since_boot_seconds: Some(since_boot),
            ..kill_at(unix_micros)
        };
        assert!(at(60.0, 0).is_same(&at(61.0, 30_000_000)));
        assert!(!at(60.0, 0).is_same(&at(61.0, 30_000_001)));
        assert!(at(9000.0, 0).is_same(&at(9001.0, 120_000_000)), "two minutes at most");
        assert!(!at(9000.0, 0).is_same(&at(9001.0, 120_000_001)));
        let hour = 3_600_000_000;
        assert!(at(60.0, 0).is_same(&at(60.000_009, hour)), "the same line, read an hour later");
        assert!(!at(60.0, 0).is_same(&at(60.000_011, hour)));
    }

    #[test]
    fn reports_of_systemd_are_same_only_as_other_views_of_the_unit() {
        let named = |unit: &str| KillRecord { unit: Some(unit.to_owned()), ..kill(9) };
        assert!(service("a.service", 1).is_same(&named("a.service")));
        assert!(!service("a.service", 1).is_same(&named("b.service")));
        assert!(!service("a.slice", 1).is_same(&named("a.slice")), "a slice has many services");
        assert!(!service("a.service", 1).is_same(&service("a.service", 1)), "systemd reports each end once");
        let cgroup = "/system.slice/a.service";
        assert!(!oomd(cgroup).is_same(&oomd(cgroup)), "systemd-oomd reports each kill once");
        assert!(service("a.service", 1).is_same(&oomd(cgroup)));
        let by_kernel =
            KillRecord { cgroup: Some(cgroup.to_owned()), victims: Vec::new(), ..named("a.service") };
        assert!(!oomd(cgroup).is_same(&by_kernel), "another killer");
    }

    #[test]
    fn main_process_connects_records_in_both_directions() {
        for (ours, theirs) in [(service("b.service", 9), kill(9)), (kill(9), service("b.service", 9))] {
            assert!(ours.is_same(&theirs));
            assert_eq!(ours.distance(&theirs), 0);
        }
        assert!(!service("b.service", 8).is_same(&kill(9)));
        assert_eq!(kill_at(5).distance(&kill_at(5)), 1, "only the main process is certain");
        assert_eq!(kill_at(5).distance(&kill_at(9)), 4);
    }

    #[test]
    fn merged_record_has_the_details_of_both() {
        let text = KillRecord { boot: Some("b1".to_owned()), counted_kills: 3, ..kill(9) };
        let mut merged = text.clone();
        merged.absorb(service("a.service", 9));
        assert_eq!((merged.unit.as_deref(), merged.main_pid), (Some("a.service"), Some(9)));
        assert_eq!((merged.trust, merged.victims.len()), (Trust::High, 0), "text can be forged");
        assert_eq!(
            (merged.counted_kills, merged.sources.as_slice()),
            (3, &[OomSource::File, OomSource::Systemd][..])
        );
        let mut merged = service("a.service", 9);
        merged.absorb(KillRecord { trust: Trust::High, ..text });
        assert_eq!((merged.victims[0].pid, merged.main_pid, merged.counted_kills), (9, Some(9), 3));
        assert_eq!(merged.sources, [OomSource::Systemd, OomSource::File]);
        let mut merged = KillRecord { trust: Trust::High, ..kill(9) };
        merged.absorb(KillRecord { killer: Killer::SystemdOomd, ..oomd("/a.service") });
        assert_eq!(merged.boot.as_deref(), Some("b1"));
        assert_eq!(
            (merged.reason.as_deref(), merged.cgroup.as_deref()),
            (Some("memory-used"), Some("/a.service"))
        );
        assert_eq!((merged.unix_micros, merged.killer), (Some(0), Killer::Kernel));
    }
}
