//! What differs between the three kinds of pools.

use super::super::model::{Item, Text, UserMacro, dependent};
use super::super::patterns::LinePattern;

/// A kind of worker pool, with its names in keys, items and triggers.
pub(super) struct Pool {
    pub(super) id: &'static str,
    /// The first part of the template's name.
    pub(super) subject: &'static str,
    /// The software's name in names of items and triggers.
    pub(super) title: &'static str,
    pub(super) target: &'static str,
    /// The item key without parameters.
    pub(super) key: &'static str,
    /// The macro that is the key's parameter.
    pub(super) conf: UserMacro,
    pub(super) usage_max: &'static str,
    /// What the limit counts: "worker" or "connection".
    pub(super) worker: Text,
    /// The directive that sets the limit.
    pub(super) limit_name: &'static str,
    /// Whether the limit is the sum of several pools' limits.
    pub(super) is_sum: bool,
    /// What reaches the limit, in Japanese names of triggers.
    pub(super) subject_ja: &'static str,
    /// The expression that is true if all workers were in use for five minutes.
    pub(super) full_when: &'static str,
    pub(super) log: Option<PoolLog>,
}

/// The log in which the software reports that its limit is reached.
pub(super) struct PoolLog {
    /// The name of the key: for one file, or for the newest of several.
    pub(super) key: &'static str,
    /// The log in English names of triggers.
    pub(super) name: &'static str,
    pub(super) file: UserMacro,
    pub(super) at_limit: (&'static str, &'static LinePattern),
    pub(super) near_limit: Option<(&'static str, &'static LinePattern)>,
}

impl Pool {
    /// Returns the limit in English names of triggers.
    pub(super) fn worker_limit(&self) -> String {
        format!("{} limit", self.worker.en)
    }

    /// Returns an item that depends on this master.
    pub(super) fn dependent(&self, id: &'static str, master: &'static str, name: &Text, about: Text) -> Item {
        let name = name.map(|name| format!("{}: {name}", self.title));
        dependent(id, master, name, about).key(&format!("oomwatch.{}.{id}", self.id))
    }
}
