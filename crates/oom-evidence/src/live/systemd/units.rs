//! Services as the manager reports them, and the kills that follow. Does no I/O.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Limit of services. Machines with thousands of containers as services have fewer.
pub(super) const UNITS_MAX: usize = 10_000;
/// systemd's own limit is 255.
const TEXT_BYTES_MAX: usize = 256;
/// PATH_MAX of the kernel.
const PATH_BYTES_MAX: usize = 4096;
const OOM_KILL: &str = "oom-kill";
/// A process that ended longer ago than this is not the one that a signal is about.
const RECENT: Duration = Duration::from_secs(60);
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/";

/// A service that its manager has loaded. What the manager does not report, or has not set, is absent.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// The largest memory of its cgroup (systemd 256).
    pub memory_peak_bytes: Option<u64>,
    /// `MemoryMax=`; absent if there is no limit.
    pub memory_max_bytes: Option<u64>,
    /// `OOMPolicy=`: `stop`, `continue` or `kill` (systemd 243).
    pub oom_policy: Option<String>,
    /// `ManagedOOMSwap=kill`: systemd-oomd watches it for the machine's swap (systemd 247). Absent if it does not.
    pub managed_oom_swap: Option<String>,
    /// `ManagedOOMMemoryPressure=kill`: systemd-oomd watches it for pressure (systemd 247). Absent if it does not.
    pub managed_oom_memory_pressure: Option<String>,
    /// `ManagedOOMMemoryPressureLimit=` in percent of time (systemd 248); absent if systemd-oomd's own limit applies.
    pub managed_oom_memory_pressure_limit_percent: Option<f64>,
    /// `ManagedOOMMemoryPressureDurationSec=` (systemd 257); absent if systemd-oomd's own duration applies.
    pub managed_oom_memory_pressure_duration_seconds: Option<f64>,
    /// `ManagedOOMPreference=`: `avoid` or `omit` (systemd 248); absent if it has none.
    pub managed_oom_preference: Option<String>,
    /// Path of its cgroup below the mount of cgroups; absent while it has no processes.
    pub control_group: Option<String>,
}

/// A service that ended in an OOM kill, the kernel's or systemd-oomd's: its result became `oom-kill`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKill {
    /// Such as `httpd.service`.
    pub unit: String,
    /// Start of the main process in microseconds of the monotonic clock. It distinguishes the runs of the service; 0 if
    /// it has no main process.
    pub run: u64,
    /// The main process of that run. It need not be the victim.
    pub main_pid: Option<u32>,
    /// When the main process ended, or else when the signal arrived.
    pub at: SystemTime,
    /// False if the kill was found afterwards, as in the first scan.
    pub witnessed: bool,
}

/// A cgroup that systemd-oomd killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OomdKill {
    /// Below the mount, such as `/user.slice/user-1000.slice/app.scope`.
    pub cgroup: String,
    /// Such as `memory-used` (of the machine, swap included) or `memory-pressure` (of the cgroup).
    pub reason: String,
    /// When the signal arrived.
    pub at: SystemTime,
}

/// The services that a caller requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceQuery {
    /// Largest number of services.
    pub count: usize,
    /// Services that come before the large ones.
    pub first: HashSet<String>,
}

impl ServiceQuery {
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.count >= other.count && other.first.is_subset(&self.first)
    }

    pub(super) fn widen(&mut self, other: &Self) {
        self.count = self.count.max(other.count);
        self.first.extend(other.first.iter().cloned());
    }
}

/// Properties of a service's last run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunState {
    pub(super) result: Option<String>,
    pub(super) restarts: Option<u64>,
    pub(super) run: u64,
    pub(super) main_pid: Option<u32>,
    pub(super) exit_micros: u64,
}

/// A property's value. Other types are not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(String),
}

impl Value {
    pub(super) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// systemd reports the largest number if nothing is set.
    fn amount(self) -> Option<u64> {
        self.number().filter(|amount| *amount != u64::MAX)
    }

    pub(super) fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(cut(&text)) } else { None }
    }

    /// Returns a setting that is not the default.
    fn setting(self, default: &str) -> Option<String> {
        self.text().filter(|text| text != default)
    }

    fn path(self) -> Option<String> {
        if let Self::Text(path) = self { Some(path).filter(|path| !path.is_empty()) } else { None }
    }

    /// 2^32 - 1 is 100 %, and 0 means that the setting of systemd-oomd applies.
    fn percent(self) -> Option<f64> {
        let share = self.number().filter(|share| *share > 0)? as f64 / f64::from(u32::MAX);
        Some((share * 10_000.0).round() / 100.0)
    }

    fn seconds(self) -> Option<f64> {
        self.amount().map(|micros| Duration::from_micros(micros).as_secs_f64())
    }
}

/// Properties that change only with the unit's files or by `systemctl set-property`.
const SETTINGS: [&str; 7] = [
    "OOMPolicy",
    "ManagedOOMSwap",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMMemoryPressureDurationUSec",
    "ManagedOOMPreference",
    "ControlGroup",
];

#[derive(Debug, Default)]
pub(super) struct TrackedUnit {
    pub(super) service: Service,
    /// The limit was requested; it may be absent.
    has_limit_read: bool,
    /// The settings were requested, and no signal of the unit came since.
    has_settings_read: bool,
    /// The run that ended in an OOM kill.
    killed_run: Option<u64>,
}

impl TrackedUnit {
    /// Returns the properties to request of every service. A service without processes has no memory.
    pub(super) fn memory_properties(&mut self, is_alive: bool) -> Vec<&'static str> {
        self.service.memory_current_bytes = self.service.memory_current_bytes.filter(|_| is_alive);
        let limit = (!self.has_limit_read).then_some("MemoryMax");
        limit.into_iter().chain(is_alive.then_some("MemoryCurrent")).collect()
    }

    /// Returns the properties to request of a service of a query. A limit may change while the service runs, without a
    /// signal. What signals report is requested once.
    pub(super) fn detail_properties(&mut self) -> Vec<&'static str> {
        let mut names = vec!["MemoryMax", "MemoryPeak"];
        names.extend(self.service.restarts.is_none().then_some("NRestarts"));
        names.extend(self.service.result.is_none().then_some("Result"));
        if !std::mem::replace(&mut self.has_settings_read, true) {
            names.extend(SETTINGS);
        }
        names
    }

    /// Stores a property's value; none if there is no such property.
    pub(super) fn set_property(&mut self, property: &str, value: Option<Value>) {
        let service = &mut self.service;
        match property {
            "MemoryMax" => {
                self.has_limit_read = true;
                service.memory_max_bytes = value.and_then(Value::amount);
            }
            "MemoryCurrent" => service.memory_current_bytes = value.and_then(Value::amount),
            "MemoryPeak" => service.memory_peak_bytes = value.and_then(Value::amount),
            // A signal that arrived meanwhile is newer.
            "NRestarts" => service.restarts = service.restarts.or(value.and_then(Value::number)),
            "Result" => service.result = service.result.take().or(value.and_then(Value::text)),
            _ => service.set(property, value),
        }
    }
}

impl Service {
    fn set(&mut self, property: &str, value: Option<Value>) {
        let unless = |default| value.clone().and_then(|value| value.setting(default));
        match property {
            "OOMPolicy" => self.oom_policy = value.and_then(Value::text),
            "ManagedOOMSwap" => self.managed_oom_swap = unless("auto"),
            "ManagedOOMMemoryPressure" => self.managed_oom_memory_pressure = unless("auto"),
            "ManagedOOMMemoryPressureLimit" => {
                self.managed_oom_memory_pressure_limit_percent = value.and_then(Value::percent);
            }
            "ManagedOOMMemoryPressureDurationUSec" => {
                self.managed_oom_memory_pressure_duration_seconds = value.and_then(Value::seconds);
            }
            "ManagedOOMPreference" => self.managed_oom_preference = unless("none"),
            "ControlGroup" => self.control_group = value.and_then(Value::path),
            _ => {}
        }
    }
}

/// All services of a manager.
#[derive(Debug, Default)]
pub(super) struct Units(pub(super) BTreeMap<String, TrackedUnit>);

impl Units {
    /// Stores the list of loaded services: name, active state, sub state.
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

    /// Stores the state of a service, and returns the kill that follows from it. `witnessed` is false if a scan found the
    /// state.
    pub(super) fn record(
        &mut self,
        name: &str,
        facts: RunState,
        now: SystemTime,
        witnessed: bool,
    ) -> Option<ServiceKill> {
        if self.0.len() >= UNITS_MAX && !self.0.contains_key(name) {
            return None;
        }
        let known = self.0.entry(cut(name)).or_default();
        known.service.name = cut(name);
        known.service.restarts = facts.restarts.or(known.service.restarts);
        // It may have another cgroup, or `systemctl set-property` has changed it.
        known.has_settings_read &= !witnessed;
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

    /// Limits and policies may have changed when the manager has read its files again.
    pub(super) fn invalidate_settings(&mut self) {
        for known in self.0.values_mut() {
            (known.has_limit_read, known.has_settings_read) = (false, false);
        }
    }

    /// Returns the services of the query: first those with a limit and those that it names, then the largest.
    pub(super) fn choose(&self, query: &ServiceQuery) -> Vec<&TrackedUnit> {
        let mut chosen: Vec<_> =
            self.0.values().filter(|known| !known.service.active_state.is_empty()).collect();
        let rank = |known: &TrackedUnit| {
            let service = &known.service;
            let is_first = service.memory_max_bytes.is_some() || query.first.contains(&service.name);
            Reverse((is_first, service.memory_current_bytes))
        };
        chosen.sort_by(|a, b| (rank(a), &a.service.name).cmp(&(rank(b), &b.service.name)));
        chosen.truncate(query.count);
        chosen
    }
}

/// Whether a unit in this state may have ended in an OOM kill that no signal reported.
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

/// Returns the unit of an object path. systemd writes every byte except letters and digits as `_` and two hex digits.
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

    fn facts(result: &str, run: u64) -> RunState {
        RunState { result: Some(result.to_owned()), run, ..RunState::default() }
    }

    fn runs(reported: &[(&str, u64)]) -> Vec<u64> {
        let mut units = Units::default();
        let kills = reported
            .iter()
            .filter_map(|(result, run)| units.record("a.service", facts(result, *run), at(1), true));
        kills.map(|kill| kill.run).collect()
    }

    #[test]
    fn one_run_is_one_kill_however_often_it_is_reported() {
        assert_eq!(
            runs(&[("success", 5), ("oom-kill", 5), ("oom-kill", 5), ("success", 0), ("success", 9)]),
            [5]
        );
        assert_eq!(runs(&[("oom-kill", 5), ("oom-kill", 9)]), [5, 9], "the start between them was not seen");
        assert_eq!(runs(&[("oom-kill", 0), ("oom-kill", 0), ("success", 0), ("oom-kill", 0)]), [0, 0]);
        assert_eq!(runs(&[("signal", 5), ("exit-code", 6)]), []);
    }

    #[test]
    fn kill_has_the_exit_time_of_its_process_if_plausible() {
        assert_eq!(end_of(99_500_000, at(100), true), UNIX_EPOCH + Duration::from_millis(99_500));
        assert_eq!([end_of(0, at(100), true), end_of(101_000_000, at(100), false)], [at(100); 2]);
        assert_eq!([end_of(1_000_000, at(100), true), end_of(1_000_000, at(100), false)], [at(100), at(1)]);
        assert_eq!(end_of(u64::MAX, at(100), false), at(100));
    }

    #[test]
    fn object_paths_are_decoded_to_units() {
        let of = |path: &str| unit_of_path(&format!("{UNIT_PATH}{path}"));
        assert_eq!(of("httpd_2eservice").as_deref(), Some("httpd.service"));
        assert_eq!(of("a_5cx2db_40c_2eservice").as_deref(), Some("a\\x2db@c.service"));
        assert_eq!(of("_ff_2eservice").as_deref(), Some("\u{fffd}.service"));
        assert_eq!(of("_zz_2eservice").as_deref(), Some("_zz.service"));
        assert_eq!([of("dev_2dsda_2emount"), of("_"), of(""), unit_of_path("/x")], [const { None }; 4]);
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    #[test]
    fn default_settings_are_absent() {
        let mut known = TrackedUnit::default();
        let unset = [text("continue"), text("auto"), text("auto"), Some(Value::Number(0))];
        let unset = unset.into_iter().chain([Some(Value::Number(u64::MAX)), text("none"), text("")]);
        SETTINGS.into_iter().zip(unset).for_each(|(name, value)| known.set_property(name, value));
        let bare = Service { oom_policy: Some("continue".to_owned()), ..Service::default() };
        assert_eq!(known.service, bare);
        let set =
            [text("kill"), text("kill"), Some(Value::Number(42_949_673)), Some(Value::Number(1_500_000))];
        let set = set.into_iter().chain([text("avoid"), text("/system.slice/a.service")]);
        SETTINGS.into_iter().skip(1).zip(set).for_each(|(name, value)| known.set_property(name, value));
        let service = &known.service;
        let [swap, pressure] = [&service.managed_oom_swap, &service.managed_oom_memory_pressure];
        assert_eq!([swap.as_deref(), pressure.as_deref()], [Some("kill"); 2]);
        let limit = service.managed_oom_memory_pressure_limit_percent;
        assert_eq!((limit, service.managed_oom_memory_pressure_duration_seconds), (Some(1.0), Some(1.5)));
        let [preference, group] = [&service.managed_oom_preference, &service.control_group];
        assert_eq!(
            [preference.as_deref(), group.as_deref()],
            [Some("avoid"), Some("/system.slice/a.service")]
        );
        SETTINGS.into_iter().for_each(|name| known.set_property(name, None));
        assert_eq!(known.service, Service::default());
    }

    #[test]
    fn known_settings_are_requested_again_only_after_a_signal() {
        let mut units = Units::default();
        units.list([("a.service", "active", "running")].into_iter());
        let closely =
            |units: &mut Units| units.0.get_mut("a.service").map(|known| known.detail_properties().len());
        assert_eq!([closely(&mut units), closely(&mut units)], [Some(4 + SETTINGS.len()), Some(4)]);
        units.record("a.service", facts("success", 1), at(1), false);
        assert_eq!(closely(&mut units), Some(3));
        units.record("a.service", facts("success", 1), at(1), true);
        assert_eq!(closely(&mut units), Some(3 + SETTINGS.len()));
        units.invalidate_settings();
        assert_eq!(closely(&mut units), Some(3 + SETTINGS.len()));
        let known = units.0.get_mut("a.service").unwrap();
        assert_eq!(known.memory_properties(true), ["MemoryMax", "MemoryCurrent"]);
        known.set_property("MemoryCurrent", Some(Value::Number(7)));
        known.set_property("MemoryMax", Some(Value::Number(u64::MAX)));
        assert_eq!((known.memory_properties(false), known.service.memory_current_bytes), (vec![], None));
    }

    #[test]
    fn services_with_limits_and_kills_come_before_the_largest() {
        let mut units = Units::default();
        units.list(["a", "b", "c", "d"].map(|name| (name, "active", "running")).into_iter());
        for (name, current, max) in [("a", 10, None), ("b", 5, Some(9)), ("c", 7, None), ("d", 1, None)] {
            let service = &mut units.0.get_mut(name).unwrap().service;
            (service.memory_current_bytes, service.memory_max_bytes) = (Some(current), max);
        }
        let names = |count, first: &[&str]| {
            let query = ServiceQuery { count, first: first.iter().map(ToString::to_string).collect() };
            units.choose(&query).iter().map(|known| known.service.name.clone()).collect::<Vec<_>>().join("")
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
        assert_eq!(units.record("new.service", facts("oom-kill", 1), at(1), true), None);
        assert_eq!(units.0.len(), UNITS_MAX);
        units.list(std::iter::once(("a.service", "active", "running")));
        assert_eq!(units.0.len(), 1);
        assert_eq!(cut(&"é".repeat(200)).len(), TEXT_BYTES_MAX);
    }
}
