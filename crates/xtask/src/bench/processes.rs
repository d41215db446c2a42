//! Process items over 2,000 processes, beside the agent's own items, in the same agent.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

use oomwatch_tests::actors::{Crowd, Stage};
use oomwatch_tests::cost::{self, CpuTimes, PluginProcesses};
use oomwatch_tests::{Generation, Key, PluginSpec, RealAgent, Reply, binaries};

use super::measurement::{Measurement, Samples, Target, Unit};
use crate::output::say;

/// The plugin's name, as in `Plugins.OomWatch`.
pub(super) const NAME: &str = "OomWatch";
const OURS: &str = "oomwatch.";
const NAMES: usize = 100;
const PROCESSES_PER_NAME: usize = 20;
/// Of the work of seconds.
const LONG_RUNS: usize = 5;
/// Of the work of milliseconds.
const SHORT_RUNS: usize = 15;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than a walk over /proc is shared, so that every run begins cold.
const COLD: Duration = Duration::from_millis(1_500);

type Outcome<T> = Result<T, Box<dyn Error>>;

pub(super) fn rows(plugin: &PluginSpec) -> Outcome<Vec<Measurement>> {
    let actor = binaries::release("oomwatch-tests", "actor")?;
    let bare_loop = binaries::release("oomwatch-tests", "bare-loop")?;
    let stage = Stage::with(&actor)?;
    let _crowds = crowds(&stage)?;
    let agent = RealAgent::builder(Generation::V7_0).timeout(TIMEOUT).plugin(plugin.clone()).start()?;
    let bench = Bench { plugin: plugin_processes(&agent)?, agent };
    say(&format!("{} processes, {NAMES} names", cost::pids().count()));
    // First, because walks keep reading the fields that items have requested, and the memory items below request more.
    let one = bench.one_item(&bare_loop)?;
    let mut rows = bench.hundred_items()?;
    rows.extend(one);
    rows.push(bench.memory()?);
    Ok(rows)
}

fn crowds(stage: &Stage) -> Outcome<Vec<Crowd>> {
    (0..NAMES).map(|number| Ok(stage.crowd(&name(number), PROCESSES_PER_NAME)?)).collect()
}

fn name(number: usize) -> String {
    format!("ow-bench-{number}")
}

/// The plugin's processes start with its first item.
fn plugin_processes(agent: &RealAgent) -> Outcome<PluginProcesses> {
    let reply = agent.poll("oomwatch.proc.num", TIMEOUT)?;
    if reply.value().is_none() {
        return Err(format!("oomwatch.proc.num: {reply:?}").into());
    }
    let supervisor = agent.plugin_pids().first().copied().ok_or("the plugin has no process")?;
    Ok(PluginProcesses::of_supervisor(supervisor)?)
}

struct Bench {
    agent: RealAgent,
    plugin: PluginProcesses,
}

/// CPU time of both processes for the same work.
#[derive(Clone, Copy)]
struct Cost {
    agent: Duration,
    plugin: Duration,
}

impl Cost {
    fn together(self) -> Duration {
        self.agent + self.plugin
    }
}

impl Bench {
    fn hundred_items(&self) -> Outcome<Vec<Measurement>> {
        let keys: Vec<Key> = (0..NAMES)
            .map(|number| Key::new("proc.mem").params([&name(number), "", "sum", "", "rss"]))
            .collect();
        let (ours, built_in) = self.both(&keys, LONG_RUNS)?;
        let row = |work, ours: Vec<Duration>, target| Measurement {
            work,
            ours: Samples::milliseconds(&ours),
            peer_name: "built-in items",
            peer: Samples::milliseconds(&built_in),
            target,
        };
        Ok(vec![
            row(
                "100 process items in one poll, 2,000 processes: CPU time of the plugin",
                of_plugin(&ours),
                Target::TimesPeer(0.01),
            ),
            row("the same: CPU time of plugin and agent together", together(&ours), Target::None),
        ])
    }

    /// proc.num by name reads `stat` and `cmdline` of every process, so the bare loop reads the same.
    fn one_item(&self, bare_loop: &Path) -> Outcome<Vec<Measurement>> {
        let key = Key::new("proc.num").param(name(0));
        let (ours, built_in) = self.both(std::slice::from_ref(&key), SHORT_RUNS)?;
        let bare: Vec<Duration> = (0..SHORT_RUNS).map(|_| bare(bare_loop)).collect::<Result<_, _>>()?;
        Ok(vec![
            Measurement {
                work: "one process item, cold: CPU time of the plugin",
                ours: Samples::milliseconds(&of_plugin(&ours)),
                peer_name: "built-in item",
                peer: Samples::milliseconds(&built_in),
                target: Target::TimesPeer(0.5),
            },
            Measurement {
                work: "the same",
                ours: Samples::milliseconds(&of_plugin(&ours)),
                peer_name: "a bare loop that opens and reads the same files",
                peer: Samples::milliseconds(&bare),
                target: Target::TimesPeer(1.3),
            },
        ])
    }

    /// After everything above was polled.
    fn memory(&self) -> Outcome<Measurement> {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        Ok(Measurement {
            work: "memory of supervisor and worker after these polls (PSS)",
            ours: Samples::new(Unit::Mebibytes, vec![mib(self.plugin.pss_bytes()?)]),
            peer_name: "the agent itself",
            peer: Samples::new(Unit::Mebibytes, vec![mib(cost::pss_bytes(self.agent.pid())?)]),
            target: Target::AtMost(10.0),
        })
    }

    /// Ours and the built-in items in turns, so that other load on the machine affects both.
    fn both(&self, keys: &[Key], runs: usize) -> Outcome<(Vec<Cost>, Vec<Duration>)> {
        let prefixed: Vec<Key> = keys.iter().map(|key| key.prefixed(OURS)).collect();
        let mut ours = Vec::new();
        let mut built_in = Vec::new();
        for _ in 0..runs {
            ours.push(self.cost_of(&prefixed)?);
            built_in.push(self.cost_of(keys)?.together());
        }
        Ok((ours, built_in))
    }

    fn cost_of(&self, keys: &[Key]) -> Outcome<Cost> {
        sleep(COLD);
        let (agent, plugin) = (CpuTimes::read(self.agent.pid())?, self.plugin.cpu_times()?);
        self.poll_all(keys)?;
        Ok(Cost {
            agent: CpuTimes::read(self.agent.pid())?.since(&agent),
            plugin: self.plugin.cpu_times()?.since(&plugin),
        })
    }

    /// All at once, as items of one interval fall due. An item without a value would be cheap, so it is an error.
    fn poll_all(&self, keys: &[Key]) -> Outcome<()> {
        let replies: Vec<_> = thread::scope(|scope| {
            let polls: Vec<_> =
                keys.iter().map(|key| scope.spawn(|| self.agent.poll(key.clone(), TIMEOUT))).collect();
            polls.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for (key, reply) in keys.iter().zip(replies) {
            let reply = reply.map_err(|_| "a poll panicked")??;
            if !matches!(&reply, Reply::Value(value) if value != "0") {
                return Err(format!("{key}: {reply:?}").into());
            }
        }
        Ok(())
    }
}

fn of_plugin(costs: &[Cost]) -> Vec<Duration> {
    costs.iter().map(|cost| cost.plugin).collect()
}

fn together(costs: &[Cost]) -> Vec<Duration> {
    costs.iter().map(|cost| cost.together()).collect()
}

fn bare(program: &Path) -> Outcome<Duration> {
    let output = Command::new(program).args(["stat", "cmdline"]).output()?;
    Ok(Duration::from_nanos(String::from_utf8(output.stdout)?.trim().parse()?))
}
