//! The items that mirror the agent's own, against the agent's own: same agent, same machine, same moment.
//!
//! The tables ask for `proc.mem[...]` and `oomwatch.proc.mem[...]` in immediate succession. Where the processes asked
//! about are made for the purpose and hold still, the answers must be the same text; where they cannot hold still (all
//! processes of root), ours must be equal to, or between, two answers of the agent around it. Each test reports every
//! mismatch of its table at once.
//! A mismatch is told with both answers of the agent: where these differ, it was the table that did not hold still.

mod cast;
mod compare;
mod cpu;
mod get;
mod tables;

use std::time::Duration;

use oomwatch_tests::{Error, Generation, PluginSpec, RealAgent, binaries};

use cast::Cast;
use compare::{Case, report};

const OURS: &str = "oomwatch.";

/// A table that shrank by accident would pass in silence.
const FEWEST_CASES: usize = 300;

/// A busy machine may take its time over a walk.
const TIMEOUT: Duration = Duration::from_secs(15);

fn agent(generation: Generation) -> Result<RealAgent, Error> {
    RealAgent::builder(generation).timeout(TIMEOUT).plugin(oomwatch()?).start()
}

fn oomwatch() -> Result<PluginSpec, Error> {
    // Each answer from a walk of its own, as the agent's are.
    Ok(PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?).option("Proc.MaxAge", "0"))
}

fn compare_all(generation: Generation) -> Result<(), Error> {
    let cast = Cast::new()?;
    let agent = agent(generation)?;
    let cases = tables::all(&cast);
    assert!(cases.len() >= FEWEST_CASES, "only {} cases", cases.len());
    let mismatches: Vec<_> = cases.iter().filter_map(|case| case.mismatch(&agent)).collect();
    report(generation, cases.len(), &mismatches);
    Ok(())
}

#[test]
fn mem_and_num_as_built_in_6_0() -> Result<(), Error> {
    compare_all(Generation::V6_0)
}

#[test]
fn mem_and_num_as_built_in_7_0() -> Result<(), Error> {
    compare_all(Generation::V7_0)
}

#[test]
fn get_as_built_in_7_0() -> Result<(), Error> {
    get::compare_all()
}

#[test]
fn cpu_util_as_built_in_6_0() -> Result<(), Error> {
    cpu::compare_all(Generation::V6_0)
}

#[test]
fn cpu_util_as_built_in_7_0() -> Result<(), Error> {
    cpu::compare_all(Generation::V7_0)
}
