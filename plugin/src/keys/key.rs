//! One entry of the table of item keys.

use agent2_plugin::{ItemError, Reply, Request};

use crate::parameters::{Arguments, Declaration, Parameter};
use crate::state::PluginState;

/// The function that computes the value of a key.
pub(crate) type Handler = fn(&PluginState, Arguments<'_>) -> Result<Reply, ItemError>;

/// One item key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name, with the prefix `oomwatch.`.
    pub name: &'static str,
    /// The parameters in their order.
    pub parameters: &'static [Parameter],
    /// The description that the agent shows. It begins with a capital and ends with a full stop.
    pub summary: &'static str,
    /// The value: form, units, absences and errors.
    pub returns: Returns,
    /// The agent's own key with the same parameters, for `Alias=`.
    pub mirrors: Option<&'static str>,
    /// The kernel files or interfaces that the numbers come from.
    pub source: &'static str,
    /// An item that works on any machine.
    pub example: &'static str,
    pub(crate) handler: Handler,
}

/// The value of a key.
#[derive(Debug, Clone, Copy)]
pub enum Returns {
    /// A number or text, described by sentences.
    Text(&'static str),
    /// A JSON object.
    Json {
        /// Sentences about the whole value: absences and errors.
        summary: &'static str,
        /// All fields.
        fields: &'static [Field],
    },
    /// A JSON list of objects.
    List {
        /// Sentences about the whole value: absences and errors.
        summary: &'static str,
        /// All fields of one object.
        fields: &'static [Field],
    },
}

impl Returns {
    /// Returns the sentences about the whole value.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Text(summary) | Self::Json { summary, .. } | Self::List { summary, .. } => summary,
        }
    }

    /// Returns the fields of the object, or of one object of the list.
    #[must_use]
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Text(_) => &[],
            Self::Json { fields, .. } | Self::List { fields, .. } => fields,
        }
    }
}

/// One field of a JSON value.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The path from the object: `memory.source`, `names[].count`; `*` stands for any name.
    pub path: &'static str,
    /// The unit or the type: `B`, `s`, `%`, `count`, `text`, `bool`, `object`, `list`.
    pub unit: &'static str,
    /// The meaning, and when the field is absent or null.
    pub meaning: &'static str,
}

/// Declares a field.
pub(crate) const fn field(path: &'static str, unit: &'static str, meaning: &'static str) -> Field {
    Field { path, unit, meaning }
}

impl Key {
    /// Returns the name without the prefix.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.strip_prefix("oomwatch.").unwrap_or(self.name)
    }

    /// Checks the number of a poll's arguments.
    ///
    /// # Errors
    /// If there are more arguments than parameters.
    pub(crate) fn arguments<'a>(&'static self, request: &'a Request) -> Result<Arguments<'a>, ItemError> {
        let declaration = Declaration {
            name: self.short_name(),
            parameters: self.parameters,
            is_mirror: self.mirrors.is_some(),
        };
        Arguments::new(declaration, request)
    }

    /// Returns the key with its parameters' names, as the manual writes keys: `oomwatch.proc.num[name,user,state,cmdline]`.
    #[must_use]
    pub fn signature(&self) -> String {
        let names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name).collect();
        if names.is_empty() { self.name.to_owned() } else { format!("{}[{}]", self.name, names.join(",")) }
    }
}
