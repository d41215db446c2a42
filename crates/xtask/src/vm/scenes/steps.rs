//! Steps that several scenes share.

use std::time::Duration;

use serde_json::Value;

use super::super::machine::{Machine, MachineError};

pub(super) type SceneResult = Result<(), MachineError>;

/// Everything is slow in emulation, and slower while memory is short.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// The lines of the README, the time that emulation takes, and programs that take memory under names of their own.
const INSTALL: &str = "set -e; cd /oomwatch
install -D plugin /usr/local/lib/zabbix/zabbix-agent2-plugin-oomwatch
install -D -m 644 packaging/oomwatch.conf /etc/zabbix/zabbix_agent2.d/oomwatch.conf
echo Timeout=30 > /etc/zabbix/zabbix_agent2.d/slow.conf
install $(command -v tail) /usr/local/bin/hungry
install $(command -v perl) /usr/local/bin/worker";

pub(in crate::vm) fn install(machine: &mut Machine) -> SceneResult {
    machine.run(INSTALL).map(drop)
}

/// How the agent runs.
pub(super) enum Unit {
    /// With the project's drop-in.
    Protected,
    /// As Debian has it, but started again after it was killed.
    Plain,
}

/// Restarts the agent without its former state, with its user in exactly these groups.
pub(super) fn agent_with(machine: &mut Machine, unit: &Unit, groups: &str) -> SceneResult {
    let dir = "/etc/systemd/system/zabbix-agent2.service.d";
    let file = match unit {
        Unit::Protected => format!(
            "install -D -m 644 /oomwatch/packaging/zabbix-agent2.service.d/oomwatch.conf {dir}/oomwatch.conf"
        ),
        Unit::Plain => format!(
            "mkdir -p {dir}; printf '[Service]\\nRestart=always\\nStateDirectory=zabbix-agent2-plugin-oomwatch\\n' > {dir}/oomwatch.conf"
        ),
    };
    machine.run(&format!(
        "set -e; systemctl stop zabbix-agent2; rm -rf /var/lib/zabbix-agent2-plugin-oomwatch; usermod -G '{groups}' zabbix
         {file}; systemctl daemon-reload; systemctl start zabbix-agent2"
    ))?;
    machine.await_agent()
}

/// Causes a kill of one process at its own limit and returns its process number. systemd-run reads `$$` as `$`.
pub(super) fn kill_one(machine: &mut Machine) -> Result<u64, MachineError> {
    machine.run(
        "rm -f /run/victim; systemd-run --quiet --collect --wait --unit=victim -p MemoryMax=20M -p MemorySwapMax=0 \
         sh -c 'echo $$$$ > /run/victim; exec hungry /dev/zero'; [ $? != 0 ]",
    )?;
    number(&machine.run("cat /run/victim")?)
}

pub(super) fn number(text: &str) -> Result<u64, MachineError> {
    text.trim().parse().map_err(|_| MachineError::Garbled(text.to_owned()))
}

pub(super) fn numbers(text: &str) -> Result<Vec<u64>, MachineError> {
    text.split_whitespace().map(number).collect()
}

/// The kernel's own count.
pub(super) fn kernel_kills(machine: &mut Machine) -> Result<u64, MachineError> {
    number(&machine.run("sed -n 's/^oom_kill //p' /proc/vmstat")?)
}

/// Every process of every event, the newest event first.
pub(super) fn victims(events: &Value) -> Vec<u64> {
    let events = events.as_array().into_iter().flatten();
    let victims = events.filter_map(|event| event["victims"].as_array()).flatten();
    victims.filter_map(|victim| victim["pid"].as_u64()).collect()
}

/// What `systemd.units` says of a unit.
pub(super) fn unit_of(reply: &Value, name: &str) -> Value {
    let list = reply["units"].as_array();
    list.and_then(|list| list.iter().find(|unit| unit["unit"] == name)).cloned().unwrap_or_default()
}

pub(super) fn event_of(events: &Value, pid: u64) -> Option<&Value> {
    let has = |event: &&Value| {
        event["victims"].as_array().is_some_and(|list| list.iter().any(|victim| victim["pid"] == pid))
    };
    events.as_array()?.iter().find(has)
}

/// Returns the events as soon as they contain all these processes, or those found at the timeout. The journal is not
/// read at each poll.
pub(super) fn events_with(machine: &mut Machine, pids: &[u64]) -> Result<Value, MachineError> {
    let start = std::time::Instant::now();
    loop {
        let events = machine.json("oomwatch.oom.list[100]")?;
        let known = victims(&events);
        if pids.iter().all(|pid| known.contains(pid)) || start.elapsed() > LONG / 5 {
            return Ok(events);
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_are_found_in_events() {
        let events = serde_json::json!([{"victims": [{"pid": 9}, {"pid": 8}]}, {"panic": true}, {"victims": [{"pid": 7}]}]);
        assert_eq!(victims(&events), [9, 8, 7]);
        assert_eq!(event_of(&events, 8), Some(&events[0]));
        assert_eq!(event_of(&events, 1), None);
    }
}
