//! Writes YAML for Zabbix's import: only mappings, lists and strings.
//!
//! The import rejects a number in place of a string. So every text that a YAML reader could take for another type is quoted, and no
//! text is folded.

use std::fmt::Write as _;

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(&'static str, Yaml)>),
}

impl Yaml {
    /// Returns an empty mapping.
    pub(crate) fn map() -> Self {
        Self::Map(Vec::new())
    }

    /// Adds a member to a mapping.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<Yaml>) -> Self {
        if let Self::Map(members) = &mut self {
            members.push((name, value.into()));
        }
        self
    }

    /// Adds a member, unless it is the default, which exports omit.
    pub(crate) fn set_unless(self, default: &str, name: &'static str, value: &str) -> Self {
        if value == default { self } else { self.set(name, value) }
    }

    /// Adds a list, unless it is empty.
    pub(crate) fn set_list(self, name: &'static str, list: Vec<Yaml>) -> Self {
        if list.is_empty() { self } else { self.set(name, Self::List(list)) }
    }

    /// Returns the text by which servers sort a list: the member's value in lower case.
    pub(crate) fn sort_key(&self, name: &str) -> String {
        let Self::Map(members) = self else { return String::new() };
        let text = members.iter().find_map(|(own, value)| match value {
            Self::Text(text) if *own == name => Some(text.to_lowercase()),
            _ => None,
        });
        text.unwrap_or_default()
    }

    /// Returns the document as text.
    pub(crate) fn document(&self) -> String {
        let mut out = String::new();
        self.block(&mut out, 0);
        out
    }

    /// Writes a mapping or list whose first line is already indented.
    fn block(&self, out: &mut String, indent: usize) {
        match self {
            Self::Text(text) => {
                let _ = writeln!(out, "{}", scalar(text, indent));
            }
            Self::List(list) => list.iter().enumerate().for_each(|(index, part)| {
                start_line(out, indent, index);
                out.push_str("- ");
                part.block(out, indent + 2);
            }),
            Self::Map(members) => members.iter().enumerate().for_each(|(index, (name, part))| {
                start_line(out, indent, index);
                out.push_str(&scalar(name, indent));
                out.push(':');
                part.after_name(out, indent);
            }),
        }
    }

    fn after_name(&self, out: &mut String, indent: usize) {
        match self {
            Self::Text(text) => {
                let _ = writeln!(out, " {}", scalar(text, indent + 2));
            }
            Self::List(_) | Self::Map(_) => {
                out.push('\n');
                out.push_str(&" ".repeat(indent + 2));
                self.block(out, indent + 2);
            }
        }
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

fn start_line(out: &mut String, indent: usize, index: usize) {
    if index > 0 {
        out.push_str(&" ".repeat(indent));
    }
}

fn scalar(text: &str, indent: usize) -> String {
    if text.contains('\n') {
        literal(text, indent)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Returns whether no YAML reader takes the text for a number, a date, a boolean or syntax.
fn is_plain(text: &str) -> bool {
    let special = ["y", "n", "yes", "no", "true", "false", "on", "off", "null"];
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "_-. /".contains(character))
        && !text.ends_with(' ')
        && !special.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns a block that keeps its line breaks.
fn literal(text: &str, indent: usize) -> String {
    let kept = if text.ends_with('\n') { "|" } else { "|-" };
    let space = " ".repeat(indent);
    let lines = text.trim_end_matches('\n').lines();
    lines.fold(kept.to_owned(), |block, line| {
        if line.is_empty() { block + "\n" } else { format!("{block}\n{space}{line}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_text_is_quoted() {
        let table = [
            ("Linux by agent", "Linux by agent"),
            ("0", "'0'"),
            ("1m", "'1m'"),
            ("no", "'no'"),
            ("y", "'y'"),
            ("", "''"),
            ("it's", "'it''s'"),
            ("{$MACRO}", "'{$MACRO}'"),
            ("a: b", "'a: b'"),
            ("上限", "'上限'"),
            ("4e100000000000000000000000000000", "'4e100000000000000000000000000000'"),
        ];
        for (text, written) in table {
            assert_eq!(scalar(text, 0), written);
        }
    }

    #[test]
    fn document_nests_maps_lists_and_multi_line_text() {
        let inner = Yaml::map().set("name", "a").set("script", "one\n\n  two");
        let document =
            Yaml::map().set_list("list", vec![inner, Yaml::from("b")]).set_unless("x", "left_out", "x");
        let text = "list:\n  - name: a\n    script: |-\n      one\n\n        two\n  - b\n";
        assert_eq!(document.document(), text);
    }
}
