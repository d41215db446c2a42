//! One question to both, and what became of it.

use oomwatch_tests::{Generation, Key, RealAgent, Reply};

/// A selection that moves is asked about so often before it counts as a mismatch.
const TRIES: usize = 8;

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
    pub(crate) fn mismatch(&self, agent: &RealAgent, prefix: &str) -> Option<String> {
        let mut seen = String::new();
        for _ in 0..if self.still { 2 } else { TRIES } {
            let around = |_: &str| ask(agent, &self.key);
            let (before, ours, after) =
                (around("before"), ask(agent, &self.key.prefixed(prefix)), around("after"));
            if ours == before || ours == after || (!self.still && between(&before, &ours, &after)) {
                return None;
            }
            seen = format!("{}: built-in {before:?}, then {after:?}; ours {ours:?}", self.key);
            if self.still && before == after {
                break;
            }
        }
        Some(seen)
    }
}

/// A connection that fails is an answer too: it is shown, and matches nothing.
fn ask(agent: &RealAgent, key: &Key) -> Result<Reply, String> {
    agent.get(key.clone()).map_err(|error| error.to_string())
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
