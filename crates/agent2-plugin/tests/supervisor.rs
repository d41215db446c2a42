//! A supervised plugin whose worker is killed, stopped and starved, with [`FakeAgent`] as the agent.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use agent2_plugin::{FakeAgent, LaunchMode};
use rustix::process::{Pid, Signal, kill_process};

const SIGSEGV: &str = "11";
const SIGKILL: &str = "9";
const LONG: Duration = Duration::from_secs(20);

fn program() -> PathBuf {
    let mut directory = std::env::current_exe().unwrap();
    directory.pop();
    directory.pop();
    directory.join("examples/faulty")
}

fn launch(mode: LaunchMode) -> FakeAgent {
    FakeAgent::launch(&program(), "Faulty", mode).unwrap()
}

fn serving() -> FakeAgent {
    let mut agent = launch(LaunchMode::Serve);
    agent.configure("Plugins.Faulty.Word=kept", 3).unwrap();
    agent
}

fn value(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> String {
    agent.export(key, parameters).unwrap().unwrap().unwrap()
}

fn error(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> String {
    agent.export(key, parameters).unwrap().unwrap_err()
}

fn worker(agent: &mut FakeAgent) -> Pid {
    Pid::from_raw(value(agent, "faulty.pid", &[]).parse().unwrap()).unwrap()
}

fn supervisor(agent: &FakeAgent) -> Pid {
    Pid::from_raw(i32::try_from(agent.process_id().unwrap()).unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

fn wait_until(what: &str, mut is_done: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !is_done() {
        assert!(Instant::now() < give_up, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn field(pid: Pid, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn poll_during_which_the_worker_dies_gets_an_error_with_the_cause_and_the_next_a_value() {
    let mut agent = serving();
    let causes = [
        ("faulty.signal", SIGKILL, "was killed by SIGKILL"),
        ("faulty.signal", SIGSEGV, "was killed by SIGSEGV"),
        ("faulty.abort", "", "was killed by SIGABRT"),
        ("faulty.exit", "3", "exited with status 3"),
        ("faulty.exit", "0", "exited with status 0"),
        ("faulty.overflow", "100000000", "was killed by SIGABRT"),
        ("faulty.allocate", "500000000", "was killed by SIGABRT"),
    ];
    for (key, parameter, cause) in causes {
        let before = worker(&mut agent);
        let error = error(&mut agent, key, &[parameter]);
        assert!(error.starts_with(&format!("the plugin's worker process {cause}")), "{key}: {error}");
        assert!(error.len() <= 300, "{error}");
        // The configuration is repeated for the new worker.
        wait_until("a new worker replies", || {
            agent.export("faulty.word", &[]).unwrap() == Ok(Some("kept".into()))
        });
        assert_ne!(worker(&mut agent), before);
        let is_logged = |line: &agent2_plugin::LogLine| line.severity == 2 && line.message.contains(cause);
        assert!(agent.log().iter().any(is_logged), "{cause}: {:?}", agent.log());
    }
    agent.terminate().unwrap();
}

#[test]
fn all_open_polls_get_an_error_if_the_worker_dies() {
    let mut agent = serving();
    let worker = worker(&mut agent);
    let mut open: Vec<_> = (0..50).map(|_| agent.send_export("faulty.sleep", &["60000"]).unwrap()).collect();
    kill_process(worker, Signal::KILL).unwrap();
    for _ in 0..50 {
        let (id, result) = agent.next_result().unwrap();
        assert!(result.unwrap_err().contains("was killed by SIGKILL"));
        open.retain(|&other| other != id);
    }
    assert!(open.is_empty());
    agent.terminate().unwrap();
}

#[test]
fn overflow_and_exhausted_memory_are_named_by_what_the_worker_printed() {
    let mut agent = serving();
    let text = error(&mut agent, "faulty.overflow", &["100000000"]);
    assert!(text.contains("stack overflow"), "{text}");
    wait_until("a new worker replies", || agent.export("faulty.word", &[]).unwrap().is_ok());
    let text = error(&mut agent, "faulty.allocate", &["500000000"]);
    assert!(text.contains("memory allocation of 500000000 bytes failed"), "{text}");
}

#[test]
fn worker_that_crashes_at_its_start_is_started_ever_later() {
    let mut agent = launch(LaunchMode::Serve);
    agent.configure("Plugins.Faulty.Word=crash", 3).unwrap();
    let mut errors = Vec::new();
    wait_until("the pause between starts grows", || {
        let text = error(&mut agent, "faulty.word", &[]);
        errors.push(text.clone());
        text.contains("5 times in a row without a value")
    });
    assert!(errors.iter().any(|text| text.contains("was killed by SIGABRT")), "{errors:?}");
    assert!(agent.log().iter().any(|line| line.message.contains("the next worker starts in 1.0 s")));
    agent.terminate().unwrap();
}

#[test]
fn new_worker_knows_the_end_of_the_one_before() {
    let mut agent = serving();
    let report = |agent: &mut FakeAgent| -> serde_json::Value {
        serde_json::from_str(&value(agent, "faulty.supervision", &[])).unwrap()
    };
    let first = report(&mut agent);
    assert_eq!((&first["ended_workers"], &first["last_end"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(first["agent_pid"], std::process::id());
    assert_eq!(first["supervisor_pid"], agent.process_id().unwrap());
    error(&mut agent, "faulty.signal", &[SIGSEGV]);
    let second = report(&mut agent);
    assert_eq!(second["ended_workers"], 1);
    assert_eq!(second["last_end"]["cause"], "was killed by SIGSEGV");
}

#[test]
fn register_pass_starts_no_worker() {
    let mut agent = launch(LaunchMode::Register);
    agent.register("6.4.0").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", agent.process_id().unwrap());
    assert_eq!(fs::read_to_string(children).unwrap(), "");
    agent.validate("Plugins.Faulty.Word=x").unwrap().unwrap();
    agent.terminate().unwrap();
}

#[test]
fn terminate_and_the_agents_death_end_both_processes() {
    let mut agent = serving();
    let pid = worker(&mut agent);
    agent.send_export("faulty.sleep", &["60000"]).unwrap();
    agent.terminate().unwrap();
    wait_until("the worker ends at terminate", || !is_alive(pid));

    let mut agent = serving();
    let pid = worker(&mut agent);
    agent.send_export("faulty.sleep", &["60000"]).unwrap();
    agent.hang_up(LONG).unwrap();
    wait_until("the worker ends with the agent", || !is_alive(pid));

    let mut agent = serving();
    let pid = worker(&mut agent);
    kill_process(supervisor(&agent), Signal::KILL).unwrap();
    wait_until("the worker ends with its supervisor", || !is_alive(pid));

    let mut agent = serving();
    let pid = worker(&mut agent);
    kill_process(pid, Signal::STOP).unwrap();
    kill_process(supervisor(&agent), Signal::KILL).unwrap();
    wait_until("a stopped worker ends with its supervisor", || !is_alive(pid));
}

#[test]
fn kernel_prefers_the_worker_and_limits_its_memory() {
    let mut agent = serving();
    let (worker, supervisor) = (worker(&mut agent), supervisor(&agent));
    let adjustment = |pid: Pid| -> i32 {
        fs::read_to_string(format!("/proc/{}/oom_score_adj", pid.as_raw_pid()))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    assert_eq!(adjustment(worker), adjustment(supervisor) + 200);
    assert_eq!(field(worker, "limits", "Max data size"), 64 << 20);
    let comm = |pid: Pid| fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid())).unwrap();
    assert_eq!(comm(worker), comm(supervisor));
}

#[test]
fn supervisor_is_small() {
    let mut agent = serving();
    for _ in 0..200 {
        value(&mut agent, "faulty.echo", &["x"]);
    }
    let big = "x".repeat(4 << 20);
    assert_eq!(value(&mut agent, "faulty.echo", &[&big]).len(), 4 << 20);
    value(&mut agent, "faulty.echo", &["x"]);
    let kilobytes = field(supervisor(&agent), "smaps_rollup", "Pss:");
    assert!(kilobytes < 2048, "the supervisor uses {kilobytes} kB (PSS)");
}

#[test]
fn stopped_worker_delays_no_error_and_loses_no_value() {
    let mut agent = serving();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deliveries");
    let pid = worker(&mut agent);
    agent.set_request_timeout(Some(1));
    kill_process(pid, Signal::STOP).unwrap();
    let text = error(&mut agent, "faulty.deliver", &[file.to_str().unwrap(), "first"]);
    assert_eq!(text, "the plugin's worker process did not reply before the deadline");
    kill_process(pid, Signal::CONT).unwrap();
    wait_until("the worker replies again", || {
        agent.export("faulty.deliver", &[file.to_str().unwrap(), "second"]).unwrap().is_ok()
    });
    assert_no_loss(&file, &["second"]);
}

#[test]
fn worker_that_stays_stopped_is_replaced() {
    let mut agent = serving();
    let pid = worker(&mut agent);
    agent.set_request_timeout(Some(1));
    kill_process(pid, Signal::STOP).unwrap();
    let give_up = Instant::now() + Duration::from_secs(90);
    while agent.export("faulty.echo", &["x"]).unwrap().is_err() {
        assert!(Instant::now() < give_up, "{:?}", agent.log());
    }
    assert_ne!(worker(&mut agent), pid);
    assert!(
        agent.log().iter().any(|line| line.message.contains("has sent nothing for too long and is killed"))
    );
}

/// Waits for the last of these deliveries, and checks that exactly these were written to the agent.
fn assert_no_loss(file: &Path, written: &[&str]) {
    let expected: Vec<_> = written.iter().map(|word| format!("{word} written")).collect();
    let read = || fs::read_to_string(file).unwrap_or_default();
    wait_until("the last delivery is reported", || read().contains(expected.last().unwrap()));
    let text = read();
    let found: Vec<_> = text.lines().filter(|line| line.ends_with("written")).collect();
    assert_eq!(found, expected, "{text}");
}

/// The agent's timeout runs while the plugin is stopped, so no checkpoint may move for what it sends then.
#[test]
fn request_that_waited_while_the_plugin_was_stopped_moves_no_checkpoint() {
    for (waits_before, polls_before) in [(0, 1), (7000, 0)] {
        let mut agent = serving();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deliveries");
        let name = file.to_str().unwrap();
        let (worker, supervisor) = (worker(&mut agent), supervisor(&agent));
        // After a pause without polls the supervisor sleeps without a timeout.
        thread::sleep(Duration::from_millis(waits_before));
        for _ in 0..polls_before {
            value(&mut agent, "faulty.deliver", &[name, "before"]);
            assert_no_loss(&file, &["before"]);
        }
        for pid in [supervisor, worker] {
            kill_process(pid, Signal::STOP).unwrap();
        }
        agent.send_export("faulty.deliver", &[name, "old"]).unwrap();
        agent.send_export("faulty.echo", &["old"]).unwrap();
        thread::sleep(Duration::from_millis(3500));
        for pid in [worker, supervisor] {
            kill_process(pid, Signal::CONT).unwrap();
        }
        let mut results =
            [agent.next_result().unwrap(), agent.next_result().unwrap()].map(|(_, result)| result);
        results.sort();
        // A value that nothing depends on is returned. The agent drops it if it has given up.
        assert_eq!(results[0], Ok(Some("old".to_owned())));
        assert!(results[1].as_ref().unwrap_err().contains("may be older than its timeout"), "{results:?}");
        thread::sleep(Duration::from_millis(100));
        value(&mut agent, "faulty.deliver", &[name, "after"]);
        let written = if polls_before > 0 { &["before", "after"][..] } else { &["after"] };
        assert_no_loss(&file, written);
    }
}

/// A stopped agent reads nothing and gives up its polls when it goes on.
#[test]
fn reply_that_the_agent_does_not_read_before_the_deadline_is_lost() {
    let mut agent = serving();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deliveries");
    let name = file.to_str().unwrap();
    value(&mut agent, "faulty.deliver", &[name, "read"]);
    assert_no_loss(&file, &["read"]);
    agent.set_request_timeout(Some(1));
    agent.send_export("faulty.deliver", &[name, "unread"]).unwrap();
    thread::sleep(Duration::from_millis(1500));
    agent.next_result().unwrap().1.unwrap();
    value(&mut agent, "faulty.deliver", &[name, "later"]);
    assert_no_loss(&file, &["read", "later"]);
    assert!(fs::read_to_string(&file).unwrap().contains("unread lost"));
}

#[test]
fn nothing_wakes_up_when_nothing_is_polled() {
    let mut agent = serving();
    let (worker, supervisor) = (worker(&mut agent), supervisor(&agent));
    thread::sleep(Duration::from_secs(8));
    let switches = |pid: Pid| -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).unwrap();
        let threads = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        threads.map(|thread| field(pid, &format!("task/{thread}/status"), "voluntary_ctxt_switches:")).sum()
    };
    let before = (switches(supervisor), switches(worker));
    thread::sleep(Duration::from_secs(5));
    assert_eq!((switches(supervisor), switches(worker)), before);
}

#[test]
fn replies_of_any_size_and_log_lines_pass_the_supervisor() {
    let mut agent = serving();
    for size in [0, 1, 100, 16_383, 16_384, 70_000, 3_000_000] {
        let text = "x".repeat(size);
        assert_eq!(value(&mut agent, "faulty.echo", &[&text]), text);
    }
    value(&mut agent, "faulty.log", &["5"]);
    value(&mut agent, "faulty.echo", &["x"]);
    let lines: Vec<_> = agent.log().iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    agent.terminate().unwrap();
}

#[test]
fn invalid_frames_from_the_agent_are_skipped() {
    let mut agent = serving();
    let mut bytes = Vec::new();
    for (frame_type, body) in
        [(1_u32, &b"not json"[..]), (2, b"x"), (4, &[0; 64]), (9, b""), (1, b"{\"id\":1,\"type\":77}")]
    {
        bytes.extend(frame_type.to_le_bytes());
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
    }
    agent.send_raw(&bytes).unwrap();
    assert_eq!(value(&mut agent, "faulty.echo", &["still", "here"]), "still|here");
    agent.terminate().unwrap();
}
