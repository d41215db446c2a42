//! Log items, beside ripgrep, grep and the agent's own items, on the same file.

mod common;
mod file;
mod groups;

use std::io;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch_tests::cost::{self, PluginProcesses};
use oomwatch_tests::{ActiveServer, Generation, Item, Key, PluginSpec, RealAgent, Received, debian};
use tempfile::TempDir;

use super::measurement::{Measurement, Samples, Target, Unit};
use super::processes::NAME;
use crate::output::say;
use common::{BYTES, Bench, LAST_LINE, Outcome, mebibytes};

/// Before the items are polled first.
const FIRST_BYTES: u64 = 100_000;
const APPENDED_BYTES: u64 = 256_000_000;
const PATTERN: &str = "oom-killer";
const SEARCHES: usize = 15;
const POLLS: u32 = 7;
const BATCHES: u32 = 5;
const IDLE_FILES: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
/// So long the built-in item is watched, in windows of the second length.
const WATCHED: Duration = Duration::from_secs(24);
const WINDOW_SECS: f64 = 5.0;

pub(super) fn rows(plugin: &Path) -> Outcome<Vec<Measurement>> {
    let bench = Bench::new(plugin)?;
    say("Searching 1 GB ...");
    let searches = bench.searches()?;
    say("Polling with an agent ...");
    let polls = bench.polls()?;
    say("Polling many items of one file ...");
    let shared = bench.shared()?;
    say("Polling many files ...");
    let idle = bench.idle()?;
    let groups = groups::rows(&bench)?;
    let memory = |work, bytes| Measurement {
        work,
        ours: mebibytes(bytes),
        peer_name: "the agent itself",
        peer: mebibytes(polls.agent_bytes),
        target: Target::AtMost(8.0),
    };
    let memories = [
        memory("the most resident memory of the plugin: 1 log item on 1 GB", polls.plugin_bytes),
        memory("the same: 10 items on one file, 256 MB appended", shared.ten.bytes),
        memory("the same: 100 items on one file, 256 MB appended", shared.hundred.bytes),
        memory("the same: 1,000 items on 1,000 files that did not grow", idle.bytes),
    ];
    Ok(searches
        .rows()
        .into_iter()
        .chain(polls.rows(&searches))
        .chain(shared.rows())
        .chain([idle.row()])
        .chain(groups)
        .chain(memories)
        .collect())
}

impl Bench {
    /// Whole processes, from start to end, on one core, in turns. The first round only warms.
    fn searches(&self) -> Outcome<Searches> {
        let rg = debian::program_of("ripgrep", "usr/bin/rg")?;
        let key = Key::new("log.count").params([&self.file, PATTERN]).to_string();
        let mut searches =
            Searches { ours: Vec::new(), rg: Vec::new(), rg_reading: Vec::new(), grep: Vec::new() };
        for _ in 0..=SEARCHES {
            searches.ours.push(count_one(&self.plugin, &["get", &key])?);
            searches.rg.push(count_one(&rg, &["-j1", "-c", PATTERN, &self.file])?);
            searches.rg_reading.push(count_one(&rg, &["-j1", "-c", "--no-mmap", PATTERN, &self.file])?);
            searches.grep.push(count_one(Path::new("grep"), &["-c", PATTERN, &self.file])?);
        }
        for times in [&mut searches.ours, &mut searches.rg, &mut searches.rg_reading, &mut searches.grep] {
            times.remove(0);
        }
        Ok(searches)
    }

    /// The line at the end of the log by a real agent: ours in one poll, and how far the built-in item gets meanwhile.
    fn polls(&self) -> Outcome<Polls> {
        let built_in = Item::new(1, Key::new("log").params([&self.file, PATTERN]));
        let server = ActiveServer::start(vec![built_in])?;
        let plugin = PluginSpec::new(NAME, &self.plugin).option("StateDir", self.state("real"));
        let agent = RealAgent::builder(Generation::V7_0)
            .timeout(TIMEOUT)
            .active_server(server.address())
            .plugin(plugin)
            .line("BufferSend=1")
            .start()?;
        let times = (1..=POLLS).map(|number| self.poll(&agent, number)).collect::<Result<_, _>>()?;
        sleep(WATCHED);
        let supervisor = *agent.plugin_pids().first().ok_or("the plugin has no process")?;
        let plugin = PluginProcesses::of_supervisor(supervisor)?;
        Ok(Polls {
            times,
            built_in: rates(&server.values())?,
            plugin_bytes: plugin.peak_rss_bytes()?,
            agent_bytes: cost::rss_bytes(agent.pid())?,
        })
    }

    /// Polls a new item each time, which differs in its number of lines, so that it begins at the file's start.
    fn poll(&self, agent: &RealAgent, number: u32) -> Outcome<Duration> {
        let key = Key::new("oomwatch.log").params([&self.file, PATTERN, "", &number.to_string()]);
        let start = Instant::now();
        let reply = agent.poll(key, TIMEOUT)?;
        let took = start.elapsed();
        if reply.value() == Some(LAST_LINE) { Ok(took) } else { Err(format!("{reply:?}").into()) }
    }

    /// Items on one file that grows after they were polled once.
    fn shared(&self) -> Outcome<Shared> {
        let mut shared = Shared::default();
        for _ in 0..BATCHES {
            for (items, batch) in [(1, &mut shared.one), (10, &mut shared.ten), (100, &mut shared.hundred)] {
                self.batch(items, batch)?;
            }
        }
        Ok(shared)
    }

    fn batch(&self, items: usize, batch: &mut Batch) -> Outcome<()> {
        let path = self.room.path().join("appended");
        file::write(&path, FIRST_BYTES, "the last of the first lines")?;
        let items = items_on(&path.to_string_lossy(), items);
        let mut plugin = self.launch()?;
        plugin.cost_of(&items, Some(0))?;
        file::append_end(&path, Path::new(&self.file), APPENDED_BYTES)?;
        let cost = plugin.cost_of(&items, Some(1))?;
        batch.add(cost, &plugin)?;
        plugin.agent.terminate()?;
        Ok(std::fs::remove_file(path)?)
    }

    /// Files that have not grown since the last poll.
    fn idle(&self) -> Outcome<Idle> {
        let files = file::small(&self.room.path().join("idle"), IDLE_FILES)?;
        let items: Vec<Question> =
            files.iter().map(|file| ("oomwatch.log", vec![file.clone(), "no such word".into()])).collect();
        let none: Vec<Question> =
            files.iter().map(|_| ("oomwatch.proc.num", vec!["kthreadd".into()])).collect();
        let mut plugin = self.launch()?;
        plugin.cost_of(&items, Some(0))?;
        let mut idle = Idle::default();
        for _ in 0..SEARCHES {
            idle.ours.push(plugin.cost_of(&items, Some(0))?);
            idle.peer.push(plugin.cost_of(&none, None)?);
        }
        idle.bytes = plugin.processes.peak_rss_bytes()?;
        plugin.agent.terminate()?;
        Ok(idle)
    }

    /// A plugin that has already replied to a poll, with positions of its own.
    fn launch(&self) -> Outcome<Plugin> {
        let state = tempfile::tempdir_in(self.room.path())?;
        let mut agent = FakeAgent::launch(&self.plugin, NAME, LaunchMode::Serve)?;
        agent.set_request_timeout(Some(30));
        agent.configure(&format!("Plugins.{NAME}.StateDir={}", state.path().display()), 30)?;
        agent.export("oomwatch.proc.num", &["kthreadd"])?.map_err(io::Error::other)?;
        let supervisor = agent.process_id().ok_or("the plugin has no process")?;
        Ok(Plugin { agent, processes: PluginProcesses::of_supervisor(supervisor)?, _state: state })
    }
}

/// One of the items finds the line at the end; the others search for text that is not in the file.
fn items_on(file: &str, items: usize) -> Vec<Question> {
    let pattern = |number| if number == 0 { PATTERN.to_owned() } else { format!("no such word {number}") };
    (0..items).map(|number| ("oomwatch.log", vec![file.to_owned(), pattern(number)])).collect()
}

/// Runs a program that counts the one line that there is, on one core.
fn count_one(program: &Path, arguments: &[&str]) -> Outcome<Duration> {
    let start = Instant::now();
    let output = Command::new("taskset").args(["-c", "0"]).arg(program).args(arguments).output()?;
    let took = start.elapsed();
    if output.stdout.trim_ascii() == b"1" {
        return Ok(took);
    }
    Err(format!("{} {arguments:?}: {}", program.display(), String::from_utf8_lossy(&output.stderr)).into())
}

struct Searches {
    ours: Vec<Duration>,
    rg: Vec<Duration>,
    rg_reading: Vec<Duration>,
    grep: Vec<Duration>,
}

impl Searches {
    fn rows(&self) -> Vec<Measurement> {
        let row = |work, peer_name, peer: &[Duration], target| Measurement {
            work,
            ours: Samples::milliseconds(&self.ours),
            peer_name,
            peer: Samples::milliseconds(peer),
            target,
        };
        vec![
            row(
                "lines with a literal text in 1 GB of log, warm cache, one core: `get log.count[...]`, the whole process",
                "`rg -j1 -c`",
                &self.rg,
                Target::TimesPeer(1.15),
            ),
            row(
                "the same",
                "`rg -j1 -c --no-mmap`, which reads the file as the plugin does",
                &self.rg_reading,
                Target::None,
            ),
            row("the same", "`grep -c`", &self.grep, Target::None),
        ]
    }
}

struct Polls {
    times: Vec<Duration>,
    /// In megabytes a second.
    built_in: Vec<f64>,
    plugin_bytes: u64,
    agent_bytes: u64,
}

impl Polls {
    fn rows(&self, searches: &Searches) -> [Measurement; 2] {
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let rates = self.times.iter().map(|time| BYTES as f64 / 1e6 / time.as_secs_f64()).collect();
        [
            Measurement {
                work: "a line at the end of 1 GB of log, from the poll to its value, through an agent",
                ours: Samples::milliseconds(&self.times),
                peer_name: "`rg -j1 -c`, the whole process",
                peer: Samples::milliseconds(&searches.rg),
                target: Target::AtMost(1000.0),
            },
            Measurement {
                work: "the same in bytes of log by time",
                ours: Samples::new(Unit::MegabytesPerSecond, rates),
                peer_name: "the built-in `log[]` on the same file, polled every second, watched for 24 s",
                peer: Samples::new(Unit::MegabytesPerSecond, self.built_in.clone()),
                target: Target::None,
            },
        ]
    }
}

/// Megabytes a second in each window, from the positions that the built-in item has reported.
fn rates(rows: &[Received]) -> Outcome<Vec<f64>> {
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let place = |row: &Received| {
        let time = Duration::new(row.clock, row.ns).as_secs_f64();
        row.lastlogsize.map(|bytes| (time, bytes as f64 / 1e6))
    };
    let places: Vec<(f64, f64)> = rows.iter().filter_map(place).collect();
    let mut rates = Vec::new();
    let Some(mut window) = places.first().copied() else { return Err("log[] reported no position".into()) };
    for (time, megabytes) in places {
        if time - window.0 >= WINDOW_SECS {
            rates.push((megabytes - window.1) / (time - window.0));
            window = (time, megabytes);
        }
    }
    if rates.is_empty() { Err("log[] reported too few positions".into()) } else { Ok(rates) }
}

/// CPU times, and the most memory.
#[derive(Default)]
struct Batch {
    costs: Vec<Duration>,
    bytes: u64,
}

impl Batch {
    fn add(&mut self, cost: Duration, plugin: &Plugin) -> Outcome<()> {
        self.costs.push(cost);
        self.bytes = self.bytes.max(plugin.processes.peak_rss_bytes()?);
        Ok(())
    }
}

#[derive(Default)]
struct Shared {
    one: Batch,
    ten: Batch,
    hundred: Batch,
}

impl Shared {
    fn rows(&self) -> [Measurement; 2] {
        let row = |work, batch: &Batch, target| Measurement {
            work,
            ours: Samples::milliseconds(&batch.costs),
            peer_name: "1 item",
            peer: Samples::milliseconds(&self.one.costs),
            target,
        };
        [
            row(
                "10 log items on one file, 256 MB appended: CPU time of the plugin",
                &self.ten,
                Target::TimesPeer(3.0),
            ),
            row(
                "100 log items on one file, 256 MB appended: CPU time of the plugin",
                &self.hundred,
                Target::None,
            ),
        ]
    }
}

#[derive(Default)]
struct Idle {
    ours: Vec<Duration>,
    peer: Vec<Duration>,
    bytes: u64,
}

impl Idle {
    fn row(&self) -> Measurement {
        Measurement {
            work: "1,000 log items on 1,000 files that did not grow, one poll of each: CPU time of the plugin",
            ours: Samples::milliseconds(&self.ours),
            peer_name: "1,000 polls of an item that reads nothing",
            peer: Samples::milliseconds(&self.peer),
            target: Target::None,
        }
    }
}

/// A key and its parameters.
type Question = (&'static str, Vec<String>);

/// The plugin, served by a stand-in for an agent, which costs it nothing.
struct Plugin {
    agent: FakeAgent,
    processes: PluginProcesses,
    _state: TempDir,
}

impl Plugin {
    /// Returns the CPU time of the plugin for polling these items at once. If `expected` is set, that many must have a value.
    fn cost_of(&mut self, items: &[Question], expected: Option<usize>) -> Outcome<Duration> {
        let before = self.processes.cpu_times()?;
        for (key, parameters) in items {
            let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
            self.agent.send_export(key, &parameters)?;
        }
        let mut values = 0;
        for _ in items {
            let (_, result) = self.agent.next_result()?;
            values += usize::from(result.map_err(io::Error::other)?.is_some());
        }
        let cost = self.processes.cpu_times()?.since(&before);
        if expected.is_none_or(|expected| expected == values) {
            return Ok(cost);
        }
        Err(format!("{values} values of {} items", items.len()).into())
    }
}
