//! Log items of real agents: every written line arrives at the server once and in order, also if the log is rotated or the
//! agent or the server is interrupted.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oomwatch_tests::{ActiveServer, AgentBuilder, Error, Generation, Item, Key, LogWriter, PluginSpec};
use oomwatch_tests::{RealAgent, Received, Reply, Rotating, binaries, wait_until};
use rustix::process::Signal;
use tempfile::TempDir;

/// Limit for the last written line to arrive, also on a busy machine. Only a failure waits this long.
const SOON: Duration = Duration::from_secs(100);
/// Time for two more polls, which must return nothing.
const TWO_POLLS: Duration = Duration::from_millis(2500);
/// The agents' `Timeout`.
const TIMEOUT: Duration = Duration::from_secs(15);
const LINES: u64 = 1_000_000;
const MATCHES: u64 = LINES / ONE_MATCH_IN;
const ONE_MATCH_IN: u64 = 1000;
const LINES_PER_FILE: u64 = 25_000;
const KILLS: usize = 10;
/// Between two kills some lines should be read, if the machine is not too busy.
const SEVERAL_POLLS: Duration = Duration::from_secs(3);

/// The items of these tests: by the log's name, and by a pattern of names.
const LOG: u64 = 1;
const LOGRT: u64 = 2;

/// A file system in memory, which almost every Linux machine has.
const MEMORY: &str = "/dev/shm";

/// A directory with a log, and with the state directories of the plugins that follow it.
struct LogDirectory {
    directory: TempDir,
    /// The agents' persistent buffers.
    buffers: TempDir,
}

impl LogDirectory {
    fn new() -> Result<Self, Error> {
        let directory = tempfile::tempdir().expect("a directory for the log");
        fs::create_dir(directory.path().join("log")).expect("a directory for the log");
        let buffers =
            tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir()).expect("a directory for buffers");
        Ok(Self { directory, buffers })
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log/app.log")
    }

    fn state_dir(&self, generation: Generation) -> PathBuf {
        self.directory.path().join(format!("state-{generation}"))
    }

    fn positions(&self, generation: Generation) -> PathBuf {
        self.state_dir(generation).join("positions")
    }

    /// The newer agent uses aliases of its own keys.
    fn agent(&self, generation: Generation) -> Result<AgentBuilder, Error> {
        let state_dir = self.state_dir(generation).display().to_string();
        let plugin = PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?);
        let builder =
            RealAgent::builder(generation).timeout(TIMEOUT).plugin(plugin.option("StateDir", state_dir));
        Ok(match generation {
            Generation::V7_0 => {
                builder.alias("log[*]", "oomwatch.log[*]").alias("logrt[*]", "oomwatch.logrt[*]")
            }
            _ => builder,
        })
    }

    fn key(&self, generation: Generation) -> Key {
        let key = Key::new("log").params([&*self.log().to_string_lossy(), "match"]);
        own_name(key, generation)
    }

    fn names_key(&self, generation: Generation, option: &str) -> Key {
        let names = self.log().with_file_name(r"^app\.log");
        let key = Key::new("logrt").params([&*names.to_string_lossy(), "match", "", "", "", "", "", option]);
        own_name(key, generation)
    }

    fn total_key(&self) -> Key {
        Key::new("oomwatch.log.total").params([&*self.log().to_string_lossy(), "match", "", "all"])
    }
}

fn own_name(key: Key, generation: Generation) -> Key {
    if generation == Generation::V7_0 { key } else { key.prefixed("oomwatch.") }
}

/// Values survive the agent, and are sent each second.
///
/// The buffer is in memory: while an agent waits for a busy disk, it polls again, and if it is killed then, it loses the
/// values that it had received. The plugin cannot detect that.
fn durable(builder: AgentBuilder, directory: &LogDirectory, generation: Generation) -> AgentBuilder {
    let file = directory.buffers.path().join(format!("buffer-{generation}.db"));
    builder
        .line("EnablePersistentBuffer=1")
        .line(format!("PersistentBufferFile={}", file.display()))
        .line("BufferSend=1")
}

/// Values of an item as a server's history stores them: a second value with the same time stamp is not stored.
fn history(server: &ActiveServer, itemid: u64) -> Vec<String> {
    let mut rows: Vec<Received> = Vec::new();
    for row in server.values().into_iter().filter(|row| row.itemid == itemid && row.value.is_some()) {
        assert_eq!(row.state, 0, "not supported: {row:?}");
        if !rows.iter().any(|known| (known.clock, known.ns) == (row.clock, row.ns)) {
            rows.push(row);
        }
    }
    rows.into_iter().filter_map(|row| row.value).collect()
}

/// The numbers of the matches in a value, which has one line or several.
fn numbers(value: &str) -> impl Iterator<Item = u64> {
    let number =
        |line: &str| LogWriter::number_of(line).unwrap_or_else(|| panic!("no whole match: {line:?}"));
    value.split('\n').map(number)
}

fn wait_for_match(server: &ActiveServer, itemid: u64, number: u64) -> bool {
    let text = LogWriter::text_of(number);
    let brings =
        |row: &Received| row.itemid == itemid && row.value.as_ref().is_some_and(|v| v.ends_with(&text));
    server.wait_for(SOON, |rows| rows.iter().any(brings))
}

/// The sequences of consecutive matches in a value.
fn runs(value: &str) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in numbers(value) {
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

/// All numbers from 0 to `matches`, each once, in order.
fn assert_each_once(values: &[String], matches: u64, what: impl Display) {
    let replies: Vec<_> = values.iter().map(|value| runs(value)).collect();
    let mut end = 0;
    for run in replies.iter().flatten() {
        assert_eq!(run.start, end, "{what}: {run:?} is not in its directory in {replies:?}");
        end = run.end;
    }
    assert_eq!(end, matches, "{what}: {replies:?}");
}

// ---- a burst with rotation

fn million_lines(rotating: Rotating, option: &str) -> Result<(), Error> {
    let directory = LogDirectory::new()?;
    let mut writer = LogWriter::create(directory.log(), rotating, LINES_PER_FILE)?;
    writer.write(ONE_MATCH_IN, ONE_MATCH_IN)?;
    let mut watchers = Vec::new();
    for generation in Generation::ALL {
        let items = vec![
            Item::new(LOG, directory.key(generation)),
            Item::new(LOGRT, directory.names_key(generation, option)),
        ];
        let server = ActiveServer::start(items)?;
        let builder = directory.agent(generation)?.active_server(server.address()).line("BufferSend=1");
        watchers.push((generation, builder.start()?, server));
    }
    for (generation, agent, server) in &watchers {
        assert!(wait_for_match(server, LOG, 0), "{generation}: {}", agent.log());
    }
    writer.write(LINES - ONE_MATCH_IN, ONE_MATCH_IN)?;
    for (generation, agent, server) in &watchers {
        for itemid in [LOG, LOGRT] {
            let arrived = wait_for_match(server, itemid, MATCHES - 1);
            assert!(arrived, "{generation}, item {itemid}: {}", agent.log());
        }
    }
    sleep(TWO_POLLS);
    for (generation, _, server) in &watchers {
        assert_each_once(&history(server, LOG), MATCHES, format_args!("log of {generation}"));
        assert_each_once(&history(server, LOGRT), MATCHES, format_args!("logrt of {generation}"));
    }
    Ok(())
}

#[test]
fn million_lines_at_full_speed_over_renames_arrive_once() -> Result<(), Error> {
    million_lines(Rotating::Rename, "rotate")
}

#[test]
fn million_lines_at_full_speed_over_copies_arrive_once() -> Result<(), Error> {
    million_lines(Rotating::CopyTruncate, "copytruncate")
}

// ---- an agent that is killed

#[test]
fn ten_kills_of_the_agent_lose_nothing_and_repeat_at_most_one_reply_each() -> Result<(), Error> {
    let directory = LogDirectory::new()?;
    let mut writer = LogWriter::create(directory.log(), Rotating::Rename, LINES_PER_FILE)?;
    writer.write(ONE_MATCH_IN, ONE_MATCH_IN)?;
    let (following, tortured) = (Count::default(), Count::default());
    thread::scope(|scope| {
        let (directory, following, tortured) = (&directory, &following, &tortured);
        let writing = scope.spawn(move || {
            following.wait_for_all();
            write_until(writer, tortured)
        });
        // An agent ends with the thread that started it.
        let agents = Generation::ALL.map(|generation| {
            scope.spawn(move || kill_again_and_again(directory, generation, following, tortured))
        });
        let written = writing.join().expect("no panic");
        for agent in agents {
            agent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        written
    })
}

/// The number of agents that have reached a step.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn has_all(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= Generation::ALL.len()
    }

    /// Waits with a limit, because a failed agent never reaches the step.
    fn wait_for_all(&self) {
        let _ = wait_until(SOON, || self.has_all());
    }
}

/// Writes in bursts. The last bursts come after the last kill of the agents.
fn write_until(mut writer: LogWriter, tortured: &Count) -> Result<(), Error> {
    const BURST: u64 = 10_000;
    const LAST_BURSTS: u64 = 5;
    const PAUSE: Duration = Duration::from_millis(250);
    for left in (0..LINES / BURST).rev() {
        if left == LAST_BURSTS {
            tortured.wait_for_all();
        }
        let first_line = if left == 0 { ONE_MATCH_IN } else { 0 };
        writer.write(BURST - first_line, ONE_MATCH_IN)?;
        if !tortured.has_all() {
            sleep(PAUSE);
        }
    }
    Ok(())
}

fn kill_again_and_again(
    directory: &LogDirectory,
    generation: Generation,
    following: &Count,
    tortured: &Count,
) -> Result<(), Error> {
    let server = ActiveServer::start(vec![Item::new(LOG, directory.key(generation))])?;
    let builder = directory.agent(generation)?.active_server(server.address());
    let mut agent = durable(builder, directory, generation).start()?;
    // An item begins with the file that has the log's name at the first poll.
    assert!(wait_for_match(&server, LOG, 0), "{generation}: {}", agent.log());
    following.add_one();
    for kill in 0..KILLS {
        let before = server.values_of(LOG).len();
        let _ = server.wait_for(SEVERAL_POLLS, |rows| rows.len() > before);
        wait_for_the_time_of_the_kill(kill, &directory.positions(generation));
        agent.signal(Signal::KILL);
        agent.restart()?;
    }
    tortured.add_one();
    assert!(wait_for_match(&server, LOG, MATCHES - 1), "{generation}: {}", agent.log());
    sleep(TWO_POLLS);
    assert_nothing_lost(&history(&server, LOG), generation);
    Ok(())
}

/// In half of the rounds, waits until a reply has left the plugin and its position has just moved, because the agent may
/// not have buffered the value yet. In the other rounds, waits for a random time.
fn wait_for_the_time_of_the_kill(kill: usize, positions: &Path) {
    if kill.is_multiple_of(2) {
        let file_state = || fs::metadata(positions).map(|data| (data.ino(), data.len())).ok();
        let before = file_state();
        let _ = wait_until_soon(|| file_state() != before);
    } else {
        sleep(Duration::from_millis(kill as u64 * 137 % 1000));
    }
}

/// Like [`wait_until`], without pauses.
fn wait_until_soon(yes: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| {
        sleep(Duration::from_micros(200));
        yes()
    })
}

/// Checks that each match arrived, and that each repetition is a complete earlier reply.
fn assert_nothing_lost(values: &[String], generation: Generation) {
    let mut last: Range<u64> = 0..0;
    let mut repeated = 0;
    for value in values {
        let found: Vec<u64> = numbers(value).collect();
        let reply = found[0]..found[0] + found.len() as u64;
        assert!(found.iter().copied().eq(reply.clone()), "{generation}: a gap in one reply: {found:?}");
        if reply.start != last.end {
            assert_eq!(reply.start, last.start, "{generation}: {last:?} and then {reply:?}");
            assert!(reply.end >= last.end, "{generation}: {last:?} and then {reply:?}");
            repeated += 1;
        }
        last = reply;
    }
    assert_eq!(last.end, MATCHES, "{generation}");
    assert!(repeated <= KILLS, "{generation}: {repeated} replies were repeated");
}

// ---- a server that is away

#[test]
fn server_outage_loses_nothing_if_the_buffer_is_persistent() -> Result<(), Error> {
    const OUTAGE: Duration = Duration::from_secs(20);
    const BUFFER_SIZE: usize = 5;
    let directory = LogDirectory::new()?;
    let mut writer = LogWriter::create(directory.log(), Rotating::Rename, LINES_PER_FILE)?;
    writer.write(ONE_MATCH_IN, ONE_MATCH_IN)?;
    let mut watchers = Vec::new();
    for generation in Generation::ALL {
        let server = ActiveServer::start(vec![Item::new(LOG, directory.key(generation))])?;
        let builder = directory.agent(generation)?.active_server(server.address());
        let builder = durable(builder, &directory, generation).line(format!("BufferSize={BUFFER_SIZE}"));
        watchers.push((generation, builder.start()?, server));
    }
    for (generation, agent, server) in &mut watchers {
        assert!(wait_for_match(server, LOG, 0), "{generation}: {}", agent.log());
        server.go_away();
    }
    for _ in 0..OUTAGE.as_secs() * 4 {
        writer.write(ONE_MATCH_IN, ONE_MATCH_IN)?;
        sleep(Duration::from_millis(250));
    }
    for (generation, agent, server) in &mut watchers {
        let before = history(server, LOG);
        assert_each_once(&before, 1, format_args!("{generation} before the outage"));
        server.come_back()?;
        let arrived = wait_for_match(server, LOG, writer.matches() - 1);
        assert!(arrived, "{generation}: {}", agent.log());
    }
    sleep(TWO_POLLS);
    for (generation, _, server) in &watchers {
        let values = history(server, LOG);
        assert_each_once(&values, writer.matches(), generation);
        assert!(
            values.len() > BUFFER_SIZE + 2,
            "{generation}: memory would have held {} values",
            values.len()
        );
    }
    Ok(())
}

// ---- a read-only poll beside a running agent

#[test]
fn test_run_beside_a_running_agent_shows_the_next_lines_and_moves_no_position() -> Result<(), Error> {
    Generation::both_at_once(|generation| {
        let mut intervals = [8, 30, 100].into_iter();
        while !poll_read_only(generation, intervals.next().expect("two polls take less than 100 s"))? {}
        Ok(())
    })
}

/// Returns `false` if the machine was so slow that the running item was polled before the read-only polls had ended.
fn poll_read_only(generation: Generation, interval_secs: u32) -> Result<bool, Error> {
    let directory = LogDirectory::new()?;
    let mut writer = LogWriter::create(directory.log(), Rotating::Rename, LINES_PER_FILE)?;
    writer.write(3, 1)?;
    let seldom = Item { delay: format!("{interval_secs}s"), ..Item::new(LOG, directory.key(generation)) };
    let server = ActiveServer::start(vec![seldom])?;
    let agent = directory.agent(generation)?.active_server(server.address()).line("BufferSend=1").start()?;
    assert!(wait_for_match(&server, LOG, 2), "{generation}: {}", agent.log());

    writer.write(2, 1)?;
    let positions = || fs::read(directory.positions(generation)).expect("positions");
    let before = positions();
    let shown = [agent.test_item(directory.key(generation))?, agent.test_item(directory.key(generation))?];
    let (after, polled) = (positions(), SystemTime::now());

    assert!(wait_for_match(&server, LOG, 4), "{generation}: {}", agent.log());
    assert_each_once(&history(&server, LOG), 5, generation);
    let rows = server.values();
    let second = rows.iter().filter(|row| row.itemid == LOG && row.value.is_some()).nth(1);
    if second.is_none_or(|row| UNIX_EPOCH + Duration::from_secs(row.clock) <= polled) {
        return Ok(false);
    }
    let next = format!("[s|{}\n{}]", LogWriter::text_of(3), LogWriter::text_of(4));
    assert!(shown.iter().all(|shown| shown.contains(&next)), "{generation}: {shown:?}");
    assert_eq!(before, after, "{generation}");
    Ok(true)
}

// ---- totals

fn total(agent: &RealAgent, key: &Key) -> Result<u64, Error> {
    let reply = agent.poll(key.clone(), TIMEOUT)?;
    Ok(reply.value().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{reply:?}")))
}

/// The totals that the server received, which never decrease.
fn totals(server: &ActiveServer, itemid: u64) -> Vec<u64> {
    let values: Vec<u64> =
        server.values_of(itemid).iter().map(|text| text.parse().expect("a number")).collect();
    assert!(values.is_sorted(), "{values:?}");
    values
}

#[test]
fn total_is_the_same_for_every_poller_and_survives_the_agent() -> Result<(), Error> {
    Generation::both_at_once(|generation| {
        let directory = LogDirectory::new()?;
        let key = directory.total_key();
        let mut writer = LogWriter::create(directory.log(), Rotating::Rename, LINES_PER_FILE)?;
        let server = ActiveServer::start(vec![Item::new(LOG, key.clone())])?;
        let mut agent =
            directory.agent(generation)?.active_server(server.address()).line("BufferSend=1").start()?;
        let mut asked = vec![0];
        for round in 0..3 {
            for _ in 0..20 {
                writer.write(ONE_MATCH_IN * 5, ONE_MATCH_IN)?;
                asked.push(total(&agent, &key)?);
                assert_eq!(asked.last(), Some(&writer.matches()), "{generation}");
                sleep(Duration::from_millis(100));
            }
            let same = || totals(&server, LOG).last() == Some(&writer.matches());
            assert!(wait_until(SOON, same), "{generation}: {:?}", totals(&server, LOG));
            if round == 1 {
                agent.signal(Signal::KILL);
            }
            writer.write(ONE_MATCH_IN * 5, ONE_MATCH_IN)?;
            agent.restart()?;
            assert_eq!(total(&agent, &key)?, writer.matches(), "{generation}: counted on after its end");
        }
        assert!(asked.is_sorted());
        Ok(())
    })
}

// ---- a large log

#[test]
fn last_line_of_200_mb_is_in_the_first_value() -> Result<(), Error> {
    const KILLED: &str = "Jun  1 12:00:00 web kernel: httpd invoked oom-killer: gfp_mask=0x100cca, order=0";
    let directory = LogDirectory::new()?;
    let chunk = "Jun  1 12:00:00 web httpd[4242]: request took 17 ms\n".repeat(20_000);
    let mut log = fs::File::create(directory.log()).expect("the log");
    for _ in 0..200_000_000 / chunk.len() {
        log.write_all(chunk.as_bytes()).expect("the log");
    }
    writeln!(log, "{KILLED}").expect("the log");
    for generation in Generation::ALL {
        let key = Key::new("oomwatch.log").params([&*directory.log().to_string_lossy(), "oom-killer"]);
        let agent = directory.agent(generation)?.start()?;
        assert_eq!(agent.poll(key, TIMEOUT)?, Reply::Value(KILLED.into()), "{generation}");
    }
    Ok(())
}
