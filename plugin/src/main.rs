//! `zabbix-agent2-plugin-oomwatch`: started by an agent with its socket, or by a person with a command.

use std::process::ExitCode;

use agent2_plugin::LaunchArguments;
use oomwatch::{OomWatch, command_line, plugin};

fn main() -> ExitCode {
    match LaunchArguments::from_args(std::env::args_os().skip(1)) {
        Some(call) => plugin().run_with::<OomWatch>(&call),
        None => command_line(),
    }
}
