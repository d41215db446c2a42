//! The plugin sleeps when nothing is polled.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::serving::{Serving, tasks};

/// Sampling of CPU times ends 90 s after a single poll. A busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(240);
const OBSERVED: Duration = Duration::from_secs(10);

/// Returns the name of each thread and how often it has slept.
fn sleeps(plugin: &Serving) -> BTreeMap<String, u64> {
    let mut sleeps = BTreeMap::new();
    for task in plugin.processes().into_iter().flat_map(tasks) {
        let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let thread = format!("{} {}", field("Name:"), task.display());
        sleeps.insert(thread, field("voluntary_ctxt_switches:").parse().unwrap());
    }
    sleeps
}

#[test]
fn no_thread_wakes_up_after_the_last_poll_of_process_keys() {
    let mut plugin = Serving::start(30);
    let polls: [(&str, &[&str]); 11] = [
        ("oomwatch.proc.num", &[]),
        ("oomwatch.proc.mem", &["", "", "", "", "rss"]),
        ("oomwatch.proc.cpu.util", &["", "", "", "", "avg15"]),
        ("oomwatch.proc.get", &[]),
        ("oomwatch.proc.get", &["", "", "", "thread"]),
        ("oomwatch.proc.top", &["cpu"]),
        ("oomwatch.proc.discovery", &["rss"]),
        ("oomwatch.oom.risk", &[]),
        ("oomwatch.oom.count", &[]),
        ("oomwatch.oom.cgroups", &[]),
        ("oomwatch.self", &[]),
    ];
    for (key, parameters) in polls {
        let _ = plugin.agent.export(key, parameters).unwrap();
    }
    let is_sampling =
        |plugin: &Serving| sleeps(plugin).keys().any(|thread| thread.starts_with("cpu-sampler"));
    assert!(is_sampling(&plugin), "{:?}", sleeps(&plugin));
    let give_up = Instant::now() + PATIENCE;
    while is_sampling(&plugin) {
        assert!(Instant::now() < give_up, "CPU times are still sampled");
        sleep(Duration::from_secs(1));
    }
    let before = sleeps(&plugin);
    sleep(OBSERVED);
    let mut awake = sleeps(&plugin);
    awake.retain(|thread, count| before.get(thread) != Some(count));
    assert!(awake.is_empty(), "woke up within {OBSERVED:?}: {awake:?}, before: {before:?}");
    plugin.agent.terminate().unwrap();
}
