//! A real OOM kill in a memory cgroup of the test, observed through a real agent.
//!
//! Other processes of the machine share the kernel's log, so the victim has a unique name, and counts are only compared
//! with earlier counts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use oomwatch_tests::{Error, Generation, Limited, PluginSpec, RealAgent, Reply, binaries};
use serde_json::Value;

const LIMIT_BYTES: u64 = 30 << 20;

fn value(agent: &RealAgent, key: &str) -> Result<String, Error> {
    match agent.get(key)? {
        Reply::Value(text) => Ok(text),
        other => panic!("{key}: {other:?}\n{}", agent.log()),
    }
}

fn json(agent: &RealAgent, key: &str) -> Result<Value, Error> {
    Ok(serde_json::from_str(&value(agent, key)?).expect("JSON"))
}

fn number(agent: &RealAgent, key: &str) -> Result<u64, Error> {
    Ok(value(agent, key)?.parse().expect("a number"))
}

fn agent(generation: Generation, state: &Path) -> Result<RealAgent, Error> {
    let plugin = PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?);
    let plugin = plugin.option("StateDir", state.display().to_string());
    RealAgent::builder(generation).timeout(Duration::from_secs(10)).plugin(plugin).start()
}

/// The report about the victim. Later reports about other victims may exist.
fn report_of(agent: &RealAgent, name: &str) -> Result<Option<Value>, Error> {
    let reports = json(agent, "oomwatch.oom.list[100]")?;
    let is_about = |report: &&Value| report["victims"][0]["name"] == name;
    Ok(reports.as_array().and_then(|list| list.iter().find(is_about).cloned()))
}

#[test]
fn real_kill_is_counted_and_reported_with_its_victim() -> Result<(), Error> {
    let state = tempfile::tempdir().expect("a directory");
    for generation in Generation::ALL {
        let name = format!("owhog{}{}", std::process::id() % 100_000, &generation.name()[..1]);
        let limited = Limited::new(&name, LIMIT_BYTES).expect("this test needs root and a memory cgroup");
        let program = state.path().join(&name);
        fs::copy("/usr/bin/tail", &program).expect("tail can be copied");
        let agent = agent(generation, state.path())?;
        let (count, total) = (number(&agent, "oomwatch.oom.count")?, number(&agent, "oomwatch.oom.total")?);
        assert_eq!(report_of(&agent, &name)?, None);

        let (pid, status) = limited.run_into_limit(&program).expect("it starts");
        assert!(!status.success(), "the kernel has killed it: {status}");
        assert!(number(&agent, "oomwatch.oom.count")? > count);
        assert!(number(&agent, "oomwatch.oom.total")? > total);
        let sources = json(&agent, "oomwatch.oom.sources")?;
        assert_eq!(sources["readable"], true, "this test needs a readable source of reports: {sources}");
        let report = report_of(&agent, &name)?.unwrap_or_else(|| panic!("no report: {}", agent.log()));
        is_reported(&report, pid, limited.path());
        let cgroups = json(&agent, "oomwatch.oom.cgroups[1000]")?;
        let its = |group: &&Value| group["path"] == limited.path();
        let group = cgroups["cgroups"].as_array().and_then(|list| list.iter().find(its));
        let group = group.unwrap_or_else(|| panic!("{cgroups}"));
        assert_eq!((&group["max_bytes"], &group["oom_kill"]), (&Value::from(LIMIT_BYTES), &Value::from(1)));

        agent.stop();
        let agent = self::agent(generation, state.path())?;
        assert_eq!(report_of(&agent, &name)?, Some(report), "reported once, and still known after a restart");
    }
    Ok(())
}

fn is_reported(report: &Value, pid: u32, cgroup: &str) {
    assert_eq!(report["victims"][0]["pid"], pid, "{report}");
    assert_eq!(
        (&report["constraint"], &report["cgroup"]),
        (&Value::from("memcg"), &Value::from(cgroup)),
        "{report}"
    );
    let anon = report["victims"][0]["anon_rss_bytes"].as_u64().unwrap_or_default();
    assert!((LIMIT_BYTES / 2..=LIMIT_BYTES).contains(&anon), "{report}");
    assert_eq!((&report["kills"], &report["trust"]), (&Value::from(1), &Value::from("high")), "{report}");
    let time = report["time"].as_str().unwrap_or_default();
    assert!(time.ends_with('Z') && time.contains('T'), "{report}");
}
