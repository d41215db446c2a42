//! The kernel's real ring buffer, overwritten between two polls.
//!
//! The tests write thousands of records through `/dev/kmsg`, so they run alone (`.config/nextest.toml`). They need root,
//! `/dev/kmsg` and a memory cgroup.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch_tests::{Limited, binaries, wait_until};
use rustix::fs::OFlags;
use serde_json::Value;

const LIMIT_BYTES: u64 = 30 << 20;
const SOON: Duration = Duration::from_secs(60);
/// Whether processes may write to the kernel's log without a limit of their rate.
const RATE: &str = "/proc/sys/kernel/printk_devkmsg";

/// Lifts the limit; restored when dropped.
struct UnlimitedWriting(String);

impl UnlimitedWriting {
    fn new() -> Self {
        let before = fs::read_to_string(RATE).expect("this test needs root");
        fs::write(RATE, "on\n").expect("this test needs root");
        Self(before)
    }

    /// Writes records until the ring has no record with this text any more.
    fn overwrite(&self, text: &str) {
        let mut kmsg = OpenOptions::new().write(true).open("/dev/kmsg").expect("it is writable");
        let filler = "x".repeat(150);
        for _ in 0..1000 {
            for _ in 0..500 {
                kmsg.write_all(format!("<6>oomwatch test: {filler}\n").as_bytes()).expect("it is written");
            }
            if !ring().contains(text) {
                return;
            }
        }
        panic!("the ring still has {text}");
    }
}

impl Drop for UnlimitedWriting {
    fn drop(&mut self) {
        let _ = fs::write(RATE, &self.0);
    }
}

fn open_kmsg() -> File {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").expect("this test needs /dev/kmsg")
}

/// Returns all records of the ring.
fn ring() -> String {
    let (mut kmsg, mut text, mut record) = (open_kmsg(), String::new(), [0; 16 * 1024]);
    loop {
        match kmsg.read(&mut record) {
            Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => return text,
        }
    }
}

struct Machine {
    limited: Limited,
    state: tempfile::TempDir,
    victim: PathBuf,
    name: String,
}

impl Machine {
    fn new(letter: char) -> Self {
        let name = format!("owring{letter}{}", std::process::id() % 100_000);
        let limited = Limited::new(&name, LIMIT_BYTES).expect("this test needs root and a memory cgroup");
        let state = tempfile::tempdir().expect("a directory");
        let victim = state.path().join(&name);
        fs::copy("/usr/bin/tail", &victim).expect("tail can be copied");
        Self { limited, state, victim, name }
    }

    /// A plugin that reads nothing but the kernel's ring.
    fn plugin(&self) -> FakeAgent {
        let program = binaries::find(binaries::PLUGIN).expect("the plugin is built");
        let mut agent =
            FakeAgent::launch(&program, "OomWatch", LaunchMode::Serve).expect("the plugin starts");
        let conf = format!(
            "Plugins.OomWatch.StateDir={}\nPlugins.OomWatch.Oom.Sources=kmsg\nPlugins.OomWatch.Systemd=off\n",
            self.state.path().join("state").display()
        );
        agent.configure(&conf, 10).expect("the plugin takes its options");
        agent
    }

    fn kill_one(&self) -> u32 {
        let (pid, status) = self.limited.run_into_limit(&self.victim).expect("it starts");
        assert!(!status.success(), "the kernel has killed it: {status}");
        pid
    }

    fn is_saved(&self, pid: u32) -> bool {
        let text = fs::read_to_string(self.state.path().join("state/oom.json")).unwrap_or_default();
        text.contains(&format!("\"pid\":{pid},\"name\":\"{}\"", self.name))
    }

    /// Returns the pids of the victims of this test, oldest first.
    fn pids(&self, agent: &mut FakeAgent) -> Vec<u64> {
        let reports = json(agent, "oomwatch.oom.list", &["100"]);
        let victims = reports
            .as_array()
            .expect("a list")
            .iter()
            .rev()
            .flat_map(|report| report["victims"].as_array().cloned().unwrap_or_default());
        let own = victims.filter(|victim| victim["name"] == self.name.as_str());
        own.filter_map(|victim| victim["pid"].as_u64()).collect()
    }
}

fn json(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> Value {
    let text = agent.export(key, parameters).expect("an answer").expect("no error").expect("a value");
    serde_json::from_str(&text).expect("JSON")
}

fn reported_by_kmsg(agent: &mut FakeAgent) -> u64 {
    json(agent, "oomwatch.oom.sources", &[])["counts"]["by_source"]["kmsg"].as_u64().expect("a count")
}

fn counted_by_kernel() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").expect("it is readable");
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("kernel 4.13 or later");
    count.trim().parse().expect("a number")
}

/// Returns the kernel's count and the number of reported kills, at a moment without another kill on the machine.
fn counts(agent: &mut FakeAgent) -> (u64, u64) {
    let mut counts = (0, 0);
    let is_quiet = wait_until(SOON, || {
        counts = (counted_by_kernel(), reported_by_kmsg(agent));
        counts.0 == counted_by_kernel()
    });
    assert!(is_quiet, "other tests kill all the time");
    counts
}

/// Other tests of the machine may kill as well, so the kernel's own count is the reference.
fn assert_each_kill_is_counted_once(agent: &mut FakeAgent, before: (u64, u64)) {
    let after = counts(agent);
    assert_eq!(after.1 - before.1, after.0 - before.0, "{before:?} {after:?}");
}

#[test]
fn report_that_was_overwritten_before_the_next_poll_is_present() {
    let writing = UnlimitedWriting::new();
    let machine = Machine::new('w');
    let mut agent = machine.plugin();
    assert_eq!(machine.pids(&mut agent), [0; 0]);
    let pid = machine.kill_one();
    assert!(wait_until(SOON, || machine.is_saved(pid)), "the report is saved without a poll");
    writing.overwrite(&machine.name);
    assert_eq!(machine.pids(&mut agent), [u64::from(pid)]);
    let reports = json(&mut agent, "oomwatch.oom.list", &["100"]);
    let report =
        reports.as_array().and_then(|list| list.iter().find(|report| report["victims"][0]["pid"] == pid));
    let report = report.expect("it is listed");
    assert_eq!((&report["constraint"], &report["cgroup"]), (&"memcg".into(), &machine.limited.path().into()));
}

#[test]
fn next_process_has_each_report_once_after_sigkill() {
    let writing = UnlimitedWriting::new();
    let machine = Machine::new('k');
    let mut agent = machine.plugin();
    assert_eq!(machine.pids(&mut agent), [0; 0]);
    let before = counts(&mut agent);
    let first = machine.kill_one();
    assert!(wait_until(SOON, || machine.is_saved(first)));
    kill(&agent);
    drop(agent);
    // No process reads the ring while this one is killed.
    let second = machine.kill_one();
    let mut agent = machine.plugin();
    assert_eq!(machine.pids(&mut agent), [first, second].map(u64::from));
    assert_each_kill_is_counted_once(&mut agent, before);
    kill(&agent);
    drop(agent);
    writing.overwrite(&machine.name);
    let mut agent = machine.plugin();
    assert_eq!(machine.pids(&mut agent), [first, second].map(u64::from));
    // A kill of another test may have been overwritten before this process began.
    let after = counts(&mut agent);
    assert!(after.1 - before.1 <= after.0 - before.0, "{before:?} {after:?}");
}

fn kill(agent: &FakeAgent) {
    let pid = agent.process_id().and_then(|pid| i32::try_from(pid).ok()).expect("it is a process");
    let pid = rustix::process::Pid::from_raw(pid).expect("it is not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
}

/// Returns how often the thread that reads the ring has waited.
fn waits() -> Option<u64> {
    let program = binaries::find(binaries::PLUGIN).ok()?.canonicalize().ok()?;
    let processes = fs::read_dir("/proc").ok()?.filter_map(|process| Some(process.ok()?.path()));
    let own = processes.filter(|process| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program));
    let tasks = own.filter_map(|process| fs::read_dir(process.join("task")).ok()).flatten();
    let mut named = tasks.filter_map(|task| Some(task.ok()?.path())).filter(|task| is_kmsg(task));
    let status = fs::read_to_string(named.next()?.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

fn is_kmsg(task: &Path) -> bool {
    fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "kmsg")
}

#[test]
fn thread_that_reads_the_ring_does_not_wake_up_without_a_record() {
    let machine = Machine::new('s');
    let mut agent = machine.plugin();
    machine.pids(&mut agent);
    assert!(wait_until(SOON, || waits().is_some()), "the thread runs");
    // Other processes of the machine may write records. One quiet window is sufficient.
    let is_quiet = || {
        let (records, before) = (ring().len(), waits());
        thread::sleep(Duration::from_secs(3));
        let has_slept = waits() == before;
        assert!(
            has_slept || ring().len() != records,
            "it woke up without a record: {before:?} {:?}",
            waits()
        );
        has_slept
    };
    assert!(wait_until(SOON, is_quiet));
}
