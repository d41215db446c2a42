//! `cargo xtask alerts`: raises every trigger of the templates by its cause, in real servers with real agents and the
//! templates' intervals. Other hosts must raise nothing. `docs/alerts.md` and `docs/benchmarks.md` contain the last
//! result.

mod checks;
mod failure;
mod hosts;
mod made_up;
mod observe;
mod page;
mod play;
mod programs;
mod scene;
mod scenes;
mod world;

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use oomwatch_tests::{Generation, binaries};
use tempfile::TempDir;

use crate::output::say;
use failure::{Done, Failure};
use observe::{Kills, triggers_of_templates};
use play::{Outcome, RunningScene, play};
use scene::{Scene, SceneAgents};
use world::World;

/// After this time agents have requested their active checks, discovery has created its items, and windows of five minutes
/// are full.
const WARM_UP: Duration = Duration::from_secs(450);
/// Hosts without a cause are watched at least this long.
const WATCHED: Duration = Duration::from_secs(330);

/// Plays one scene, or all of them and writes the page.
pub(crate) fn run(only: Option<&str>) -> crate::output::Done {
    run_scenes(only).map_err(|why| -> Box<dyn Error> { why })
}

fn run_scenes(only: Option<&str>) -> Done {
    let plugin = plugin()?;
    let directory = WorkDirectory::new()?;
    let scenes = scenes::all(directory.path(), only)?;
    if scenes.is_empty() {
        return Err("there is no such scene".into());
    }
    say(&format!("{} scenes are prepared; starting the servers ...", scenes.len()));
    let worlds = both(World::start)?;
    check_trigger_names(&worlds, &scenes)?;
    let kills = Kills::watch();
    let scenes = scene_agents(&worlds, scenes, &plugin, directory.path())?;
    let (outcomes, mut faults, hosts) = play_and_watch(&worlds, &scenes, &kills)?;
    if only.is_none() {
        faults.extend(without_a_scene(&worlds, &outcomes)?);
        page::write(&binaries::workspace().join("docs"), &outcomes, &hosts)?;
    }
    report(&outcomes, &faults)
}

/// Returns the release build, as operators run it, unless a directory with other executables is set.
fn plugin() -> Result<PathBuf, Failure> {
    if std::env::var_os(binaries::DIRECTORY).is_some() {
        return Ok(binaries::find(binaries::PLUGIN)?);
    }
    say("Building for release ...");
    Ok(binaries::release("oomwatch-plugin", binaries::PLUGIN)?)
}

/// The directory of all files, which other users may enter. Mounts below it are removed with it.
struct WorkDirectory(TempDir);

impl WorkDirectory {
    fn new() -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("owalerts").tempdir_in("/tmp")?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.path())) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
    }
}

/// Runs `make` for both generations at the same time.
fn both<T: Send>(make: impl Fn(Generation) -> Result<T, Failure> + Sync) -> Result<Vec<T>, Failure> {
    thread::scope(|scope| {
        let make = &make;
        let running = Generation::ALL.map(|generation| scope.spawn(move || make(generation)));
        let done =
            running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a thread has panicked".into())));
        done.collect()
    })
}

/// Starts the agents of all scenes, and makes their hosts. An agent ends with the thread that started it, so it is this one.
fn scene_agents(
    worlds: &[World],
    scenes: Vec<Scene>,
    plugin: &Path,
    directory: &Path,
) -> Result<Vec<RunningScene>, Failure> {
    let mut all = Vec::new();
    for scene in scenes {
        let mut scene_agents = SceneAgents { agents: Vec::new(), states: Vec::new(), names: Vec::new() };
        for world in worlds {
            let (agent, state) = world.add(&scene, plugin, directory)?;
            scene_agents.names.push((agent.generation(), agent.hostname().to_owned()));
            scene_agents.agents.push(Mutex::new(agent));
            scene_agents.states.push(state);
        }
        all.push(RunningScene { scene, scene_agents });
    }
    Ok(all)
}

/// Outcomes of the triggers, faults, and reports of the hosts.
type Results = (Vec<Outcome>, Vec<String>, Vec<hosts::HostReport>);

/// Plays the scenes while the problems of the servers are polled.
fn play_and_watch(worlds: &[World], scenes: &[RunningScene], kills: &Kills) -> Result<Results, Failure> {
    let is_over = AtomicBool::new(false);
    let over = || is_over.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for world in worlds {
            scope.spawn(move || {
                if let Err(why) = world.observed.watch(&world.zabbix, over) {
                    say(&format!("{}: cannot read the problems: {why}", world.generation()));
                }
            });
        }
        let start = Instant::now();
        say(&format!("All agents run; causes follow in {} s.", WARM_UP.as_secs()));
        sleep(WARM_UP);
        let (outcomes, mut faults) = play(worlds, scenes, kills);
        sleep((WARM_UP + WATCHED).saturating_sub(start.elapsed()));
        let after =
            hosts::faults(worlds, scenes).and_then(|more| Ok((more, hosts::reports(worlds, scenes)?)));
        is_over.store(true, Ordering::Relaxed);
        let (more, hosts) = after?;
        faults.extend(more);
        Ok((outcomes, faults, hosts))
    })
}

/// Checks that the templates contain every trigger that a scene must raise.
fn check_trigger_names(worlds: &[World], scenes: &[Scene]) -> Done {
    let raises = scenes.iter().flat_map(|scene| scene.causes.iter().flat_map(|cause| &cause.raises));
    let raises: Vec<_> = raises.collect();
    for world in worlds {
        let known = triggers_of_templates(&world.zabbix)?;
        let is_known = |raises: &&&(&str, &str)| {
            known.iter().any(|(family, name)| (raises.0, raises.1) == (family, name))
        };
        if let Some((family, name)) = raises.iter().find(|raises| !is_known(raises)) {
            return Err(format!("{}: OomWatch {family} has no trigger \"{name}\"", world.generation()).into());
        }
    }
    Ok(())
}

/// Returns the triggers of the templates that no scene has raised.
fn without_a_scene(worlds: &[World], outcomes: &[Outcome]) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    for world in worlds {
        for (family, name) in triggers_of_templates(&world.zabbix)? {
            if !outcomes.iter().any(|outcome| outcome.family == family && outcome.trigger == name) {
                missing.push(format!("{}: no scene for \"{name}\" of OomWatch {family}", world.generation()));
            }
        }
    }
    Ok(missing)
}

/// Prints the summary: how many triggers fired and recovered, and which did not.
fn report(outcomes: &[Outcome], faults: &[String]) -> Done {
    let good = outcomes.iter().filter(|outcome| outcome.is_good()).count();
    let names = outcomes.iter().flat_map(|outcome| outcome.timings.first().map(|timing| (outcome, timing)));
    for (outcome, timing) in names {
        say(&format!("{} | {} | {}", outcome.trigger, timing.name, timing.opdata.replace('\n', " ")));
    }
    faults.iter().for_each(|fault| say(&format!("FAULT  {fault}")));
    let bad: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_good()).map(|outcome| outcome.trigger).collect();
    say(&format!(
        "{good} of {} triggers were raised by their causes and recovered on every host.",
        outcomes.len()
    ));
    if bad.is_empty() && faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} faults; not raised, not recovered, or raised more than once: {}",
        faults.len(),
        bad.join(", ")
    )
    .into())
}
