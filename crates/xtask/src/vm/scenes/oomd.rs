//! systemd-oomd, which kills before the kernel has to.

use serde_json::{Value, json};

use super::steps::{LONG, SceneResult, Unit, agent_with, kernel_kills, unit_of};
use crate::vm::findings::Findings;
use crate::vm::machine::Machine;

pub(super) const STORY: &str = "A service with `MemoryHigh=20M`, a swap file, and `ManagedOOMMemoryPressure=kill` with a limit of 1 % \
     takes memory without end, so that all it does is wait for memory, and systemd-oomd kills it. The agent's user is in `systemd-journal`.";

const PRESSED: &str = r#"set -e; mkdir -p /run/systemd/system
[ -e /swap ] || { fallocate -l 256M /swap; chmod 600 /swap; mkswap -q /swap; }
swapon /swap
cat > /run/systemd/system/pressed.service <<'END'
[Service]
ExecStart=/usr/local/bin/hungry /dev/zero
MemoryHigh=20M
MemoryMax=400M
ManagedOOMMemoryPressure=kill
ManagedOOMMemoryPressureLimit=1%
ManagedOOMMemoryPressureDurationSec=1s
END
systemctl start systemd-oomd; systemctl daemon-reload; systemctl start pressed"#;

/// Sources are listed in the order of their reports.
fn same_words(seen: &Value, wanted: &Value) -> bool {
    let sorted = |value: &Value| {
        let mut words: Vec<_> = value[3].as_array().into_iter().flatten().map(Value::to_string).collect();
        words.sort_unstable();
        (value.as_array().map(|list| list.iter().take(3).cloned().collect::<Vec<_>>()), words)
    };
    sorted(seen) == sorted(wanted)
}

fn watched(findings: &mut Findings, units: &Value) {
    let unit = unit_of(units, "pressed.service");
    let seen = json!([unit["result"], unit["oom_kills"], unit["active_state"]]);
    findings.equal("`systemd.units` has its end", seen, json!(["oom-kill", 1, "failed"]));
    let names = ["", "_limit_percent", "_duration_seconds"];
    let seen: Vec<_> =
        names.iter().map(|name| unit[format!("managed_oom_memory_pressure{name}")].clone()).collect();
    findings.equal("and that systemd-oomd watched it, and how", seen, json!(["kill", 1.0, 1.0]));
}

fn source_state(sources: &Value) -> Value {
    let list = sources["sources"].as_array();
    let oomd = list.and_then(|list| list.iter().find(|source| source["name"] == "systemd-oomd"));
    oomd.map(|source| source["state"].clone()).unwrap_or_default()
}

pub(super) fn play(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    // The plugin follows systemd from the first item that needs it. A template polls such an item long before.
    machine.json("oomwatch.oom.list[100]")?;
    let before = kernel_kills(machine)?;
    machine.run(PRESSED)?;
    let is_over = machine.wait_for(LONG, "systemctl is-failed --quiet pressed")?;
    let result = machine.run("systemctl show -P Result pressed")?;
    findings.holds("systemd-oomd killed the service", is_over && result == "oom-kill", &result);
    findings.equal("the kernel's killer did not act", kernel_kills(machine)? - before, 0);
    let words = machine.run("journalctl -b -u systemd-oomd -u pressed --output=cat | grep -i kill; true")?;
    findings.holds("the journal has systemd-oomd's message", words.contains("Killed"), words);
    let is_oomd = |event: &&Value| event["killer"] == "systemd-oomd";
    let list = machine.json("oomwatch.oom.list[100]")?;
    let event = list.as_array().and_then(|list| list.iter().find(is_oomd)).cloned().unwrap_or_default();
    let seen = json!([event["cgroup"], event["unit"], event["reason"], event["sources"]]);
    let wanted = json!([
        "/system.slice/pressed.service",
        "pressed.service",
        "memory-pressure",
        ["systemd-oomd", "systemd"]
    ]);
    let held = same_words(&seen, &wanted);
    let shown = if held { seen } else { list };
    findings.holds("`oom.list` has it: cgroup, unit, reason and sources", held, shown);
    watched(findings, &machine.json("oomwatch.systemd.units[100]")?);
    let running = source_state(&machine.json("oomwatch.oom.sources")?);
    findings.equal("`oom.sources` reads systemd-oomd", running, "readable");
    machine.run("systemctl stop pressed; systemctl reset-failed pressed; swapoff /swap").map(drop)
}
