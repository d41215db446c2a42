//! 300 items of all kinds, each polled every second.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch_tests::cost::PluginProcesses;

use crate::output::say;

const SECONDS: u64 = 3600;
const SAMPLE_EVERY: u64 = 60;
const ITEMS: usize = 300;
const LOGS: usize = 20;
/// Lines that are written to each log each second.
const LINES: u64 = 10;
/// Names of hosts in the lines, which `log.groups` counts.
const HOSTS: u64 = 40;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What was measured at one time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    minute: u64,
    pss_bytes: u64,
    threads: usize,
    state_bytes: u64,
    slowest: Duration,
}

struct Soak {
    agent: FakeAgent,
    processes: PluginProcesses,
    items: Vec<(&'static str, Vec<String>)>,
    logs: Vec<File>,
    state: PathBuf,
    line: u64,
    errors: Vec<String>,
}

pub(super) fn run(plugin: &Path) -> Outcome<String> {
    let directory = tempfile::tempdir()?;
    let mut soak = Soak::start(plugin, directory.path())?;
    say(&format!("{ITEMS} items each second for {SECONDS} s ..."));
    let mut samples = Vec::new();
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for second in 1..=SECONDS {
        slowest = slowest.max(soak.poll_all()?);
        if second == 10 || second % SAMPLE_EVERY == 0 {
            samples.push(soak.sample(second / SAMPLE_EVERY, std::mem::take(&mut slowest))?);
            say(&format!("{:?}", samples.last()));
        }
        thread::sleep(Duration::from_secs(second).saturating_sub(start.elapsed()));
    }
    soak.agent.terminate()?;
    Ok(table(&samples, &soak.errors))
}

impl Soak {
    fn start(plugin: &Path, directory: &Path) -> Outcome<Self> {
        let state = directory.join("state");
        fs::create_dir(&state)?;
        let paths: Vec<PathBuf> = (0..LOGS).map(|number| directory.join(format!("{number}.log"))).collect();
        let logs = paths.iter().map(File::create).collect::<Result<_, _>>()?;
        let mut agent = FakeAgent::launch(plugin, "OomWatch", LaunchMode::Serve)?;
        agent.set_request_timeout(Some(30));
        agent.configure(&format!("Plugins.OomWatch.StateDir={}", state.display()), 30)?;
        let supervisor = agent.process_id().ok_or("the plugin has no process")?;
        agent.export("oomwatch.self", &[])?.map_err(io::Error::other)?;
        let processes = PluginProcesses::of_supervisor(supervisor)?;
        let items = items(&paths);
        Ok(Self { agent, processes, items, logs, state, line: 0, errors: Vec::new() })
    }

    /// Writes lines, polls all items at once, and returns the time until the last reply.
    fn poll_all(&mut self) -> Outcome<Duration> {
        self.write_lines()?;
        let start = Instant::now();
        for (key, parameters) in &self.items {
            let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
            self.agent.send_export(key, &parameters)?;
        }
        for _ in 0..self.items.len() {
            if let (_, Err(error)) = self.agent.next_result()?
                && self.errors.len() < 1000
                && !self.errors.contains(&error)
            {
                self.errors.push(error);
            }
        }
        Ok(start.elapsed())
    }

    fn write_lines(&mut self) -> io::Result<()> {
        for log in &mut self.logs {
            for _ in 0..LINES {
                let host = self.line % HOSTS;
                writeln!(log, "Jun  1 12:00:00 host{host} program[7]: line {} with an error", self.line)?;
                self.line += 1;
            }
        }
        Ok(())
    }

    fn sample(&self, minute: u64, slowest: Duration) -> Outcome<Sample> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.processes.worker))?.count() + 1;
        let files = fs::read_dir(&self.state)?.flatten().filter_map(|entry| entry.metadata().ok());
        let state_bytes = files.map(|data| data.len()).sum();
        Ok(Sample { minute, pss_bytes: self.processes.pss_bytes()?, threads, state_bytes, slowest })
    }
}

/// Items of every kind, those of logs on 20 files.
fn items(paths: &[PathBuf]) -> Vec<(&'static str, Vec<String>)> {
    let mut items = Vec::new();
    for path in paths {
        let path = path.display().to_string();
        items.push(("oomwatch.log", vec![path.clone(), "error".to_owned()]));
        items.push(("oomwatch.log.count", vec![path.clone(), "error".to_owned()]));
        items.push(("oomwatch.log.total", vec![path.clone(), "line [0-9]+".to_owned()]));
        items.push(("oomwatch.log.last", vec![path.clone(), "error".to_owned()]));
        items.push(("oomwatch.log.groups", vec![path, r"^\S+ +\S+ \S+ (\S+)".to_owned()]));
    }
    for key in [
        "oomwatch.oom.total",
        "oomwatch.oom.list",
        "oomwatch.oom.sources",
        "oomwatch.oom.risk",
        "oomwatch.self",
    ] {
        items.push((key, Vec::new()));
    }
    let kinds = ["oomwatch.proc.num", "oomwatch.proc.mem", "oomwatch.proc.cpu.util"];
    for number in 0..ITEMS - items.len() {
        items.push((kinds[number % kinds.len()], vec![format!("program-{}", number / kinds.len())]));
    }
    items
}

#[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
fn table(samples: &[Sample], errors: &[String]) -> String {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let shown = samples.iter().filter(|sample| sample.minute < 2 || sample.minute % 10 == 0);
    let rows = shown.map(|sample| {
        format!(
            "| {} | {:.1} MiB | {} | {:.2} MiB | {:.0} ms |",
            sample.minute,
            mib(sample.pss_bytes),
            sample.threads,
            mib(sample.state_bytes),
            sample.slowest.as_secs_f64() * 1000.0
        )
    });
    let errors = if errors.is_empty() {
        "No poll had an error.".to_owned()
    } else {
        format!("Errors: {}", errors.join("; "))
    };
    format!(
        "{ITEMS} items of all kinds, each polled every second for {SECONDS} s, {LOGS} logs with {LINES} new lines a second each. \
         {errors}\n\n\
         | minute | memory of supervisor and worker (PSS) | threads of both | state on disk | slowest poll of the last minute |\n\
         |---|---|---|---|---|\n{}",
        rows.collect::<Vec<_>>().join("\n")
    )
}
