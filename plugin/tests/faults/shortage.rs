//! A plugin that may open no further files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::serving::Serving;

struct Sleepers(Vec<Child>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn set_limit(pid: u32, files: u64) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    let maximum = prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum: Some(4096) });
    maximum.unwrap();
}

fn open_files(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

/// With few free descriptors some files can be opened and others cannot. Each poll gets the exact value or the error.
#[test]
fn plugin_without_free_descriptors_reports_the_limit_and_no_wrong_value() {
    let title = format!("shortage-{}", std::process::id());
    let start = |_| Command::new("sleep").arg0(&title).arg("600").stdin(Stdio::null()).spawn().unwrap();
    let _sleepers = Sleepers((0..3).map(start).collect());
    let mut plugin = Serving::start(10);
    let pattern = format!("^{title} 600$");
    let by_pattern: &[&str] = &["", "", "", &pattern];
    // First polls, which start threads.
    let count = |plugin: &mut Serving| plugin.agent.export("oomwatch.proc.num", by_pattern).unwrap();
    assert_eq!(count(&mut plugin), Ok(Some("3".to_owned())));
    plugin.agent.export("oomwatch.proc.cpu.util", &["other"]).unwrap().unwrap();

    let polls: [(&str, &[&str]); 11] = [
        ("oomwatch.proc.num", by_pattern),
        ("oomwatch.proc.mem", &["", "", "", &pattern, "rss"]),
        ("oomwatch.proc.mem", &["", "", "", &pattern, "pss"]),
        ("oomwatch.proc.cpu.util", by_pattern),
        ("oomwatch.proc.get", &["", "", &pattern]),
        ("oomwatch.proc.get", &["", "", &pattern, "thread"]),
        ("oomwatch.proc.top", &["rss", "100000"]),
        ("oomwatch.proc.top", &["pss", "100000"]),
        ("oomwatch.proc.discovery", &["rss", "1"]),
        ("oomwatch.oom.risk", &[]),
        ("oomwatch.oom.count", &[]),
    ];
    let mut refused = 0;
    for free in 0..4 {
        for (key, parameters) in polls {
            // A walk that is shared with an earlier poll needs no descriptor.
            std::thread::sleep(std::time::Duration::from_millis(if free == 0 { 1100 } else { 0 }));
            for pid in plugin.processes() {
                set_limit(pid, open_files(pid) + free);
            }
            let limits: Vec<_> =
                plugin.processes().iter().map(|pid| (open_files(*pid) + free).to_string()).collect();
            match plugin.agent.export(key, parameters).unwrap() {
                Err(error) => {
                    let is_named =
                        |limit: &String| error.contains(&format!("the plugin's limit is {limit};"));
                    assert!(limits.iter().any(is_named), "{key} with {free} free of {limits:?}: {error}");
                    refused += 1;
                }
                Ok(value) => check_value(key, parameters, &value.unwrap(), &title),
            }
        }
    }
    assert!(refused >= polls.len(), "only {refused} polls were refused");
    for pid in plugin.processes() {
        set_limit(pid, 1024);
    }
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(count(&mut plugin), Ok(Some("3".to_owned())), "the plugin recovers");
    plugin.agent.terminate().unwrap();
}

fn check_value(key: &str, parameters: &[&str], value: &str, title: &str) {
    let entries = value.matches(title).count();
    match (key, parameters.first()) {
        ("oomwatch.proc.num", _) => assert_eq!(value, "3"),
        ("oomwatch.proc.mem", _) => assert!(value.parse::<u64>().unwrap() > 100_000, "{key}: {value}"),
        ("oomwatch.proc.get", _) if parameters.len() == 3 => assert_eq!(entries, 3, "{key}: {value}"),
        ("oomwatch.proc.top", _) => assert!(value.contains("\"sleep\""), "{key}: {value}"),
        _ => assert!(!value.is_empty() && value != "[]", "{key}: {value}"),
    }
}
