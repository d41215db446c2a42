use std::fmt;

/// An item key with parameters, quoted if the agent's parser needs it.
///
/// ```
/// use oomwatch_tests::Key;
///
/// let key = Key::new("proc.num").param("a name").param("").param("all").param("^a,b]\"");
/// assert_eq!(key.to_string(), r#"proc.num[a name,,all,"^a,b]\""]"#);
/// assert_eq!(Key::new("agent.ping").to_string(), "agent.ping");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    parameters: Vec<String>,
}

impl Key {
    /// A key without parameters.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Vec::new() }
    }

    /// Adds one parameter.
    #[must_use]
    pub fn param(mut self, value: impl Into<String>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// Adds parameters at the end.
    #[must_use]
    pub fn params<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Self {
        self.parameters.extend(values.into_iter().map(Into::into));
        self
    }

    /// The same parameters under the name `prefix` + name.
    #[must_use]
    pub fn prefixed(&self, prefix: &str) -> Self {
        Self { name: format!("{prefix}{}", self.name), parameters: self.parameters.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (index, value) in self.parameters.iter().enumerate() {
            f.write_str(if index == 0 { "[" } else { "," })?;
            f.write_str(&quoted(value))?;
        }
        f.write_str(if self.parameters.is_empty() { "" } else { "]" })
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

/// Unquoted parameters lose leading spaces, and end at a comma or a closing bracket.
fn quoted(value: &str) -> String {
    if value.contains([',', ']']) || value.starts_with([' ', '"', '[']) {
        format!("\"{}\"", value.replace('"', "\\\""))
    } else {
        value.to_owned()
    }
}
