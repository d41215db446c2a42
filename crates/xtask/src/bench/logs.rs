//! Log items, beside ripgrep, grep and the agent's own items, on the same file.

mod file;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent2_plugin::{FakeAgent, Pass};
use oomwatch_tests::cost::{self, CpuTimes};
use oomwatch_tests::{
    ActiveServer, Generation, Item, Key, PluginSpec, RealAgent, Received, binaries, debian,
};
use tempfile::TempDir;

use super::processes::NAME;
use super::{Row, Samples, Target, Unit};
use crate::say;

const BYTES: u64 = 1_000_000_000;
/// It ends the file, and is nowhere else.
const LAST_LINE: &str = "Jan  2 03:04:05 web01 kernel: httpd invoked oom-killer: gfp_mask=0x201da, order=0";
const PATTERN: &str = "oom-killer";
const SEARCHES: usize = 15;
const POLLS: u32 = 7;
const BATCHES: u32 = 5;
const IDLE_FILES: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
/// So long the built-in item is watched, in windows of the second length.
const WATCHED: Duration = Duration::from_secs(24);
const WINDOW_SECS: f64 = 5.0;

type Outcome<T> = Result<T, Box<dyn Error>>;

pub(super) fn rows(plugin: &Path) -> Outcome<Vec<Row>> {
    let bench = Bench::new(plugin)?;
    say("Searching 1 GB ...");
    let searches = bench.searches()?;
    say("Polling with an agent ...");
    let polls = bench.polls()?;
    say("Polling many items ...");
    let many = bench.many()?;
    let memory = Row {
        work: "the most resident memory of the plugin throughout",
        ours: mebibytes(polls.plugin_bytes.max(many.plugin_bytes)),
        peer_name: "the agent itself",
        peer: mebibytes(polls.agent_bytes),
        target: Target::AtMost(8.0),
    };
    let mut rows = searches.rows();
    rows.extend(polls.rows(&searches));
    rows.extend(many.rows);
    rows.push(memory);
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn mebibytes(bytes: u64) -> Samples {
    Samples::new(Unit::Mebibytes, vec![bytes as f64 / 1_048_576.0])
}

struct Bench {
    room: TempDir,
    plugin: PathBuf,
    file: String,
}

impl Bench {
    fn new(plugin: &Path) -> Outcome<Self> {
        // Not in /tmp, which may be memory.
        let room = tempfile::Builder::new().prefix("bench").tempdir_in(binaries::target_dir())?;
        let path = room.path().join("messages");
        file::write(&path, BYTES, LAST_LINE)?;
        Ok(Self { room, plugin: plugin.to_owned(), file: path.to_string_lossy().into_owned() })
    }

    fn state(&self, name: &str) -> String {
        self.room.path().join(name).to_string_lossy().into_owned()
    }

    /// Whole processes, from start to end, on one core, in turns. The first round only warms.
    fn searches(&self) -> Outcome<Searches> {
        let rg = debian::program_of("ripgrep", "usr/bin/rg")?;
        let key = Key::new("log.count").params([&self.file, PATTERN]).to_string();
        let mut searches = Searches { ours: Vec::new(), rg: Vec::new(), grep: Vec::new() };
        for _ in 0..=SEARCHES {
            searches.ours.push(count_one(&self.plugin, &["get", &key])?);
            searches.rg.push(count_one(&rg, &["-j1", "-c", PATTERN, &self.file])?);
            searches.grep.push(count_one(Path::new("grep"), &["-c", PATTERN, &self.file])?);
        }
        for times in [&mut searches.ours, &mut searches.rg, &mut searches.grep] {
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
        let pid = *agent.plugin_pids().first().ok_or("the plugin has no process")?;
        Ok(Polls {
            times,
            built_in: rates(&server.values())?,
            plugin_bytes: cost::peak_rss_bytes(pid)?,
            agent_bytes: cost::rss_bytes(agent.pid())?,
        })
    }

    /// A new item each time, told from the others by its number of lines: it begins at the file's start.
    fn poll(&self, agent: &RealAgent, number: u32) -> Outcome<Duration> {
        let key = Key::new("oomwatch.log").params([&self.file, PATTERN, "", &number.to_string()]);
        let start = Instant::now();
        let reply = agent.poll(key, TIMEOUT)?;
        let took = start.elapsed();
        if reply.value() == Some(LAST_LINE) { Ok(took) } else { Err(format!("{reply:?}").into()) }
    }

    fn many(&self) -> Outcome<Many> {
        let mut agent = FakeAgent::launch(&self.plugin, NAME, Pass::Serve)?;
        agent.set_request_timeout(Some(30));
        agent.configure(&format!("Plugins.{NAME}.StateDir={}", self.state("fake")), 30)?;
        let pid = agent.process_id().ok_or("the plugin has no process")?;
        let mut plugin = Plugin { agent, pid, batches: 0 };
        let mut rows = self.sharing(&mut plugin)?;
        rows.push(self.idle(&mut plugin)?);
        let plugin_bytes = cost::peak_rss_bytes(pid)?;
        plugin.agent.terminate()?;
        Ok(Many { rows, plugin_bytes })
    }

    /// New items on one file, all of it to be read, asked for at once.
    fn sharing(&self, plugin: &mut Plugin) -> Outcome<Vec<Row>> {
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..BATCHES {
            for (items, costs) in [1, 10, 100].into_iter().zip(&mut costs) {
                costs.push(plugin.batch(&self.file, items)?);
            }
        }
        let [one, ten, hundred] = costs.map(|costs| Samples::milliseconds(&costs));
        let row = |work, ours, target| Row { work, ours, peer_name: "1 item", peer: one.clone(), target };
        Ok(vec![
            row(
                "10 log items on one file, 1 GB to read: CPU time of the plugin",
                ten,
                Target::TimesPeer(3.0),
            ),
            row("100 log items on one file, 1 GB to read: CPU time of the plugin", hundred, Target::None),
        ])
    }

    /// Files that have not grown since the last poll.
    fn idle(&self, plugin: &mut Plugin) -> Outcome<Row> {
        let directory = self.room.path().join("idle");
        let files = file::small(&directory, IDLE_FILES)?;
        let idle: Vec<_> =
            files.iter().map(|file| ("oomwatch.log", vec![file.clone(), "no such word".into()])).collect();
        let none: Vec<_> = files.iter().map(|_| ("oomwatch.proc.num", vec!["kthreadd".into()])).collect();
        plugin.cost_of(&idle)?;
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..SEARCHES {
            ours.push(plugin.cost_of(&idle)?.0);
            peer.push(plugin.cost_of(&none)?.0);
        }
        Ok(Row {
            work: "1,000 log items on 1,000 files that did not grow, one poll of each: CPU time of the plugin",
            ours: Samples::milliseconds(&ours),
            peer_name: "1,000 polls of an item that reads nothing",
            peer: Samples::milliseconds(&peer),
            target: Target::None,
        })
    }
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
    grep: Vec<Duration>,
}

impl Searches {
    fn rows(&self) -> Vec<Row> {
        let row = |work, peer_name, peer: &[Duration], target| Row {
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
    fn rows(&self, searches: &Searches) -> [Row; 2] {
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let rates = self.times.iter().map(|time| BYTES as f64 / 1e6 / time.as_secs_f64()).collect();
        [
            Row {
                work: "a line at the end of 1 GB of log, from the poll to its value, through an agent",
                ours: Samples::milliseconds(&self.times),
                peer_name: "`rg -j1 -c`, the whole process",
                peer: Samples::milliseconds(&searches.rg),
                target: Target::AtMost(1000.0),
            },
            Row {
                work: "the same in bytes of log by time",
                ours: Samples::new(Unit::MegabytesPerSecond, rates),
                peer_name: "the built-in `log[]` on the same file, polled every second, watched for 24 s",
                peer: Samples::new(Unit::MegabytesPerSecond, self.built_in.clone()),
                target: Target::None,
            },
        ]
    }
}

/// Megabytes a second in each window, from the positions that the built-in item has told.
fn rates(rows: &[Received]) -> Outcome<Vec<f64>> {
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let place = |row: &Received| {
        let time = Duration::new(row.clock, row.ns).as_secs_f64();
        row.lastlogsize.map(|bytes| (time, bytes as f64 / 1e6))
    };
    let places: Vec<(f64, f64)> = rows.iter().filter_map(place).collect();
    let mut rates = Vec::new();
    let Some(mut window) = places.first().copied() else { return Err("log[] told no position".into()) };
    for (time, megabytes) in places {
        if time - window.0 >= WINDOW_SECS {
            rates.push((megabytes - window.1) / (time - window.0));
            window = (time, megabytes);
        }
    }
    if rates.is_empty() { Err("log[] told too few positions".into()) } else { Ok(rates) }
}

struct Many {
    rows: Vec<Row>,
    plugin_bytes: u64,
}

/// The plugin, served by a stand-in for an agent, which costs it nothing.
struct Plugin {
    agent: FakeAgent,
    pid: u32,
    batches: u32,
}

impl Plugin {
    /// One of the items finds the line at the end; the others look for what is not there.
    fn batch(&mut self, file: &str, items: usize) -> Outcome<Duration> {
        self.batches += 1;
        let lines = self.batches.to_string();
        let pattern =
            |number| if number == 0 { PATTERN.to_owned() } else { format!("no such word {number}") };
        let items: Vec<_> = (0..items)
            .map(|number| {
                ("oomwatch.log", vec![file.to_owned(), pattern(number), String::new(), lines.clone()])
            })
            .collect();
        match self.cost_of(&items)? {
            (cost, 1) => Ok(cost),
            (_, values) => Err(format!("{values} values of {} items", items.len()).into()),
        }
    }

    /// CPU time of the plugin for these items asked for at once, and how many had a value.
    fn cost_of(&mut self, items: &[(&str, Vec<String>)]) -> Outcome<(Duration, usize)> {
        let before = CpuTimes::of(self.pid)?;
        for (key, parameters) in items {
            let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
            self.agent.send_export(key, &parameters)?;
        }
        let mut values = 0;
        for _ in items {
            let (_, answer) = self.agent.next_answer()?;
            values += usize::from(answer.map_err(io::Error::other)?.is_some());
        }
        Ok((CpuTimes::of(self.pid)?.since(&before), values))
    }
}
