//! Tools that check the sources: typos (spelling), cargo-deny (licences, duplicate versions, sources, advisories) and
//! cargo-fuzz.
//!
//! All are installed below the target directory at first use. typos comes as a wheel with a binary if pip is available,
//! because that takes seconds, and is compiled otherwise. cargo-deny is compiled, which takes about two minutes on two cores.

use std::path::{Path, PathBuf};
use std::process::Command;

use oomwatch_tests::binaries::{cargo, target_dir, workspace};

use crate::output::{Done, say};
use crate::steps::command;

const TYPOS: &str = "1.52.0";
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";

/// Fails if a word is misspelt.
pub(crate) fn check_spelling() -> Done {
    command(Command::new(typos()?).current_dir(workspace()))
}

/// Fails if a dependency has a licence that does not fit, a second version or an unknown source. Advisories are checked if
/// their database can be downloaded.
pub(crate) fn check_dependencies() -> Done {
    let tool = cargo_deny()?;
    command(deny(&tool).args(["check", "licenses", "bans", "sources"]))?;
    if deny(&tool).args(["fetch", "db"]).output()?.status.success() {
        return command(deny(&tool).args(["check", "advisories"]));
    }
    say("advisories: not checked, because their database cannot be downloaded here");
    Ok(())
}

/// Installs the tools of the checks, so that the checks can start at once.
pub(crate) fn install() -> Done {
    typos()?;
    cargo_deny()?;
    Ok(())
}

fn deny(tool: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(workspace()).arg("deny");
    command
}

fn directory() -> PathBuf {
    target_dir().join("tools")
}

fn typos() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let root = directory().join(format!("typos-{TYPOS}"));
    let tool = root.join("bin/typos");
    if tool.exists() {
        return Ok(tool);
    }
    let wheel = format!("typos=={TYPOS}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&root).arg(wheel);
    if pip.output().is_ok_and(|output| output.status.success()) && tool.exists() {
        return Ok(tool);
    }
    install_crate(&root, "typos-cli", TYPOS, &[])?;
    Ok(tool)
}

fn cargo_deny() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let root = directory().join(format!("cargo-deny-{CARGO_DENY}"));
    let tool = root.join("bin/cargo-deny");
    if !tool.exists() {
        install_crate(&root, "cargo-deny", CARGO_DENY, &["--no-default-features"])?;
    }
    Ok(tool)
}

/// Installs cargo-fuzz and returns its path.
pub(crate) fn cargo_fuzz() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let root = directory().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let tool = root.join("bin/cargo-fuzz");
    if !tool.exists() {
        install_crate(&root, "cargo-fuzz", CARGO_FUZZ, &[])?;
    }
    Ok(tool)
}

/// Compiles without optimisation: the tools run for a second, and their compilation would take minutes more.
fn install_crate(root: &Path, name: &str, version: &str, features: &[&str]) -> Done {
    let mut install = cargo();
    install.args(["install", "--quiet", "--locked", "--debug", "--version", version, "--root"]).arg(root);
    command(install.args(features).arg(name).env("CARGO_TARGET_DIR", root.join("build")))?;
    Ok(std::fs::remove_dir_all(root.join("build"))?)
}
