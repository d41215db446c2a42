//! References to groups, which are resolved after the last group is known.

use super::ast::{Node, Test};
use super::error::PatternError;
use super::parser::{Parser, Result};

/// References by name have numbers from here on until all names are known.
const NAME_BASE: usize = 1 << 32;
const NO_SUCH_GROUP: &str = "reference to non-existent subpattern";

impl<'a> Parser<'a> {
    /// Parses a numbered escape. `\1` to `\9` are references. Larger numbers are references if that many groups exist, else
    /// octal.
    pub(super) fn number_escape(&mut self, start: usize) -> Result<Node> {
        let rest = &self.text[start..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = rest[..length].parse().unwrap_or(usize::MAX);
        if number < 10 || rest.starts_with(['8', '9']) || number <= self.groups {
            self.at = start + length;
            if number > 65_535 {
                return Err(self.error("number is too big"));
            }
            return Ok(self.reference(number));
        }
        let c = self.octal(1, 2)?;
        Ok(self.character(c))
    }

    fn reference(&mut self, number: usize) -> Node {
        self.references.push((number, self.at));
        Node::Reference { number, caseless: self.flags.caseless }
    }

    pub(super) fn named_reference(&mut self, name: &str) -> Node {
        let number = self.name_number(name);
        Node::Reference { number, caseless: self.flags.caseless }
    }

    pub(super) fn name_number(&mut self, name: &str) -> usize {
        self.name_references.push((name.to_owned(), self.at));
        NAME_BASE + self.name_references.len() - 1
    }

    pub(super) fn named_back_reference(&mut self) -> Result<Node> {
        let end = match self.next() {
            Some('{') => '}',
            Some('<') => '>',
            Some('\'') => '\'',
            _ => return Err(self.error("\\k is not followed by a braced, angle-bracketed, or quoted name")),
        };
        let name = self.name(end)?;
        Ok(self.named_reference(name))
    }

    pub(super) fn g_reference(&mut self) -> Result<Node> {
        if self.rest().starts_with(['<', '\'']) {
            return Err(self.unsupported("recursion and subroutine calls are not supported"));
        }
        let text = if self.eat("{") {
            let inside = self.rest();
            if inside.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                let name = self.name('}')?;
                return Ok(self.named_reference(name));
            }
            self.until('}').unwrap_or_default()
        } else {
            let rest = self.rest();
            let signed = usize::from(rest.starts_with(['+', '-']));
            let length = signed + rest[signed..].bytes().take_while(u8::is_ascii_digit).count();
            self.at += length;
            &rest[..length]
        };
        let digits = text.trim_start_matches(['+', '-']);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || text.len() > digits.len() + 1 {
            return Err(self.error(
                "\\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number",
            ));
        }
        let number = self.relative(text)?;
        Ok(self.reference(number))
    }

    /// Resolves a group number that may be relative: `3`, `-1`, `+1`.
    pub(super) fn relative(&self, text: &str) -> Result<usize> {
        let number: usize =
            text.trim_start_matches(['+', '-']).parse().map_err(|_| self.error("number is too big"))?;
        let resolved = match text.as_bytes().first() {
            Some(b'-') => (self.groups + 1).checked_sub(number).filter(|_| number > 0),
            Some(b'+') => Some(self.groups + number).filter(|_| number > 0),
            _ => Some(number),
        };
        let Some(resolved) = resolved else {
            return Err(self.error(NO_SUCH_GROUP));
        };
        if resolved == 0 { Err(self.error(NO_SUCH_GROUP)) } else { Ok(resolved) }
    }

    pub(super) fn resolve(&self, node: Node) -> Result<Node> {
        for &(number, position) in &self.references {
            if number > self.groups {
                return Err(PatternError { position, ..self.error(NO_SUCH_GROUP) });
            }
        }
        let mut numbers = Vec::new();
        for (name, position) in &self.name_references {
            let Some(known) = self.names.get(name) else {
                return Err(PatternError { position: *position, ..self.error(NO_SUCH_GROUP) });
            };
            let mut different = known.clone();
            different.dedup();
            if different.len() > 1 {
                let error =
                    self.unsupported("references to a name that several groups have are not supported");
                return Err(PatternError { position: *position, ..error });
            }
            numbers.push(different[0]);
        }
        if let Some(error) = &self.late {
            return Err(error.clone());
        }
        Ok(with_numbers(node, &numbers))
    }
}

/// Replaces references by name by the numbers of their groups.
fn with_numbers(node: Node, numbers: &[usize]) -> Node {
    let number = |n: usize| n.checked_sub(NAME_BASE).and_then(|i| numbers.get(i).copied()).unwrap_or(n);
    let inner = |node: Box<Node>| Box::new(with_numbers(*node, numbers));
    let all = |nodes: Vec<Node>| nodes.into_iter().map(|n| with_numbers(n, numbers)).collect();
    match node {
        Node::Reference { number: n, caseless } => Node::Reference { number: number(n), caseless },
        Node::Condition { test, yes, no } => {
            let test = match test {
                Test::Group(n) => Test::Group(number(n)),
                Test::Look(look) => Test::Look(inner(look)),
                Test::Never => Test::Never,
            };
            Node::Condition { test, yes: inner(yes), no: inner(no) }
        }
        Node::Group(group, node) => Node::Group(group, inner(node)),
        Node::Atomic(node) => Node::Atomic(inner(node)),
        Node::Look { behind, negative, node } => Node::Look { behind, negative, node: inner(node) },
        Node::Repeat { node, min, max, greed } => Node::Repeat { node: inner(node), min, max, greed },
        Node::Concat(nodes) => Node::Concat(all(nodes)),
        Node::Alternatives(nodes) => Node::Alternatives(all(nodes)),
        other => other,
    }
}
