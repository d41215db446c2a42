//! Whether this process serves an agent or only shows values.

/// The purpose of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A server gets the values: positions in logs move, and state is written.
    Serve,
    /// A person or a test run of the agent sees the values: no position moves, and nothing is written.
    ReadOnly,
}

impl Purpose {
    /// Reads the parent's command line. An agent that was called with `-t` or `-p` polls as any other agent does, but runs
    /// beside the agent that serves the machine.
    pub(crate) fn from_parent() -> Self {
        let arguments = rustix::process::getppid()
            .and_then(|parent| std::fs::read(format!("/proc/{}/cmdline", parent.as_raw_pid())).ok())
            .unwrap_or_default();
        if is_test_run(&arguments) { Self::ReadOnly } else { Self::Serve }
    }
}

fn is_test_run(arguments: &[u8]) -> bool {
    let is_test = |argument: &[u8]| {
        matches!(argument, b"-t" | b"--test" | b"-p" | b"--print") || argument.starts_with(b"--test=")
    };
    arguments.split(|&byte| byte == 0).skip(1).any(is_test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_run_of_an_agent_is_recognised_by_its_arguments() {
        assert!(is_test_run(b"zabbix_agent2\0-c\0a.conf\0-t\0oomwatch.log[x]\0"));
        assert!(is_test_run(b"zabbix_agent2\0--test=oomwatch.log[x]\0"));
        assert!(is_test_run(b"zabbix_agent2\0--test\0oomwatch.self\0"));
        assert!(is_test_run(b"zabbix_agent2\0-p\0"));
        assert!(is_test_run(b"zabbix_agent2\0--print\0"));
        assert!(!is_test_run(b"zabbix_agent2\0-c\0/etc/zabbix/zabbix_agent2.conf\0-f\0"));
        assert!(!is_test_run(b"-t\0"));
        assert!(!is_test_run(b""));
    }
}
