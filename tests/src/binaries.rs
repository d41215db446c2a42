//! Where this workspace's executables are: beside the running test or chore, and never older than their source.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Error;
use crate::error::run;

/// Set to a directory of executables that are known to be fresh; without it they are built before the first use.
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
/// When the workspace cannot be built, or has no such executable.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let directory = directory()?;
    let path = directory.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::NoExecutable { name: name.to_owned(), directory }) }
}

/// A test that found an executable of last week would test last week's plugin, so without word from the caller
/// cargo is asked once; when all is fresh that costs a fraction of a second.
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

/// Tests run from target/PROFILE/deps, chores from target/PROFILE.
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

/// cargo itself, in the workspace's root; the one that runs us, where one does.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Builds an executable for release and says where it is: what operators run, for measurements and the demo.
///
/// # Errors
///
/// When it cannot be built.
pub fn release(package: &str, name: &str) -> Result<PathBuf, Error> {
    run(cargo().args(["build", "--quiet", "--release", "--package", package, "--bin", name]))?;
    let directory = target_dir().join("release");
    let path = directory.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::NoExecutable { name: name.to_owned(), directory }) }
}
