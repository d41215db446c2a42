//! The problems that an operator sees: those that the API returns, with the times at which it returned them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use oomwatch_tests::zabbix::Zabbix;
use serde_json::{Value, json};

use super::failure::Failure;

const PAUSE: Duration = Duration::from_secs(1);

/// A problem and when it was seen.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    pub(super) host: String,
    /// The trigger's name, user macros as they are written.
    pub(super) trigger: String,
    /// The event's name and operational data.
    pub(super) name: String,
    pub(super) opdata: String,
    pub(super) seen: SystemTime,
    pub(super) over: Option<SystemTime>,
}

/// The problems of all hosts of a server.
pub(super) struct Observed {
    problems: Mutex<BTreeMap<u64, Raised>>,
    triggers: Mutex<BTreeMap<String, String>>,
    since: SystemTime,
}

impl Observed {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { problems: Mutex::default(), triggers: Mutex::default(), since: SystemTime::now() })
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<u64, Raised>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the problems of one host, the oldest first.
    pub(super) fn of_host(&self, host: &str) -> Vec<Raised> {
        self.problems().values().filter(|raised| raised.host == host).cloned().collect()
    }

    /// Polls the API until it has to stop. A failed request is repeated.
    pub(super) fn watch(&self, zabbix: &Zabbix, is_over: impl Fn() -> bool) -> Result<(), Failure> {
        let mut failed = Instant::now();
        while !is_over() {
            match self.poll(zabbix) {
                Ok(()) => failed = Instant::now(),
                Err(why) if failed.elapsed() > Duration::from_secs(60) => return Err(why),
                Err(_) => {}
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    fn poll(&self, zabbix: &Zabbix) -> Result<(), Failure> {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let wanted = json!({"output": ["eventid", "objectid", "name", "opdata", "r_eventid"], "source": 0, "object": 0,
            "value": 1, "time_from": since, "selectHosts": ["host"]});
        let now = SystemTime::now();
        for row in zabbix.api().call("event.get", wanted)?.as_array().into_iter().flatten() {
            let event = text(row, "eventid").parse()?;
            let is_over = !matches!(text(row, "r_eventid").as_str(), "" | "0");
            if let Some(known) = self.problems().get_mut(&event) {
                known.over = known.over.or(is_over.then_some(now));
                continue;
            }
            let trigger = self.trigger(zabbix, &text(row, "objectid"))?;
            let (host, name, opdata) =
                (text(&row["hosts"][0], "host"), text(row, "name"), text(row, "opdata"));
            let raised = Raised { host, trigger, name, opdata, seen: now, over: is_over.then_some(now) };
            self.problems().insert(event, raised);
        }
        Ok(())
    }

    fn trigger(&self, zabbix: &Zabbix, id: &str) -> Result<String, Failure> {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = triggers.get(id) {
            return Ok(known.clone());
        }
        let found = zabbix.api().call("trigger.get", json!({"output": ["description"], "triggerids": id}))?;
        let name = text(&found[0], "description");
        triggers.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}

pub(super) fn text(row: &Value, member: &str) -> String {
    row[member].as_str().unwrap_or_default().to_owned()
}

/// Returns the family and the name of every trigger and trigger prototype of the templates.
pub(super) fn triggers_of_templates(zabbix: &Zabbix) -> Result<Vec<(String, String)>, Failure> {
    let wanted =
        json!({"output": ["templateid", "host"], "search": {"host": "OomWatch "}, "startSearch": true});
    let templates = zabbix.api().call("template.get", wanted)?;
    let mut triggers = Vec::new();
    for template in templates.as_array().into_iter().flatten() {
        let family = text(template, "host").trim_start_matches("OomWatch ").to_owned();
        let family = family.split(" by Zabbix").next().unwrap_or_default().to_owned();
        for method in ["trigger.get", "triggerprototype.get"] {
            let wanted =
                json!({"output": ["description"], "templateids": template["templateid"], "inherited": false});
            let rows = zabbix.api().call(method, wanted)?;
            let names = rows.as_array().into_iter().flatten().map(|row| text(row, "description"));
            triggers.extend(names.map(|name| (family.clone(), name)));
        }
    }
    triggers.sort();
    triggers.dedup();
    Ok(triggers)
}

/// The times of OOM kills on this machine since the watch began, by the kernel's counter.
#[derive(Default)]
pub(super) struct Kills(Mutex<Vec<SystemTime>>);

impl Kills {
    /// Watches until the process ends.
    pub(super) fn watch() -> Arc<Self> {
        let kills = Arc::<Self>::default();
        let noted = Arc::clone(&kills);
        thread::spawn(move || {
            let mut last = oom_kills();
            loop {
                let count = oom_kills();
                if count != last {
                    noted.0.lock().unwrap_or_else(PoisonError::into_inner).push(SystemTime::now());
                }
                last = count;
                sleep(Duration::from_millis(200));
            }
        });
        kills
    }

    /// Returns the last kill up to `time`.
    pub(super) fn last_before(&self, time: SystemTime) -> Option<SystemTime> {
        let kills = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kills.iter().rfind(|kill| **kill <= time).copied()
    }

    pub(super) fn first(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }
}

fn oom_kills() -> Option<String> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).map(ToOwned::to_owned)
}
