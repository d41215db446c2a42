//! Converts [`Node`]s to a type of the plugin, with errors that name the option and its line.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};

use crate::node::{Node, NodeValue};

/// Options that the agent adds to every plugin's own, such as `System.Path` and `System.Capacity`.
const AGENTS_OWN: &str = "System";
const GROUP_WITH_VALUE: &str = "is a group of options and takes no value itself";

/// A wrong, unknown or missing option.
///
/// If validation returns it, the agent does not start and shows it to the administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    message: String,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    option: String,
    line: u64,
}

impl OptionError {
    /// Creates an error of a plugin's own check, for example for two options that exclude each other.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), place: None }
    }

    /// Creates an error about one option with its full name, such as `Plugins.Echo.Limits.Lines`.
    pub fn about(option: &str, message: impl fmt::Display) -> Self {
        Self::new(message).at(option, 0)
    }

    /// Returns the option's full name, such as `Plugins.Echo.Limits.Lines`, if the error is about one option.
    #[must_use]
    pub fn option(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.option.as_str())
    }

    /// Returns the option's line of the configuration file; 0 if the agent did not send it.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.place.as_ref().map(|place| place.line)
    }

    /// Keeps the innermost option, which is the most specific.
    fn at(mut self, option: &str, line: u64) -> Self {
        self.place.get_or_insert_with(|| Place { option: option.to_owned(), line });
        self
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place { option, line: 0 }) => write!(f, "option {option}: {}", self.message),
            Some(Place { option, line }) => write!(f, "option {option} (line {line}): {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for OptionError {}

impl de::Error for OptionError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }

    fn unknown_field(_field: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.join(", ");
        Self::new(format_args!("there is no such option (there are: {known})"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.join(", ");
        Self::new(format_args!("`{variant}` is not one of: {known}"))
    }
}

impl Node {
    /// Reads the tree into `T`, which derives [`serde::Deserialize`].
    ///
    /// A group of options is a struct or a map, an option given several times a `Vec`; numbers, truth values
    /// (`yes`, `no`, `on`, `off`, `true`, `false`, `1`, `0`), strings, enums of unit variants and `Option` are
    /// read from one value. With `#[serde(deny_unknown_fields)]` a misspelt option is an error. The agent's own
    /// `System` group is left out.
    ///
    /// # Errors
    /// Names the wrong option, its line, and the expected value.
    ///
    /// ```
    /// use agent2_plugin::Node;
    ///
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    /// struct Options {
    ///     #[serde(default)]
    ///     max_lines: u32,
    /// }
    ///
    /// let node = Node::from_conf("Echo", "Plugins.Echo.System.Path=/x\nPlugins.Echo.MaxLines=5");
    /// assert_eq!(node.options::<Options>().unwrap().max_lines, 5);
    ///
    /// let node = Node::from_conf("Echo", "\nPlugins.Echo.MaxLines=many");
    /// let error = node.options::<Options>().err().unwrap();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "option Plugins.Echo.MaxLines (line 2): `many` is not a whole number from 0 to 4294967295"
    /// );
    /// ```
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionError> {
        let path =
            if self.name().is_empty() { "Plugins".to_owned() } else { format!("Plugins.{}", self.name()) };
        T::deserialize(Group { node: self, path: &path, is_root: true })
    }
}

/// A node that has options below it.
struct Group<'a> {
    node: &'a Node,
    path: &'a str,
    is_root: bool,
}

impl<'de> de::Deserializer<'de> for Group<'_> {
    type Error = OptionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        let is_root = self.is_root;
        let nodes = self.node.nodes().filter(move |node| !(is_root && node.name() == AGENTS_OWN));
        visitor.visit_map(Members { path: self.path, nodes, current: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The members of a group, as serde's map.
struct Members<'a, I> {
    path: &'a str,
    nodes: I,
    current: Option<Member<'a>>,
}

impl<'de, 'a, I: Iterator<Item = &'a Node>> de::MapAccess<'de> for Members<'a, I> {
    type Error = OptionError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, OptionError> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let member = self.current.insert(Member { node, path: format!("{}.{}", self.path, node.name()) });
        let name: StrDeserializer<'_, OptionError> = node.name().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(&member.path, node.line()))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, OptionError> {
        let member =
            self.current.take().ok_or_else(|| OptionError::new("a value was read before its name"))?;
        let (path, line) = (member.path.clone(), member.line());
        seed.deserialize(member).map_err(|error| error.at(&path, line))
    }
}

/// One option or group with its full name.
struct Member<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> Member<'a> {
    fn line(&self) -> u64 {
        self.node.values().last().map_or(self.node.line(), NodeValue::line)
    }

    fn text(&self) -> Result<&'a str, OptionError> {
        if self.node.nodes().next().is_some() {
            return Err(OptionError::new(GROUP_WITH_VALUE));
        }
        let mut values = self.node.values();
        let value = values.next().ok_or_else(|| OptionError::new("has no value"))?;
        match values.next() {
            Some(second) => Err(OptionError::new(format_args!(
                "is given more than once (lines {} and {})",
                value.line(),
                second.line()
            ))),
            None => utf8(value),
        }
    }

    fn number<T: std::str::FromStr>(&self, range: fmt::Arguments<'_>) -> Result<T, OptionError> {
        let text = self.text()?;
        text.parse().map_err(|_| OptionError::new(format_args!("`{text}` is not a {range}")))
    }
}

fn utf8(value: &NodeValue) -> Result<&str, OptionError> {
    std::str::from_utf8(value.bytes()).map_err(|_| OptionError::new("is not UTF-8 text"))
}

fn truth(text: &str) -> Result<bool, OptionError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err(OptionError::new(format_args!("`{text}` is neither yes nor no"))),
    }
}

macro_rules! deserialize_integers {
    ($($method:ident $visit:ident $integer:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
            let range = format_args!("whole number from {} to {}", <$integer>::MIN, <$integer>::MAX);
            visitor.$visit(self.number::<$integer>(range)?)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Member<'_> {
    type Error = OptionError;

    deserialize_integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    /// Used if the type accepts any kind: a node with nodes below it is a group, any other is text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        if self.node.nodes().next().is_some() {
            self.deserialize_map(visitor)
        } else {
            self.deserialize_str(visitor)
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_bool(truth(self.text()?)?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_f32(self.number(format_args!("number"))?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_f64(self.number(format_args!("number"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, OptionError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_seq(Values { path: &self.path, values: self.node.values() })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        if self.node.values().next().is_some() {
            return Err(OptionError::new(GROUP_WITH_VALUE));
        }
        Group { node: self.node, path: &self.path, is_root: false }.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OptionError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OptionError> {
        let text: StrDeserializer<'_, OptionError> = self.text()?.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// The values of an option that may be set several times.
struct Values<'a, I> {
    path: &'a str,
    values: I,
}

impl<'de, 'a, I: Iterator<Item = &'a NodeValue>> de::SeqAccess<'de> for Values<'a, I> {
    type Error = OptionError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, OptionError> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let single = Node::single(value);
        let member = Member { node: &single, path: self.path.to_owned() };
        seed.deserialize(member).map(Some).map_err(|error| error.at(self.path, value.line()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Options {
        #[serde(default)]
        state_dir: Option<String>,
        #[serde(default)]
        systemd: bool,
        #[serde(default)]
        log: LogOptions,
        #[serde(default)]
        regexp: BTreeMap<String, String>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct LogOptions {
        #[serde(default)]
        max_lines: u16,
        #[serde(default)]
        allow_path: Vec<String>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Quick,
        Slow,
    }

    fn read(conf: &str) -> Result<Options, String> {
        Node::from_conf("Oom", conf).options().map_err(|error: OptionError| error.to_string())
    }

    #[test]
    fn options_of_every_kind_are_read() {
        let options = read(
            "Plugins.Oom.StateDir=/var/x\nPlugins.Oom.Systemd=on\nPlugins.Oom.Log.MaxLines=7\n\
             Plugins.Oom.Log.AllowPath=a\nPlugins.Oom.Log.AllowPath=b\nPlugins.Oom.Regexp.oom=x=y\n\
             Plugins.Oom.Mode=slow\nPlugins.Oom.System.Path=/p\nPlugins.Oom.System.Capacity=5\n",
        );
        let expected = Options {
            state_dir: Some("/var/x".into()),
            systemd: true,
            log: LogOptions { max_lines: 7, allow_path: vec!["a".into(), "b".into()] },
            regexp: BTreeMap::from([("oom".into(), "x=y".into())]),
            mode: Mode::Slow,
        };
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn errors_name_the_option_its_line_and_the_expected_value() {
        let table = [
            (
                "\nPlugins.Oom.Log.MaxLines=70000",
                "option Plugins.Oom.Log.MaxLines (line 2): `70000` is not a whole number from 0 to 65535",
            ),
            (
                "Plugins.Oom.Log.Maxlines=7",
                "option Plugins.Oom.Log.Maxlines (line 1): there is no such option (there are: MaxLines, AllowPath)",
            ),
            (
                "Plugins.Oom.Systemd=maybe",
                "option Plugins.Oom.Systemd (line 1): `maybe` is neither yes nor no",
            ),
            ("Plugins.Oom.Mode=fast", "option Plugins.Oom.Mode (line 1): `fast` is not one of: quick, slow"),
            (
                "Plugins.Oom.StateDir=a\nPlugins.Oom.StateDir=b",
                "option Plugins.Oom.StateDir (line 2): is given more than once (lines 1 and 2)",
            ),
            (
                "Plugins.Oom.Log=5",
                "option Plugins.Oom.Log (line 1): is a group of options and takes no value itself",
            ),
            (
                "Plugins.Oom.StateDir.X=5",
                "option Plugins.Oom.StateDir (line 1): is a group of options and takes no value itself",
            ),
        ];
        for (conf, expected) in table {
            assert_eq!(read(conf).unwrap_err(), expected, "{conf}");
        }
    }

    #[test]
    fn error_names_a_missing_option() {
        #[derive(Debug, Deserialize)]
        struct Needy {
            #[serde(rename = "Must")]
            _must: u8,
        }
        let error = Node::from_conf("Oom", "").options::<Needy>().unwrap_err();
        assert!(error.to_string().contains("Must"), "{error}");
    }

    #[test]
    fn error_names_an_option_that_is_not_utf_8() {
        let json =
            r#"{"Name":"Oom","Nodes":[{"Name":"StateDir","Line":4,"Nodes":[{"Value":"/w==","Line":4}]}]}"#;
        let node: Node = serde_json::from_str(json).unwrap();
        let error = node.options::<Options>().unwrap_err();
        assert_eq!(error.to_string(), "option Plugins.Oom.StateDir (line 4): is not UTF-8 text");
        assert_eq!((error.option(), error.line()), (Some("Plugins.Oom.StateDir"), Some(4)));
    }
}
