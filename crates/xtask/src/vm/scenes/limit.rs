//! Services that reach their own limit.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::steps::{
    LONG, SceneResult, Unit, agent_with, event_of, events_with, kernel_kills, numbers, unit_of, victims,
};
use crate::vm::findings::Findings;
use crate::vm::machine::{Machine, MachineError};

pub(super) const STORY: &str = "A service with `MemoryMax=30M` takes more, is killed by the kernel and started again by systemd, \
     three times; the fourth time it behaves. The agent's user is in `systemd-journal`.";

/// The process's present state does not show its former memory.
const HUNGRY: &str = r#"set -e; mkdir -p /run/systemd/system; rm -f /run/hungry.pids
cat > /run/hungry.sh <<'END'
echo $$ >> /run/hungry.pids
[ $(wc -l < /run/hungry.pids) -gt 3 ] && exec sleep infinity
exec hungry /dev/zero
END
cat > /run/systemd/system/hungry.service <<'END'
[Service]
ExecStart=/bin/sh /run/hungry.sh
MemoryMax=30M
MemorySwapMax=0
Restart=always
RestartSec=1
END
systemctl daemon-reload; systemctl start hungry"#;

const LIMIT_BYTES: u64 = 30 << 20;

pub(super) fn play(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let servers = bystanders(machine)?;
    let before = (machine.number("oomwatch.oom.count")?, machine.number("oomwatch.oom.total")?);
    machine.run(HUNGRY)?;
    let is_over = machine.wait_for(LONG, "[ $(wc -l < /run/hungry.pids) = 4 ]")?;
    let mut pids = numbers(&machine.run("head -3 /run/hungry.pids")?)?;
    pids.reverse();
    findings.holds(
        "the service was started four times",
        is_over,
        machine.run("systemctl show -P NRestarts hungry")?,
    );
    let events = events_with(machine, &pids)?;
    let count = machine.number("oomwatch.oom.count")? - before.0;
    let total = machine.number("oomwatch.oom.total")? - before.1;
    findings.equal("`oom.count` grew by the three kills", count, 3);
    findings.equal("`oom.total` grew by the three kills", total, 3);
    findings.equal(
        "`oom.list` has the three processes, the last one first",
        victims(&events).into_iter().take(3).collect::<Vec<_>>(),
        pids.clone(),
    );
    let last = machine.json("oomwatch.oom.last")?;
    is_the_last(findings, &last, pids[0]);
    cgroup(findings, &machine.json("oomwatch.oom.cgroups[100]")?);
    units(findings, &machine.json("oomwatch.systemd.units[100]")?);
    agreement(machine, findings)?;
    findings.equal("Apache and php-fpm are the same processes", bystanders(machine)?, servers);
    machine.run("systemctl stop hungry").map(drop)
}

fn bystanders(machine: &mut Machine) -> Result<Vec<u64>, MachineError> {
    numbers(&machine.run("for unit in apache2 php8.4-fpm; do systemctl show -P MainPID $unit; done")?)
}

/// Of the whole boot, the kills of earlier scenes among them.
fn agreement(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    let counts = machine.json("oomwatch.oom.sources")?["counts"].clone();
    findings.holds("kernel and journal count the same kills", counts["agree"] == true, counts);
    Ok(())
}

fn is_the_last(findings: &mut Findings, last: &Value, pid: u64) {
    let victim = &last["victims"][0];
    findings.equal(
        "`oom.last` names the process",
        json!([victim["pid"], victim["name"]]),
        json!([pid, "hungry"]),
    );
    let wanted = json!(["memcg", "/system.slice/hungry.service", "hungry.service", "high"]);
    let seen = json!([last["constraint"], last["cgroup"], last["unit"], last["trust"]]);
    findings.equal("and its limit, cgroup and unit", seen, wanted);
    let rss = victim["anon_rss_bytes"].as_u64().unwrap_or_default();
    findings.holds("and its memory, below the limit", (LIMIT_BYTES / 2..=LIMIT_BYTES).contains(&rss), rss);
}

/// The unit shows no trace of the kill: its result is success, and its cgroup's counters were reset.
fn units(findings: &mut Findings, units: &Value) {
    findings.equal("`systemd.units` is on the bus", units["bus"].clone(), "connected");
    let unit = unit_of(units, "hungry.service");
    findings.equal("and has seen each of the three kills", unit["oom_kills"].clone(), 3);
    let rest = json!([unit["restarts"], unit["active_state"], unit["memory_max_bytes"]]);
    findings.equal("and the restarts, the state and the limit", rest, json!([3, "active", LIMIT_BYTES]));
    let policy = json!([unit["oom_policy"], unit["result"]]);
    findings.equal("and the policy; the result no longer shows the kill", policy, json!(["stop", "success"]));
    let clock = unit["last_oom_kill"].as_u64().unwrap_or_default();
    findings.holds("and when the last kill was", clock > 1_700_000_000, clock);
}

fn cgroup(findings: &mut Findings, cgroups: &Value) {
    findings.equal("`oom.cgroups` reads version 2", cgroups["version"].clone(), 2);
    let list = cgroups["cgroups"].as_array();
    let is_its = |group: &&Value| group["path"] == "/system.slice/hungry.service";
    let group = list.and_then(|list| list.iter().find(is_its)).unwrap_or(&Value::Null);
    findings.holds("and has the service's limit", group["max_bytes"] == LIMIT_BYTES, group);
}

pub(super) const GROUP_STORY: &str = "A service of four processes with `OOMPolicy=kill`, so that systemd sets `memory.oom.group`, takes \
     more than its `MemoryMax=80M`: the kernel writes one header and kills all four.";

const CROWD: &str = r#"set -e; mkdir -p /run/systemd/system; rm -f /run/crowd.pids
cat > /run/crowd.sh <<'END'
echo $$ >> /run/crowd.pids
for i in 1 2; do worker -e '$x = "x" x (5 << 20); sleep 1000' & echo $! >> /run/crowd.pids; done
sleep 2
hungry /dev/zero & echo $! >> /run/crowd.pids
wait
END
cat > /run/systemd/system/crowd.service <<'END'
[Service]
ExecStart=/bin/sh /run/crowd.sh
MemoryMax=80M
MemorySwapMax=0
OOMPolicy=kill
END
systemctl daemon-reload; systemctl start crowd"#;

pub(super) fn play_group(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let (counted_before, total) = (kernel_kills(machine)?, machine.number("oomwatch.oom.total")?);
    machine.run(CROWD)?;
    let is_over = machine.wait_for(LONG, "systemctl is-failed --quiet crowd")?;
    let result = machine.run("systemctl show -P Result crowd")?;
    findings.holds("the service ended", is_over && result == "oom-kill", &result);
    let mut pids = numbers(&machine.run("cat /run/crowd.pids")?)?;
    let events = events_with(machine, &pids)?;
    let event = event_of(&events, pids[0]).cloned().unwrap_or_default();
    let mut victims_of_event = victims(&Value::from(vec![event.clone()]));
    pids.sort_unstable();
    victims_of_event.sort_unstable();
    findings.equal("one event has all four processes", victims_of_event, pids);
    let unit = json!([event["unit"], event["constraint"]]);
    findings.equal("of that unit", unit, json!(["crowd.service", "memcg"]));
    findings.equal("its kills are four", event["kills"].clone(), 4);
    let kernel = kernel_kills(machine)? - counted_before;
    findings.holds("the kernel counts them, perhaps the chosen one twice", (4..=5).contains(&kernel), kernel);
    findings.equal("`oom.total` follows the kernel", machine.number("oomwatch.oom.total")? - total, kernel);
    agreement(machine, findings)?;
    machine.run("systemctl reset-failed crowd").map(drop)
}

pub(super) const CONTINUE_STORY: &str = "A service with `OOMPolicy=continue` and `MemoryMax=30M` starts two processes that take more, one \
     after the other. Each is killed, and the service goes on, so systemd sends no signal.";

const SURVIVOR: &str = r#"set -e; mkdir -p /run/systemd/system; rm -f /run/survivor.done
cat > /run/survivor.sh <<'END'
for i in 1 2; do hungry /dev/zero; done
touch /run/survivor.done
exec sleep infinity
END
cat > /run/systemd/system/survivor.service <<'END'
[Service]
ExecStart=/bin/sh /run/survivor.sh
MemoryMax=30M
MemorySwapMax=0
OOMPolicy=continue
END
systemctl daemon-reload; systemctl start survivor"#;

pub(super) fn play_continue(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let total = machine.json("oomwatch.systemd.units[100]")?["oom_kills"].as_u64().unwrap_or_default();
    machine.run(SURVIVOR)?;
    let is_over = machine.wait_for(LONG, "[ -e /run/survivor.done ]")?;
    let state = machine.run("systemctl show -P ActiveState survivor; systemctl show -P Result survivor")?;
    findings.holds(
        "the service goes on, and its result is innocent",
        is_over && state == "active\nsuccess",
        state,
    );
    // A scan of all services takes long in emulation, and is shared for nine times as long.
    let start = Instant::now();
    let mut reply = machine.json("oomwatch.systemd.units[100]")?;
    while unit_of(&reply, "survivor.service")["oom_kills"] != 2 && start.elapsed() < LONG / 5 {
        thread::sleep(Duration::from_secs(2));
        reply = machine.json("oomwatch.systemd.units[100]")?;
    }
    let unit = unit_of(&reply, "survivor.service");
    let seen = json!([unit["oom_kills"], unit["oom_policy"], unit["result"], unit["restarts"]]);
    findings.equal("`systemd.units` has both kills", seen, json!([2, "continue", "success", 0]));
    let grown = reply["oom_kills"].as_u64().unwrap_or_default().saturating_sub(total);
    findings.equal("and so has the sum over all services", grown, 2);
    agreement(machine, findings)?;
    machine.run("systemctl stop survivor").map(drop)
}
