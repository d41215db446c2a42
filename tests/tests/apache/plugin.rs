//! The plugin beside a running server: `apache.capacity` and `capacity`, as root and as an agent's user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oomwatch_tests::{Generation, Key, PluginSpec, RealAgent, binaries};
use serde_json::Value;

use crate::machine::Materialised;

/// A user without files.
const STRANGER: [&str; 5] = ["--reuid", "54398", "--regid", "54398", "--clear-groups"];

pub(crate) fn program() -> PathBuf {
    binaries::find(binaries::PLUGIN).unwrap()
}

fn conf(files: &Materialised) -> PathBuf {
    files.moved(Path::new("/etc/apache2/apache2.conf"))
}

fn key(files: &Materialised) -> String {
    format!("apache.capacity[{}]", conf(files).display())
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The value of `get apache.capacity` for a server.
pub(crate) fn capacity(files: &Materialised) -> Value {
    answer(&Command::new(program()).args(["get", &key(files)]).output().unwrap())
}

/// The same for a user without any privilege.
pub(crate) fn capacity_for_a_stranger(files: &Materialised) -> Value {
    assert!(rustix::process::geteuid().is_root(), "only root can start a process as another user");
    fs::set_permissions(files.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    let output = command.args(STRANGER).arg(program()).args(["get", &key(files)]).output().unwrap();
    answer(&output)
}

/// The output of `capacity apache`.
pub(crate) fn page(files: &Materialised) -> String {
    let agent_conf = files.directory().join("agent.conf");
    fs::write(&agent_conf, format!("Plugins.OomWatch.Apache.Conf={}\n", conf(files).display())).unwrap();
    let mut command = Command::new(program());
    let output = command.arg("-c").arg(agent_conf).args(["capacity", "apache"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The reply of a real agent with the plugin.
pub(crate) fn capacity_through_an_agent(files: &Materialised) -> Value {
    let plugin = PluginSpec::new("OomWatch", program());
    let agent = RealAgent::builder(Generation::V7_0).plugin(plugin).start().unwrap();
    let key = Key::new("oomwatch.apache.capacity").param(conf(files).to_str().unwrap());
    let reply = agent.get(key).unwrap();
    serde_json::from_str(reply.value().unwrap_or_else(|| panic!("{reply:?}"))).unwrap()
}
