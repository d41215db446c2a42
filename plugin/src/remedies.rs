//! What would make a source of OOM kills readable, in words. `check` prints the lines, `oom.sources` joins them.

use oom_history::Remedy;

/// Returns commands and settings, one each line.
pub(crate) fn lines(remedy: Remedy) -> &'static [&'static str] {
    match remedy {
        Remedy::ReadKmsg => &[
            "sysctl --write kernel.dmesg_restrict=0 (every user can read the kernel's messages then)",
            "or: systemctl edit zabbix-agent2, and write below [Service]: AmbientCapabilities=CAP_SYSLOG",
            "not needed if the journal or a log file is readable",
        ],
        Remedy::ReadJournal => {
            &["usermod --append --groups systemd-journal zabbix && systemctl restart zabbix-agent2"]
        }
        Remedy::ReadLogFiles => &["usermod --append --groups adm zabbix && systemctl restart zabbix-agent2"],
        Remedy::ReachBus => &[
            "systemctl start dbus",
            "in a container: mount the host's /run/dbus below Plugins.OomWatch.HostRoot",
            "not needed if another source is readable: Plugins.OomWatch.Systemd=off",
        ],
        Remedy::StartOomd => &["only if you want it: systemctl enable --now systemd-oomd"],
    }
}

/// Returns the lines as one text.
pub(crate) fn text(remedy: Remedy) -> String {
    lines(remedy).join("; ")
}
