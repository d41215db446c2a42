//! What is known of services, and what follows from what the manager says. No bus here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Machines with thousands of containers as services do not come near.
pub(super) const UNITS_MAX: usize = 10_000;
/// systemd's own limit is 255.
const TEXT_BYTES_MAX: usize = 256;
/// PATH_MAX of the kernel.
const PATH_BYTES_MAX: usize = 4096;
const OOM_KILL: &str = "oom-kill";
/// A process that ended so long before its unit's news is not what the news is about.
const RECENT: Duration = Duration::from_secs(60);
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/";

/// A service that its manager has loaded. What the manager does not tell, or has not set, is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Such as `httpd.service`.
    pub name: String,
    /// `active`, `inactive`, `failed`, `activating` and so on.
    pub active_state: String,
    /// Such as `running` or `auto-restart`.
    pub sub_state: String,
    /// How its last run ended: `success` while it runs, `oom-kill` after an OOM kill until it is started again.
    pub result: Option<String>,
    /// Automatic restarts since it was last started by hand.
    pub restarts: Option<u64>,
    /// Memory of its cgroup now.
    pub memory_current_bytes: Option<u64>,
    /// The most that it had (systemd 256).
    pub memory_peak_bytes: Option<u64>,
    /// `MemoryMax=`; absent where there is no limit.
    pub memory_max_bytes: Option<u64>,
    /// `OOMPolicy=`: `stop`, `continue` or `kill` (systemd 243).
    pub oom_policy: Option<String>,
}

/// A service that ended in an OOM kill, the kernel's or systemd-oomd's: its result became `oom-kill`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKill {
    /// Such as `httpd.service`.
    pub unit: String,
    /// When the main process was started, in microseconds of the monotonic clock, which tells one run of the service
    /// from the next; 0 where it has no main process.
    pub run: u64,
    /// The main process of that run. It need not be the victim.
    pub main_pid: Option<u32>,
    /// When the main process ended, or else when the news came.
    pub at: SystemTime,
    /// False where it was found afterwards, as with the first look at a service.
    pub witnessed: bool,
}

/// A cgroup that systemd-oomd killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OomdKill {
    /// Below the mount, such as `/user.slice/user-1000.slice/app.scope`.
    pub cgroup: String,
    /// Such as `memory-used` (of the machine, swap included) or `memory-pressure` (of the cgroup).
    pub reason: String,
    /// When the news came.
    pub at: SystemTime,
}

/// Which services a caller is told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At most so many.
    pub count: usize,
    /// Services that come before those that are merely large.
    pub first: HashSet<String>,
}

impl Wanted {
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.count >= other.count && other.first.is_subset(&self.first)
    }

    pub(super) fn widen(&mut self, other: &Self) {
        self.count = self.count.max(other.count);
        self.first.extend(other.first.iter().cloned());
    }
}

/// What a service's properties say of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) result: Option<String>,
    pub(super) restarts: Option<u64>,
    pub(super) run: u64,
    pub(super) main_pid: Option<u32>,
    pub(super) exit_micros: u64,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) service: Service,
    /// The limit was asked for; it may be absent.
    pub(super) has_limit_read: bool,
    /// The run that is known to have ended in an OOM kill.
    killed_run: Option<u64>,
}

/// All services of a manager.
#[derive(Debug, Default)]
pub(super) struct Units(pub(super) BTreeMap<String, Known>);

impl Units {
    /// Takes the list of what is loaded: name, active state, sub state.
    pub(super) fn list<'a>(&mut self, loaded: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
        let mut before = std::mem::take(&mut self.0);
        for (name, active_state, sub_state) in loaded.take(UNITS_MAX) {
            let mut known = before.remove(name).unwrap_or_default();
            known.service.name = cut(name);
            known.service.active_state = cut(active_state);
            known.service.sub_state = cut(sub_state);
            self.0.insert(cut(name), known);
        }
    }

    /// Takes what is said of a service, and returns the kill that follows from it. `witnessed` is false for what is found
    /// at a look around.
    pub(super) fn tell(
        &mut self,
        name: &str,
        facts: Facts,
        now: SystemTime,
        witnessed: bool,
    ) -> Option<ServiceKill> {
        if self.0.len() >= UNITS_MAX && !self.0.contains_key(name) {
            return None;
        }
        let known = self.0.entry(cut(name)).or_default();
        known.service.name = cut(name);
        known.service.restarts = facts.restarts.or(known.service.restarts);
        let result = facts.result?;
        let is_killed = result == OOM_KILL;
        known.service.result = Some(result);
        let is_known = known.killed_run == Some(facts.run);
        known.killed_run = is_killed.then_some(facts.run);
        (is_killed && !is_known).then(|| ServiceKill {
            unit: cut(name),
            run: facts.run,
            main_pid: facts.main_pid,
            at: end_of(facts.exit_micros, now, witnessed),
            witnessed,
        })
    }

    /// Limits and policies may be others when the manager has read its files again.
    pub(super) fn forget_settings(&mut self) {
        for known in self.0.values_mut() {
            known.has_limit_read = false;
            known.service.oom_policy = None;
        }
    }

    /// The names of those that the caller wants, in order: with a limit or asked for first, then the largest.
    pub(super) fn choose(&self, wanted: &Wanted) -> Vec<&Known> {
        let mut chosen: Vec<_> =
            self.0.values().filter(|known| !known.service.active_state.is_empty()).collect();
        let rank = |known: &Known| {
            let service = &known.service;
            let is_first = service.memory_max_bytes.is_some() || wanted.first.contains(&service.name);
            Reverse((is_first, service.memory_current_bytes))
        };
        chosen.sort_by(|a, b| (rank(a), &a.service.name).cmp(&(rank(b), &b.service.name)));
        chosen.truncate(wanted.count);
        chosen
    }
}

/// Whether a unit in this state may have ended in an OOM kill that nobody has seen.
pub(super) fn may_have_failed(active_state: &str) -> bool {
    matches!(active_state, "failed" | "activating" | "deactivating")
}

/// Whether it has processes.
pub(super) fn is_alive(active_state: &str) -> bool {
    !matches!(active_state, "inactive" | "failed")
}

fn end_of(exit_micros: u64, now: SystemTime, witnessed: bool) -> SystemTime {
    let exit = UNIX_EPOCH.checked_add(Duration::from_micros(exit_micros));
    let is_plausible = |exit: &SystemTime| match now.duration_since(*exit) {
        Ok(age) => exit_micros > 0 && (age <= RECENT || !witnessed),
        Err(_) => false,
    };
    exit.filter(is_plausible).unwrap_or(now)
}

/// The unit that an object path stands for: systemd writes every byte but letters and digits as `_` and two hex digits.
pub(super) fn unit_of_path(path: &str) -> Option<String> {
    let label = path.strip_prefix(UNIT_PATH)?.as_bytes();
    let mut name = Vec::with_capacity(label.len());
    let mut at = 0;
    while let Some(&byte) = label.get(at) {
        let escaped = (byte == b'_').then(|| label.get(at + 1..at + 3).and_then(hex)).flatten();
        name.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Some(String::from_utf8_lossy(&name).into_owned()).filter(|name| name.ends_with(".service"))
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

pub(super) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

pub(super) fn cut_path(path: &str) -> String {
    path[..path.floor_char_boundary(PATH_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn facts(result: &str, run: u64) -> Facts {
        Facts { result: Some(result.to_owned()), run, ..Facts::default() }
    }

    fn runs(told: &[(&str, u64)]) -> Vec<u64> {
        let mut units = Units::default();
        let kills =
            told.iter().filter_map(|(result, run)| units.tell("a.service", facts(result, *run), at(1), true));
        kills.map(|kill| kill.run).collect()
    }

    #[test]
    fn one_run_is_killed_once_however_often_it_is_told() {
        assert_eq!(
            runs(&[("success", 5), ("oom-kill", 5), ("oom-kill", 5), ("success", 0), ("success", 9)]),
            [5]
        );
        assert_eq!(runs(&[("oom-kill", 5), ("oom-kill", 9)]), [5, 9], "the start between them was not seen");
        assert_eq!(runs(&[("oom-kill", 0), ("oom-kill", 0), ("success", 0), ("oom-kill", 0)]), [0, 0]);
        assert_eq!(runs(&[("signal", 5), ("exit-code", 6)]), []);
    }

    #[test]
    fn a_kill_is_dated_by_its_process_where_that_fits() {
        assert_eq!(end_of(99_500_000, at(100), true), UNIX_EPOCH + Duration::from_millis(99_500));
        assert_eq!([end_of(0, at(100), true), end_of(101_000_000, at(100), false)], [at(100); 2]);
        assert_eq!([end_of(1_000_000, at(100), true), end_of(1_000_000, at(100), false)], [at(100), at(1)]);
        assert_eq!(end_of(u64::MAX, at(100), false), at(100));
    }

    #[test]
    fn paths_stand_for_units() {
        let of = |path: &str| unit_of_path(&format!("{UNIT_PATH}{path}"));
        assert_eq!(of("httpd_2eservice").as_deref(), Some("httpd.service"));
        assert_eq!(of("a_5cx2db_40c_2eservice").as_deref(), Some("a\\x2db@c.service"));
        assert_eq!(of("_ff_2eservice").as_deref(), Some("\u{fffd}.service"));
        assert_eq!(of("_zz_2eservice").as_deref(), Some("_zz.service"));
        assert_eq!([of("dev_2dsda_2emount"), of("_"), of(""), unit_of_path("/x")], [const { None }; 4]);
    }

    #[test]
    fn limits_and_kills_come_before_the_large() {
        let mut units = Units::default();
        units.list(["a", "b", "c", "d"].map(|name| (name, "active", "running")).into_iter());
        for (name, current, max) in [("a", 10, None), ("b", 5, Some(9)), ("c", 7, None), ("d", 1, None)] {
            let service = &mut units.0.get_mut(name).unwrap().service;
            (service.memory_current_bytes, service.memory_max_bytes) = (Some(current), max);
        }
        let names = |count, first: &[&str]| {
            let wanted = Wanted { count, first: first.iter().map(ToString::to_string).collect() };
            units.choose(&wanted).iter().map(|known| known.service.name.clone()).collect::<Vec<_>>().join("")
        };
        assert_eq!(
            [names(9, &["d"]), names(9, &[]), names(2, &[]), names(0, &[])],
            ["bdac", "bacd", "ba", ""]
        );
    }

    #[test]
    fn units_are_bounded_and_vanish_with_the_list() {
        let mut units = Units::default();
        let names: Vec<_> = (0..UNITS_MAX + 5).map(|number| format!("{number}.service")).collect();
        units.list(names.iter().map(|name| (name.as_str(), "active", "running")));
        assert_eq!(units.tell("new.service", facts("oom-kill", 1), at(1), true), None);
        assert_eq!(units.0.len(), UNITS_MAX);
        units.list(std::iter::once(("a.service", "active", "running")));
        assert_eq!(units.0.len(), 1);
        assert_eq!(cut(&"é".repeat(200)).len(), TEXT_BYTES_MAX);
    }
}
