//! Compares the items that mirror the agent's own with the agent's own: same agent, same machine, same time.
//!
//! The tables poll `proc.mem[...]` and `oomwatch.proc.mem[...]` in immediate succession. If the processes were started for
//! the test and do not change, the replies must be equal texts. If they change (all processes of root), our reply must
//! equal, or lie between, the agent's replies before and after it. Each test reports all mismatches of its table.
//! A mismatch is reported with both replies of the agent: if these differ, the processes changed.

mod agent;
mod cast;
mod compare;
mod cpu;
mod get;
mod tables;

use oomwatch_tests::{Error, Generation};

use agent::agent;
use cast::Cast;
use compare::report;

/// Minimum sizes, so that a table that lost entries by accident is noticed.
const FEWEST_CASES: usize = 300;

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
