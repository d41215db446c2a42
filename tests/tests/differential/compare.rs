//! One question to both items, and its result.

use std::thread::sleep;
use std::time::{Duration, Instant};

use oomwatch_tests::{Generation, Key, RealAgent, Reply};

/// The prefix of the plugin's keys.
pub(crate) const OURS: &str = "oomwatch.";
/// A question about changing processes is repeated for this long before it counts as a mismatch: on a busy machine two
/// of three replies rarely agree.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// A 7.0 agent holds the connection for half a minute if an item has no value.
const PATIENCE: Duration = Duration::from_secs(15);

/// A question, and whether its processes are unchanging.
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

    /// Returns the difference, if there is one.
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

/// A failed connection is a reply as well: it is shown, and equals no other.
pub(crate) type ItemReply = Result<Reply, String>;

/// The reply of the agent's own item, in the form that the agent gives to a plugin's reply.
pub(crate) fn built_in(agent: &RealAgent, key: &Key) -> ItemReply {
    match ask(agent, key) {
        Ok(Reply::NotSupported(why)) => Ok(Reply::NotSupported(agent.generation().passed_on(&why))),
        other => other,
    }
}

pub(crate) fn ask(agent: &RealAgent, key: &Key) -> ItemReply {
    agent.get_within(key.clone(), PATIENCE).map_err(|error| error.to_string())
}

/// Compares two replies. If a user does not exist, 7.0.9 returns an error in proc.num and proc.cpu.util, and later 7.0
/// releases return 0. A plugin cannot distinguish them, so its reply may be either.
pub(crate) fn same(agent: &RealAgent, built_in: &ItemReply, ours: &ItemReply) -> bool {
    match (built_in, ours) {
        (Ok(Reply::NotSupported(why)), Ok(Reply::Value(zero))) => {
            zero == "0" && agent.generation() == Generation::V7_0 && why.contains("ser: unknown user ")
        }
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => false,
    }
}

/// Returns whether ours lies between two numbers of the same form.
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

/// Panics with all mismatches, if there are any.
pub(crate) fn report(generation: Generation, cases: usize, mismatches: &[String]) {
    let count = mismatches.len();
    assert!(count == 0, "{count} of {cases} differ, agent {generation}:\n{}", mismatches.join("\n"));
}
