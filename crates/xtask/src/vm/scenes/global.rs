//! The whole machine runs out of memory.

use serde_json::{Value, json};

use super::steps::{
    LONG, SceneResult, Unit, agent_with, event_of, events_with, kernel_kills, number, numbers, victims,
};
use crate::vm::findings::Findings;
use crate::vm::machine::{Machine, MachineError};

pub(super) const STORY: &str = "A service starts worker after worker, each smaller than the agent, as a web server with too high a \
     limit does, until 512 MiB are full and the kernel has to kill again and again. The agent's unit has the project's drop-in; \
     Apache, which has nothing to do with it, is the bystander.";
pub(super) const UNPROTECTED_STORY: &str = "The same with the agent's unit as Debian has it (but started again after a kill): the agent is the \
     largest process and is killed first. It finds afterwards what happened meanwhile.";

/// With no pause between the workers they would be killed while they start, before they are as large as the others.
/// A machine without swap drops the programs' own pages before it kills, and reads them in again at once: in emulation it does
/// nothing else for many minutes. So the memory of the other services must not be dropped, and the kernel is configured to kill
/// when it cannot keep what was used in the last second (the multi-generational LRU's `min_ttl_ms`).
const STORM: &str = r#"set -e; mkdir -p /run/systemd/system; rm -f /run/storm.pids /run/storm.done
cat > /run/storm.sh <<'END'
for i in $(seq 80); do
    worker -e 'my $n = 6 << 20; my $x = "x" x $n; sleep 10000' & echo $! >> /run/storm.pids
    sleep 0.5
done
touch /run/storm.done
wait
END
cat > /run/systemd/system/storm.service <<'END'
[Service]
Slice=storm.slice
ExecStart=/bin/sh /run/storm.sh
OOMPolicy=continue
END
echo y > /sys/kernel/mm/lru_gen/enabled; echo 1000 > /sys/kernel/mm/lru_gen/min_ttl_ms
systemctl daemon-reload
systemctl set-property --runtime system.slice MemoryMin=300M; systemctl set-property --runtime init.scope MemoryMin=40M
systemctl start storm"#;

struct Storm {
    kills: u64,
    workers: Vec<u64>,
    agent: u64,
    events: Value,
}

/// Runs the storm and waits until the agent replies again.
fn run_storm(machine: &mut Machine, findings: &mut Findings) -> Result<Storm, MachineError> {
    // What else is large on Debian's fresh web server would only blur who is killed.
    machine.run("systemctl stop php8.4-fpm; systemctl reset-failed; systemctl start apache2")?;
    let (before, total) = (kernel_kills(machine)?, machine.number("oomwatch.oom.total")?);
    let (agent, apache) = (main_pid(machine, "zabbix-agent2")?, main_pid(machine, "apache2")?);
    machine.run(STORM)?;
    let is_over = machine.wait_for(LONG, "[ -e /run/storm.done ]")?;
    findings.holds("the storm ends", is_over, machine.run("wc -l < /run/storm.pids")?);
    let workers = numbers(&machine.run("cat /run/storm.pids; systemctl stop storm")?)?;
    machine.await_agent()?;
    let kills = kernel_kills(machine)? - before;
    findings.holds("the kernel had to kill", kills > 0, kills);
    findings.equal("the bystander is the same process", main_pid(machine, "apache2")?, apache);
    let written = "journalctl -k -b --output=cat | sed -n 's/.*Killed process \\([0-9]*\\).*/\\1/p'";
    let killed = numbers(&machine.run(written)?)?;
    let events = events_with(machine, &killed)?;
    let grown = machine.number("oomwatch.oom.total")? - total;
    findings.equal("`oom.total` grew by every kill", grown, kills);
    Ok(Storm { kills, workers, agent, events })
}

fn main_pid(machine: &mut Machine, unit: &str) -> Result<u64, MachineError> {
    number(&machine.run(&format!("systemctl show -P MainPID {unit}"))?)
}

/// What the list says of this storm.
fn check_event(findings: &mut Findings, storm: &Storm, others: &[u64]) {
    let reported = victims(&storm.events);
    let new: Vec<_> =
        reported.iter().filter(|pid| storm.workers.contains(pid) || others.contains(pid)).collect();
    findings.equal("`oom.list` has every kill, each once", new.len(), storm.kills);
    let Some(event) = new.first().and_then(|pid| event_of(&storm.events, **pid)) else { return };
    let is_reported = event["constraint"] == "none" && event["trust"] == "high" && event["tasks"].is_array();
    findings.holds("with constraint, trust and the largest tasks", is_reported, &event["constraint"]);
}

pub(super) fn play(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let storm = run_storm(machine, findings)?;
    findings.equal("the agent is the same process", main_pid(machine, "zabbix-agent2")?, storm.agent);
    let restarts = machine.run("systemctl show -P NRestarts zabbix-agent2")?;
    findings.equal("and was not started again", restarts, "0");
    check_event(findings, &storm, &[]);
    Ok(())
}

pub(super) fn play_unprotected(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Plain, "systemd-journal")?;
    let storm = run_storm(machine, findings)?;
    let event = event_of(&storm.events, storm.agent).cloned().unwrap_or_default();
    let victim = json!([event["victims"][0]["name"], event["unit"]]);
    findings.equal(
        "the agent's own kill is reported",
        victim,
        json!(["zabbix_agent2", "zabbix-agent2.service"]),
    );
    let restarts = number(&machine.run("systemctl show -P NRestarts zabbix-agent2")?)?;
    findings.holds("it was started again", restarts > 0, restarts);
    check_event(findings, &storm, &agents(&storm.events));
    Ok(())
}

/// The agent may be killed more than once.
fn agents(events: &Value) -> Vec<u64> {
    let events =
        events.as_array().into_iter().flatten().filter(|event| event["unit"] == "zabbix-agent2.service");
    victims(&events.cloned().collect())
}
