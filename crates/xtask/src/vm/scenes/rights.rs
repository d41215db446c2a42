//! Which sources the agent's user may read, and how the plugin reports those that it may not.

use serde_json::{Value, json};

use super::steps::{
    SceneResult, Unit, agent_with, event_of, events_with, kernel_kills, kill_one, number, victims,
};
use crate::vm::findings::Findings;
use crate::vm::machine::{Machine, MachineError};

pub(super) const STORY: &str = "`kernel.dmesg_restrict=1`, as Debian has it, with the agent's user in no group, in `systemd-journal`, \
     and in `adm`; then `dmesg_restrict=0` and no group. Each time a service is killed at its limit.";

const CHECK: &str = "runuser -u zabbix -- /usr/local/lib/zabbix/zabbix-agent2-plugin-oomwatch check; true";

pub(super) fn play(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    machine.run("sysctl -q kernel.dmesg_restrict=1")?;
    agent_with(machine, &Unit::Protected, "")?;
    nothing_readable(machine, findings)?;
    reported_by(machine, findings, "systemd-journal", &["journal"])?;
    reported_by(machine, findings, "adm", &["file", "journal"])?;
    machine.run("sysctl -q kernel.dmesg_restrict=0")?;
    reported_by(machine, findings, "", &["kmsg"])?;
    machine.run("sysctl -q kernel.dmesg_restrict=1")?;
    follow_check(machine, findings)
}

fn nothing_readable(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    kill_one(machine)?;
    let sources = machine.json("oomwatch.oom.sources")?;
    findings.holds(
        "no group: `oom.sources` reads nothing",
        sources["readable"] == false,
        readable(&sources).join(" "),
    );
    for name in ["kmsg", "journal", "/var/log/kern.log", "/var/log/syslog"] {
        let source = source(&sources, name);
        let is_reported =
            source["state"] == "forbidden" && source["reason"].is_string() && source["remedy"].is_string();
        findings.holds(
            format!("and says that {name} is forbidden, with reason and remedy"),
            is_reported,
            source,
        );
    }
    findings.equal("and claims no agreement", sources["counts"]["agree"].clone(), Value::Null);
    for key in ["oomwatch.oom.last", "oomwatch.oom.list[5]"] {
        let reply = machine.item(key)?;
        findings.holds(
            format!("`{key}` is an error, not an empty value"),
            reply.is_err(),
            format!("{reply:?}"),
        );
    }
    let (counted, total) = (kernel_kills(machine)?, machine.number("oomwatch.oom.total")?);
    findings.equal("`oom.total` has the kernel's count", total, counted);
    let checked = machine.run(CHECK)?;
    let is_reported = checked.contains("usermod --append --groups systemd-journal zabbix");
    findings.holds("`check` as the agent's user prints the remedy", is_reported, checked);
    Ok(())
}

fn source<'a>(sources: &'a Value, name: &str) -> &'a Value {
    let is_it = |source: &&Value| source["name"] == name || source["path"] == name;
    sources["sources"].as_array().and_then(|list| list.iter().find(is_it)).unwrap_or(&Value::Null)
}

/// The sources of the kernel's text that can be read, files as one.
fn readable(sources: &Value) -> Vec<&str> {
    let list = sources["sources"].as_array().into_iter().flatten();
    let mut names: Vec<_> = list
        .filter(|source| source["readable"] == true)
        .filter_map(|source| source["name"].as_str())
        .filter(|name| !name.starts_with("systemd"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn reported_by(machine: &mut Machine, findings: &mut Findings, group: &str, wanted: &[&str]) -> SceneResult {
    agent_with(machine, &Unit::Protected, group)?;
    let reported =
        if group.is_empty() { "no group, `dmesg_restrict=0`".to_owned() } else { format!("group `{group}`") };
    let pid = kill_one(machine)?;
    let events = events_with(machine, &[pid])?;
    let sources = machine.json("oomwatch.oom.sources")?;
    findings.equal(format!("{reported}: readable kernel text"), readable(&sources), wanted.to_vec());
    let counts = &sources["counts"];
    findings.holds("and all kills of this boot are in it", counts["agree"] == true, counts);
    check_last_and_count(machine, findings, pid)?;
    let event = event_of(&events, pid).cloned().unwrap_or_default();
    let mut by: Vec<_> =
        event["sources"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    by.sort_unstable();
    by.retain(|name| *name != "systemd");
    findings.equal("and the sources of the kill", by, wanted.to_vec());
    findings.equal("with high trust", event["trust"].clone(), "high");
    let checked = machine.run(CHECK)?;
    let fine: Vec<_> =
        checked.lines().filter(|line| line.starts_with("ok") && line.contains("OOM reports")).collect();
    let is_fine = |name: &&&str| fine.iter().any(|line| line.contains(words_of(name)));
    let agrees = wanted.iter().filter(is_fine).count() == fine.len() && fine.len() == wanted.len();
    findings.holds("`check` as the agent's user agrees", agrees, fine.join("\n"));
    Ok(())
}

/// What `check` calls a source.
fn words_of(name: &str) -> &str {
    match name {
        "kmsg" => "/dev/kmsg",
        "file" => "log files",
        other => other,
    }
}

fn check_last_and_count(machine: &mut Machine, findings: &mut Findings, pid: u64) -> SceneResult {
    let (last, count) = (machine.json("oomwatch.oom.last")?, machine.number("oomwatch.oom.count")?);
    let seen = json!([last["victims"][0]["pid"], last["victims"][0]["name"]]);
    findings.equal("`oom.last` names the process", seen, json!([pid, "hungry"]));
    findings.equal("`oom.count` has the kernel's count", count, kernel_kills(machine)?);
    Ok(())
}

/// With all that the unit of the agent gives it.
const CHECK_IN_UNIT: &str = "systemd-run --quiet --wait --pipe --collect -p User=zabbix \
     -p \"AmbientCapabilities=$(systemctl show -P AmbientCapabilities zabbix-agent2)\" \
     /usr/local/lib/zabbix/zabbix-agent2-plugin-oomwatch check";

/// Follows the instructions that `check` prints, as an administrator would.
fn follow_check(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    agent_with(machine, &Unit::Protected, "")?;
    let before = machine.try_run(CHECK_IN_UNIT)?;
    findings.holds(
        "`check` in the agent's unit finds problems and fails",
        before.code == 1,
        last_line(&before.text),
    );
    let lines: Vec<_> = before.text.lines().map(str::trim).collect();
    let command = lines.iter().find(|line| line.starts_with("usermod") && line.contains("systemd-journal"));
    let setting = lines.iter().find(|line| line.contains("CAP_SYS_PTRACE"));
    let (command, setting) = (command.copied().unwrap_or("false"), setting.copied().unwrap_or("false"));
    findings.holds(
        "it prints the commands and settings",
        command != "false" && setting != "false",
        format!("{command}\n{setting}"),
    );
    let dir = "/etc/systemd/system/zabbix-agent2.service.d";
    machine.run(&format!(
        "printf '[Service]\\n{setting}\\n' > {dir}/override.conf && systemctl daemon-reload && {command}"
    ))?;
    machine.await_agent()?;
    let after = machine.try_run(CHECK_IN_UNIT)?;
    let left: Vec<_> = after.text.lines().filter(|line| !line.starts_with(' ')).collect();
    findings.holds("after these commands `check` finds no problem", after.code == 0, left.join("\n"));
    machine.run(&format!("rm {dir}/override.conf; systemctl daemon-reload")).map(drop)
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

pub(super) const JOURNAL_STORY: &str = "The agent's user is in `systemd-journal` and nothing else may be read: kills before the agent's \
     start, while it runs and while it is stopped, and forged reports from programs.";

pub(super) fn play_journal(machine: &mut Machine, findings: &mut Findings) -> SceneResult {
    let first = kill_one(machine)?;
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let events = events_with(machine, &[first])?;
    findings.holds("a kill before the start is reported", event_of(&events, first).is_some(), first);
    forge(machine)?;
    let second = kill_one(machine)?;
    let events = events_with(machine, &[second])?;
    findings.holds("a kill while the agent ran is reported", event_of(&events, second).is_some(), second);
    machine.run("systemctl stop zabbix-agent2")?;
    let third = kill_one(machine)?;
    machine.run("systemctl start zabbix-agent2")?;
    machine.await_agent()?;
    let events = events_with(machine, &[third])?;
    findings.holds(
        "a kill while the agent was stopped is reported",
        event_of(&events, third).is_some(),
        third,
    );
    each_once(machine, findings, &events, &[third, second, first])?;
    findings.holds(
        "forged reports are not believed",
        event_of(&events, FORGED).is_none(),
        victims(&events).len(),
    );
    Ok(())
}

const FORGED: u64 = 4_194_000;

/// As any local user could with a program's own words, and as root could with the kernel's device.
fn forge(machine: &mut Machine) -> SceneResult {
    let text =
        format!("Out of memory: Killed process {FORGED} (forged) total-vm:8kB, anon-rss:4kB, file-rss:0kB");
    machine.run(&format!("logger -t kernel -p kern.err '{text}'; echo '<3>{text}' > /dev/kmsg")).map(drop)
}

fn each_once(
    machine: &mut Machine,
    findings: &mut Findings,
    events: &Value,
    pids: &[u64],
) -> Result<(), MachineError> {
    let reported = victims(events);
    let times = pids.iter().map(|pid| reported.iter().filter(|one| *one == pid).count());
    findings.equal("each of them once", times.collect::<Vec<_>>(), vec![1; pids.len()]);
    // The chosen process of a group is written twice.
    let written =
        "journalctl -k -b --output=cat | grep -o 'Killed process [0-9]* (hungry)' | sort -u | wc -l";
    let written = number(&machine.run(written)?)?;
    let hungry =
        events.as_array().into_iter().flatten().filter_map(|event| event["victims"].as_array()).flatten();
    let hungry = hungry.filter(|victim| victim["name"] == "hungry").count() as u64;
    findings.equal("as many as journalctl shows for that name", hungry, written);
    let sources =
        events.as_array().into_iter().flatten().filter_map(|event| event["sources"].as_array()).flatten();
    let mut sources: Vec<_> = sources.filter_map(Value::as_str).collect();
    sources.sort_unstable();
    sources.dedup();
    sources.retain(|name| *name != "systemd");
    findings.equal("by the journal alone (and systemd)", sources, vec!["journal"]);
    Ok(())
}
