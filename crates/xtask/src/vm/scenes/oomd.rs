//! systemd-oomd, which kills before the kernel has to.

use super::{LONG, Played, Unit, agent_with, counted};
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

pub(super) fn play(machine: &mut Machine, findings: &mut Findings) -> Played {
    agent_with(machine, &Unit::Protected, "systemd-journal")?;
    let before = counted(machine)?;
    machine.run(PRESSED)?;
    let is_over = machine.wait_for(LONG, "systemctl is-failed --quiet pressed")?;
    let result = machine.run("systemctl show -P Result pressed")?;
    findings.holds("systemd-oomd killed the service", is_over && result == "oom-kill", &result);
    findings.equal("the kernel's killer did not act", counted(machine)? - before, 0);
    let words = machine.run("journalctl -b -u systemd-oomd -u pressed --output=cat | grep -i kill; true")?;
    findings.holds("the journal has systemd-oomd's words", words.contains("Killed"), words);
    machine.run("systemctl stop pressed; systemctl reset-failed pressed; swapoff /swap").map(drop)
}
