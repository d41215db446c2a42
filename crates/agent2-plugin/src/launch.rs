//! The arguments with which an agent starts a plugin.

use std::ffi::OsString;
use std::path::PathBuf;

/// Task for which an agent starts a plugin's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchMode {
    /// Report name and metrics, check options, and exit. The process changes no state.
    Register,
    /// Serve polls until the agent ends the plugin.
    Serve,
    /// Serve polls for a supervisor, which is the parent process and is connected to standard input.
    Work,
}

/// The second argument with which a supervisor starts its worker.
pub(crate) const WORKER_ARGUMENT: &str = "worker";

/// The arguments with which an agent starts a plugin: its socket's absolute path, and `true` or `false`. A supervisor
/// starts its worker with the same path and `worker`.
///
/// A program that is also a command line tool can use this to distinguish the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchArguments {
    /// Socket on which the agent listens.
    pub socket: PathBuf,
    /// Task of the process.
    pub mode: LaunchMode,
}

impl LaunchArguments {
    /// Parses the arguments after the program's name. `None` if an agent did not start the program.
    ///
    /// ```
    /// use agent2_plugin::{LaunchArguments, LaunchMode};
    ///
    /// let launch = LaunchArguments::from_args(["/run/zabbix/agent.plugin.sock", "false"]).unwrap();
    /// assert_eq!(launch.mode, LaunchMode::Serve);
    /// assert_eq!(LaunchArguments::from_args(["--help"]), None);
    /// ```
    pub fn from_args<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Option<Self> {
        let mut arguments = arguments.into_iter().map(Into::into);
        let socket = PathBuf::from(arguments.next()?);
        let mode = match arguments.next()?.to_str()? {
            "true" => LaunchMode::Register,
            "false" => LaunchMode::Serve,
            WORKER_ARGUMENT => LaunchMode::Work,
            _ => return None,
        };
        (socket.is_absolute() && arguments.next().is_none()).then_some(Self { socket, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_path_with_true_or_false_is_accepted() {
        let parsed = |arguments: &[&str]| LaunchArguments::from_args(arguments.iter().copied());
        assert_eq!(
            parsed(&["/s", "true"]),
            Some(LaunchArguments { socket: "/s".into(), mode: LaunchMode::Register })
        );
        for other in [&["s", "true"][..], &["/s"], &["/s", "maybe"], &["/s", "true", "x"], &[]] {
            assert_eq!(parsed(other), None, "{other:?}");
        }
    }
}
