//! Faults of the plugin's worker process, and stops of the plugin and of the agent, with real agents.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use oomwatch_tests::{ActiveServer, Error, Generation, Item, Key, LogWriter, PluginSpec, RealAgent, Reply};
use oomwatch_tests::{binaries, cost, kill_workers, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Limit for what must happen at all, also on a busy machine.
const SOON: Duration = Duration::from_secs(100);
/// A stop of twice the timeout: two polls of an item with an interval of one second are lost in it.
const STOP: Duration = Duration::from_secs(6);
const LINES_BEFORE: u64 = 8;
const LINES_DURING: u64 = 24;
const LINES_AFTER: u64 = 8;
const LOG: u64 = 1;
const TOTAL: u64 = 2;
/// The v1 hierarchy that can freeze processes.
const FREEZER: &str = "/sys/fs/cgroup/freezer";

struct Scene {
    directory: TempDir,
    log: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the log");
        let log = directory.path().join("app.log");
        File::create(&log).expect("a log");
        Self { directory, log }
    }

    fn plugin(&self) -> Result<PluginSpec, Error> {
        let state = self.directory.path().join("state");
        fs::create_dir_all(&state).expect("a state directory");
        Ok(PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?)
            .option("StateDir", state.display().to_string()))
    }

    fn total_key(&self) -> Key {
        Key::new("oomwatch.log.total").params([&*self.log.to_string_lossy(), "match", "", "all"])
    }

    fn items(&self) -> Vec<Item> {
        let lines = Key::new("oomwatch.log").params([&*self.log.to_string_lossy(), "match"]);
        vec![Item::new(LOG, lines), Item::new(TOTAL, self.total_key())]
    }

    fn append(&self, number: u64) {
        let mut file = File::options().append(true).open(&self.log).expect("the log");
        writeln!(file, "{}", LogWriter::text_of(number)).expect("a line");
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is ours");
}

/// The supervisor and its worker.
fn processes(agent: &RealAgent) -> (u32, u32) {
    let mut found = None;
    let is_found = wait_until(SOON, || {
        let supervisor =
            agent.plugin_pids().into_iter().find_map(|pid| Some((pid, *cost::children(pid).first()?)));
        found = supervisor;
        found.is_some()
    });
    assert!(is_found, "no worker below {:?}", agent.plugin_pids());
    found.expect("found above")
}

#[test]
fn worker_killed_by_any_signal_leaves_agent_positions_and_totals() -> Result<(), Error> {
    for generation in Generation::ALL {
        let scene = Scene::new();
        let mut agent = RealAgent::builder(generation).timeout(TIMEOUT).plugin(scene.plugin()?).start()?;
        let supervisor = {
            agent.get("oomwatch.self")?;
            processes(&agent).0
        };
        let signals = [Signal::KILL, Signal::SEGV, Signal::ABORT, Signal::BUS];
        for (round, signal) in signals.into_iter().enumerate() {
            scene.append(round as u64);
            let total = agent.get(scene.total_key())?;
            assert_eq!(total, Reply::Value((round + 1).to_string()), "{generation} {signal:?}");
            let (_, worker) = processes(&agent);
            // Rust's handler for SIGSEGV and SIGBUS is reset by the first one.
            while cost::state(worker).is_some_and(|state| state != 'Z')
                && cost::children(supervisor).contains(&worker)
            {
                let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).expect("a process id");
                let _ = kill_process(pid, signal);
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_secs(1));
            let total = agent.get(scene.total_key())?;
            assert_eq!(total, Reply::Value((round + 1).to_string()), "{generation} {signal:?}");
            assert_eq!(processes(&agent).0, supervisor, "{generation} {signal:?}: the same supervisor");
            assert!(agent.is_alive());
            let log = agent.log();
            assert!(log.contains(&format!("the worker process {worker} was killed by SIG")), "{log}");
        }
        let reply = agent.get("oomwatch.self")?;
        let text = reply.value().unwrap_or_else(|| panic!("{reply:?}"));
        let report: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(report["worker"]["ended_before"], signals.len(), "{text}");
        assert_eq!(report["worker"]["last_end_cause"], "was killed by SIGBUS", "{text}");
    }
    Ok(())
}

/// Stops processes, writes lines meanwhile, and checks that each line arrives.
fn stop_loses_nothing(
    stop: impl Fn(&RealAgent) + Sync,
    go_on: impl Fn(&RealAgent) + Sync,
) -> Result<(), Error> {
    Generation::both_at_once(|generation| {
        let scene = Scene::new();
        let server = ActiveServer::start(scene.items())?;
        let builder = RealAgent::builder(generation).timeout(TIMEOUT).plugin(scene.plugin()?);
        let agent = builder.active_server(server.address()).line("BufferSend=1").start()?;
        let mut next = 0;
        let mut write = |lines: u64, time: Duration| {
            for _ in 0..lines {
                scene.append(next);
                next += 1;
                thread::sleep(time / u32::try_from(lines).expect("a few lines"));
            }
        };
        write(LINES_BEFORE, Duration::from_secs(2));
        let arrived = |number: u64| {
            let text = LogWriter::text_of(number);
            server.wait_for(SOON, |rows| {
                rows.iter().any(|row| row.value.as_ref().is_some_and(|v| v.contains(&text)))
            })
        };
        assert!(arrived(LINES_BEFORE - 1), "{generation}: {}", agent.log());
        stop(&agent);
        write(LINES_DURING, STOP);
        go_on(&agent);
        write(LINES_AFTER, Duration::from_secs(2));
        let all = LINES_BEFORE + LINES_DURING + LINES_AFTER;
        assert!(arrived(all - 1), "{generation}: {}", agent.log());
        let totals =
            |row: &oomwatch_tests::Received| row.itemid == TOTAL && row.value == Some(all.to_string());
        assert!(server.wait_for(SOON, |rows| rows.iter().any(totals)), "{generation}: the total");
        // A poll that was lost in the stop is an error, which makes the item not supported until its next value.
        let rows = server.values().into_iter().filter(|row| row.itemid == LOG && row.state == 0);
        assert_all_arrived(&rows.filter_map(|row| row.value).collect::<Vec<_>>(), all, generation);
        Ok(())
    })
}

/// Each line arrives, in order. A reply whose delivery was not certain comes again as a whole.
fn assert_all_arrived(values: &[String], all: u64, generation: Generation) {
    let mut end = 0;
    for value in values {
        for line in value.lines() {
            let number = LogWriter::number_of(line).unwrap_or_else(|| panic!("{generation}: {line}"));
            assert!(number <= end, "{generation}: line {end} is missing in {values:?}");
            end = end.max(number + 1);
        }
    }
    assert_eq!(end, all, "{generation}: {values:?}");
    let lines: usize = values.iter().map(|value| value.lines().count()).sum();
    assert!(lines as u64 <= all + LINES_DURING, "{generation}: too many repetitions in {values:?}");
}

fn plugin_processes(agent: &RealAgent) -> [u32; 2] {
    let (supervisor, worker) = processes(agent);
    [worker, supervisor]
}

#[test]
fn stop_of_the_plugin_for_twice_the_timeout_loses_no_line() -> Result<(), Error> {
    let all = |agent: &RealAgent, signal: Signal| {
        plugin_processes(agent).into_iter().for_each(|pid| send(pid, signal));
    };
    stop_loses_nothing(|agent| all(agent, Signal::STOP), |agent| all(agent, Signal::CONT))
}

#[test]
fn stop_of_the_supervisor_alone_loses_no_line() -> Result<(), Error> {
    let one = |agent: &RealAgent, signal: Signal| send(processes(agent).0, signal);
    stop_loses_nothing(|agent| one(agent, Signal::STOP), |agent| one(agent, Signal::CONT))
}

#[test]
fn stop_of_the_worker_alone_loses_no_line() -> Result<(), Error> {
    let one = |agent: &RealAgent, signal: Signal| send(processes(agent).1, signal);
    stop_loses_nothing(|agent| one(agent, Signal::STOP), |agent| one(agent, Signal::CONT))
}

#[test]
fn stop_of_the_agent_for_twice_the_timeout_loses_no_line() -> Result<(), Error> {
    stop_loses_nothing(|agent| agent.signal(Signal::STOP), |agent| agent.signal(Signal::CONT))
}

/// A cgroup of the v1 freezer, which is removed with its last process.
struct Freezer(PathBuf);

impl Freezer {
    fn new(name: &str) -> Self {
        let path = Path::new(FREEZER).join(format!("oomwatch-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("this test needs root and the v1 freezer");
        Self(path)
    }

    fn set(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).expect("a state of the freezer");
        let file = self.0.join("freezer.state");
        let is_reached = || fs::read_to_string(&file).is_ok_and(|text| text.trim() == state);
        assert!(wait_until(SOON, is_reached), "{state}");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(Path::new(FREEZER).join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// No signal shows that a cgroup was frozen.
#[test]
fn frozen_cgroup_of_the_plugin_loses_no_line() -> Result<(), Error> {
    let freezers: Vec<_> = Generation::ALL
        .into_iter()
        .map(|generation| (generation, Freezer::new(&generation.to_string())))
        .collect();
    let of = |agent: &RealAgent| {
        &freezers.iter().find(|(generation, _)| *generation == agent.generation()).expect("one for each").1
    };
    stop_loses_nothing(
        |agent| {
            for pid in plugin_processes(agent) {
                fs::write(of(agent).0.join("cgroup.procs"), pid.to_string())
                    .expect("a process in the cgroup");
            }
            of(agent).set("FROZEN");
        },
        |agent| of(agent).set("THAWED"),
    )
}

/// The long run with 10,000 kills is `cargo xtask faults`.
#[test]
fn kills_of_the_worker_lose_no_line_and_keep_totals() {
    let plugin = binaries::find(binaries::PLUGIN).expect("the plugin");
    let started = Instant::now();
    let report = kill_workers(&plugin, 60, 20).expect("the plugin lives");
    assert!(report.lost == 0 && report.wrong_totals.is_empty(), "{report:?} in {:?}", started.elapsed());
    assert!(report.kills >= 60 && report.written > 0 && report.errors > 0, "{report:?}");
}
