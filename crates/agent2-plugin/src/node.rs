//! Configuration nodes: the tree in which an agent sends `Plugins.<Name>.*`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

/// A node of the configuration: `Plugins.Echo.Limits.Lines=5` arrives as node `Echo`, in it node `Limits`, in it
/// node `Lines`, in it the value `5`.
///
/// Plugins rarely need nodes: [`Node::options`] converts a tree into a type of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    name: String,
    line: u64,
    children: Vec<NodeChild>,
}

/// A child of a [`Node`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChild {
    /// A group of options, or an option with its values.
    Node(Node),
    /// One value of an option.
    Value(NodeValue),
}

/// A value with its line of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeValue {
    bytes: Vec<u8>,
    line: u64,
}

impl Node {
    /// Returns the last part of the option's name. For the root it is the plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the line of the configuration file, counted from 1; 0 if the agent did not send it.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns groups, options and values below this node, in the order of the file.
    #[must_use]
    pub fn children(&self) -> &[NodeChild] {
        &self.children
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            NodeChild::Node(node) => Some(node),
            NodeChild::Value(_) => None,
        })
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &NodeValue> {
        self.children.iter().filter_map(|child| match child {
            NodeChild::Value(value) => Some(value),
            NodeChild::Node(_) => None,
        })
    }

    /// Reads the lines `Plugins.<plugin>.*` of an agent's configuration file, as the agent would send them.
    ///
    /// For command lines and tests. `Include` is not followed.
    ///
    /// ```
    /// let node = agent2_plugin::Node::from_conf("Echo", "Timeout=3\nPlugins.Echo.Limits.Lines=5\n");
    /// assert_eq!(node.name(), "Echo");
    /// assert_eq!(node.children().len(), 1);
    /// ```
    #[must_use]
    pub fn from_conf(plugin: &str, text: &str) -> Self {
        let mut root = Self { name: plugin.to_owned(), line: 0, children: Vec::new() };
        let prefix = format!("Plugins.{plugin}.");
        for (line, text) in (1..).zip(text.lines()) {
            let Some((option, value)) = text.trim().split_once('=') else { continue };
            let Some(path) = option.trim_end().strip_prefix(&prefix) else { continue };
            root.insert(path, value.trim(), line);
        }
        root
    }

    fn insert(&mut self, path: &str, value: &str, line: u64) {
        let node = path.split('.').fold(self, |node, part| node.child_mut(part, line));
        node.children.push(NodeChild::Value(NodeValue { bytes: value.as_bytes().to_vec(), line }));
    }

    fn child_mut(&mut self, name: &str, line: u64) -> &mut Self {
        let position =
            self.children.iter().position(|child| matches!(child, NodeChild::Node(n) if n.name == name));
        let position = position.unwrap_or_else(|| {
            self.children.push(NodeChild::Node(Self { name: name.to_owned(), line, children: Vec::new() }));
            self.children.len() - 1
        });
        match &mut self.children[position] {
            NodeChild::Node(node) => node,
            NodeChild::Value(_) => unreachable!("the position is that of a node"),
        }
    }

    /// Wraps one of several values in a node, so that it can be read like a single option.
    pub(crate) fn single(value: &NodeValue) -> Self {
        Self { name: String::new(), line: value.line, children: vec![NodeChild::Value(value.clone())] }
    }

    /// Converts to the JSON that an agent sends.
    #[cfg(any(test, feature = "fake-agent"))]
    pub(crate) fn to_wire(&self) -> serde_json::Value {
        let children: Vec<_> = self.children.iter().map(NodeChild::to_wire).collect();
        serde_json::json!({"Name": self.name, "Line": self.line, "Nodes": children})
    }
}

impl NodeChild {
    #[cfg(any(test, feature = "fake-agent"))]
    fn to_wire(&self) -> serde_json::Value {
        match self {
            Self::Node(node) => node.to_wire(),
            Self::Value(value) => {
                serde_json::json!({"Value": STANDARD.encode(&value.bytes), "Line": value.line})
            }
        }
    }
}

impl NodeValue {
    /// Returns the bytes after the equals sign.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the line of the configuration file, counted from 1; 0 if the agent did not send it.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }
}

/// Nodes and values are in one list and are distinguished by their fields.
#[derive(Deserialize)]
struct WireNode {
    #[serde(rename = "Name", default)]
    name: Option<String>,
    #[serde(rename = "Line", default)]
    line: Option<u64>,
    #[serde(rename = "Value", default)]
    value: Option<String>,
    #[serde(rename = "Nodes", default)]
    nodes: Option<Vec<WireNode>>,
}

impl WireNode {
    fn into_child<E: serde::de::Error>(self) -> Result<NodeChild, E> {
        let Some(value) = &self.value else { return Ok(NodeChild::Node(self.into_node()?)) };
        let bytes = STANDARD
            .decode(value)
            .map_err(|error| E::custom(format_args!("configuration value is not base64: {error}")))?;
        Ok(NodeChild::Value(NodeValue { bytes, line: self.line.unwrap_or_default() }))
    }

    fn into_node<E: serde::de::Error>(self) -> Result<Node, E> {
        let children = self.nodes.unwrap_or_default().into_iter().map(Self::into_child);
        Ok(Node {
            name: self.name.unwrap_or_default(),
            line: self.line.unwrap_or_default(),
            children: children.collect::<Result<_, E>>()?,
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireNode::deserialize(deserializer)?.into_node()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_from_json_keeps_names_values_and_lines() {
        let json = r#"{"Name":"OomWatch","Line":0,"Nodes":[
            {"Name":"Foo","Line":3,"Nodes":[{"Value":"YmFy","Line":3}]},
            {"Name":"Empty","Line":4,"Nodes":null}]}"#;
        let node: Node = serde_json::from_str(json).unwrap();
        let foo = node.nodes().next().unwrap();
        assert_eq!((node.name(), foo.name(), foo.line()), ("OomWatch", "Foo", 3));
        assert_eq!(foo.values().next().unwrap().bytes(), b"bar");
    }

    #[test]
    fn value_that_is_not_base64_is_an_error() {
        let json = r#"{"Name":"X","Nodes":[{"Value":"%%","Line":3}]}"#;
        let error = serde_json::from_str::<Node>(json).unwrap_err();
        assert!(error.to_string().contains("not base64"), "{error}");
    }

    #[test]
    fn conf_file_gives_the_same_tree_as_the_agent() {
        let conf = "# Plugins.Echo.No=1\nPlugins.Other.A=1\n Plugins.Echo.A.B = 1 = 2 \nPlugins.Echo.A.B=3\n";
        let node = Node::from_conf("Echo", conf);
        let wire: Node = serde_json::from_value(node.to_wire()).unwrap();
        assert_eq!(wire, node);
        let b = node.nodes().next().unwrap().nodes().next().unwrap();
        let values: Vec<_> = b.values().map(|value| (value.bytes(), value.line())).collect();
        assert_eq!(values, [(&b"1 = 2"[..], 3), (&b"3"[..], 4)]);
        assert_eq!(node.nodes().count(), 1);
    }
}
