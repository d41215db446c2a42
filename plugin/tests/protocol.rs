//! The plugin's process as an agent sees it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod documented;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use agent2_plugin::{FakeAgent, LaunchMode};
use serde_json::Value;
use tempfile::TempDir;

use documented::assert_documented;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");

fn launched(mode: LaunchMode) -> FakeAgent {
    FakeAgent::launch(Path::new(PROGRAM), "OomWatch", mode).unwrap()
}

/// A plugin that answers polls, with a state directory of its own.
struct Serving {
    agent: FakeAgent,
    _state: TempDir,
}

impl Deref for Serving {
    type Target = FakeAgent;

    fn deref(&self) -> &FakeAgent {
        &self.agent
    }
}

impl DerefMut for Serving {
    fn deref_mut(&mut self) -> &mut FakeAgent {
        &mut self.agent
    }
}

fn serving(conf: &str) -> Serving {
    let state = tempfile::tempdir().unwrap();
    Serving { agent: serving_from(state.path(), conf), _state: state }
}

fn serving_from(state: &Path, conf: &str) -> FakeAgent {
    let mut agent = launched(LaunchMode::Serve);
    agent.configure(&format!("Plugins.OomWatch.StateDir={}\n{conf}", state.display()), 3).unwrap();
    agent
}

fn value(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> String {
    agent.export(key, parameters).unwrap().unwrap().unwrap()
}

fn json(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> Value {
    let reply = serde_json::from_str(&value(agent, key, parameters)).unwrap();
    assert_documented(key, &reply);
    reply
}

fn error(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> String {
    agent.export(key, parameters).unwrap().unwrap_err()
}

#[test]
fn every_key_of_the_table_is_registered_and_returns_its_example() {
    let mut agent = launched(LaunchMode::Register);
    let registration = agent.register("6.0.13").unwrap();
    assert_eq!((registration.name.as_str(), registration.error.as_str()), ("OomWatch", ""));
    let registered: Vec<_> = registration.metrics.into_iter().map(|(key, _)| key).collect();
    assert_eq!(registered, oomwatch::KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    agent.terminate().unwrap();

    let mut agent = serving("");
    for key in oomwatch::KEYS {
        let parameters = key.example.trim_start_matches(key.name);
        let parameters =
            parameters.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or_default();
        let parameters: Vec<_> = parameters.split(',').filter(|_| !parameters.is_empty()).collect();
        let answer = agent.export(key.name, &parameters).unwrap();
        let has_value = matches!(&answer, Ok(Some(text)) if !text.is_empty());
        assert!(
            has_value
                || answer.as_ref().is_err_and(|why| why.contains("no source of OOM reports can be read"))
                // Servers that this machine does not have.
                || answer.as_ref().is_err_and(|why| why.contains(" configuration found at /etc/"))
                || answer.as_ref().is_err_and(|why| why.starts_with("systemd cannot be queried over D-Bus")),
            "{}: {answer:?}",
            key.example
        );
    }
    agent.terminate().unwrap();
}

#[test]
fn wrong_option_is_rejected_with_its_name() {
    let mut agent = launched(LaunchMode::Register);
    agent.register("6.4.0").unwrap();
    assert_eq!(agent.validate("Plugins.OomWatch.Proc.MaxAge=0.5").unwrap(), Ok(()));
    let refusal = agent.validate("\n\nPlugins.OomWatch.Proc.MaxAeg=1").unwrap().unwrap_err();
    assert!(
        refusal.starts_with("option Plugins.OomWatch.Proc.MaxAeg (line 3): there is no such option"),
        "{refusal}"
    );
    let refusal = agent.validate("Plugins.OomWatch.HostRoot=/nowhere").unwrap().unwrap_err();
    assert!(refusal.contains("Plugins.OomWatch.HostRoot: /nowhere"), "{refusal}");
    agent.terminate().unwrap();
}

#[test]
fn errors_have_the_texts_of_the_built_in_keys() {
    let mut agent = serving("");
    let table: [(&str, &[&str], &str); 10] = [
        ("oomwatch.proc.mem", &["a", "", "", "", "", ""], "Too many parameters."),
        ("oomwatch.proc.mem", &["a", "", "median"], "Invalid third parameter."),
        ("oomwatch.proc.mem", &["a", "", "", "", "rrs"], "Invalid fifth parameter."),
        ("oomwatch.proc.num", &["a", "", "", "", ""], "Too many parameters."),
        ("oomwatch.proc.num", &["a", "", "asleep"], "Invalid third parameter."),
        ("oomwatch.proc.cpu.util", &["a", "", "sum"], "Invalid third parameter."),
        ("oomwatch.proc.cpu.util", &["a", "", "", "", "avg2"], "Invalid fifth parameter."),
        ("oomwatch.proc.get", &["", "", "x", "summary"], "Invalid fourth parameter."),
        ("oomwatch.proc.top", &["vsize"], "Invalid first parameter."),
        ("oomwatch.self", &["x"], "Too many parameters."),
    ];
    for (key, parameters, expected) in table {
        assert_eq!(error(&mut agent, key, parameters), expected, "{key}{parameters:?}");
    }
    assert_eq!(error(&mut agent, "oomwatch.nothing", &[]), "OomWatch has no key oomwatch.nothing");
}

#[test]
fn pattern_that_does_not_compile_has_the_error_of_each_agent() {
    let mut agent = serving("");
    assert_eq!(
        error(&mut agent, "oomwatch.proc.mem", &["", "", "", "("]),
        "Failed to compile regular expression '(': error parsing regexp: missing closing ): `(`"
    );
    agent.set_request_timeout(None);
    assert_eq!(value(&mut agent, "oomwatch.proc.mem", &["", "", "", "("]), "0");
    assert_eq!(value(&mut agent, "oomwatch.proc.num", &["", "", "", "("]), "0");
    assert_eq!(
        error(&mut agent, "oomwatch.proc.cpu.util", &["", "", "", "("]),
        "error parsing regexp: missing closing ): `(`"
    );
}

#[test]
fn plugin_finds_its_own_process() {
    let mut agent = serving("");
    let own = "zabbix-agent2-plugin-oomwatch";
    let socket = format!("^{PROGRAM} .*plugin.sock false$");
    assert_ne!(value(&mut agent, "oomwatch.proc.num", &[own, "", "", &socket]), "0");
    let top = json(&mut agent, "oomwatch.proc.top", &["pss", "100000"]);
    assert_eq!((top["by"].as_str(), top["unit"].as_str()), (Some("pss"), Some("B")));
    let names = top["names"].as_array().unwrap();
    let entry = names.iter().find(|name| name["name"] == own).expect("the plugin ranks itself");
    assert!(entry["count"].as_u64() >= Some(1) && entry["sum"].as_f64() > Some(100_000.0), "{entry}");
    let sums: Vec<_> = names.iter().map(|name| name["sum"].as_f64().unwrap()).collect();
    assert!(sums.is_sorted_by(|a, b| a >= b), "{sums:?}");
    assert_eq!(top["total"].as_f64().unwrap(), sums.iter().sum::<f64>());
}

#[test]
fn discovery_lists_the_ranked_names() {
    let mut agent = serving("");
    let rows = json(&mut agent, "oomwatch.proc.discovery", &["rss", "3"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(
            row["{#NAME}"].is_string() && row["{#COUNT}"].is_u64() && row["{#SUM}"].as_f64() > Some(0.0),
            "{row}"
        );
    }
}

#[test]
fn ranking_by_cpu_has_a_value_at_the_first_poll() {
    let mut agent = serving("");
    let top = json(&mut agent, "oomwatch.proc.top", &["cpu", "5"]);
    assert_eq!((top["by"].as_str(), top["unit"].as_str()), (Some("cpu"), Some("%")));
    assert!(top["names"].is_array());
}

#[test]
fn self_reports_the_state_of_the_plugin() {
    let mut agent = serving("");
    error(&mut agent, "oomwatch.nothing", &[]);
    value(&mut agent, "oomwatch.proc.num", &[]);
    let itself = json(&mut agent, "oomwatch.self", &[]);
    assert_eq!(itself["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&itself["exports"]["total"], &itself["exports"]["errors"]),
        (&Value::from(2), &Value::from(1))
    );
    assert!(itself["process"]["rss_bytes"].as_u64() > Some(1_000_000));
    assert!(itself["walks"]["total"].as_u64() >= Some(1));
    assert!(itself["processes"]["total"].as_u64() > Some(2));
    assert_eq!(itself["processes"]["others_visible"], true);
}

#[test]
fn simultaneous_polls_share_one_walk() {
    let mut agent = serving("Plugins.OomWatch.Proc.MaxAge=10");
    value(&mut agent, "oomwatch.proc.num", &["init"]);
    let before = json(&mut agent, "oomwatch.self", &[])["walks"]["total"].as_u64().unwrap();
    for name in 0..100 {
        agent.send_export("oomwatch.proc.num", &[&format!("name{name}")]).unwrap();
    }
    for _ in 0..100 {
        assert_eq!(agent.next_result().unwrap().1, Ok(Some("0".into())));
    }
    assert_eq!(json(&mut agent, "oomwatch.self", &[])["walks"]["total"].as_u64().unwrap(), before);
}

/// A made-up machine: two processes of one name that share most of their pages, and a kernel thread.
fn machine(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join("proc").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("stat", "cpu 0 0 0 0\nbtime 1700000000\n");
    write("meminfo", "MemTotal:        4096000 kB\n");
    for pid in [100, 101] {
        let fields = "1 100 100 0 -1 4194304 10 0 2 0 7 3 0 0 20 0 1 0 500 209715200 12800 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0";
        write(&format!("{pid}/stat"), &format!("{pid} (httpd) S {fields}\n"));
        write(&format!("{pid}/cmdline"), "/usr/sbin/httpd\0-k\0start\0");
        write(
            &format!("{pid}/status"),
            "Name:\thttpd\nState:\tS (sleeping)\nVmPeak:\t  204800 kB\nVmSize:\t  204800 kB\nVmRSS:\t   51200 kB\nVmSwap:\t     100 kB\nThreads:\t1\n",
        );
        write(
            &format!("{pid}/smaps_rollup"),
            "55e0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:  51200 kB\nPss:  11000 kB\nShared_Clean: 41200 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 10000 kB\n",
        );
    }
    write(
        "2/stat",
        "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
    );
    write("2/cmdline", "");
    write("2/status", "Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\n");
}

#[test]
fn another_machines_root_is_read_and_shared_pages_are_distinguished_from_private_ones() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let table: [(&str, &[&str], &str); 8] = [
        ("oomwatch.proc.num", &[], "3"),
        ("oomwatch.proc.num", &["kthreadd"], "1"),
        ("oomwatch.proc.mem", &["httpd", "", "", "", "rss"], "104857600"),
        ("oomwatch.proc.mem", &["httpd", "", "", "", "pss"], "22528000"),
        ("oomwatch.proc.mem", &["httpd", "", "avg", "", "uss"], "10240000.000000"),
        ("oomwatch.proc.mem", &["httpd", "", "max", "", "pmem"], "1.250000"),
        ("oomwatch.proc.mem", &["kthreadd"], "0"),
        ("oomwatch.proc.mem", &["", "", "min", "-k start", "swap"], "102400"),
    ];
    for (key, parameters, expected) in table {
        assert_eq!(value(&mut agent, key, parameters), expected, "{key}{parameters:?}");
    }
}

#[test]
fn pss_of_unreadable_processes_is_an_error_with_a_remedy() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let maps = root.path().join("proc/101/smaps_rollup");
    std::fs::remove_file(&maps).unwrap();
    // A directory in the file's place: not even root can read it.
    std::fs::create_dir(&maps).unwrap();
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let expected = "smaps_rollup of 1 of 2 processes cannot be read: \
                    the agent's unit needs AmbientCapabilities=CAP_SYS_PTRACE, or poll rss";
    assert_eq!(error(&mut agent, "oomwatch.proc.mem", &["httpd", "", "", "", "pss"]), expected);
    assert_eq!(value(&mut agent, "oomwatch.proc.mem", &["httpd", "", "", "", "rss"]), "104857600");
}

#[test]
fn maps_are_read_only_if_polled_and_delay_no_other_item() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let maps = root.path().join("proc/101/smaps_rollup");
    std::fs::remove_file(&maps).unwrap();
    // Opening a FIFO without a writer blocks, as reading the maps of a large process may.
    assert!(std::process::Command::new("mkfifo").arg(&maps).status().unwrap().success());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    agent.set_request_timeout(Some(1));
    assert_eq!(value(&mut agent, "oomwatch.proc.mem", &["httpd", "", "", "", "rss"]), "104857600");
    let standing = agent.send_export("oomwatch.proc.mem", &["httpd", "", "", "", "pss"]).unwrap();
    let other = agent.send_export("oomwatch.proc.num", &["httpd"]).unwrap();
    assert_eq!(agent.next_result().unwrap(), (other, Ok(Some("2".into()))));
    let (id, answer) = agent.next_result().unwrap();
    assert_eq!(id, standing);
    assert!(answer.unwrap_err().contains("was not ready after 1.0 s"));
    assert_eq!(json(&mut agent, "oomwatch.self", &[])["exports"]["running_past_deadline"], 1);
}

#[test]
fn hidden_processes_are_an_error_and_not_a_ranking_of_the_own_processes() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    std::fs::create_dir(root.path().join("proc/self")).unwrap();
    let mount = "22 28 0:21 / /proc rw,relatime shared:12 - proc proc rw,hidepid=invisible\n";
    std::fs::write(root.path().join("proc/self/mountinfo"), mount).unwrap();
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let itself = json(&mut agent, "oomwatch.self", &[]);
    assert_eq!(itself["processes"]["hidepid"], 2);
    assert_eq!(itself["processes"]["others_visible"], false);
    for key in ["oomwatch.proc.top", "oomwatch.proc.discovery"] {
        let refusal = error(&mut agent, key, &["rss"]);
        assert!(refusal.contains("hidepid=2"), "{refusal}");
    }
    // The mirrored keys answer as the built-in ones do.
    assert_eq!(value(&mut agent, "oomwatch.proc.num", &["mysqld"]), "0");
}

/// Appends to a log.
fn write(log: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn log_items_deliver_each_line_once_even_after_a_kill() {
    let (state, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("messages");
    let path = log.to_str().unwrap();
    write(&log, "one oom-killer\nnothing\ntwo oom-killer\npart");
    let mut agent = serving_from(state.path(), "");
    assert_eq!(value(&mut agent, "oomwatch.log", &[path, "oom-killer"]), "one oom-killer\ntwo oom-killer");
    assert_eq!(agent.export("oomwatch.log", &[path, "oom-killer"]).unwrap(), Ok(None));
    assert_eq!(value(&mut agent, "oomwatch.log.count", &[path, "oom-killer"]), "2");
    assert_eq!(value(&mut agent, "oomwatch.log.count", &[path, "oom-killer"]), "0");
    // Dropped, it is killed.
    drop(agent);
    write(&log, " of oom-killer\nthree oom-killer\n");
    std::fs::rename(&log, logs.path().join("messages.1")).unwrap();
    write(&log, "four oom-killer\n");
    let mut agent = serving_from(state.path(), "");
    let expected = "part of oom-killer\nthree oom-killer\nfour oom-killer";
    assert_eq!(value(&mut agent, "oomwatch.log", &[path, "oom-killer"]), expected);
    assert_eq!(value(&mut agent, "oomwatch.log.count", &[path, "oom-killer"]), "3");
}

#[test]
fn second_process_is_rejected_and_moves_no_position() {
    let (state, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("messages");
    let path = log.to_str().unwrap();
    write(&log, "first\n");
    let mut agent = serving_from(state.path(), "");
    assert_eq!(value(&mut agent, "oomwatch.log", &[path]), "first");
    write(&log, "second\n");
    let mut beside = serving_from(state.path(), "");
    let refusal = error(&mut beside, "oomwatch.log", &[path]);
    assert!(refusal.starts_with("Another process follows logs with the state directory"), "{refusal}");
    assert_eq!(json(&mut beside, "oomwatch.self", &[])["logs"]["persistence"], "read-only");
    beside.terminate().unwrap();
    assert_eq!(value(&mut agent, "oomwatch.log", &[path]), "second");
    assert_eq!(json(&mut agent, "oomwatch.self", &[])["logs"]["persistence"], "durable");
}

#[test]
fn without_a_state_directory_log_items_work_and_a_warning_is_logged() {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("messages");
    write(&log, "first\n");
    // A file in the directory's place: not even root can write into it.
    let mut agent = serving_from(&log, "");
    assert_eq!(value(&mut agent, "oomwatch.log", &[log.to_str().unwrap()]), "first");
    let itself = json(&mut agent, "oomwatch.self", &[]);
    assert_eq!(itself["logs"]["persistence"], "memory");
    assert!(itself["logs"]["reason"].as_str().unwrap().contains("messages"), "{itself}");
    assert!(
        agent.log().iter().any(|line| line.severity == 3 && line.message.contains("memory only")),
        "{:?}",
        agent.log()
    );
}

#[test]
fn totals_are_the_same_for_every_caller() {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("access.log");
    let path = log.to_str().unwrap();
    write(&log, "a.example GET\nb.example GET\n");
    let mut agent = serving("");
    assert_eq!(value(&mut agent, "oomwatch.log.total", &[path, "GET"]), "0");
    let groups: &[&str] = &[path, r"^(\S+)", "", "all", "", "1"];
    assert_eq!(json(&mut agent, "oomwatch.log.groups", groups)["count"], 2);
    write(&log, "b.example GET\nc.example POST\n");
    for _ in 0..2 {
        assert_eq!(value(&mut agent, "oomwatch.log.total", &[path, "GET"]), "1");
        assert_eq!(value(&mut agent, "oomwatch.log.total", &[path, "GET", "", "all"]), "3");
        let counted = json(&mut agent, "oomwatch.log.groups", groups);
        let largest = serde_json::json!([{"value": "b.example", "count": 2, "undercount_max": 0}]);
        assert_eq!(
            (&counted["groups"], &counted["other"], &counted["exact"]),
            (&largest, &Value::from(2), &Value::from(true))
        );
        let last = json(&mut agent, "oomwatch.log.last", &[path, r"^(\S+) (P\w+)", "", "all"]);
        assert_eq!(
            (&last["line"], &last["groups"]),
            (&Value::from("c.example POST"), &serde_json::json!(["c.example", "POST"]))
        );
        assert_eq!((&last["file"], &last["count"]), (&Value::from(path), &Value::from(1)));
    }
}

#[test]
fn log_items_reject_the_arguments_that_the_built_in_keys_reject() {
    let mut agent = serving("Plugins.OomWatch.Regexp.known=x\nPlugins.OomWatch.Log.AllowPath=^/proc/\n");
    let file = "/proc/version";
    let table: [(&str, &[&str], &str); 15] = [
        ("oomwatch.log", &[], "Invalid number of parameters."),
        ("oomwatch.log", &[""], "Invalid first parameter."),
        ("oomwatch.log", &["", "", "", "", "", "", "", "", "", ""], "Too many parameters."),
        ("oomwatch.log.count", &["", "", "", "", "", "", "", "", ""], "Too many parameters."),
        ("oomwatch.log", &[file, "", "", "0"], "Invalid fourth parameter."),
        ("oomwatch.log", &[file, "", "", "1001"], "Invalid fourth parameter."),
        ("oomwatch.log.count", &[file, "", "", "10001"], "Invalid fourth parameter."),
        ("oomwatch.log", &[file, "", "", "", "none"], "Invalid fifth parameter."),
        ("oomwatch.log", &[file, "", "", "", "", "", "-1"], "Invalid seventh parameter."),
        ("oomwatch.log.count", &[file, "", "", "", "", "x"], "Invalid sixth parameter."),
        ("oomwatch.log", &[file, "", "", "", "", "", "", "rotate"], "Invalid parameter \"options\"."),
        (
            "oomwatch.logrt",
            &["/proc/^version$", "", "", "", "", "", "1", "copytruncate"],
            "maxdelay > 0 is not supported with copytruncate option.",
        ),
        ("oomwatch.logrt", &["version"], "Cannot find separator \"/\" in path."),
        (
            "oomwatch.log",
            &["/etc/passwd"],
            "Reading of \"/etc/passwd\" (as \"/etc/passwd\") is not allowed by AllowPath.",
        ),
        ("oomwatch.log.groups", &[file, "", "", "", "", "0"], "Invalid sixth parameter."),
    ];
    for (key, parameters, expected) in table {
        assert_eq!(error(&mut agent, key, parameters), expected, "{key}{parameters:?}");
    }
    let missing = error(&mut agent, "oomwatch.log", &[file, "@unknown"]);
    assert!(missing.starts_with("Global regular expression \"unknown\" does not exist."), "{missing}");
    assert!(missing.contains("Plugins.OomWatch.Regexp.unknown"), "{missing}");
    let pattern = error(&mut agent, "oomwatch.log", &[file, "("]);
    let expected = "Invalid regular expression: missing closing parenthesis, position 1, flags:0x2400";
    assert_eq!(pattern, expected);
    let recursion = error(&mut agent, "oomwatch.log", &[file, "(a(?R)?b)"]);
    assert!(recursion.contains("recursion"), "{recursion}");
    agent.set_request_timeout(None);
    assert_eq!(error(&mut agent, "oomwatch.log", &[file, "(", "", ""]), "cannot compile regular expression");
}

#[test]
fn only_regular_files_are_read() {
    let mut agent = serving("");
    for (path, expected) in
        [("/dev/null", "\"/dev/null\" is not a regular file."), ("/tmp", "\"/tmp\" is not a regular file.")]
    {
        assert_eq!(error(&mut agent, "oomwatch.log", &[path]), expected);
    }
    let missing = error(&mut agent, "oomwatch.log", &["/nowhere/messages"]);
    assert!(missing.contains("\"/nowhere/messages\": [2] No such file or directory"), "{missing}");
}

#[test]
fn named_patterns_and_the_hosts_root_come_from_the_configuration() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    std::fs::create_dir_all(root.path().join("var/log")).unwrap();
    write(&root.path().join("var/log/messages"), "httpd invoked oom-killer\nsshd: hello\n");
    let conf = format!(
        "Plugins.OomWatch.HostRoot={}\nPlugins.OomWatch.Regexp.oom=oom-killer|Out of memory",
        root.path().display()
    );
    let mut agent = serving(&conf);
    assert_eq!(value(&mut agent, "oomwatch.log", &["/var/log/messages", "@oom"]), "httpd invoked oom-killer");
    assert_eq!(value(&mut agent, "oomwatch.logrt", &["/var/log/^mess", "@oom"]), "httpd invoked oom-killer");
}

#[test]
fn kernel_that_does_not_count_kills_has_no_count_of_0() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    std::fs::write(root.path().join("proc/vmstat"), "nr_free_pages 1\n").unwrap();
    let refusal = error(&mut agent, "oomwatch.oom.count", &[]);
    assert!(refusal.contains("kernels before 4.13 do not count OOM kills"), "{refusal}");
    std::fs::write(root.path().join("proc/vmstat"), "nr_free_pages 1\noom_kill 3\n").unwrap();
    assert_eq!(value(&mut agent, "oomwatch.oom.count", &[]), "3");
}

#[test]
fn oom_reports_of_a_log_file_are_returned_to_every_caller() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let refusal = error(&mut agent, "oomwatch.oom.total", &[]);
    assert!(refusal.contains("no source of reports can be read"), "{refusal}");
    assert_eq!(json(&mut agent, "oomwatch.oom.sources", &[])["readable"], false);

    std::fs::create_dir_all(root.path().join("var/log")).unwrap();
    let log = root.path().join("var/log/messages");
    write(
        &log,
        "2023-11-14T22:15:00+00:00 web kernel: httpd invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0\n\
         2023-11-14T22:15:01+00:00 web kernel: Out of memory: Killed process 7 (mysqld) total-vm:80kB, anon-rss:40kB\n",
    );
    std::fs::write(root.path().join("proc/vmstat"), "oom_kill 4\n").unwrap();
    let last = json(&mut agent, "oomwatch.oom.last", &[]);
    let expected = serde_json::json!({
        "count": 1, "time": "2023-11-14T22:15:00.000Z", "clock": 1_700_000_100, "killer": "kernel", "invoked_by": "httpd",
        "constraint": "none", "panic": false, "kills": 1, "sources": ["file"], "trust": "low", "tasks": [],
        "victims": [{"pid": 7, "name": "mysqld", "total_vm_bytes": 81_920, "anon_rss_bytes": 40_960}],
    });
    assert_eq!(last, expected);
    assert_eq!(json(&mut agent, "oomwatch.oom.last", &[]), expected, "a poll moves nothing");
    let list = json(&mut agent, "oomwatch.oom.list", &["5"]);
    assert_eq!((list.as_array().map(Vec::len), &list[0]["victims"]), (Some(1), &expected["victims"]));
    assert_eq!(value(&mut agent, "oomwatch.oom.total", &[]), "4");
    let counts = &json(&mut agent, "oomwatch.oom.sources", &[])["counts"];
    assert_eq!(
        (&counts["kernel"], &counts["reported"], &counts["agree"]),
        (&4.into(), &1.into(), &false.into())
    );
    assert_eq!(error(&mut agent, "oomwatch.oom.list", &["0"]), "Invalid first parameter.");
}

#[test]
fn no_oom_report_is_a_count_of_0_only_if_a_source_is_readable() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let conf = format!("Plugins.OomWatch.HostRoot={}", root.path().display());
    for key in ["oomwatch.oom.last", "oomwatch.oom.list"] {
        let refusal = error(&mut serving(&conf), key, &[]);
        assert!(refusal.contains("no source of OOM reports can be read"), "{refusal}");
    }
    std::fs::create_dir_all(root.path().join("var/log")).unwrap();
    write(
        &root.path().join("var/log/messages"),
        "2023-11-14T22:15:00+00:00 web sshd[5]: Accepted publickey\n",
    );
    let mut agent = serving(&conf);
    assert_eq!(value(&mut agent, "oomwatch.oom.last", &[]), r#"{"count":0}"#);
    assert_eq!(value(&mut agent, "oomwatch.oom.list", &[]), "[]");
}

#[test]
fn risk_of_an_oom_kill_is_reported_with_the_candidates() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let refusal = error(&mut agent, "oomwatch.oom.risk", &[]);
    assert!(refusal.contains("MemAvailable"), "{refusal}");
    let proc = root.path().join("proc");
    std::fs::write(proc.join("meminfo"), "MemTotal: 4096000 kB\nMemAvailable: 1024000 kB\nSwapFree: 0 kB\n")
        .unwrap();
    for (pid, score) in [(100, 300), (101, 600)] {
        std::fs::write(proc.join(format!("{pid}/oom_score")), format!("{score}\n")).unwrap();
        std::fs::write(proc.join(format!("{pid}/comm")), "httpd\n").unwrap();
    }
    let hidden = json(&mut agent, "oomwatch.oom.risk", &[]);
    assert_eq!(
        (hidden.get("candidates"), &hidden["others_visible"]),
        (None, &false.into()),
        "the mount options of /proc are not known"
    );
    std::fs::create_dir(proc.join("self")).unwrap();
    let mount = "22 28 0:21 / /proc rw,relatime shared:12 - proc proc rw\n";
    std::fs::write(proc.join("self/mountinfo"), mount).unwrap();
    let risk = json(&mut agent, "oomwatch.oom.risk", &[]);
    let candidates = serde_json::json!([
        {"pid": 101, "name": "httpd", "oom_score": 600, "rss_bytes": 52_428_800},
        {"pid": 100, "name": "httpd", "oom_score": 300, "rss_bytes": 52_428_800},
    ]);
    assert_eq!((&risk["candidates"], &risk["mem_available_percent"]), (&candidates, &25.into()));
    for absent in ["rate", "seconds_left", "pressure", "panic_on_oom"] {
        assert_eq!(risk.get(absent), None, "{absent}");
    }
}

#[test]
fn cgroups_are_listed_or_reported_as_absent() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let mut agent = serving(&format!("Plugins.OomWatch.HostRoot={}", root.path().display()));
    let refusal = error(&mut agent, "oomwatch.oom.cgroups", &[]);
    assert!(refusal.contains("no memory controller"), "{refusal}");
    let group = root.path().join("sys/fs/cgroup/a.service");
    std::fs::create_dir_all(&group).unwrap();
    std::fs::write(root.path().join("sys/fs/cgroup/cgroup.controllers"), "memory\n").unwrap();
    for (file, text) in [("current", "512\n"), ("max", "2048\n"), ("events", "oom 1\noom_kill 2\n")] {
        std::fs::write(group.join(format!("memory.{file}")), text).unwrap();
    }
    let expected = serde_json::json!({"version": 2, "total": 1, "complete": true, "cgroups": [
        {"path": "/a.service", "current_bytes": 512, "max_bytes": 2048, "percent": 25.0, "oom": 1, "oom_kill": 2},
    ]});
    assert_eq!(json(&mut agent, "oomwatch.oom.cgroups", &[]), expected);
    let rows = json(&mut agent, "oomwatch.oom.cgroups.discovery", &[]);
    assert_eq!(rows, serde_json::json!([{"{#CGROUP}": "/a.service", "{#LIMITED}": 1}]));
}
