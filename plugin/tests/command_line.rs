//! The plugin's process as a person at a terminal sees it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

fn call(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch")).args(arguments).output().unwrap()
}

fn answer(arguments: &[&str]) -> String {
    let output = call(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn complaint(arguments: &[&str]) -> (i32, String) {
    let output = call(arguments);
    assert_eq!(output.stdout, b"", "{arguments:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn help_lists_every_key_and_version_the_version() {
    let help = answer(&["--help"]);
    for key in oomwatch::KEYS {
        assert!(help.contains(&key.signature()) && help.contains(key.summary), "{}", key.name);
    }
    assert_eq!(
        answer(&["--version"]),
        format!("zabbix-agent2-plugin-oomwatch {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn get_prints_an_item_with_its_parameters() {
    assert_ne!(answer(&["get", "proc.num[zabbix-agent2-plugin-oomwatch]"]), "0\n");
    assert_eq!(answer(&["get", "oomwatch.proc.num[no such name]"]), "0\n");
    assert_eq!(answer(&["get", r#"proc.num["no, such",root]"#]), "0\n");
}

#[test]
fn get_waits_for_an_item_that_needs_two_samples() {
    let percent: f64 = answer(&["get", "proc.cpu.util[no such name]"]).trim().parse().unwrap();
    assert!(percent.abs() < f64::EPSILON, "{percent}");
}

#[test]
fn top_is_a_table() {
    let table = answer(&["top", "rss", "3"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["NAME", "COUNT", "SUM", "AVERAGE", "LARGEST"]
    );
    assert!(lines[1].ends_with('B') && lines[4].starts_with("all, by rss"), "{table}");
}

#[test]
fn wrong_calls_and_failing_items_have_their_own_exit_codes() {
    let (code, text) = complaint(&["get", "proc.nothing"]);
    assert_eq!(code, 2);
    assert!(text.contains("there is no key `proc.nothing`"), "{text}");
    let (code, text) = complaint(&["get", "proc.mem[a,,median]"]);
    assert_eq!((code, text.as_str()), (1, "zabbix-agent2-plugin-oomwatch: Invalid third parameter.\n"));
    assert_eq!(complaint(&[]).0, 2);
    assert_eq!(complaint(&["get", "proc.mem[a"]).0, 2);
}

#[test]
fn options_come_from_the_agents_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Hostname=x\nPlugins.OomWatch.HostRoot=/nowhere\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (code, text) = complaint(&["--config", path, "get", "self"]);
    assert_eq!(code, 1);
    assert!(text.contains("Plugins.OomWatch.HostRoot: /nowhere"), "{text}");
    let (code, text) = complaint(&["--config", "/nowhere/x.conf", "get", "self"]);
    assert_eq!(code, 1);
    assert!(text.contains("cannot read /nowhere/x.conf"), "{text}");
}

#[test]
fn get_on_a_log_prints_the_lines_of_the_next_poll_and_moves_no_position() {
    let directory = tempfile::tempdir().unwrap();
    let (log, conf, state) = (
        directory.path().join("messages"),
        directory.path().join("agent.conf"),
        directory.path().join("state"),
    );
    std::fs::write(&log, "one\ntwo\n").unwrap();
    std::fs::write(&conf, format!("Plugins.OomWatch.StateDir={}\n", state.display())).unwrap();
    let key = format!("log[{},t]", log.display());
    for _ in 0..2 {
        assert_eq!(answer(&["-c", conf.to_str().unwrap(), "get", &key]), "two\n");
    }
    assert!(!state.exists(), "looking has written a state");
    let count = format!("log.count[{}]", log.display());
    assert_eq!(answer(&["-c", conf.to_str().unwrap(), "get", &count]), "2\n");
}

#[test]
fn check_names_problems_and_remedies() {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("agent.conf");
    let text = format!("Plugins.OomWatch.StateDir={}/state\n", directory.path().display());
    std::fs::write(&conf, &text).unwrap();
    let checked = || {
        let output = call(&["check", "-c", conf.to_str().unwrap()]);
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (fine, report) = checked();
    assert!(!fine && report.contains("EnablePersistentBuffer=1"), "{report}");
    assert!(report.contains("ok       processes of other users"), "{report}");
    assert!(report.contains("ok       positions in logs"), "{report}");
    std::fs::write(&conf, text + "EnablePersistentBuffer=1\n").unwrap();
    let (_, report) = checked();
    assert!(report.contains("ok       log text while the server is away"), "{report}");
}

#[test]
fn explain_prints_every_report_of_a_log() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = "[  100.5] Out of memory: Killed process 7 (httpd) total-vm:100kB, anon-rss:60kB, file-rss:4kB\n\
               [  900.5] Out of memory: Killed process 8 (php) total-vm:200kB, anon-rss:80kB, file-rss:0kB\n";
    std::fs::write(file.path(), log).unwrap();
    let path = file.path().to_str().unwrap();
    let lines = answer(&["explain", "--json", path]);
    let reports: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let victims: Vec<_> =
        reports.iter().map(|report| report["victims"][0]["name"].as_str().unwrap()).collect();
    assert_eq!(victims, ["httpd", "php"]);
    assert_eq!(reports[0]["victims"][0]["anon_rss_bytes"], 61_440);
    assert!(answer(&["explain", path]).contains("killed:  php (process 8)"));
    let (code, text) = complaint(&["explain", "/nowhere/messages"]);
    assert_eq!(code, 1);
    assert!(text.contains("cannot read /nowhere/messages"), "{text}");
}

#[test]
fn explain_reads_several_logs_and_names_unreadable_ones() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let kill =
        |pid: u32| format!("Out of memory: Killed process {pid} (httpd) total-vm:100kB, anon-rss:60kB\n");
    let (old, new) = (write("messages.1", kill(7).as_bytes()), write("messages", kill(8).as_bytes()));
    let packed = write("messages.2.gz", b"\x1f\x8b\x08\0rest");
    let output = call(&["explain", "--json", &old, &packed, "/nowhere/messages", &new]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let reports: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reported: Vec<_> =
        reports.iter().map(|report| (report["file"].as_str(), &report["victims"][0]["pid"])).collect();
    assert_eq!(reported, [(Some(&*old), &7.into()), (Some(&*new), &8.into())]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains(&format!("cannot read {packed}: it is compressed with gzip")), "{complaint}");
    assert!(complaint.contains("cannot read /nowhere/messages"), "{complaint}");
    let text = answer(&["explain", &old, &new]);
    assert!(text.starts_with(&format!("{old}:\n1. ")), "{text}");
    assert!(
        text.contains(&format!("{new}:\n2. ")) && text.ends_with("2 reports, 2 processes killed\n"),
        "{text}"
    );
}

/// The guide's example: its log gives its text and its object.
#[test]
fn guide_to_explain_shows_the_output_of_the_program() {
    let guide = std::fs::read_to_string("../docs/explain.md").unwrap();
    let blocks: Vec<_> = guide.split("```").skip(1).step_by(2).collect();
    let block = |kind: &str| {
        let found = blocks.iter().find_map(|block| block.strip_prefix(kind)?.strip_prefix('\n'));
        found.unwrap_or_else(|| panic!("no block `{kind}`"))
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), block("log")).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(answer(&["explain", path]), block("text"));
    let shown: serde_json::Value = serde_json::from_str(block("json")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&answer(&["explain", "--json", path])).unwrap();
    assert_eq!(said, shown);
}
