//! Everything that must hold before a change is done.

use std::process::{Command, Stdio};
use std::thread;

use oomwatch_tests::binaries::{self, cargo, target_dir};
use oomwatch_tests::{Error, Generation, browser, debian, zabbix};

use crate::output::Done;
use crate::steps::{command, last_step, step};
use crate::tools;

pub(crate) fn run(fast: bool) -> Done {
    // Downloads and the databases' first filling leave the processors to the compiler for most of their time.
    let packages = thread::spawn(move || packages(fast));
    let tools = thread::spawn(|| tools::install().map_err(|error| error.to_string()));
    step("format", || command(cargo().args(["fmt", "--all", "--check"])))?;
    step("lints", lints)?;
    step("build", || command(cargo().args(["build", "--workspace", "--bins", "--examples"])))?;
    step("tools", || Ok(tools.join().map_err(|_| "the thread that installs them panicked")??))?;
    step("spelling", tools::check_spelling)?;
    step("dependencies", tools::check_dependencies)?;
    step("doc tests", || command(cargo().args(["test", "--workspace", "--doc"])))?;
    step("packages", || Ok(packages.join().map_err(|_| "the thread that unpacks them panicked")??))?;
    last_step("tests", || command(&mut tests(fast)))?;
    Ok(())
}

fn lints() -> Done {
    let mut clippy = cargo();
    command(clippy.args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
}

/// Unpacks the real agents and, unless `fast`, the packages that would delay the first test by minutes.
fn packages(fast: bool) -> Result<(), Error> {
    for generation in Generation::ALL {
        crate::output::say(&format!("agent {generation}: {}", debian::agent(generation)?.program.display()));
    }
    if !fast {
        zabbix::prepare()?;
        browser::unpack()?;
    }
    Ok(())
}

/// What proptest takes its random inputs from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// The runner prints a summary at its end, and nothing is printed after it.
fn tests(fast: bool) -> Command {
    let mut runner = if has_nextest() { nextest(fast) } else { cargo_test(fast) };
    runner.env(binaries::DIRECTORY, target_dir().join("debug"));
    // Random inputs are the same in every run. Set a seed to get others.
    if std::env::var_os(SEED).is_none() {
        runner.env(SEED, "1");
    }
    runner
}

fn has_nextest() -> bool {
    let mut version = cargo();
    version.args(["nextest", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn nextest(fast: bool) -> Command {
    let mut runner = cargo();
    runner.args(["nextest", "run", "--workspace"]);
    if fast {
        runner.args(["--filterset", "not (package(oomwatch-tests) & kind(test))"]);
    }
    runner
}

/// Runs one test at a time in each executable. Without nextest's groups they would starve each other.
fn cargo_test(fast: bool) -> Command {
    let mut runner = cargo();
    runner.args(["test", "--workspace"]);
    runner.args(if fast { ["--lib", "--bins"].as_slice() } else { &["--lib", "--bins", "--tests"] });
    runner.args(["--", "--test-threads=1"]);
    runner
}
