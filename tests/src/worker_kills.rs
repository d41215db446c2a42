//! Logs that are followed while the plugin's worker is killed at random moments.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{FakeAgent, LaunchMode};
use rustix::process::{Pid, Signal, kill_process};

use crate::cost;

/// The longest pause between two kills. Half of them come while the worker starts or in its first polls.
const LONGEST_PAUSE: Duration = Duration::from_millis(120);
/// Limit for the last lines to arrive after the last kill.
const LAST_LINES: Duration = Duration::from_secs(120);
const LINES_OF_ONE_POLL: &str = "1000";

/// What a run of kills did to log items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillReport {
    /// Workers killed.
    pub kills: u32,
    /// Lines written to all logs.
    pub written: u64,
    /// Lines that did not arrive.
    pub lost: u64,
    /// Lines that arrived again. Each of them belongs to the last reply before a kill.
    pub repeated: u64,
    /// Replies of `log.total` that are not the number of a log's lines, with that number.
    pub wrong_totals: Vec<String>,
    /// Polls that got an error because the worker had ended.
    pub errors: u64,
}

/// Kills the worker of `plugin` again and again while `logs` logs are written and polled.
///
/// # Errors
///
/// Returns an error if the plugin itself ends, if an item has another error than that of a dead worker, or if lines arrive
/// out of order.
pub fn kill_workers(plugin: &Path, kills: u32, logs: usize) -> io::Result<KillReport> {
    let directory = tempfile::tempdir()?;
    let mut run = Run::start(plugin, directory.path(), logs)?;
    let supervisor = run.agent.process_id().ok_or_else(|| io::Error::other("the plugin has no process"))?;
    let (killed, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            kill_at_random(supervisor, kills, &killed, &is_over);
        });
        let outcome = run.poll_while(|| killed.load(Ordering::Acquire) < kills);
        is_over.store(true, Ordering::Release);
        killer.join().map_err(|_| io::Error::other("the thread that kills panicked"))?;
        outcome
    })?;
    run.finish(killed.into_inner())
}

fn kill_at_random(supervisor: u32, kills: u32, killed: &AtomicU32, is_over: &AtomicBool) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    while killed.load(Ordering::Acquire) < kills && !is_over.load(Ordering::Acquire) {
        thread::sleep(LONGEST_PAUSE.mul_f64(random.fraction()));
        for worker in cost::children(supervisor) {
            let pid = i32::try_from(worker).ok().and_then(Pid::from_raw);
            if cost::state(worker) != Some('Z')
                && pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
            {
                killed.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// A generator of Marsaglia (xorshift64): the moments need no better one.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of a pause")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A log with what arrived of it.
struct Log {
    path: PathBuf,
    file: File,
    written: u64,
    /// The numbers of the lines of the last reply.
    last: std::ops::Range<u64>,
    repeated: u64,
}

impl Log {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self { path, file, written: 0, last: 0..0, repeated: 0 })
    }

    fn write(&mut self, lines: u64) -> io::Result<()> {
        for number in self.written..self.written + lines {
            self.file.write_all(format!("line {number} of the log\n").as_bytes())?;
        }
        self.written += lines;
        Ok(())
    }

    /// Takes the lines of a reply, which continue the last reply or repeat it.
    fn take(&mut self, value: &str) -> io::Result<()> {
        let number = |line: &str| line.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
        let numbers: Vec<u64> = value.lines().filter_map(number).collect();
        let Some(&first) = numbers.first() else { return Ok(()) };
        let reply = first..first + numbers.len() as u64;
        let is_repeated = first == self.last.start && reply.end >= self.last.end;
        if !numbers.iter().copied().eq(reply.clone()) || (first != self.last.end && !is_repeated) {
            return Err(io::Error::other(format!(
                "{}: lines {:?}, then {reply:?}",
                self.path.display(),
                self.last
            )));
        }
        if is_repeated {
            self.repeated += self.last.end - first;
        }
        self.last = reply;
        Ok(())
    }
}

struct Run {
    agent: FakeAgent,
    logs: Vec<Log>,
    random: Random,
    errors: u64,
}

impl Run {
    fn start(plugin: &Path, directory: &Path, logs: usize) -> io::Result<Self> {
        let mut agent = FakeAgent::launch(plugin, "OomWatch", LaunchMode::Serve)?;
        agent.set_request_timeout(Some(30));
        let state = directory.join("state");
        fs::create_dir(&state)?;
        agent.configure(&format!("Plugins.OomWatch.StateDir={}", state.display()), 30)?;
        let logs = (0..logs).map(|number| Log::create(directory.join(format!("{number}.log"))));
        Ok(Self {
            agent,
            logs: logs.collect::<Result<_, _>>()?,
            random: Random(0x2545_F491_4F6C_DD1D),
            errors: 0,
        })
    }

    fn poll_while(&mut self, goes_on: impl Fn() -> bool) -> io::Result<()> {
        while goes_on() {
            for number in 0..self.logs.len() {
                let lines = self.random.next() % 20;
                self.logs[number].write(lines)?;
            }
            self.poll_all()?;
        }
        Ok(())
    }

    /// Polls the lines and the total of each log.
    fn poll_all(&mut self) -> io::Result<()> {
        let mut open = Vec::new();
        for (number, log) in self.logs.iter().enumerate() {
            let path = log.path.to_string_lossy();
            open.push((
                self.agent.send_export("oomwatch.log", &[&path, "", "", LINES_OF_ONE_POLL])?,
                Some(number),
            ));
            open.push((self.agent.send_export("oomwatch.log.total", &[&path, "", "", "all"])?, None));
        }
        for _ in 0..open.len() {
            let (id, result) = self.agent.next_result()?;
            let log = open.iter().find(|(other, _)| *other == id).and_then(|(_, log)| *log);
            match (result, log) {
                (Ok(Some(value)), Some(number)) => self.logs[number].take(&value)?,
                (Ok(_), _) => {}
                (Err(error), _) if error.contains("worker process") => self.errors += 1,
                (Err(error), _) => return Err(io::Error::other(error)),
            }
        }
        Ok(())
    }

    fn finish(mut self, kills: u32) -> io::Result<KillReport> {
        let give_up = Instant::now() + LAST_LINES;
        // The last kill may only be noticed by the next poll.
        let mut errors = None;
        while errors != Some(self.errors) || self.logs.iter().any(|log| log.last.end < log.written) {
            if Instant::now() > give_up {
                break;
            }
            errors = Some(self.errors);
            self.poll_all()?;
        }
        let mut wrong_totals = Vec::new();
        for log in &self.logs {
            let path = log.path.to_string_lossy();
            let total = self.agent.export("oomwatch.log.total", &[&path, "", "", "all"])?;
            if total != Ok(Some(log.written.to_string())) {
                wrong_totals.push(format!("{total:?} for {} lines", log.written));
            }
        }
        self.agent.terminate()?;
        let sum = |value: fn(&Log) -> u64| self.logs.iter().map(value).sum();
        Ok(KillReport {
            kills,
            written: sum(|log| log.written),
            lost: sum(|log| log.written - log.last.end),
            repeated: sum(|log| log.repeated),
            wrong_totals,
            errors: self.errors,
        })
    }
}
