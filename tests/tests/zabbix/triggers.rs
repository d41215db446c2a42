//! Every trigger of the templates fires on its cause, without any other trigger, and recovers.
//!
//! * A [`Scene`] is a cause: the changes in the replies of a healthy machine, their duration, and the one problem they must raise.
//! * A [`Stage`] is a host whose past values are sent to the server, scene after scene. The server evaluates values by their own
//!   time stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oomwatch_tests::zabbix::{Host, Problem, SentValue, Zabbix};
use oomwatch_tests::{Error, wait_until};
use serde_json::Value;

use crate::scenes::{Change, Play, Scene, items_of, live_scenes, plays};

const SOON: Duration = Duration::from_secs(120);
const MINUTE: u64 = 60;
/// The healthy minutes before each cause, so that no effect of the previous cause is left.
const MINUTES_BEFORE: u64 = 2;
const HEALTHY: &str = include_str!("healthy.json");
fn active(subject: &str) -> String {
    format!("OomWatch {subject} by Zabbix agent 2 active")
}

/// Every trigger of every template is the subject of a scene, and every scene has such a trigger.
pub(crate) fn all_have_scenes(zabbix: &Zabbix) -> Result<(), Error> {
    let mut triggers = BTreeSet::new();
    for subject in ["Linux", "Apache", "PHP-FPM", "MySQL", "Sites"] {
        triggers.extend(zabbix.api().triggers_of(&format!("OomWatch {subject} by Zabbix agent 2"))?);
        triggers.extend(zabbix.api().triggers_of(&active(subject))?);
    }
    for subject in ["log", "Classic"] {
        triggers.extend(zabbix.api().triggers_of(&active(subject))?);
    }
    let played = plays()
        .into_iter()
        .flat_map(|play| play.scenes)
        .chain(live_scenes())
        .map(|scene| scene.trigger.to_owned());
    assert_eq!(triggers, played.collect::<BTreeSet<_>>());
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Creates a host without an agent, with templates and macros, and waits until the server knows it.
fn host(zabbix: &Zabbix, name: &str, subjects: &[&str], macros: &[(&str, &str)]) -> Result<Host, Error> {
    let templates: Vec<String> = subjects.iter().map(|subject| active(subject)).collect();
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    let host = zabbix.api().create_host_at(name, zabbix.address(), &templates)?;
    for (name, value) in macros {
        zabbix.api().set_macro(&host, name, value)?;
    }
    wait_for_cache(zabbix, &host, "marker.begin")?;
    Ok(host)
}

/// Waits until the server's cache contains a new item, and so everything that was created before.
pub(crate) fn wait_for_cache(zabbix: &Zabbix, host: &Host, marker: &str) -> Result<(), Error> {
    zabbix.api().add_item(host, marker)?;
    let values = [SentValue { key: marker.to_owned(), value: Ok("1".to_owned()), clock: now() }];
    let is_known = || zabbix.send_values(host, &values).is_ok_and(|taken| taken == 1);
    assert!(wait_until(SOON, is_known), "{}", zabbix.log());
    Ok(())
}

fn send_all(zabbix: &Zabbix, host: &Host, values: &[SentValue]) -> Result<(), Error> {
    let taken = zabbix.send_values(host, values)?;
    let keys: BTreeSet<_> = values.iter().map(|value| &value.key).collect();
    assert_eq!(taken, values.len(), "the server knows only some of {keys:#?}");
    Ok(())
}

/// The replies of a machine, by key.
struct Machine {
    answers: BTreeMap<String, Result<Value, String>>,
}

impl Machine {
    fn healthy() -> Self {
        let answers: BTreeMap<String, Value> = serde_json::from_str(HEALTHY).expect("JSON");
        Self { answers: answers.into_iter().map(|(key, answer)| (key, Ok(answer))).collect() }
    }

    fn values_of<'k>(&self, keys: impl Iterator<Item = &'k str>, clock: u64) -> Vec<SentValue> {
        let value = |key: &str| SentValue {
            key: key.to_owned(),
            value: self.answers[key].as_ref().map(ToString::to_string).map_err(Clone::clone),
            clock,
        };
        keys.map(value).collect()
    }

    fn all(&self, clock: u64) -> Vec<SentValue> {
        self.values_of(self.answers.keys().map(String::as_str), clock)
    }

    fn change(&mut self, key: &str, change: &Change) {
        let answer = self.answers.get_mut(key).unwrap_or_else(|| panic!("no answer of {key}"));
        match (change, answer) {
            (Change::Unsupported(why), answer) => *answer = Err((*why).to_owned()),
            (Change::Set(members), Ok(answer)) => {
                members.iter().for_each(|(at, value)| set(answer, at, value.clone()));
            }
            (Change::Grow(members), Ok(answer)) => members.iter().for_each(|(at, by)| {
                let value = answer.pointer(at).and_then(Value::as_u64).expect(at);
                set(answer, at, (value + by).into());
            }),
            (Change::Report(report), Ok(answer)) => {
                answer.as_array_mut().expect("a list").insert(0, report.clone());
            }
            (_, Err(why)) => panic!("{key}: {why}"),
        }
    }
}

/// Sets the member of a JSON pointer, which may be new.
fn set(answer: &mut Value, at: &str, value: Value) {
    let Some((parent, name)) = at.rsplit_once('/') else { return *answer = value };
    match answer.pointer_mut(parent).expect(at) {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        other => *other.get_mut(name.parse::<usize>().expect(at)).expect(at) = value,
    }
}

/// A scene with its time in the host's past.
struct SceneRun {
    scene: Scene,
    begin: u64,
    end: u64,
}

/// A host for scenes.
struct Stage<'a> {
    zabbix: &'a Zabbix,
    host: Host,
    machine: Machine,
    clock: u64,
    /// Values that were sent and are not in the server's history yet.
    unconfirmed: Vec<SentValue>,
    played: Vec<SceneRun>,
}

/// Sends every scene to the server and compares the problems.
pub(crate) fn fire_and_recover(zabbix: &Zabbix) -> Result<(), Error> {
    thread::scope(|scope| {
        let running: Vec<_> =
            plays().into_iter().map(|play| scope.spawn(move || Stage::play(zabbix, play))).collect();
        running.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

impl<'a> Stage<'a> {
    fn play(zabbix: &'a Zabbix, play: Play) -> Result<(), Error> {
        let mut stage = Self::new(zabbix, &play)?;
        stage.discover(play.discovered)?;
        for scene in play.scenes {
            stage.show(scene)?;
        }
        stage.judge()
    }

    fn new(zabbix: &'a Zabbix, play: &Play) -> Result<Self, Error> {
        let linux = [
            ("{$OOMWATCH.OOM.EXPECTED}", "^httpd [(]pid [0-9]+.*; cgroup=/kubepods"),
            ("{$OOMWATCH.PSS.REQUIRED}", "1"),
            ("{$OOMWATCH.NODATA}", "7d"),
        ];
        let macros = if play.subject == "Linux" { linux.as_slice() } else { &[] };
        let host = host(zabbix, play.name, &[play.subject], macros)?;
        let mut machine = Machine::healthy();
        let items = zabbix.api().items(&host)?;
        machine.answers.retain(|key, _| items.iter().any(|item| item.key == *key));
        let minutes: u64 = play.scenes.iter().map(|scene| scene.minutes_in_all() + MINUTES_BEFORE).sum();
        let clock = now() - (minutes + 1) * MINUTE;
        Ok(Self { zabbix, host, machine, clock, unconfirmed: Vec::new(), played: Vec::new() })
    }

    /// Waits for the discovery of cgroups, services, pools and sites.
    fn discover(&mut self, triggers: usize) -> Result<(), Error> {
        send_all(self.zabbix, &self.host, &self.machine.all(self.clock))?;
        let known = || self.zabbix.api().discovered_triggers(&self.host).unwrap_or_default();
        assert!(wait_until(SOON, || known() == triggers), "{} triggers discovered", known());
        wait_for_cache(self.zabbix, &self.host, "marker.discovered")?;
        let keys = self.machine.answers.keys().flat_map(|key| items_of(key)).copied();
        let discovered: Vec<_> = keys.filter(|key| key.contains('[')).collect();
        if !discovered.is_empty() {
            self.have_values(&discovered);
        }
        Ok(())
    }

    /// The preprocessing gets new items later than the receiver of values. Rates need two values.
    fn have_values(&mut self, keys: &[&str]) {
        let (zabbix, host, machine, clock) = (self.zabbix, &self.host, &self.machine, &mut self.clock);
        let have_all = || {
            *clock += 1;
            let clocks = zabbix.api().last_clocks(host, keys).unwrap_or_default();
            send_all(zabbix, host, &machine.all(*clock)).is_ok()
                && clocks.len() == keys.len()
                && clocks.values().all(|clock| *clock > 0)
        };
        assert!(wait_until(SOON, have_all), "{}: no value of one of {keys:?}", host.name);
    }

    fn show(&mut self, scene: Scene) -> Result<(), Error> {
        let keys = scene.keys();
        self.pass(&keys, MINUTES_BEFORE);
        self.judged()?;
        let (begin, before) = (self.clock, self.machine.answers.clone());
        let mut minute = 0;
        for portion in scene.portions() {
            for _ in 0..portion {
                self.change(&scene, minute, &before);
                self.pass(&keys, 1);
                minute += 1;
            }
            self.judged()?;
        }
        self.played.push(SceneRun { scene, begin, end: self.clock });
        Ok(())
    }

    /// Applies the scene's changes in this minute: causes begin, grow and end.
    fn change(&mut self, scene: &Scene, minute: u64, before: &BTreeMap<String, Result<Value, String>>) {
        for cause in &scene.causes {
            let grows = matches!(cause.change, Change::Grow(_)) && minute < scene.cause_minutes;
            if minute == cause.minute || grows {
                self.machine.change(cause.key, &cause.change);
            }
            if minute == scene.cause_minutes && !cause.stays {
                self.machine.answers.insert(cause.key.to_owned(), before[cause.key].clone());
            }
        }
    }

    /// Sends minutes with unchanged values.
    fn pass(&mut self, keys: &[&str], minutes: u64) {
        for _ in 0..minutes {
            self.clock += MINUTE;
            self.unconfirmed.extend(self.machine.values_of(keys.iter().copied(), self.clock));
        }
    }

    /// Sends the collected values, and waits until the server has processed them.
    fn judged(&mut self) -> Result<(), Error> {
        send_all(self.zabbix, &self.host, &self.unconfirmed)?;
        let keys: BTreeSet<_> =
            self.unconfirmed.drain(..).flat_map(|value| items_of(&value.key)).copied().collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let clocks = || self.zabbix.api().last_clocks(&self.host, &keys).unwrap_or_default();
        let is_done = || {
            let clocks = clocks();
            clocks.len() == keys.len() && clocks.values().all(|clock| *clock >= self.clock)
        };
        assert!(wait_until(SOON, is_done), "{}: no value of {}: {:?}", self.host.name, self.clock, clocks());
        Ok(())
    }

    fn judge(&self) -> Result<(), Error> {
        // The last event may be created slightly after the last value.
        let wrong = || self.wrong().unwrap_or_else(|error| vec![error.to_string()]);
        if !wait_until(SOON / 8, || wrong().is_empty()) {
            panic!("{}", wrong().join("\n"));
        }
        Ok(())
    }

    /// The problems that differ from those of the scenes.
    fn wrong(&self) -> Result<Vec<String>, Error> {
        let (problems, recovery_times) =
            (self.zabbix.api().problems(&self.host)?, self.zabbix.api().recovery_times(&self.host)?);
        let mut wrong = Vec::new();
        for SceneRun { scene, begin, end } in &self.played {
            let is_within = |problem: &&Problem| (*begin..=*end).contains(&problem.clock);
            let is_beside = |problem: &&Problem| scene.beside.is_some_and(|name| problem.name == name);
            let (beside, raised): (Vec<_>, Vec<_>) = problems.iter().filter(is_within).partition(is_beside);
            let recovered = |problem: &Problem| recovery_times.get(&problem.end).is_some_and(|at| at <= end);
            if beside.len() != usize::from(scene.beside.is_some())
                || raised.len() != 1
                || !raised.iter().all(|raised| scene.expects(raised) && recovered(raised))
            {
                wrong.push(format!(
                    "{scene:#?}\nfrom {begin} to {end} raised {raised:#?}\nrecovery times: {recovery_times:?}"
                ));
            }
        }
        let beside = self.played.iter().filter(|played| played.scene.beside.is_some()).count();
        if problems.len() != self.played.len() + beside {
            wrong.push(format!("{problems:#?}"));
        }
        Ok(wrong)
    }
}

/// The triggers that open or close by the server's clock.
pub(crate) fn fire_and_recover_by_the_clock(zabbix: &Zabbix) -> Result<(), Error> {
    let macros = [("{$OOMWATCH.NODATA}", "30s"), ("{$OOMWATCH.LOG.SILENCE}", "30s")];
    let host = host(zabbix, "live", &["Linux", "log", "Classic"], &macros)?;
    let scenes = live_scenes();
    let lines = scenes.iter().filter_map(|scene| scene.lines);
    let value =
        |key: &str, line: &str, clock| SentValue { key: key.to_owned(), value: Ok(line.to_owned()), clock };
    let harmless = lines.clone().filter_map(|lines| Some(value(lines.key, lines.harmless?, now() - 1)));
    let harmless: Vec<_> = harmless.collect();
    send_all(zabbix, &host, &harmless)?;
    // Values that are evaluated after the causes would end their problems.
    let keys: Vec<&str> = harmless.iter().map(|value| value.key.as_str()).collect();
    let clocks = || zabbix.api().last_clocks(&host, &keys).unwrap_or_default();
    assert!(wait_until(SOON, || clocks().values().filter(|clock| **clock > 0).count() == keys.len()));
    let causes = lines.map(|lines| value(lines.key, lines.cause, now()));
    send_all(zabbix, &host, &causes.collect::<Vec<_>>())?;
    let seen = || zabbix.api().problems(&host).unwrap_or_default();
    let is_raised = |scene: &Scene| seen().iter().any(|problem| scene.expects(problem));
    assert!(wait_until(SOON, || scenes.iter().all(is_raised)), "{scenes:#?}\n{:#?}", seen());
    let says = |line: &str| seen().iter().any(|problem| problem.opdata == line);
    assert!(scenes.iter().filter_map(|scene| scene.lines).all(|lines| says(lines.cause)), "{:#?}", seen());
    // The nodata problem ends when the plugin sends values again; a line becomes old after a while.
    let healthy = Machine::healthy();
    let heard =
        || send_all(zabbix, &host, &healthy.values_of(std::iter::once("oomwatch.self"), now())).is_ok();
    let is_over = || heard() && seen().iter().all(|problem| problem.recovered);
    assert!(wait_until(SOON, is_over), "{:#?}", seen());
    assert_eq!(seen().len(), scenes.len(), "{:#?}", seen());
    Ok(())
}
