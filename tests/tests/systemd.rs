//! systemd and systemd-oomd over D-Bus: each test has a private bus with replacements for both.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch_tests::bus::{FakeService, Machine, Manager};
use oomwatch_tests::{Error, Generation, PluginSpec, RealAgent, Reply, binaries, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// The plugin reconnects at growing intervals.
const SOON: Duration = Duration::from_secs(60);
const UNITS: &str = "oomwatch.systemd.units";

fn services(names: &[&str]) -> Vec<(String, FakeService)> {
    names.iter().map(|name| (name.to_string(), FakeService::default())).collect()
}

fn state_dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A plugin with this machine as its root, polled as by an agent whose timeout is 3 s.
fn plugin(machine: &Machine, state: &Path, conf: &str) -> FakeAgent {
    let program = binaries::find(binaries::PLUGIN).expect("the plugin is built");
    let mut agent = FakeAgent::launch(&program, "OomWatch", LaunchMode::Serve).expect("the plugin starts");
    let conf = format!(
        "Plugins.OomWatch.HostRoot={}\nPlugins.OomWatch.StateDir={}\n{conf}",
        machine.root().display(),
        state.display()
    );
    agent.configure(&conf, 3).expect("the plugin takes its options");
    agent
}

fn ask(agent: &mut FakeAgent, key: &str, parameters: &[&str]) -> Result<Value, String> {
    let text = agent.export(key, parameters).expect("an answer")?.expect("a value");
    Ok(serde_json::from_str(&text).expect("JSON"))
}

fn units(agent: &mut FakeAgent) -> Value {
    ask(agent, UNITS, &[]).expect("a value")
}

fn unit<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    answer["units"].as_array()?.iter().find(|unit| unit["unit"] == name)
}

/// Polls until the reply satisfies `wanted`, and returns it. The panic message contains the last reply.
fn until(
    agent: &mut FakeAgent,
    key: &str,
    yes: impl Fn(&Result<Value, String>) -> bool,
) -> Result<Value, String> {
    let mut last = Err(String::new());
    let came = wait_until(SOON, || {
        last = ask(agent, key, &[]);
        yes(&last)
    });
    assert!(came, "{key}: {last:?}");
    last
}

fn has_bus(answer: &Result<Value, String>, start: &str) -> bool {
    answer.as_ref().is_ok_and(|answer| answer["bus"].as_str().is_some_and(|bus| bus.starts_with(start)))
}

fn serves_others(agent: &mut FakeAgent) {
    let answer = agent.export("oomwatch.proc.num", &["nobody-has-this-name"]).expect("an answer");
    assert_eq!(answer, Ok(Some("0".to_owned())));
}

fn source<'a>(sources: &'a Value, name: &str) -> &'a Value {
    let its = |source: &&Value| source["name"] == name;
    sources["sources"].as_array().and_then(|list| list.iter().find(its)).expect("every source is listed")
}

#[test]
fn kill_and_restart_between_two_polls_is_counted_once_and_kept() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service", "other.service"]));
    let state = state_dir();
    for (round, generation) in Generation::ALL.into_iter().enumerate() {
        let plugin = PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?)
            .option("HostRoot", machine.root().display().to_string())
            .option("StateDir", state.path().display().to_string());
        let agent = RealAgent::builder(generation).timeout(Duration::from_secs(10)).plugin(plugin).start()?;
        let answer = || match agent.get(UNITS)? {
            Reply::Value(text) => Ok::<Value, Error>(serde_json::from_str(&text).expect("JSON")),
            other => panic!("{other:?}\n{}", agent.log()),
        };
        let before = u64::try_from(round).expect("a small number") * 2;
        assert_eq!((&answer()?["bus"], &answer()?["oom_kills"]), (&"connected".into(), &before.into()));
        manager.kill_and_restart("httpd.service");
        manager.kill_and_restart("httpd.service");
        assert!(wait_until(SOON, || answer().is_ok_and(|answer| answer["oom_kills"] == before + 2)));
        let answer = answer()?;
        let (httpd, other) = (unit(&answer, "httpd.service"), unit(&answer, "other.service"));
        let (httpd, other) = (httpd.expect("httpd"), other.expect("other"));
        assert_eq!((&httpd["oom_kills"], &httpd["restarts"]), (&(before + 2).into(), &(before + 2).into()));
        assert_eq!((&httpd["result"], &httpd["active_state"]), (&"success".into(), &"active".into()));
        assert!(httpd["last_oom_kill"].as_u64().is_some_and(|clock| clock > 1_700_000_000), "{httpd}");
        assert_eq!((&other["oom_kills"], other.get("last_oom_kill")), (&0.into(), None));
        agent.stop();
    }
    Ok(())
}

#[test]
fn signalled_kills_survive_a_plugin_that_is_killed_before_the_next_poll() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(units(&mut agent)["oom_kills"], 0);
    manager.kill_and_restart("httpd.service");
    let is_kept = || {
        let text = fs::read(state.path().join("oom.json")).unwrap_or_default();
        serde_json::from_slice(&text).is_ok_and(|kept: Value| kept["history"]["services"]["total"] == 1)
    };
    assert!(wait_until(SOON, is_kept), "the kill is saved without a poll");
    drop(agent);
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(units(&mut agent)["oom_kills"], 1);
    // A second process reads the state of the first one.
    let mut second = plugin(&machine, state.path(), "");
    assert_eq!(units(&mut second)["oom_kills"], 1);
    Ok(())
}

#[test]
fn service_that_failed_while_the_plugin_was_away_is_counted_once() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["a.service", "b.service"]));
    let state = state_dir();
    let fail = |service: &mut FakeService| {
        (service.active_state, service.sub_state, service.result) = ("failed", "failed", "oom-kill");
    };
    manager.change(|services| services.get_mut("a.service").into_iter().for_each(fail));
    for _ in 0..2 {
        let mut agent = plugin(&machine, state.path(), "");
        let answer = units(&mut agent);
        assert_eq!(answer["oom_kills"], 1, "{answer}");
        assert_eq!(unit(&answer, "a.service").map(|unit| &unit["result"]), Some(&"oom-kill".into()));
    }
    Ok(())
}

#[test]
fn plugin_reconnects_to_bus_and_manager() -> Result<(), Error> {
    let mut machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(units(&mut agent)["bus"], "connected");
    machine.stop_bus();
    drop(manager);
    let answer = until(&mut agent, UNITS, |answer| has_bus(answer, "unreachable: "));
    let answer = answer.expect("what is known");
    assert!(unit(&answer, "httpd.service").is_some(), "{answer}");
    machine.start_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service", "new.service"]));
    let answer = until(&mut agent, UNITS, |answer| has_bus(answer, "connected")).expect("services");
    assert!(unit(&answer, "new.service").is_some(), "{answer}");
    manager.kill_and_restart("new.service");
    until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 1))
        .expect("it");
    // A manager that re-executes leaves the bus and joins it again.
    drop(manager);
    until(&mut agent, UNITS, |answer| has_bus(answer, "unreachable: ")).expect("what is known");
    let later = FakeService { started: 9_000_000, ..FakeService::default() };
    let manager = Manager::start(&machine, [("new.service".to_owned(), later)]);
    until(&mut agent, UNITS, |answer| has_bus(answer, "connected")).expect("services");
    assert_eq!(manager.subscribed(), 1);
    manager.kill_and_restart("new.service");
    until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 2))
        .expect("it");
    Ok(())
}

#[test]
fn without_a_bus_its_items_fail_at_once_and_other_items_work() -> Result<(), Error> {
    let machine = Machine::new()?;
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    let why = ask(&mut agent, UNITS, &[]).expect_err("no bus");
    assert!(why.starts_with("systemd cannot be queried over D-Bus: the bus at unix:path="), "{why}");
    assert!(why.ends_with("cannot be reached: No such file or directory (os error 2)"), "{why}");
    serves_others(&mut agent);
    let sources = ask(&mut agent, "oomwatch.oom.sources", &[]).expect("sources");
    let systemd = source(&sources, "systemd");
    assert_eq!((&systemd["state"], &systemd["readable"]), (&"absent".into(), &false.into()));
    assert!(
        systemd["remedy"].as_str().is_some_and(|remedy| remedy.starts_with("systemctl start dbus")),
        "{systemd}"
    );
    Ok(())
}

#[test]
fn silent_bus_delays_no_poll_beyond_its_deadline() -> Result<(), Error> {
    let machine = Machine::new()?;
    let _silent = UnixListener::bind(machine.socket()).expect("a socket");
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    for _ in 0..2 {
        let why = ask(&mut agent, UNITS, &[]).expect_err("no answer");
        assert_eq!(why, "systemd cannot be queried over D-Bus: systemd did not reply in time");
    }
    serves_others(&mut agent);
    let about_itself = ask(&mut agent, "oomwatch.self", &[]).expect("itself");
    assert_eq!(
        (&about_itself["exports"]["timeouts"], &about_itself["exports"]["running_past_deadline"]),
        (&0.into(), &0.into())
    );
    until(&mut agent, UNITS, |answer| {
        answer.as_ref().is_err_and(|why| why.ends_with("the bus did not reply within 10 s"))
    })
    .expect_err("it is given up");
    Ok(())
}

#[test]
fn hanging_manager_delays_no_poll_and_recovers() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    assert!(unit(&units(&mut agent), "httpd.service").is_some());
    manager.hang(true);
    let answer = until(&mut agent, UNITS, |answer| has_bus(answer, "unreachable: ")).expect("what is known");
    assert_eq!(answer["bus"], "unreachable: systemd did not reply in time");
    assert!(unit(&answer, "httpd.service").is_some(), "{answer}");
    serves_others(&mut agent);
    // Signals still arrive: they need no answer.
    manager.kill_and_restart("httpd.service");
    until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 1))
        .expect("it");
    manager.hang(false);
    until(&mut agent, UNITS, |answer| has_bus(answer, "connected")).expect("services");
    let timeouts = ask(&mut agent, "oomwatch.self", &[]).expect("itself")["exports"]["timeouts"].clone();
    assert_eq!(timeouts, 0);
    Ok(())
}

#[test]
fn services_appear_and_disappear_and_unset_values_are_absent() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let limited = FakeService {
        memory_max: 1 << 30,
        memory_current: 5,
        managed_oom_memory_pressure: "kill",
        managed_oom_memory_pressure_limit: u32::MAX / 4,
        ..FakeService::default()
    };
    let idle = FakeService {
        active_state: "inactive",
        sub_state: "dead",
        memory_current: u64::MAX,
        memory_peak: u64::MAX,
        ..FakeService::default()
    };
    let hostile = "a\\x2d\u{e9}@\"<&>'*.service";
    let all = [("idle.service", idle), ("limited.service", limited), (hostile, FakeService::default())];
    let manager = Manager::start(&machine, all.map(|(name, service)| (name.to_owned(), service)));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    let answer = units(&mut agent);
    let names: Vec<_> =
        answer["units"].as_array().expect("a list").iter().map(|unit| &unit["unit"]).collect();
    assert_eq!(names, ["limited.service", hostile, "idle.service"]);
    let limited = unit(&answer, "limited.service").expect("it");
    assert_eq!(
        limited.to_string(),
        r#"{"active_state":"active","managed_oom_memory_pressure":"kill","managed_oom_memory_pressure_limit_percent":25.0,"memory_current_bytes":5,"memory_max_bytes":1073741824,"memory_peak_bytes":2097152,"oom_kills":0,"oom_policy":"stop","restarts":0,"result":"success","sub_state":"running","unit":"limited.service"}"#
    );
    let idle = unit(&answer, "idle.service").expect("it");
    let absent = ["memory_current_bytes", "memory_peak_bytes", "memory_max_bytes", "last_oom_kill"];
    assert!(absent.iter().all(|name| idle.get(name).is_none()), "{idle}");
    let discovery = ask(&mut agent, "oomwatch.systemd.units.discovery", &["2"]).expect("a list");
    assert_eq!(
        discovery.to_string(),
        serde_json::json!([
            {"{#UNIT}": "limited.service", "{#LIMITED}": 1}, {"{#UNIT}": hostile, "{#LIMITED}": 0}
        ])
        .to_string()
    );

    manager.change(|services| {
        services.remove("idle.service");
        services.insert("new.service".to_owned(), FakeService { memory_max: 9, ..FakeService::default() });
    });
    let has_new = |answer: &Result<Value, String>| {
        answer.as_ref().is_ok_and(|answer| unit(answer, "new.service").is_some())
    };
    let answer = until(&mut agent, UNITS, has_new).expect("services");
    assert!(unit(&answer, "idle.service").is_none(), "{answer}");
    // A service that was never polled is killed and removed at once.
    manager.kill_and_restart("transient.service");
    manager.kill_and_restart(hostile);
    manager.change(|services| services.retain(|name, _| name != "transient.service"));
    let answer =
        until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 2));
    let answer = answer.expect("services");
    assert_eq!(unit(&answer, hostile).map(|unit| &unit["oom_kills"]), Some(&1.into()));
    assert_eq!(unit(&answer, "transient.service"), None);
    Ok(())
}

#[test]
fn kills_that_a_service_survives_are_counted_from_its_cgroup() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let cgroups = machine.root().join("sys/fs/cgroup");
    let write = |name: &str, text: &str| {
        let path = cgroups.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write("cgroup.controllers", "memory\n");
    let pool =
        FakeService { oom_policy: "continue", control_group: "/pool.service", ..FakeService::default() };
    let stopped =
        FakeService { oom_policy: "stop", control_group: "/other.service", ..FakeService::default() };
    let all = [("pool.service".to_owned(), pool), ("other.service".to_owned(), stopped)];
    let manager = Manager::start(&machine, all);
    for unit in ["pool.service", "other.service"] {
        write(&format!("{unit}/memory.events"), "oom 2\noom_kill 2\n");
    }
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    let kills = |answer: &Value| {
        let of = |name| unit(answer, name).map(|unit| unit["oom_kills"].clone()).unwrap_or_default();
        (answer["oom_kills"].clone(), of("pool.service"), of("other.service"))
    };
    let wanted = |total: u64, pool: u64, other: u64| (total.into(), pool.into(), other.into());
    // systemd reports the kill of the other service; its cgroup is not read.
    assert_eq!([kills(&units(&mut agent)), kills(&units(&mut agent))], [wanted(2, 2, 0), wanted(2, 2, 0)]);
    write("pool.service/memory.events", "oom_kill 3\n");
    drop(agent);
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(kills(&units(&mut agent)), wanted(3, 3, 0), "a new process goes on where the old one was");
    // After a restart the service has a new cgroup.
    fs::rename(cgroups.join("pool.service"), cgroups.join("gone")).expect("it is there");
    write("pool.service/memory.events", "oom_kill 1\n");
    manager.kill_and_restart("other.service");
    let answer =
        until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 5));
    assert_eq!(kills(&answer.expect("services")), wanted(5, 4, 1));
    Ok(())
}

#[test]
fn five_thousand_services_are_read_in_bounded_memory() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let large = |number: u64| FakeService { memory_current: number, ..FakeService::default() };
    let all = (0..5000).map(|number| (format!("worker@{number}.service"), large(number)));
    let manager = Manager::start(&machine, all);
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    // On a slow machine the first read takes longer than a poll may.
    let answer = until(&mut agent, UNITS, |answer| has_bus(answer, "connected")).expect("services");
    assert_eq!(answer["units"].as_array().map(Vec::len), Some(50));
    assert_eq!(answer["units"][0]["unit"], "worker@4999.service");
    for number in 0..5000 {
        manager.change_and_signal(&format!("worker@{number}.service"), |service| {
            (service.active_state, service.result) = ("activating", "oom-kill");
        });
    }
    let answer =
        until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] == 5000));
    assert!(answer.is_ok());
    let rss_bytes = ask(&mut agent, "oomwatch.self", &[]).expect("itself")["process"]["rss_bytes"].clone();
    assert!(rss_bytes.as_u64().is_some_and(|bytes| bytes < 64 << 20), "{rss_bytes}");
    Ok(())
}

/// One record with a recent time stamp, as one read of /dev/kmsg returns it.
fn kernel_record(machine: &Machine, text: &str) {
    let uptime = fs::read_to_string("/proc/uptime").expect("an uptime");
    let seconds = uptime.split('.').next().expect("seconds");
    fs::create_dir_all(machine.root().join("dev")).expect("a directory");
    fs::write(machine.root().join("dev/kmsg"), format!("3,7,{seconds}000000,-;{text}\n")).expect("a file");
}

#[test]
fn kill_reported_by_kernel_and_systemd_is_one_record() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(
        ask(&mut agent, "oomwatch.oom.sources", &[]).map(|all| source(&all, "systemd")["state"].clone()),
        Ok("readable".into())
    );
    manager.kill_and_restart("httpd.service");
    // The main process. The kernel's line does not name its cgroup.
    kernel_record(&machine, "Out of memory: Killed process 100 (httpd) total-vm:8kB, anon-rss:4kB");
    let is_whole = |answer: &Result<Value, String>| {
        answer.as_ref().is_ok_and(|last| last["sources"].as_array().is_some_and(|names| names.len() == 2))
    };
    let last = until(&mut agent, "oomwatch.oom.last", is_whole).expect("an event");
    assert_eq!((&last["count"], &last["unit"]), (&1.into(), &"httpd.service".into()), "{last}");
    assert_eq!((&last["victims"][0]["pid"], &last["trust"]), (&100.into(), &"high".into()), "{last}");
    // The next kill is reported by systemd only.
    manager.kill_and_restart("httpd.service");
    let last =
        until(&mut agent, "oomwatch.oom.last", |answer| answer.as_ref().is_ok_and(|last| last["count"] == 2));
    let last = last.expect("an event");
    assert_eq!((&last["sources"], &last["unit"]), (&serde_json::json!(["systemd"]), &"httpd.service".into()));
    assert_eq!(last["victims"], serde_json::json!([]));
    Ok(())
}

#[test]
fn systemd_oomd_is_reported_as_its_own_killer() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["app.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "Plugins.OomWatch.Oom.Sources=systemd,systemd-oomd\n");
    let sources = ask(&mut agent, "oomwatch.oom.sources", &[]).expect("sources");
    let states = ["kmsg", "journal", "file", "systemd", "systemd-oomd"]
        .map(|name| source(&sources, name)["state"].clone());
    assert_eq!(states, ["off", "off", "off", "readable", "readable"]);
    assert_eq!(ask(&mut agent, "oomwatch.oom.last", &[]), Ok(serde_json::json!({"count": 0})));
    manager.oomd_kills("/system.slice/app.service", "memory-pressure");
    manager.kill_and_restart("app.service");
    let is_whole = |answer: &Result<Value, String>| {
        answer.as_ref().is_ok_and(|last| last["sources"].as_array().is_some_and(|names| names.len() == 2))
    };
    let last = until(&mut agent, "oomwatch.oom.last", is_whole).expect("an event");
    assert_eq!(last["count"], 1, "{last}");
    let words = ["killer", "cgroup", "unit", "reason"].map(|name| last[name].as_str().unwrap_or_default());
    assert_eq!(words, ["systemd-oomd", "/system.slice/app.service", "app.service", "memory-pressure"]);
    Ok(())
}

#[test]
fn forged_signals_are_ignored() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "");
    assert_eq!(units(&mut agent)["oom_kills"], 0);
    manager.forge("httpd.service");
    // A signal after the forged one has arrived, so the forged one has arrived as well.
    manager.kill_and_restart("httpd.service");
    let answer =
        until(&mut agent, UNITS, |answer| answer.as_ref().is_ok_and(|answer| answer["oom_kills"] != 0));
    assert_eq!(answer.expect("services")["oom_kills"], 1);
    let list = ask(&mut agent, "oomwatch.oom.list", &[]).expect("a list");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    Ok(())
}

#[test]
fn systemd_off_makes_no_call() -> Result<(), Error> {
    let machine = Machine::with_bus()?;
    let manager = Manager::start(&machine, services(&["httpd.service"]));
    let state = state_dir();
    let mut agent = plugin(&machine, state.path(), "Plugins.OomWatch.Systemd=off\n");
    assert_eq!(units(&mut agent), serde_json::json!({"bus": "off", "oom_kills": 0, "units": []}));
    assert_eq!(ask(&mut agent, "oomwatch.systemd.units.discovery", &[]), Ok(serde_json::json!([])));
    let sources = ask(&mut agent, "oomwatch.oom.sources", &[]).expect("sources");
    let systemd = source(&sources, "systemd");
    assert_eq!(
        (&systemd["state"], &systemd["reason"]),
        (&"off".into(), &"Plugins.OomWatch.Systemd is off".into())
    );
    assert_eq!(manager.calls(), 0);
    Ok(())
}
