//! Templates, their macros, value maps and discovery rules.

use super::dashboard::Dashboard;
use super::graph::Graph;
use super::item::{Item, Step};
use super::text::Text;
use super::trigger::Trigger;

/// Passive checks are requested by the server, active checks are sent by the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Passive,
    Active,
}

#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// The name in this source and in file names.
    pub(crate) id: &'static str,
    pub(crate) check: Check,
    /// The first part of the name, such as "OomWatch Linux".
    pub(crate) subject: &'static str,
    pub(crate) description: Text,
    /// The template's tag `class`.
    pub(crate) class: &'static str,
    /// The template's tag `target`.
    pub(crate) target: &'static str,
    pub(crate) macros: Vec<UserMacro>,
    pub(crate) value_maps: Vec<ValueMap>,
    pub(crate) items: Vec<Item>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) discovery_rules: Vec<DiscoveryRule>,
    pub(crate) graphs: Vec<Graph>,
    pub(crate) dashboard: Option<Dashboard>,
}

impl Template {
    /// Returns a template without any parts.
    pub(crate) fn empty(
        id: &'static str,
        check: Check,
        subject: &'static str,
        target: &'static str,
        description: Text,
    ) -> Self {
        Self {
            id,
            check,
            subject,
            description,
            class: "software",
            target,
            macros: Vec::new(),
            value_maps: Vec::new(),
            items: Vec::new(),
            triggers: Vec::new(),
            discovery_rules: Vec::new(),
            graphs: Vec::new(),
            dashboard: None,
        }
    }

    pub(crate) fn name(&self) -> String {
        let active = if self.check == Check::Active { " active" } else { "" };
        format!("{} by Zabbix agent 2{active}", self.subject)
    }

    /// Returns the name of the template's file, without a directory.
    pub(crate) fn file_name(&self) -> String {
        let active = if self.check == Check::Active { "_active" } else { "" };
        format!("oomwatch_{}_agent2{active}.yaml", self.id)
    }

    /// Returns the first part of the names under which the UUIDs are stored.
    pub(crate) fn uuid_prefix(&self) -> String {
        let active = if self.check == Check::Active { "active" } else { "passive" };
        format!("{}.{active}", self.id)
    }

    /// Returns the items, followed by the item prototypes.
    pub(crate) fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(self.discovery_rules.iter().flat_map(|rule| &rule.items))
    }

    /// Returns the triggers, followed by the trigger prototypes.
    pub(crate) fn all_triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().chain(self.discovery_rules.iter().flat_map(|rule| &rule.triggers))
    }
}

/// A user macro with its default value.
#[derive(Debug, Clone)]
pub(crate) struct UserMacro {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) description: Text,
}

pub(crate) fn user_macro(name: &'static str, value: &str, description: Text) -> UserMacro {
    UserMacro { name, value: value.to_owned(), description }
}

/// Sorts macros by name, as exports do.
pub(crate) fn sorted(mut macros: Vec<UserMacro>) -> Vec<UserMacro> {
    macros.sort_by_key(|user_macro| user_macro.name.trim_end_matches('}'));
    macros
}

/// Maps values to words.
#[derive(Debug, Clone)]
pub(crate) struct ValueMap {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) words: Vec<(&'static str, Text)>,
}

pub(crate) fn value_map(id: &'static str, name: Text, words: Vec<(&'static str, Text)>) -> ValueMap {
    ValueMap { id, name, words }
}

/// A low-level discovery rule on a master item's JSON.
#[derive(Debug, Clone)]
pub(crate) struct DiscoveryRule {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) description: Text,
    pub(crate) master: &'static str,
    pub(crate) steps: Vec<Step>,
    /// LLD macros, each with the JSONPath of its value in a row.
    pub(crate) paths: Vec<(&'static str, &'static str)>,
    pub(crate) filter: Vec<Condition>,
    pub(crate) items: Vec<Item>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) graphs: Vec<Graph>,
}

/// A condition of a discovery rule's filter.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) lld_macro: &'static str,
    pub(crate) matches: bool,
    pub(crate) regexp: &'static str,
}
