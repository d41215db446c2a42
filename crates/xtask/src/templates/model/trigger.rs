//! Triggers.

use super::text::{Text, untranslated};

/// The full last value of the expression's first item. Without a function, servers cut text values to 20 characters.
pub(crate) const LAST_VALUE: &str = "{{ITEM.LASTVALUE1}.regsub(\"(.*)\",\"\\1\")}";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    Warning,
    Average,
    High,
}

/// A trigger or a trigger prototype.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// The tag `scope`.
    pub(crate) scope: &'static str,
    pub(crate) name: Text,
    /// If empty, the event has the trigger's name.
    pub(crate) event_name: Text,
    pub(crate) opdata: Text,
    pub(crate) description: Text,
    pub(crate) expression: String,
    /// If empty, the problem recovers when the expression is no longer true.
    pub(crate) recovery: String,
    pub(crate) manual_close: bool,
    pub(crate) depends_on: Vec<&'static str>,
    pub(crate) tags: Vec<(&'static str, &'static str)>,
}

pub(crate) fn trigger(
    id: &'static str,
    severity: Severity,
    scope: &'static str,
    name: Text,
    expression: &str,
) -> Trigger {
    Trigger {
        id,
        severity,
        scope,
        name,
        event_name: untranslated(""),
        opdata: untranslated(""),
        description: untranslated(""),
        expression: expression.to_owned(),
        recovery: String::new(),
        manual_close: false,
        depends_on: Vec::new(),
        tags: Vec::new(),
    }
}

impl Trigger {
    pub(crate) fn event_name(self, event_name: Text) -> Self {
        Self { event_name, ..self }
    }

    pub(crate) fn opdata(self, opdata: Text) -> Self {
        Self { opdata, ..self }
    }

    pub(crate) fn description(self, description: Text) -> Self {
        Self { description, ..self }
    }

    pub(crate) fn recovery(self, expression: &str) -> Self {
        Self { recovery: expression.to_owned(), ..self }
    }

    pub(crate) fn manual_close(self) -> Self {
        Self { manual_close: true, ..self }
    }

    pub(crate) fn depends_on(self, ids: &[&'static str]) -> Self {
        Self { depends_on: ids.to_vec(), ..self }
    }

    pub(crate) fn tags(self, tags: &[(&'static str, &'static str)]) -> Self {
        Self { tags: tags.to_vec(), ..self }
    }
}
