//! Items and their preprocessing.

use super::text::Text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    Unsigned,
    Float,
    /// At most 255 characters.
    Char,
    Text,
    Log,
}

/// The source of an item's values.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The agent, polled at this interval.
    Agent { delay: &'static str },
    /// Another item's value.
    Dependent { master: &'static str },
}

/// An item or an item prototype.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: &'static str,
    pub(crate) key: String,
    pub(crate) name: Text,
    pub(crate) description: Text,
    pub(crate) origin: Origin,
    pub(crate) value_type: ValueType,
    pub(crate) units: &'static str,
    pub(crate) history: &'static str,
    pub(crate) value_map: Option<&'static str>,
    pub(crate) component: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// Returns a master item: JSON for dependent items, without history.
pub(crate) fn master(
    id: &'static str,
    key: &str,
    delay: &'static str,
    name: Text,
    description: Text,
) -> Item {
    let item = agent(id, key, delay, name, description).value_type(ValueType::Text);
    Item { history: "0", component: "raw", ..item }
}

/// Returns an item that the agent is polled for.
pub(crate) fn agent(id: &'static str, key: &str, delay: &'static str, name: Text, description: Text) -> Item {
    Item { key: key.to_owned(), origin: Origin::Agent { delay }, ..dependent(id, "", name, description) }
}

/// Returns a dependent item whose key is `oomwatch.` followed by its id.
pub(crate) fn dependent(id: &'static str, master: &'static str, name: Text, description: Text) -> Item {
    Item {
        id,
        key: format!("oomwatch.{id}"),
        name,
        description,
        origin: Origin::Dependent { master },
        value_type: ValueType::Unsigned,
        units: "",
        history: "31d",
        value_map: None,
        component: "",
        steps: Vec::new(),
    }
}

impl Item {
    /// Sets a key other than the default of [`dependent`].
    pub(crate) fn key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    pub(crate) fn value_type(self, value_type: ValueType) -> Self {
        Self { value_type, ..self }
    }

    pub(crate) fn float(self, units: &'static str) -> Self {
        Self { value_type: ValueType::Float, units, ..self }
    }

    pub(crate) fn units(self, units: &'static str) -> Self {
        Self { units, ..self }
    }

    pub(crate) fn value_map(self, value_map: &'static str) -> Self {
        Self { value_map: Some(value_map), ..self }
    }

    pub(crate) fn component(self, component: &'static str) -> Self {
        Self { component, ..self }
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Extracts a member of the master item's JSON. If the member is absent, there is no value.
    pub(crate) fn json_path(self, path: &str) -> Self {
        self.step(Step::JsonPath(path.to_owned(), OnFail::Discard))
    }

    /// Extracts a boolean member as 0 or 1.
    pub(crate) fn boolean(self, path: &str) -> Self {
        self.json_path(path).step(Step::BoolToDecimal)
    }

    /// Discards unchanged values, except for one in each period of this length.
    pub(crate) fn heartbeat(self, every: &'static str) -> Self {
        self.step(Step::DiscardUnchanged(every))
    }
}

/// A preprocessing step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Handles an error from the agent. Must be the first step.
    NotSupported(OnFail),
    JsonPath(String, OnFail),
    /// A script has no error handler. A script that may have no value returns JSON without the member that the next step extracts.
    JavaScript(&'static str),
    BoolToDecimal,
    ChangePerSecond,
    DiscardUnchanged(&'static str),
}

/// The handling of a failed preprocessing step.
#[derive(Debug, Clone)]
pub(crate) enum OnFail {
    /// The item becomes unsupported, with the step's error.
    Error,
    Discard,
    Value(&'static str),
}
