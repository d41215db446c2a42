//! Sequences: leading verbs, alternatives, quantifiers, comments and single characters.

use super::ast::{Greed, Node, folded, set};
use super::class::any;
use super::parser::{Parser, Result};

const MAX_REPEAT: u32 = 65_535;

impl<'a> Parser<'a> {
    /// Parses `(*UTF)` and similar verbs at the start. Those that only tune or limit PCRE2 are accepted and have no effect.
    pub(super) fn leading_verbs(&mut self) -> Result<()> {
        const WITHOUT_EFFECT: [&str; 9] = [
            "(*UTF)",
            "(*NO_START_OPT)",
            "(*NO_AUTO_POSSESS)",
            "(*NO_DOTSTAR_ANCHOR)",
            "(*NO_JIT)",
            "(*NOTEMPTY)",
            "(*LF)",
            "(*BSR_UNICODE)",
            "(*ANYCRLF)",
        ];
        const LIMITS: [&str; 4] = ["(*LIMIT_MATCH=", "(*LIMIT_DEPTH=", "(*LIMIT_HEAP=", "(*LIMIT_RECURSION="];
        loop {
            if WITHOUT_EFFECT.iter().any(|verb| self.eat(verb)) {
                continue;
            }
            if self.rest().starts_with("(*UCP)") {
                return Err(self.unsupported("(*UCP) is not supported"));
            }
            if !LIMITS.iter().any(|verb| self.eat(verb)) {
                return Ok(());
            }
            let number = self.until(')').unwrap_or_default();
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(self.error("(*VERB) not recognized or malformed"));
            }
        }
    }

    pub(super) fn alternatives(&mut self) -> Result<Node> {
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternatives(branches) })
    }

    pub(super) fn sequence(&mut self) -> Result<Node> {
        let mut nodes = Vec::new();
        loop {
            self.skip_comments()?;
            match self.peek() {
                None | Some('|' | ')') => break,
                Some(_) => self.piece(&mut nodes)?,
            }
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Concat(nodes) })
    }

    /// Parses one atom with its quantifiers, or a `\Q..\E` run, whose last character takes the quantifier.
    fn piece(&mut self, nodes: &mut Vec<Node>) -> Result<()> {
        if self.eat(r"\Q") {
            let end = self.rest().find(r"\E");
            let quoted = &self.rest()[..end.unwrap_or(self.rest().len())];
            self.at += quoted.len() + if end.is_some() { 2 } else { 0 };
            nodes.extend(quoted.chars().map(|c| self.character(c)));
            if quoted.is_empty() && nodes.is_empty() && self.quantifier()?.is_some() {
                return Err(self.error("quantifier does not follow a repeatable item"));
            }
            return match nodes.pop() {
                Some(last) => self.quantified(last, true).map(|node| nodes.push(node)),
                None => Ok(()),
            };
        }
        if self.eat(r"\E") {
            return Ok(());
        }
        let (node, repeatable) = self.atom()?;
        let node = self.quantified(node, repeatable)?;
        nodes.push(node);
        Ok(())
    }

    fn quantified(&mut self, node: Node, repeatable: bool) -> Result<Node> {
        self.skip_comments()?;
        // `\E` without `\Q` has no effect, and the quantifier after it belongs to the atom before it.
        while self.eat(r"\E") {
            self.skip_comments()?;
        }
        let start = self.at;
        let Some((min, max)) = self.quantifier()? else { return Ok(node) };
        if !repeatable {
            self.at = start;
            return Err(self.error("quantifier does not follow a repeatable item"));
        }
        let greed = if self.eat("+") {
            Greed::Possessive
        } else if self.eat("?") != self.flags.ungreedy {
            Greed::Lazy
        } else {
            Greed::Greedy
        };
        Ok(Node::Repeat { node: Box::new(node), min, max, greed })
    }

    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>> {
        let simple = match self.peek() {
            Some('*') => Some((0, None)),
            Some('+') => Some((1, None)),
            Some('?') => Some((0, Some(1))),
            Some('{') => return self.counted(),
            _ => None,
        };
        self.at += usize::from(simple.is_some());
        Ok(simple)
    }

    /// Parses `{n}`, `{n,}`, `{n,m}`; any other text in braces is literal.
    pub(super) fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>> {
        let Some(length) = self.rest().find('}') else { return Ok(None) };
        let inside = &self.rest()[1..length];
        let (low, high) = match inside.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inside, None),
        };
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if low.is_empty() || !digits(low) || !high.is_none_or(digits) {
            return Ok(None);
        }
        let min = self.count(low)?;
        let max = match high {
            None => Some(min),
            Some("") => None,
            Some(high) => Some(self.count(high)?),
        };
        if max.is_some_and(|max| max < min) {
            return Err(self.error("numbers out of order in {} quantifier"));
        }
        self.at += length + 1;
        Ok(Some((min, max)))
    }

    pub(super) fn count(&self, digits: &str) -> Result<u32> {
        match digits.parse() {
            Ok(n) if n <= MAX_REPEAT => Ok(n),
            _ => Err(self.error("number too big in {} quantifier")),
        }
    }

    /// Skips `(?#...)`, and white space and `#...` in extended mode.
    fn skip_comments(&mut self) -> Result<()> {
        loop {
            if self.eat("(?#") {
                self.until(')').ok_or_else(|| self.error("missing ) after (?# comment"))?;
            } else if self.flags.extended && self.peek().is_some_and(is_pattern_space) {
                self.next();
            } else if self.flags.extended && self.eat("#") {
                self.until('\n').unwrap_or_else(|| {
                    self.at = self.text.len();
                    ""
                });
            } else {
                return Ok(());
            }
        }
    }

    /// Parses a node. Returns whether a quantifier may follow it.
    fn atom(&mut self) -> Result<(Node, bool)> {
        let start = self.at;
        let node = match self.next() {
            Some('.') => Node::Class(any()),
            Some('^') => return Ok((Node::Start, false)),
            Some('$') => return Ok((Node::End, false)),
            Some('(') => return self.group(start),
            Some('[') => return self.bracket(),
            Some('\\') => return self.escape(),
            Some('*' | '+' | '?') => {
                self.at = start;
                return Err(self.error("quantifier does not follow a repeatable item"));
            }
            Some('{') => {
                self.at = start;
                if self.counted()?.is_some() {
                    return Err(self.error("quantifier does not follow a repeatable item"));
                }
                self.at = start + 1;
                self.character('{')
            }
            Some(c) => self.character(c),
            None => Node::Empty,
        };
        Ok((node, true))
    }

    pub(super) fn character(&self, c: char) -> Node {
        if !self.flags.caseless {
            return Node::Char(c);
        }
        let both = folded(set(&[(u32::from(c), u32::from(c))]));
        if both.ranges().len() == 1 && both.ranges()[0].len() == 1 {
            Node::Char(c)
        } else {
            Node::Class(both)
        }
    }
}

fn is_pattern_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}
