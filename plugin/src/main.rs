//! `zabbix-agent2-plugin-oomwatch`: started by an agent with its socket, or by a person with a command.

use std::process::ExitCode;

use agent2_plugin::AgentCall;
use oomwatch::{OomWatch, command_line, plugin};

fn main() -> ExitCode {
    match AgentCall::from_args(std::env::args_os().skip(1)) {
        Some(call) => plugin().answer::<OomWatch>(&call),
        None => command_line(),
    }
}
