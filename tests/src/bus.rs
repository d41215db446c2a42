//! A private system bus for a test, with replacements for systemd's manager and systemd-oomd.
//!
//! The bus is dbus-daemon itself. The replacements speak D-Bus through zbus, as the plugin does. Their properties and
//! signals are those of systemd 257.

mod manager;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::debian::Packages;
use crate::error::Error;
use crate::wait_until;

pub use manager::{FakeService, Manager};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A root directory for `HostRoot`: the real `/proc`, a private bus in place of the system's, and no logs.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    bus: Option<Bus>,
}

#[derive(Debug)]
struct Bus(Child);

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// A machine without a bus.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be created.
    pub fn new() -> Result<Self, Error> {
        // The address of a unix socket has at most 108 bytes, so the directory's path must be short.
        let dir = tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").map_err(Error::file("/tmp"))?;
        let make = |root: &Path| -> io::Result<()> {
            std::os::unix::fs::symlink("/proc", root.join("proc"))?;
            fs::create_dir_all(root.join("run/dbus"))
        };
        make(dir.path()).map_err(Error::file(dir.path()))?;
        Ok(Self { dir, bus: None })
    }

    /// A machine with a running bus.
    ///
    /// # Errors
    ///
    /// Returns an error if dbus-daemon is not available or does not start.
    pub fn with_bus() -> Result<Self, Error> {
        let mut machine = Self::new()?;
        machine.start_bus()?;
        Ok(machine)
    }

    /// The value for `HostRoot`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The bus's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/dbus/system_bus_socket")
    }

    /// Starts the bus, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Returns an error if dbus-daemon is not available or does not start.
    pub fn start_bus(&mut self) -> Result<(), Error> {
        let programs = Packages::new("bookworm", &["dbus-daemon"]).unpacked("dbus-daemon")?;
        let configuration = self.dir.path().join("bus.conf");
        fs::write(&configuration, configuration_text(&self.socket())).map_err(Error::file(&configuration))?;
        let mut command = std::process::Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(programs.path().join("usr/bin/dbus-daemon"));
        command.env("LD_LIBRARY_PATH", programs.libraries());
        command.arg("--config-file").arg(&configuration).args(["--nofork", "--nopidfile", "--nosyslog"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|source| Error::Spawn { command: "setpriv".into(), source })?;
        self.bus = Some(Bus(child));
        let listens = || std::os::unix::net::UnixStream::connect(self.socket()).is_ok();
        if wait_until(START_LIMIT, listens) {
            return Ok(());
        }
        Err(Error::file(self.socket())(io::ErrorKind::TimedOut.into()))
    }

    /// Ends the bus and all its connections.
    pub fn stop_bus(&mut self) {
        self.bus = None;
        let _ = fs::remove_file(self.socket());
    }
}

/// Like the system's bus: every client may call and listen, and signals go to the clients whose rules match.
fn configuration_text(socket: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
  <limit name="max_replies_per_connection">128</limit>
</busconfig>
"#,
        socket.display()
    )
}
