//! `cargo xtask fuzz`: runs the fuzz targets with libFuzzer.
//!
//! cargo-fuzz is installed below the target directory at first use. It needs a C++ compiler, and a compiler flag that stable Rust
//! hides: `RUSTC_BOOTSTRAP` permits it, so no second toolchain is needed. No sanitizer is used, because the workspace has no
//! unsafe code; debug assertions and checks of overflows are on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fuzz_targets::{TARGETS, Target};
use oomwatch_tests::binaries::{target_dir, workspace};

use crate::output::{Done, say};
use crate::steps::{command, step};
use crate::tools;

/// An input that takes longer is a fault.
const INPUT_SECONDS_MAX: u64 = 60;
/// An input that needs more memory is a fault.
const INPUT_MIB_MAX: u64 = 1024;

/// What to run, and for how long.
#[derive(Debug)]
pub(crate) struct Plan {
    /// All targets if there is none.
    pub(crate) target: Option<&'static Target>,
    pub(crate) seconds: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { target: None, seconds: 60 }
    }
}

/// Returns the target with this name.
pub(crate) fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

pub(crate) fn run(plan: &Plan) -> Done {
    let chosen: Vec<_> = match plan.target {
        Some(target) => vec![target],
        None => TARGETS.iter().collect(),
    };
    let tool = tools::cargo_fuzz()?;
    step("build of the fuzz targets", || build(&tool, plan.target))?;
    let mut rows = Vec::new();
    for target in chosen {
        step(target.name, || {
            rows.push(fuzz(target, plan.seconds)?);
            Ok(())
        })?;
    }
    say("| target | seconds | executions | edges covered | result |\n|---|---|---|---|---|");
    rows.iter().for_each(|row| say(&row.text));
    let failed: Vec<_> = rows.iter().filter(|row| !row.passed).map(|row| row.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "faults were found in {}; the inputs are in fuzz/crashes, and the tests replay them",
        failed.join(", ")
    )
    .into())
}

fn build(tool: &Path, target: Option<&Target>) -> Done {
    let mut build = Command::new(tool);
    build.current_dir(workspace()).env("RUSTC_BOOTSTRAP", "1");
    // One unit, the default, takes minutes more.
    build
        .args(["fuzz", "build", "--sanitizer", "none", "--codegen-units", "16", "--target-dir"])
        .arg(directory());
    command(build.args(target.map(|target| target.name)))
}

fn directory() -> PathBuf {
    target_dir().join("fuzz")
}

/// One row of the table.
struct Row {
    name: &'static str,
    passed: bool,
    text: String,
}

/// Runs a target until the time is over or an input breaks it. New inputs that reach more code stay in the target directory.
fn fuzz(target: &Target, seconds: u64) -> Result<Row, Box<dyn std::error::Error>> {
    let corpus = directory().join("corpus").join(target.name);
    let crashes = workspace().join("fuzz/crashes").join(target.name);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&crashes)?;
    let log = directory().join(format!("{}.log", target.name));
    let mut fuzzer = Command::new(program(target.name)?);
    fuzzer
        .current_dir(workspace())
        .arg(corpus)
        .arg(Path::new("fuzz/seeds").join(target.name))
        .args(target.corpus);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", target.input_bytes_max));
    fuzzer.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={INPUT_MIB_MAX}"));
    fuzzer.arg(format!("-artifact_prefix={}/", crashes.display())).arg("-print_final_stats=1");
    say(&format!("output: {}", log.display()));
    let status =
        fuzzer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?).status()?;
    // It is empty if nothing was found.
    let _ = fs::remove_dir(&crashes);
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let executions = number_after(&text, "stat::number_of_executed_units:").unwrap_or_default();
    let edges = number_after(&text, " cov: ").unwrap_or_default();
    let result = if status.success() { "passed" } else { "failed" };
    let text = format!("| {} | {seconds} | {executions} | {edges} | {result} |", target.name);
    Ok(Row { name: target.name, passed: status.success(), text })
}

/// Finds the program below the directory of the machine's architecture.
fn program(name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let mut programs =
        fs::read_dir(directory())?.flatten().map(|entry| entry.path().join("release").join(name));
    Ok(programs
        .find(|program| program.is_file())
        .ok_or_else(|| format!("cargo-fuzz did not build {name}"))?)
}

/// Returns the number after the last occurrence of `label`.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_libfuzzers_output_are_read() {
        let text = "#2\tINITED cov: 31 ft: 32 corp: 1/1b exec/s: 0\n#99\tDONE   cov: 57 ft: 60\nstat::number_of_executed_units: 99\n";
        assert_eq!(number_after(text, "stat::number_of_executed_units:"), Some(99));
        assert_eq!(number_after(text, " cov: "), Some(57));
        assert_eq!(number_after("", " cov: "), None);
    }

    #[test]
    fn targets_have_names() {
        assert!(named("frames").is_some() && named("frame").is_none());
    }
}
