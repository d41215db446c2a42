//! The parser's state and its cursor. Its methods are in the modules for sequences, groups, escapes, brackets and references.
//!
//! Syntax and error texts are those of PCRE2 10.42 with the options that Zabbix sets: UTF and MULTILINE, not UCP. Constructs
//! that PCRE2 accepts and this crate does not support (recursion, callouts with a text, control verbs, `\X` and `\C`) are
//! refused with an error that names the construct.

use std::collections::HashMap;

use super::ast::Node;
use super::error::PatternError;

pub(super) type Result<T> = std::result::Result<T, PatternError>;

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "these are PCRE2's option letters")]
pub(super) struct Flags {
    pub(super) caseless: bool,
    pub(super) extended: bool,
    pub(super) extended_more: bool,
    pub(super) no_capture: bool,
    pub(super) duplicate_names: bool,
    pub(super) ungreedy: bool,
}

/// A parsed pattern and its number of capture groups.
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) groups: usize,
}

pub(super) fn parse(text: &str, no_capture: bool) -> Result<Parsed> {
    let no_capture = no_capture && !has_numbered_reference(text);
    let mut parser = Parser {
        text,
        at: 0,
        flags: Flags { no_capture, ..Flags::default() },
        groups: 0,
        depth: 0,
        has_newline_sequence: false,
        names: HashMap::new(),
        references: Vec::new(),
        name_references: Vec::new(),
        late: None,
    };
    parser.leading_verbs()?;
    let node = parser.alternatives()?;
    if parser.at < text.len() {
        return Err(parser.error("unmatched closing parenthesis"));
    }
    let node = parser.resolve(node)?;
    Ok(Parsed { node, groups: parser.groups })
}
/// Returns whether the text looks as if it referred to a group by number. Otherwise Zabbix switches capturing off for items
/// without a template.
pub(super) fn has_numbered_reference(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('1'..='9' | 'g') => return true,
            Some('\\') => rest = &rest[1..],
            _ => {}
        }
    }
    false
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) flags: Flags,
    pub(super) groups: usize,
    pub(super) depth: usize,
    /// A `\R` was parsed since this was last cleared. It has no fixed length, although here it matches one character.
    pub(super) has_newline_sequence: bool,
    pub(super) names: HashMap<String, Vec<usize>>,
    /// Referenced numbers, which are checked after the last group.
    pub(super) references: Vec<(usize, usize)>,
    /// Names that are referenced before they are known; the tree contains `NAME_BASE +` the index here.
    pub(super) name_references: Vec<(String, usize)>,
    /// An error that PCRE2 finds only after it has resolved all references.
    pub(super) late: Option<PatternError>,
}

impl<'a> Parser<'a> {
    pub(super) fn error(&self, reason: impl Into<String>) -> PatternError {
        PatternError { reason: reason.into(), position: self.at, refused_by_pcre2: true }
    }

    /// An error for a construct that PCRE2 accepts.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> PatternError {
        PatternError { refused_by_pcre2: false, ..self.error(reason) }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Returns the text before `end`, and skips both.
    pub(super) fn until(&mut self, end: char) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(end)?;
        self.at += length + end.len_utf8();
        Some(&rest[..length])
    }
}
