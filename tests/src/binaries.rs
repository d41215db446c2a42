//! Finds this workspace's executables beside the running test or task, and keeps them as new as their source.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Error;
use crate::error::run;

/// Environment variable: a directory of up-to-date executables. Without it they are built before the first use.
pub const DIRECTORY: &str = "OOMWATCH_BINARIES";

/// The name of the plugin's executable.
pub const PLUGIN: &str = "zabbix-agent2-plugin-oomwatch";

/// The workspace's root directory.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// The workspace's target directory, `CARGO_TARGET_DIR` honoured.
#[must_use]
pub fn target_dir() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// An executable of this workspace by its name.
///
/// # Errors
///
/// Returns an error if the build fails or the workspace has no such executable.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let directory = directory()?;
    let path = directory.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::NoExecutable { name: name.to_owned(), directory }) }
}

/// A test with an old executable would test an old plugin. So cargo builds once per process, unless the caller set the
/// environment variable. An up-to-date build takes a fraction of a second.
fn directory() -> Result<PathBuf, Error> {
    if let Some(known) = env::var_os(DIRECTORY) {
        return Ok(known.into());
    }
    let directory = beside_me()?;
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.get().is_none() {
        build(&directory)?;
        let _ = BUILT.set(());
    }
    Ok(directory)
}

/// Tests run from target/PROFILE/deps, tasks from target/PROFILE.
fn beside_me() -> Result<PathBuf, Error> {
    let me = env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    let directory = me.parent().unwrap_or(Path::new("/"));
    Ok(if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory }
        .to_owned())
}

fn build(directory: &Path) -> Result<(), Error> {
    let profile = if directory.ends_with("release") { "release" } else { "dev" };
    run(cargo().args(["build", "--quiet", "--workspace", "--bins", "--profile", profile])).map(drop)
}

/// cargo in the workspace's root: the cargo that runs this process, if there is one.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Builds an executable with the release profile, as operators run it, and returns its path. For measurements and the demo.
///
/// # Errors
///
/// Returns an error if the build fails.
pub fn release(package: &str, name: &str) -> Result<PathBuf, Error> {
    run(cargo().args(["build", "--quiet", "--release", "--package", package, "--bin", name]))?;
    let directory = target_dir().join("release");
    let path = directory.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::NoExecutable { name: name.to_owned(), directory }) }
}
