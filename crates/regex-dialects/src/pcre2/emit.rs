//! Writes a tree in the syntax of the regex crate, or of fancy-regex if the regex crate cannot express it.
//!
//! Only constructs that do not depend on an engine's defaults are written: every class is a list of ranges, every option is
//! explicit. CR and LF are removed from every class, because a line contains neither. So a whole buffer of lines can be
//! searched at once, and no match extends into the next line.

use std::fmt::Write as _;

use regex_syntax::hir::ClassUnicode;

use super::ast::{Greed, Node, Test, branches, fixed_width, negated, set};

/// The engine of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The regex crate, over buffers of many lines.
    Linear,
    /// fancy-regex, over one line.
    Backtracking,
}

/// Replaces a byte that is not UTF-8 in texts for the backtracking engine, which only takes `str`. No class contains it.
pub(super) const NOT_UTF8: char = '\u{10ffff}';

/// The pattern's text, and the numbers that each original group has in it. A branch reset gives a group several.
#[derive(Debug)]
pub(super) struct Emitted {
    pub(super) text: String,
    pub(super) groups: Vec<Vec<usize>>,
}

/// Returns whether the regex crate cannot express the node.
pub(super) fn needs_backtracking(node: &Node) -> bool {
    match node {
        // The regex crate's ASCII \B also matches between the bytes of one character.
        Node::NotWordEdge
        | Node::Keep
        | Node::Look { .. }
        | Node::Atomic(_)
        | Node::Reference { .. }
        | Node::Condition { .. }
        | Node::Repeat { greed: Greed::Possessive, .. } => true,
        Node::Repeat { node, .. } | Node::Group(_, node) => needs_backtracking(node),
        Node::Concat(nodes) | Node::Alternatives(nodes) => nodes.iter().any(needs_backtracking),
        _ => false,
    }
}

/// Writes a tree. `None` if it refers to a group number that occurs several times.
pub(super) fn emit(node: &Node, groups: usize, dialect: Dialect) -> Option<Emitted> {
    let mut writer = Writer {
        text: String::new(),
        groups: vec![Vec::new(); groups + 1],
        next: 1,
        capturing: true,
        ambiguous: false,
        dialect,
    };
    writer.groups[0].push(0);
    writer.count(node);
    writer.next = 1;
    writer.node(node);
    (!writer.ambiguous).then_some(Emitted { text: writer.text, groups: writer.groups })
}

struct Writer {
    text: String,
    groups: Vec<Vec<usize>>,
    next: usize,
    capturing: bool,
    ambiguous: bool,
    dialect: Dialect,
}

impl Writer {
    /// Numbers the groups in the order in which they are written, so that a reference may come before its group.
    fn count(&mut self, node: &Node) {
        match node {
            Node::Group(number, inner) => {
                if let Some(number) = number {
                    self.groups[*number].push(self.next);
                    self.next += 1;
                }
                self.count(inner);
            }
            Node::Atomic(inner) | Node::Look { node: inner, .. } | Node::Repeat { node: inner, .. } => {
                self.count(inner);
            }
            Node::Concat(nodes) | Node::Alternatives(nodes) => nodes.iter().for_each(|n| self.count(n)),
            Node::Condition { test: Test::Never, .. } => {}
            Node::Condition { test, yes, no } => {
                if let Test::Look(look) = test {
                    self.count(look);
                }
                self.count(yes);
                self.count(no);
            }
            _ => {}
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Empty => self.text.push_str("(?:)"),
            Node::Char(c) => self.character(*c),
            Node::Class(class) => self.class(class),
            Node::Start => self.text.push_str(self.by_dialect(r"(?mR:^)", r"\A")),
            Node::End => self.text.push_str(self.by_dialect(r"(?mR:$)", r"\z")),
            Node::WordEdge => self.word_edge(false),
            Node::NotWordEdge => self.word_edge(true),
            Node::Keep => self.text.push_str(r"\K"),
            Node::Group(number, inner) => self.group(*number, inner),
            Node::Concat(nodes) => self.concat(nodes),
            Node::Alternatives(nodes) => self.alternatives(nodes),
            Node::Repeat { node, min, max, greed } => self.repeat(node, *min, *max, *greed),
            Node::Look { behind, negative, node } => self.look(*behind, *negative, node),
            Node::Atomic(inner) => self.wrapped("(?>", inner),
            Node::Reference { number, caseless } => self.reference(*number, *caseless),
            Node::Condition { test, yes, no } => self.condition(test, yes, no),
        }
    }

    fn by_dialect(&self, linear: &'static str, backtracking: &'static str) -> &'static str {
        if self.dialect == Dialect::Linear { linear } else { backtracking }
    }

    fn character(&mut self, c: char) {
        match c {
            '\n' | '\r' => self.text.push_str(NOTHING),
            c if c.is_ascii_alphanumeric() || !c.is_ascii() => self.text.push(c),
            c => self.code(u32::from(c)),
        }
    }

    fn code(&mut self, code: u32) {
        // Writing into a String cannot fail.
        let _ = write!(self.text, r"\x{{{code:x}}}");
    }

    fn class(&mut self, class: &ClassUnicode) {
        let mut class = class.clone();
        class.intersect(&negated(set(&[
            (0x0a, 0x0a),
            (0x0d, 0x0d),
            (u32::from(NOT_UTF8), u32::from(NOT_UTF8)),
        ])));
        if class.ranges().is_empty() {
            return self.text.push_str(NOTHING);
        }
        self.text.push('[');
        for range in class.ranges() {
            self.code(u32::from(range.start()));
            self.text.push('-');
            self.code(u32::from(range.end()));
        }
        self.text.push(']');
    }

    fn word_edge(&mut self, not: bool) {
        const WORD: &str = "[0-9A-Z_a-z]";
        if self.dialect == Dialect::Linear {
            return self.text.push_str(r"(?-u:\b)");
        }
        let (a, b) = if not { ("=", "!") } else { ("!", "=") };
        let _ = write!(self.text, "(?:(?<={WORD})(?{a}{WORD})|(?<!{WORD})(?{b}{WORD}))");
    }

    fn group(&mut self, number: Option<usize>, inner: &Node) {
        let captures = number.is_some() && self.capturing;
        self.wrapped(if captures { "(" } else { "(?:" }, inner);
    }

    fn wrapped(&mut self, open: &str, inner: &Node) {
        self.text.push_str(open);
        self.node(inner);
        self.text.push(')');
    }

    fn concat(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Alternatives(_) => self.wrapped("(?:", node),
                _ => self.node(node),
            }
        }
    }

    fn alternatives(&mut self, nodes: &[Node]) {
        for (i, node) in nodes.iter().enumerate() {
            if i > 0 {
                self.text.push('|');
            }
            self.node(node);
        }
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed) {
        if is_assertion(node) {
            // A repeated assertion is one assertion, or none.
            self.wrapped("(?:", node);
            if min == 0 {
                self.text.insert(self.text.len() - 1, '|');
            }
            return;
        }
        if greed == Greed::Possessive {
            self.text.push_str("(?>");
        }
        self.wrapped("(?:", node);
        match (min, max) {
            (0, None) => self.text.push('*'),
            (1, None) => self.text.push('+'),
            (0, Some(1)) => self.text.push('?'),
            (min, None) => drop(write!(self.text, "{{{min},}}")),
            (min, Some(max)) => drop(write!(self.text, "{{{min},{max}}}")),
        }
        match greed {
            Greed::Greedy => {}
            Greed::Lazy => self.text.push('?'),
            Greed::Possessive => self.text.push(')'),
        }
    }

    /// Writes a look-behind for each alternative, because each has a fixed width and together they may not.
    fn look(&mut self, behind: bool, negative: bool, node: &Node) {
        let open = match (behind, negative) {
            (false, false) => "(?=",
            (false, true) => "(?!",
            (true, false) => "(?<=",
            (true, true) => "(?<!",
        };
        if !behind {
            return self.wrapped(open, node);
        }
        self.text.push_str("(?:");
        for (i, branch) in branches(node).iter().enumerate() {
            if i > 0 && !negative {
                self.text.push('|');
            }
            self.wrapped(open, branch);
        }
        self.text.push(')');
    }

    fn reference(&mut self, number: usize, caseless: bool) {
        let Some([engine]) = self.groups.get(number).map(Vec::as_slice) else {
            self.ambiguous = true;
            return;
        };
        let flag = if caseless { "i" } else { "" };
        let _ = write!(self.text, r"(?{flag}:\{engine})");
    }

    fn condition(&mut self, test: &Test, yes: &Node, no: &Node) {
        match test {
            Test::Never => self.text.push_str("(?:)"),
            Test::Group(number) => {
                let Some([engine]) = self.groups.get(*number).map(Vec::as_slice) else {
                    self.ambiguous = true;
                    return;
                };
                let _ = write!(self.text, "(?({engine})");
                self.wrapped("(?:", yes);
                self.text.push('|');
                self.wrapped("(?:", no);
                self.text.push(')');
            }
            Test::Look(look) => self.look_condition(look, yes, no),
        }
    }

    /// Writes `(?:(?=x)yes|(?!x)no)`. The second copy of the assertion must not number its groups again.
    fn look_condition(&mut self, look: &Node, yes: &Node, no: &Node) {
        self.text.push_str("(?:");
        self.node(look);
        self.wrapped("(?:", yes);
        self.text.push('|');
        let capturing = std::mem::replace(&mut self.capturing, false);
        self.text.push_str("(?!");
        self.node(look);
        self.text.push(')');
        self.capturing = capturing;
        self.wrapped("(?:", no);
        self.text.push(')');
    }
}

/// A class without characters.
const NOTHING: &str = "[a&&b]";

fn is_assertion(node: &Node) -> bool {
    match node {
        Node::Start | Node::End | Node::WordEdge | Node::NotWordEdge | Node::Look { .. } | Node::Keep => true,
        Node::Concat(nodes) => {
            fixed_width(node) == Some(0) && nodes.iter().all(is_assertion) && !nodes.is_empty()
        }
        _ => false,
    }
}
