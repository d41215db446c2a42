//! One question to both, and what became of it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use oomwatch_tests::{Generation, Key, RealAgent, Reply};

use crate::OURS;

/// A selection that moves is asked about for so long before it counts as a mismatch: on a machine where much begins and
/// ends, a moment at which two of three answers agree is rare.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// A 7.0 agent holds the connection for half a minute when an item has no value.
const PATIENCE: Duration = Duration::from_secs(15);

/// A question, and whether the answer can be expected to hold still.
pub(crate) struct Case {
    key: Key,
    still: bool,
}

impl Case {
    pub(crate) fn still<S: Into<String>>(key: &str, parameters: impl IntoIterator<Item = S>) -> Self {
        Self { key: Key::new(key).params(parameters), still: true }
    }

    pub(crate) fn moving<S: Into<String>>(key: &str, parameters: impl IntoIterator<Item = S>) -> Self {
        Self { key: Key::new(key).params(parameters), still: false }
    }

    /// What differs, if anything does.
    pub(crate) fn mismatch(&self, agent: &RealAgent) -> Option<String> {
        let end = Instant::now() + LIMIT;
        loop {
            let before = built_in(agent, &self.key);
            let ours = ask(agent, &self.key.prefixed(OURS));
            if same(agent, &before, &ours) {
                return None;
            }
            let after = built_in(agent, &self.key);
            if same(agent, &after, &ours) || (!self.still && between(&before, &ours, &after)) {
                return None;
            }
            if Instant::now() >= end || self.still && before == after {
                return Some(format!("{}: built-in {before:?}, then {after:?}; ours {ours:?}", self.key));
            }
            sleep(BETWEEN_TRIES);
        }
    }
}

/// A connection that fails is an answer too: it is shown, and matches nothing.
pub(crate) type Answer = Result<Reply, String>;

/// What the agent's own item says, as the agent would pass it on from a plugin.
pub(crate) fn built_in(agent: &RealAgent, key: &Key) -> Answer {
    match ask(agent, key) {
        Ok(Reply::NotSupported(why)) => Ok(Reply::NotSupported(agent.generation().passed_on(&why))),
        other => other,
    }
}

pub(crate) fn ask(agent: &RealAgent, key: &Key) -> Answer {
    agent.get_within(key.clone(), PATIENCE).map_err(|error| error.to_string())
}

/// The same answer. For a user who does not exist 7.0.9 has an error in proc.num and proc.cpu.util, where later 7.0
/// releases answer 0, and a plugin is not told which of them asks; so there ours may be either.
pub(crate) fn same(agent: &RealAgent, built_in: &Answer, ours: &Answer) -> bool {
    match (built_in, ours) {
        (Ok(Reply::NotSupported(why)), Ok(Reply::Value(zero))) => {
            zero == "0" && agent.generation() == Generation::V7_0 && why.contains("ser: unknown user ")
        }
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => false,
    }
}

/// Numbers of the same form, ours from the lower to the higher of the two around it.
fn between(
    before: &Result<Reply, String>,
    ours: &Result<Reply, String>,
    after: &Result<Reply, String>,
) -> bool {
    let number = |reply: &Result<Reply, String>| -> Option<(bool, f64)> {
        let text = reply.as_ref().ok()?.value()?;
        Some((text.contains('.'), text.parse().ok()?))
    };
    let (Some(before), Some(ours), Some(after)) = (number(before), number(ours), number(after)) else {
        return false;
    };
    let (low, high) = (before.1.min(after.1), before.1.max(after.1));
    ours.0 == before.0 && (low..=high).contains(&ours.1)
}

/// Fails with all mismatches, if there are any.
pub(crate) fn report(generation: Generation, cases: usize, mismatches: &[String]) {
    let count = mismatches.len();
    assert!(count == 0, "{count} of {cases} differ, agent {generation}:\n{}", mismatches.join("\n"));
}
