//! The agent under test.

use std::time::Duration;

use oomwatch_tests::{Error, Generation, PluginSpec, RealAgent, binaries};

/// A walk may take long on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) fn agent(generation: Generation) -> Result<RealAgent, Error> {
    RealAgent::builder(generation).timeout(TIMEOUT).plugin(oomwatch()?).start()
}

fn oomwatch() -> Result<PluginSpec, Error> {
    // Every reply needs a walk of its own, as the agent's replies do.
    Ok(PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?).option("Proc.MaxAge", "0"))
}
