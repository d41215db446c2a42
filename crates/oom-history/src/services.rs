//! Services that ended in OOM kills, and kills that services outlived.

use std::collections::BTreeMap;

use oom_evidence::ServiceKill;
use serde::{Deserialize, Serialize};

use crate::clocks;

/// Services whose kills are counted separately. If there are more, the service that was killed longest ago is evicted.
const SERVICES_MAX: usize = 500;

/// How often a service ended in an OOM kill or outlived one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceCount {
    /// Kills.
    pub kills: u64,
    /// Time of the last kill: seconds since 1970.
    #[serde(rename = "last_unix_seconds", alias = "last")]
    pub last_unix_seconds: i64,
    /// The run of the service that was killed last, and its boot.
    run: u64,
    boot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlived: Option<Outlived>,
}

/// The last count of the cgroup of a service that outlives kills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outlived {
    boot: String,
    inode: u64,
    kills: u64,
}

/// What the cgroup of a running service has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupCount {
    /// The inode of the cgroup: a service that is started again has a new one, and counts from 0.
    pub inode: u64,
    /// `oom_kill` of its `memory.events`.
    pub oom_kills: u64,
}

/// Services that ended in OOM kills, as systemd reported them, and kills that services outlived.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceKills {
    /// Kills of all services, including those that are no longer kept.
    pub total: u64,
    /// By the name of the unit.
    pub counts: BTreeMap<String, ServiceCount>,
}

impl ServiceKills {
    /// Counts a kill and returns true, unless it was counted before: an earlier process may have seen what is found
    /// afterwards.
    pub(crate) fn add(&mut self, kill: &ServiceKill, boot: &str) -> bool {
        let count = self.counts.entry(kill.unit.clone()).or_default();
        let is_same_run = count.kills > 0 && count.run == kill.run && count.boot == boot;
        if is_same_run && (kill.run != 0 || !kill.witnessed) {
            return false;
        }
        count.kills = count.kills.saturating_add(1);
        count.last_unix_seconds = clocks::micros(kill.at).map(clocks::seconds).unwrap_or_default();
        (count.run, count.boot) = (kill.run, boot.to_owned());
        self.total = self.total.saturating_add(1);
        self.evict_oldest();
        true
    }

    /// Counts the kills that a service with `OOMPolicy=continue` outlived. Such a service never has the result
    /// `oom-kill`, so systemd does not report these kills and nothing is counted twice.
    pub(crate) fn add_outlived(&mut self, unit: &str, cgroup: CgroupCount, boot: &str) {
        if cgroup.oom_kills == 0 {
            return;
        }
        let count = self.counts.entry(unit.to_owned()).or_default();
        let is_continued = |known: &&Outlived| {
            known.inode == cgroup.inode && known.boot == boot && known.kills <= cgroup.oom_kills
        };
        let known = count.outlived.as_ref().filter(is_continued).map_or(0, |known| known.kills);
        let new = cgroup.oom_kills.saturating_sub(known);
        count.outlived =
            Some(Outlived { boot: boot.to_owned(), inode: cgroup.inode, kills: cgroup.oom_kills });
        count.kills = count.kills.saturating_add(new);
        self.total = self.total.saturating_add(new);
        if new > 0 {
            count.last_unix_seconds = clocks::seconds(clocks::now_micros());
        }
        self.evict_oldest();
    }

    fn evict_oldest(&mut self) {
        if self.counts.len() > SERVICES_MAX {
            let oldest = self
                .counts
                .iter()
                .min_by_key(|(_, count)| count.last_unix_seconds)
                .map(|(unit, _)| unit.clone());
            self.counts.remove(&oldest.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn ended(unit: &str, run: u64, seconds: u64) -> ServiceKill {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
        ServiceKill { unit: unit.to_owned(), run, main_pid: Some(1), at, witnessed: true }
    }

    #[test]
    fn kills_found_afterwards_are_counted_once_and_services_are_bounded() {
        let mut kills = ServiceKills::default();
        let found = |run| ServiceKill { witnessed: false, ..ended("a.service", run, 5) };
        assert!(kills.add(&ended("a.service", 4, 5), "b1"));
        assert!(!kills.add(&found(4), "b1") && !kills.add(&ended("a.service", 4, 5), "b1"));
        assert!(kills.add(&found(4), "b2"), "another boot");
        assert!(kills.add(&found(0), "b2") && !kills.add(&found(0), "b2"));
        assert!(kills.add(&ended("a.service", 0, 5), "b2"), "witnessed: it is another kill");
        for number in 0..600 {
            kills.add(&ended(&format!("{number}.service"), 1, 10 + number), "b2");
        }
        assert_eq!((kills.total, kills.counts.len()), (604, 500));
        assert!(kills.counts.contains_key("599.service") && !kills.counts.contains_key("a.service"));
    }

    #[test]
    fn kills_that_a_service_outlives_are_counted_once() {
        let mut kills = ServiceKills::default();
        let mut total = |inode, oom_kills, boot| {
            kills.add_outlived("a.service", CgroupCount { inode, oom_kills }, boot);
            (kills.total, kills.counts.get("a.service").map(|count| count.kills))
        };
        assert_eq!(total(7, 0, "b1"), (0, None), "nothing to keep");
        assert_eq!(
            [total(7, 2, "b1"), total(7, 2, "b1"), total(7, 3, "b1")],
            [2, 2, 3].map(|n| (n, Some(n)))
        );
        assert_eq!(total(8, 1, "b1"), (4, Some(4)), "started again, it counts from 0");
        assert_eq!(total(8, 1, "b2"), (5, Some(5)), "another boot");
        assert_eq!(total(8, 5, "b2"), (9, Some(9)));
        assert_eq!(total(8, 1, "b2"), (10, Some(10)), "a smaller count began again");
        assert!(kills.add(&ended("a.service", 4, 5), "b2"), "its policy was changed, and it was killed");
        assert_eq!(kills.total, 11);
    }
}
