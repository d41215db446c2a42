//! The table of item keys documents every field that the handlers return on this machine.

mod documented;

use std::path::Path;

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch::{KEYS, Returns};
use serde_json::{Value, json};

use documented::assert_documented;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");

#[test]
fn every_field_of_every_reply_is_documented() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = FakeAgent::launch(Path::new(PROGRAM), "OomWatch", LaunchMode::Serve).unwrap();
    agent.configure(&format!("Plugins.OomWatch.StateDir={}", state.path().display()), 10).unwrap();
    let mut checked = Vec::new();
    for key in KEYS.iter().filter(|key| !matches!(key.returns, Returns::Text(_))) {
        let list = key.example.strip_prefix(key.name).unwrap_or_default();
        let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or_default();
        let arguments: Vec<&str> = list.split(',').filter(|_| !list.is_empty()).collect();
        // A machine without the server or without systemd has an error here.
        if let Ok(Some(reply)) = agent.export(key.name, &arguments).unwrap() {
            assert_documented(key.name, &serde_json::from_str::<Value>(&reply).unwrap());
            checked.push(key.name);
        }
    }
    for mode in ["process", "thread"] {
        let reply = agent.export("oomwatch.proc.get", &["", "root", "", mode]).unwrap().unwrap().unwrap();
        assert_documented("oomwatch.proc.get", &serde_json::from_str::<Value>(&reply).unwrap());
    }
    for required in ["proc.get", "proc.top", "log.last", "log.groups", "oom.sources", "oom.risk", "self"] {
        assert!(checked.iter().any(|name| name.ends_with(required)), "{required}: only {checked:?}");
    }
    agent.terminate().unwrap();
}

#[test]
#[should_panic(expected = "oomwatch.oom.risk does not document `pressure.some.bogus`")]
fn field_that_is_not_documented_is_found() {
    assert_documented("oomwatch.oom.risk", &json!({"pressure": {"some": {"avg10": 0, "bogus": 1}}}));
}
