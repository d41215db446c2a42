//! Every trigger of the templates fires on its cause, alone, and recovers.
//!
//! * A [`Scene`] is a cause: what changes in the answers of a healthy machine, for how long, and the one problem that it must raise.
//! * A [`Stage`] is a host whose past is told to the server, scene after scene: it judges values by their own clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oomwatch_tests::zabbix::{Host, Problem, Told, Zabbix};
use oomwatch_tests::{Error, wait_until};
use serde_json::Value;

use crate::scenes::{Change, Play, Scene, items_of, live_scenes, plays};

const SOON: Duration = Duration::from_secs(120);
const MINUTE: u64 = 60;
/// What is healthy before each cause, so that nothing of the last one is left.
const MINUTES_BEFORE: u64 = 2;
const HEALTHY: &str = include_str!("healthy.json");
fn active(subject: &str) -> String {
    format!("OomWatch {subject} by Zabbix agent 2 active")
}

/// Every trigger of every template is the subject of a scene, and there is no scene for another.
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

/// A host that nobody runs, with templates and macros, known to the server when this returns.
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

/// Waits until the server's cache has everything that was there before: a new item is taken from then on.
pub(crate) fn wait_for_cache(zabbix: &Zabbix, host: &Host, marker: &str) -> Result<(), Error> {
    zabbix.api().add_item(host, marker)?;
    let told = [Told { key: marker.to_owned(), value: Ok("1".to_owned()), clock: now() }];
    let is_known = || zabbix.tell(host, &told).is_ok_and(|taken| taken == 1);
    assert!(wait_until(SOON, is_known), "{}", zabbix.log());
    Ok(())
}

fn tell_all(zabbix: &Zabbix, host: &Host, values: &[Told]) -> Result<(), Error> {
    let taken = zabbix.tell(host, values)?;
    let keys: BTreeSet<_> = values.iter().map(|told| &told.key).collect();
    assert_eq!(taken, values.len(), "the server knows only some of {keys:#?}");
    Ok(())
}

/// The answers of a machine, by key.
struct Machine {
    answers: BTreeMap<String, Result<Value, String>>,
}

impl Machine {
    fn healthy() -> Self {
        let answers: BTreeMap<String, Value> = serde_json::from_str(HEALTHY).expect("JSON");
        Self { answers: answers.into_iter().map(|(key, answer)| (key, Ok(answer))).collect() }
    }

    fn told<'k>(&self, keys: impl Iterator<Item = &'k str>, clock: u64) -> Vec<Told> {
        let told = |key: &str| Told {
            key: key.to_owned(),
            value: self.answers[key].as_ref().map(ToString::to_string).map_err(Clone::clone),
            clock,
        };
        keys.map(told).collect()
    }

    fn all(&self, clock: u64) -> Vec<Told> {
        self.told(self.answers.keys().map(String::as_str), clock)
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

/// Sets what a JSON pointer names, a new member of an object too.
fn set(answer: &mut Value, at: &str, value: Value) {
    let Some((parent, name)) = at.rsplit_once('/') else { return *answer = value };
    match answer.pointer_mut(parent).expect(at) {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        other => *other.get_mut(name.parse::<usize>().expect(at)).expect(at) = value,
    }
}

/// A scene with the time that it has in the host's past.
struct Played {
    scene: Scene,
    begin: u64,
    end: u64,
}

/// A host on which scenes are played.
struct Stage<'a> {
    zabbix: &'a Zabbix,
    host: Host,
    machine: Machine,
    clock: u64,
    /// What was told and has not been seen in the server's history yet.
    told: Vec<Told>,
    played: Vec<Played>,
}

/// Plays every scene to the server and judges what it made of them.
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
        Ok(Self { zabbix, host, machine, clock, told: Vec::new(), played: Vec::new() })
    }

    /// Has cgroups, services, pools and sites discovered.
    fn discover(&mut self, triggers: usize) -> Result<(), Error> {
        tell_all(self.zabbix, &self.host, &self.machine.all(self.clock))?;
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

    /// What works on answers learns of new items somewhat later than what takes values. Rates need two.
    fn have_values(&mut self, keys: &[&str]) {
        let (zabbix, host, machine, clock) = (self.zabbix, &self.host, &self.machine, &mut self.clock);
        let have_all = || {
            *clock += 1;
            let clocks = zabbix.api().last_clocks(host, keys).unwrap_or_default();
            tell_all(zabbix, host, &machine.all(*clock)).is_ok()
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
        self.played.push(Played { scene, begin, end: self.clock });
        Ok(())
    }

    /// What is different in this minute of the scene: causes begin, grow and end.
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

    /// Minutes in which the host tells the same.
    fn pass(&mut self, keys: &[&str], minutes: u64) {
        for _ in 0..minutes {
            self.clock += MINUTE;
            self.told.extend(self.machine.told(keys.iter().copied(), self.clock));
        }
    }

    /// Tells what has gathered, and waits until the server has worked on it.
    fn judged(&mut self) -> Result<(), Error> {
        tell_all(self.zabbix, &self.host, &self.told)?;
        let keys: BTreeSet<_> = self.told.drain(..).flat_map(|told| items_of(&told.key)).copied().collect();
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
        // The last event may be a moment behind the last value.
        let wrong = || self.wrong().unwrap_or_else(|error| vec![error.to_string()]);
        if !wait_until(SOON / 8, || wrong().is_empty()) {
            panic!("{}", wrong().join("\n"));
        }
        Ok(())
    }

    /// What was raised otherwise than the scenes demand.
    fn wrong(&self) -> Result<Vec<String>, Error> {
        let (problems, ends) = (self.zabbix.api().problems(&self.host)?, self.zabbix.api().ends(&self.host)?);
        let mut wrong = Vec::new();
        for Played { scene, begin, end } in &self.played {
            let is_within = |problem: &&Problem| (*begin..=*end).contains(&problem.clock);
            let is_beside = |problem: &&Problem| scene.beside.is_some_and(|name| problem.name == name);
            let (beside, raised): (Vec<_>, Vec<_>) = problems.iter().filter(is_within).partition(is_beside);
            let recovered = |problem: &Problem| ends.get(&problem.end).is_some_and(|at| at <= end);
            if beside.len() != usize::from(scene.beside.is_some())
                || raised.len() != 1
                || !raised.iter().all(|raised| scene.expects(raised) && recovered(raised))
            {
                wrong.push(format!("{scene:#?}\nfrom {begin} to {end} raised {raised:#?}\nends: {ends:?}"));
            }
        }
        let beside = self.played.iter().filter(|played| played.scene.beside.is_some()).count();
        if problems.len() != self.played.len() + beside {
            wrong.push(format!("{problems:#?}"));
        }
        Ok(wrong)
    }
}

/// The triggers that close, or open, by the server's own clock.
pub(crate) fn fire_and_recover_by_the_clock(zabbix: &Zabbix) -> Result<(), Error> {
    let macros = [("{$OOMWATCH.NODATA}", "30s"), ("{$OOMWATCH.LOG.SILENCE}", "30s")];
    let host = host(zabbix, "live", &["Linux", "log", "Classic"], &macros)?;
    let scenes = live_scenes();
    let lines = scenes.iter().filter_map(|scene| scene.lines);
    let told = |key: &str, line: &str, clock| Told { key: key.to_owned(), value: Ok(line.to_owned()), clock };
    let harmless = lines.clone().filter_map(|lines| Some(told(lines.key, lines.harmless?, now() - 1)));
    let harmless: Vec<_> = harmless.collect();
    tell_all(zabbix, &host, &harmless)?;
    // What is judged after the causes would end their problems.
    let keys: Vec<&str> = harmless.iter().map(|told| told.key.as_str()).collect();
    let clocks = || zabbix.api().last_clocks(&host, &keys).unwrap_or_default();
    assert!(wait_until(SOON, || clocks().values().filter(|clock| **clock > 0).count() == keys.len()));
    let causes = lines.map(|lines| told(lines.key, lines.cause, now()));
    tell_all(zabbix, &host, &causes.collect::<Vec<_>>())?;
    let seen = || zabbix.api().problems(&host).unwrap_or_default();
    let is_raised = |scene: &Scene| seen().iter().any(|problem| scene.expects(problem));
    assert!(wait_until(SOON, || scenes.iter().all(is_raised)), "{scenes:#?}\n{:#?}", seen());
    let says = |line: &str| seen().iter().any(|problem| problem.opdata == line);
    assert!(scenes.iter().filter_map(|scene| scene.lines).all(|lines| says(lines.cause)), "{:#?}", seen());
    // Silence ends when the plugin is heard again; a line is old after a while.
    let healthy = Machine::healthy();
    let heard = || tell_all(zabbix, &host, &healthy.told(std::iter::once("oomwatch.self"), now())).is_ok();
    let is_over = || heard() && seen().iter().all(|problem| problem.recovered);
    assert!(wait_until(SOON, is_over), "{:#?}", seen());
    assert_eq!(seen().len(), scenes.len(), "{:#?}", seen());
    Ok(())
}
