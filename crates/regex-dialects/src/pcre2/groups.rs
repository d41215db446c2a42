//! Groups: captures, names, assertions, conditions, options and verbs.

use regex_syntax::hir::ClassUnicode;

use super::ast::{Node, Test, branches, fixed_width};
use super::parser::{Flags, Parser, Result};

/// PCRE2 refuses groups that are nested deeper.
const MAX_DEPTH: usize = 250;
const MAX_NAME: usize = 32;

impl<'a> Parser<'a> {
    pub(super) fn group(&mut self, start: usize) -> Result<(Node, bool)> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("parentheses are too deeply nested"));
        }
        let flags = self.flags;
        let result = self.group_inside(start);
        self.depth -= 1;
        let (node, repeatable, keep_flags) = result?;
        if !keep_flags {
            self.flags = flags;
        }
        Ok((node, repeatable))
    }

    /// The third value is true if options set inside stay in effect: `(?i)` is not a group.
    fn group_inside(&mut self, start: usize) -> Result<(Node, bool, bool)> {
        if self.eat("*") {
            return self.verb(start).map(|(node, repeatable)| (node, repeatable, false));
        }
        if !self.eat("?") {
            let number = if self.flags.no_capture { None } else { Some(self.new_group()) };
            return self.close(start).map(|inner| (Node::Group(number, Box::new(inner)), true, false));
        }
        if let Some(name) = self.group_name()? {
            let number = self.new_named_group(name)?;
            return self.close(start).map(|inner| (Node::Group(Some(number), Box::new(inner)), true, false));
        }
        if let Some(node) = self.special_group(start)? {
            return Ok((node, true, false));
        }
        self.refuse_recursion()?;
        self.option_group(start)
    }

    fn new_group(&mut self) -> usize {
        self.groups += 1;
        self.groups
    }

    fn new_named_group(&mut self, name: &str) -> Result<usize> {
        let number = self.groups + 1;
        let known = self.names.entry(name.to_owned()).or_default();
        if !known.is_empty() && !known.contains(&number) && !self.flags.duplicate_names {
            return Err(self.error("two named subpatterns have the same name (PCRE2_DUPNAMES not set)"));
        }
        known.push(number);
        if self.names.iter().any(|(other, numbers)| other != name && numbers.contains(&number)) {
            return Err(self.error("different names for subpatterns of the same number are not allowed"));
        }
        Ok(self.new_group())
    }

    /// Parses `<name>`, `'name'` or `P<name>`, if the text continues with one.
    fn group_name(&mut self) -> Result<Option<&'a str>> {
        let rest = self.rest();
        let end = if rest.starts_with("P<") {
            self.at += 2;
            '>'
        } else if rest.starts_with('\'') {
            self.at += 1;
            '\''
        } else if rest.starts_with('<')
            && !rest.starts_with("<=")
            && !rest.starts_with("<!")
            && !rest.starts_with("<*")
        {
            self.at += 1;
            '>'
        } else {
            return Ok(None);
        };
        self.name(end).map(Some)
    }

    pub(super) fn name(&mut self, end: char) -> Result<&'a str> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..length];
        if name.starts_with(|c: char| c.is_numeric()) {
            return Err(self.error("subpattern name must start with a non-digit"));
        }
        if name.is_empty() {
            return Err(self.error("subpattern name expected"));
        }
        if name.chars().count() > MAX_NAME {
            return Err(self.error("subpattern name is too long (maximum 32 code units)"));
        }
        self.at += length;
        if !self.eat(end.encode_utf8(&mut [0; 4])) {
            return Err(self.error("syntax error in subpattern name (missing terminator?)"));
        }
        Ok(name)
    }

    fn close(&mut self, start: usize) -> Result<Node> {
        let inner = self.alternatives()?;
        if !self.eat(")") {
            self.at = self.text.len().max(start);
            return Err(self.error("missing closing parenthesis"));
        }
        Ok(inner)
    }

    fn special_group(&mut self, start: usize) -> Result<Option<Node>> {
        const LOOKS: [(&str, bool, bool); 4] =
            [("=", false, false), ("!", false, true), ("<=", true, false), ("<!", true, true)];
        if let Some(&(_, behind, negative)) = LOOKS.iter().find(|(sign, ..)| self.eat(sign)) {
            return self.look(start, behind, negative).map(Some);
        }
        if self.eat(">") {
            return self.close(start).map(|inner| Some(Node::Atomic(Box::new(inner))));
        }
        if self.eat("|") {
            return self.branch_reset(start).map(Some);
        }
        if self.eat("P=") {
            let name = self.name(')')?;
            return Ok(Some(self.named_reference(name)));
        }
        if self.eat("(") {
            return self.condition(start).map(Some);
        }
        if self.rest().starts_with('C') {
            return self.callout().map(Some);
        }
        Ok(None)
    }

    fn look(&mut self, start: usize, behind: bool, negative: bool) -> Result<Node> {
        self.has_newline_sequence = false;
        let inner = self.close(start)?;
        let fixed =
            branches(&inner).iter().all(|branch| fixed_width(branch).is_some()) && !self.has_newline_sequence;
        if behind && !fixed {
            self.at = start;
            return Err(self.error("lookbehind assertion is not fixed length"));
        }
        if has_keep(&inner) {
            return Err(
                self.error("\\K is not allowed in lookarounds (but see PCRE2_EXTRA_ALLOW_LOOKAROUND_BSK)")
            );
        }
        Ok(Node::Look { behind, negative, node: Box::new(inner) })
    }

    /// Parses `(?|`: every alternative numbers its groups from the same start.
    fn branch_reset(&mut self, start: usize) -> Result<Node> {
        let first = self.groups;
        let mut most = first;
        let mut nodes = Vec::new();
        loop {
            self.groups = first;
            nodes.push(self.sequence()?);
            most = most.max(self.groups);
            if !self.eat("|") {
                break;
            }
        }
        self.groups = most;
        if !self.eat(")") {
            self.at = self.text.len().max(start);
            return Err(self.error("missing closing parenthesis"));
        }
        Ok(Node::Group(None, Box::new(Node::Alternatives(nodes))))
    }

    /// Parses `(?C)` and `(?C9)`, which have no effect because Zabbix sets no callout function.
    fn callout(&mut self) -> Result<Node> {
        let inside = self.until(')').ok_or_else(|| self.error("closing parenthesis for (?C expected"))?;
        match inside[1..].parse::<u32>() {
            Ok(0..=255) => Ok(Node::Empty),
            Err(_) if inside == "C" => Ok(Node::Empty),
            Ok(_) => Err(self.error("number after (?C is greater than 255")),
            Err(_) => Err(self.unsupported("callouts with a text are not supported")),
        }
    }

    fn refuse_recursion(&self) -> Result<()> {
        let rest = self.rest();
        let digits = rest.trim_start_matches(['+', '-']);
        let numbered = digits.starts_with(|c: char| c.is_ascii_digit());
        if numbered || rest.starts_with('R') || rest.starts_with('&') || rest.starts_with("P>") {
            return Err(self.unsupported("recursion and subroutine calls are not supported"));
        }
        Ok(())
    }

    fn condition(&mut self, start: usize) -> Result<Node> {
        let test = self.condition_test()?;
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        if !self.eat(")") {
            self.at = self.text.len().max(start);
            return Err(self.error("missing closing parenthesis"));
        }
        let define = matches!(test, Test::Never);
        if define && branches.len() > 1 {
            return Err(self.error("DEFINE subpattern contains more than one branch"));
        }
        if branches.len() > 2 {
            let error = self.error("conditional subpattern contains more than two branches");
            self.late.get_or_insert(error);
            branches.truncate(2);
        }
        let no = if branches.len() == 2 { branches.remove(1) } else { Node::Empty };
        Ok(Node::Condition { test, yes: Box::new(branches.remove(0)), no: Box::new(no) })
    }

    fn condition_test(&mut self) -> Result<Test> {
        for sign in ["?=", "?!", "?<=", "?<!"] {
            if self.rest().starts_with(sign) {
                let start = self.at;
                self.next();
                let node = self.special_group(start)?.unwrap_or(Node::Empty);
                return Ok(Test::Look(Box::new(node)));
            }
        }
        if self.rest().starts_with('*') {
            let start = self.at;
            self.next();
            return self.verb(start).map(|(node, _)| Test::Look(Box::new(node)));
        }
        if self.eat("<") {
            let name = self.name('>')?;
            self.eat_condition_end()?;
            return Ok(Test::Group(self.name_number(name)));
        }
        if self.eat("'") {
            let name = self.name('\'')?;
            self.eat_condition_end()?;
            return Ok(Test::Group(self.name_number(name)));
        }
        let at = self.at;
        let inside = self
            .until(')')
            .ok_or_else(|| self.error("syntax error in subpattern name (missing terminator?)"))?;
        self.plain_condition(inside, at)
    }

    fn eat_condition_end(&mut self) -> Result<()> {
        if self.eat(")") { Ok(()) } else { Err(self.error("missing closing parenthesis for condition")) }
    }

    fn plain_condition(&mut self, inside: &str, at: usize) -> Result<Test> {
        if inside == "DEFINE" && !self.names.contains_key("DEFINE") {
            return Ok(Test::Never);
        }
        if inside.starts_with("VERSION") || (inside.starts_with('R') && !self.names.contains_key(inside)) {
            return Err(self.unsupported("recursion and version conditions are not supported"));
        }
        if inside.starts_with(['+', '-']) || inside.starts_with(|c: char| c.is_ascii_digit()) {
            let number = self.relative(inside)?;
            self.references.push((number, at));
            return Ok(Test::Group(number));
        }
        if inside.is_empty() || !inside.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.error("subpattern name expected"));
        }
        Ok(Test::Group(self.name_number(inside)))
    }

    /// Parses the assertions `(*name:...)` and `(*FAIL)`. The verbs that control backtracking are refused.
    fn verb(&mut self, start: usize) -> Result<(Node, bool)> {
        if self.eat("FAIL)") || self.eat("F)") {
            return Ok((Node::Class(ClassUnicode::empty()), true));
        }
        let Some((name, _)) = self.rest().split_once([':', ')']) else {
            return Err(self.error("(*VERB) not recognized or malformed"));
        };
        let with_text = self.rest()[name.len()..].starts_with(':');
        match name {
            "" if !with_text => {
                self.at = start + 1;
                return Err(self.error("quantifier does not follow a repeatable item"));
            }
            "ACCEPT" | "COMMIT" | "PRUNE" | "SKIP" | "THEN" | "MARK" | "" => {
                return Err(self.unsupported(format!("(*{name}) is not supported")));
            }
            _ if !with_text => return Err(self.error("(*VERB) not recognized or malformed")),
            _ => self.at += name.len() + 1,
        }
        let node = match name {
            "atomic" => Node::Atomic(Box::new(self.close(start)?)),
            "pla" | "positive_lookahead" => self.look(start, false, false)?,
            "nla" | "negative_lookahead" => self.look(start, false, true)?,
            "plb" | "positive_lookbehind" => self.look(start, true, false)?,
            "nlb" | "negative_lookbehind" => self.look(start, true, true)?,
            "napla"
            | "naplb"
            | "non_atomic_positive_lookahead"
            | "non_atomic_positive_lookbehind"
            | "sr"
            | "script_run"
            | "asr"
            | "atomic_script_run" => {
                return Err(self.unsupported(format!("(*{name}:...) is not supported")));
            }
            _ => return Err(self.error("(*alpha_assertion) not recognized")),
        };
        Ok((node, true))
    }

    /// Parses `(?i)`, `(?i-s:...)`, `(?^...)`.
    fn option_group(&mut self, start: usize) -> Result<(Node, bool, bool)> {
        let mut flags = self.flags;
        if self.eat("^") {
            flags = Flags {
                duplicate_names: flags.duplicate_names,
                ungreedy: flags.ungreedy,
                ..Flags::default()
            };
        }
        let mut on = true;
        loop {
            let extended_more = self.rest().starts_with("xx");
            match self.next() {
                Some('i') => flags.caseless = on,
                Some('m' | 's') => {}
                Some('x') => {
                    self.at += usize::from(extended_more);
                    flags.extended = on;
                    flags.extended_more = on && extended_more;
                }
                Some('n') => flags.no_capture = on,
                Some('J') => flags.duplicate_names = on,
                Some('U') => flags.ungreedy = on,
                Some('-') if on => on = false,
                Some('-') => return Err(self.error("invalid hyphen in option setting")),
                Some(':') => {
                    self.flags = flags;
                    return self.close(start).map(|inner| (Node::Group(None, Box::new(inner)), true, false));
                }
                Some(')') => {
                    self.flags = flags;
                    return Ok((Node::Empty, false, true));
                }
                None => return Err(self.error("missing closing parenthesis")),
                Some('P') => return Err(self.error("unrecognized character after (?P")),
                Some(_) => return Err(self.error("unrecognized character after (? or (?-")),
            }
        }
    }
}

fn has_keep(node: &Node) -> bool {
    match node {
        Node::Keep => true,
        Node::Repeat { node, .. } | Node::Group(_, node) | Node::Atomic(node) | Node::Look { node, .. } => {
            has_keep(node)
        }
        Node::Concat(nodes) | Node::Alternatives(nodes) => nodes.iter().any(has_keep),
        Node::Condition { yes, no, .. } => has_keep(yes) || has_keep(no),
        _ => false,
    }
}
