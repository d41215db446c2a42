//! Whether this process serves an agent or only shows values.

use agent2_plugin::Context;

/// The purpose of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A server gets the values: positions in logs move, and state is written.
    Serve,
    /// A person or a test run of the agent sees the values: no position moves, and nothing is written.
    ReadOnly,
}

impl Purpose {
    /// Reads the agent's command line. An agent that was called with `-t` or `-p` polls as any other agent does, but runs
    /// beside the agent that serves the machine.
    pub(crate) fn from_agent(context: &Context) -> Self {
        let agent = context.supervision.as_ref().and_then(|report| report.agent_pid);
        let arguments = agent.and_then(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
        if is_test_run(&arguments.unwrap_or_default()) { Self::ReadOnly } else { Self::Serve }
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
