//! Runs all scenes at once, and measures the time until each problem is raised and resolved.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use oomwatch_tests::Generation;

use super::checks::Checks;
use super::failure::Failure;
use super::observe::{Kills, Raised};
use super::scene::{ACTIVE_ONLY, Cause, End, Family, Scene, SceneAgents, is_named};
use super::world::World;
use crate::output::say;

/// Time limit for a problem to be raised, and for it to be resolved: ten minutes and the update intervals.
const RAISED_WITHIN: Duration = Duration::from_secs(13 * 60);
const OVER_WITHIN: Duration = Duration::from_secs(13 * 60);
const PAUSE: Duration = Duration::from_millis(500);

/// Result of a trigger's cause on one host.
pub(super) struct Timing {
    pub(super) generation: Generation,
    pub(super) checks: Checks,
    /// Seconds from the cause to the problem, and from the end of the cause to the end of the problem.
    pub(super) raised: Option<u64>,
    pub(super) over: Option<u64>,
    pub(super) name: String,
    pub(super) opdata: String,
    /// Number of times the problem was raised.
    pub(super) times: usize,
}

/// Result of a trigger's cause.
pub(super) struct Outcome {
    pub(super) family: Family,
    pub(super) trigger: &'static str,
    pub(super) what: &'static str,
    pub(super) ended_by: &'static str,
    pub(super) timings: Vec<Timing>,
}

impl Outcome {
    pub(super) fn is_good(&self) -> bool {
        let good = |timing: &Timing| timing.raised.is_some() && timing.over.is_some() && timing.times == 1;
        !self.timings.is_empty() && self.timings.iter().all(good)
    }
}

/// A running scene.
pub(super) struct RunningScene {
    pub(super) scene: Scene,
    pub(super) scene_agents: SceneAgents,
}

/// Runs all scenes at once, each in its own thread. They wait most of the time.
pub(super) fn play(worlds: &[World], scenes: &[RunningScene], kills: &Kills) -> (Vec<Outcome>, Vec<String>) {
    let causes =
        scenes.iter().flat_map(|running| running.scene.causes.iter().map(move |cause| (running, cause)));
    let causes: Vec<_> = causes.collect();
    // An agent ends with the thread that started it, so no thread may end before the others.
    let all_are_done = Barrier::new(causes.len());
    thread::scope(|scope| {
        let playing = causes.into_iter().map(|(running, cause)| {
            let all_are_done = &all_are_done;
            scope.spawn(move || {
                let playing = Playing { worlds, running, cause, kills };
                // A scene that panics must not block the others for ever.
                let outcomes = catch_unwind(AssertUnwindSafe(|| playing.play()));
                all_are_done.wait();
                outcomes.unwrap_or_else(|panic| resume_unwind(panic))
            })
        });
        let playing: Vec<_> = playing.collect();
        let (mut outcomes, mut faults) = (Vec::new(), Vec::new());
        for one in playing {
            match one.join() {
                Ok(Ok(more)) => outcomes.extend(more),
                Ok(Err(fault)) => faults.push(fault),
                Err(panic) => resume_unwind(panic),
            }
        }
        (outcomes, faults)
    })
}

struct Playing<'a> {
    worlds: &'a [World],
    running: &'a RunningScene,
    cause: &'a Cause,
    kills: &'a Kills,
}

/// The host and trigger of an expected problem.
struct Place<'a> {
    world: &'a World,
    checks: Checks,
    family: Family,
    trigger: &'static str,
}

impl Playing<'_> {
    fn play(&self) -> Result<Vec<Outcome>, String> {
        let Cause { what, begin, lasts, end, .. } = self.cause;
        let failed = |why: Failure| format!("{}, {what}: {why}", self.running.scene.name);
        let (start, began) = (Instant::now(), SystemTime::now());
        begin(&self.running.scene_agents).map_err(failed)?;
        let began = self.cause_at(began);
        let places = self.places();
        self.wait(RAISED_WITHIN, || places.iter().all(|place| self.raised(place).is_some()));
        sleep(lasts.saturating_sub(start.elapsed()));
        let mut ended = SystemTime::now();
        match end {
            End::By(_, act) => act(&self.running.scene_agents).map_err(failed)?,
            _ => ended = began,
        }
        self.wait(OVER_WITHIN, || {
            places.iter().all(|place| self.raised(place).is_none_or(|raised| raised.over.is_some()))
        });
        let outcomes = self.outcomes(&places, began, ended);
        outcomes.iter().for_each(|outcome| say(&summary(self.running.scene.name, outcome)));
        Ok(outcomes)
    }

    /// Another kill on this machine may have been first.
    fn cause_at(&self, began: SystemTime) -> SystemTime {
        match self.cause.end {
            End::AfterAnyKill => self.kills.first().map_or(began, |first| first.min(began)),
            _ => began,
        }
    }

    fn places(&self) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        for &(family, trigger) in &self.cause.raises {
            for world in self.worlds {
                let checks = Checks::BOTH.into_iter();
                let checks =
                    checks.filter(|checks| *checks == Checks::Active || !ACTIVE_ONLY.contains(&family));
                places.extend(checks.map(|checks| Place { world, checks, family, trigger }));
            }
        }
        places
    }

    fn all(&self, place: &Place<'_>) -> Vec<Raised> {
        let host = place.world.host(&self.running.scene_agents, self.running.scene.name, place.checks);
        let mut raised = place.world.observed.of_host(&host);
        raised.retain(|raised| is_named(&raised.trigger, place.trigger));
        raised
    }

    fn raised(&self, place: &Place<'_>) -> Option<Raised> {
        self.all(place).into_iter().next()
    }

    fn wait(&self, limit: Duration, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() && start.elapsed() < limit {
            sleep(PAUSE);
        }
    }

    fn outcomes(&self, places: &[Place<'_>], began: SystemTime, ended: SystemTime) -> Vec<Outcome> {
        let outcome = |&(family, trigger): &(Family, &'static str)| {
            let own = places.iter().filter(|place| (place.family, place.trigger) == (family, trigger));
            let timings = own.map(|place| self.timing(place, began, ended)).collect();
            Outcome {
                family,
                trigger,
                what: self.cause.what,
                ended_by: self.cause.end.description(),
                timings,
            }
        };
        self.cause.raises.iter().map(outcome).collect()
    }

    fn timing(&self, place: &Place<'_>, began: SystemTime, ended: SystemTime) -> Timing {
        let all = self.all(place);
        let first = all.first();
        let ended = match (&self.cause.end, first.and_then(|raised| raised.over)) {
            (End::AfterTheLastKill | End::AfterAnyKill, Some(over)) => {
                self.kills.last_before(over).unwrap_or(ended)
            }
            _ => ended,
        };
        Timing {
            generation: place.world.generation(),
            checks: place.checks,
            raised: first.and_then(|raised| seconds(began, raised.seen)),
            over: first.and_then(|raised| seconds(ended, raised.over?)),
            name: first.map(|raised| raised.name.clone()).unwrap_or_default(),
            opdata: first.map(|raised| raised.opdata.clone()).unwrap_or_default(),
            times: all.len(),
        }
    }
}

/// Returns `None` if `to` is before `from`.
fn seconds(from: SystemTime, to: SystemTime) -> Option<u64> {
    Some(to.duration_since(from).ok()?.as_secs())
}

fn summary(scene: &str, outcome: &Outcome) -> String {
    let number = |seconds: Option<u64>| seconds.map_or("never".to_owned(), |seconds| format!("{seconds} s"));
    let one = |timing: &Timing| {
        let (generation, checks) = (timing.generation.name(), timing.checks.name());
        let again = if timing.times > 1 { format!(" ({} times)", timing.times) } else { String::new() };
        format!("{generation} {checks} {} / {}{again}", number(timing.raised), number(timing.over))
    };
    let timings: Vec<_> = outcome.timings.iter().map(one).collect();
    let word = if outcome.is_good() { "ok    " } else { "FAILED" };
    format!("{word} {scene}: {} {}: {}", outcome.family, outcome.trigger, timings.join(", "))
}
