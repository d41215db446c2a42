//! A parser of PCRE2's pattern syntax (10.42) for the options that Zabbix compiles with: UTF and MULTILINE, not UCP.
//!
//! What PCRE2 refuses is refused here, in its words. What it takes and this crate cannot do (recursion, callouts that call,
//! control verbs, `\X` and `\C`) is refused with a text that names the construct.

use super::PatternError;
use super::ast::{Greed, Node, Test, fixed_width, folded, negated, set};
use super::class::{any, digit, horizontal, posix, property, space, vertical, word};
use regex_syntax::hir::ClassUnicode;
use std::collections::HashMap;

type Result<T> = std::result::Result<T, PatternError>;

/// Groups nested deeper than this are refused, as in PCRE2.
const MAX_DEPTH: usize = 250;
const MAX_REPEAT: u32 = 65_535;
const MAX_NAME: usize = 32;

#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // these are PCRE2's option letters
struct Flags {
    caseless: bool,
    extended: bool,
    extended_more: bool,
    no_capture: bool,
    duplicate_names: bool,
    ungreedy: bool,
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

/// Zabbix switches capturing off for items without a template, unless the text looks as if it needed it.
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

struct Parser<'a> {
    text: &'a str,
    at: usize,
    flags: Flags,
    groups: usize,
    depth: usize,
    /// A `\R` was seen since this was last cleared: it has no fixed length, although here it matches one character.
    has_newline_sequence: bool,
    names: HashMap<String, Vec<usize>>,
    /// Numbers that are referred to, to be checked when all groups are known.
    references: Vec<(usize, usize)>,
    /// Names that are referred to before they are known; the tree holds `NAME_BASE +` the index here.
    name_references: Vec<(String, usize)>,
    /// What PCRE2 finds only after it has looked up all references.
    late: Option<PatternError>,
}

/// References by name carry numbers from here up until all names are known.
const NAME_BASE: usize = 1 << 32;

impl<'a> Parser<'a> {
    fn error(&self, reason: impl Into<String>) -> PatternError {
        PatternError { reason: reason.into(), position: self.at, refused_by_pcre2: true }
    }

    /// What PCRE2 takes.
    fn unsupported(&self, reason: impl Into<String>) -> PatternError {
        PatternError { refused_by_pcre2: false, ..self.error(reason) }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// What is before `end`, which is eaten too.
    fn until(&mut self, end: char) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(end)?;
        self.at += length + end.len_utf8();
        Some(&rest[..length])
    }

    /// `(*UTF)` and its like at the very start. Those that only tune or limit PCRE2 are taken and have no effect.
    fn leading_verbs(&mut self) -> Result<()> {
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

    fn alternatives(&mut self) -> Result<Node> {
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternatives(branches) })
    }

    fn sequence(&mut self) -> Result<Node> {
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

    /// One atom with its quantifiers, or a `\Q..\E` run, whose last character takes the quantifier.
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

    /// `{n}`, `{n,}`, `{n,m}`; anything else in braces is text.
    fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>> {
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

    fn count(&self, digits: &str) -> Result<u32> {
        match digits.parse() {
            Ok(n) if n <= MAX_REPEAT => Ok(n),
            _ => Err(self.error("number too big in {} quantifier")),
        }
    }

    /// `(?#...)` anywhere, and white space and `#...` in extended mode.
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

    /// A node, and whether a quantifier may follow it.
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

    fn character(&self, c: char) -> Node {
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

    // ---- groups

    fn group(&mut self, start: usize) -> Result<(Node, bool)> {
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

    /// The third value says that options set inside stay: `(?i)` is no group at all.
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

    /// `<name>`, `'name'` or `P<name>`, when that follows.
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

    fn name(&mut self, end: char) -> Result<&'a str> {
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

    /// `(?|`: every alternative numbers its groups from the same start.
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

    /// `(?C)`, `(?C9)`: no callout function is ever set, so these do nothing.
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

    /// A group number that may be relative to here: `3`, `-1`, `+1`.
    fn relative(&self, text: &str) -> Result<usize> {
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

    /// `(*name:...)` of the assertions, `(*FAIL)`; the verbs that steer backtracking are refused.
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

    /// `(?i)`, `(?i-s:...)`, `(?^...)`.
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

    // ---- escapes

    fn escape(&mut self) -> Result<(Node, bool)> {
        let start = self.at;
        let Some(c) = self.next() else {
            return Err(self.error("\\ at end of pattern"));
        };
        let node = match c {
            'A' | 'G' => return Ok((Node::Start, false)),
            'z' | 'Z' => return Ok((Node::End, false)),
            'b' => return Ok((Node::WordEdge, false)),
            'B' => return Ok((Node::NotWordEdge, false)),
            'K' => return Ok((Node::Keep, false)),
            // CR LF as a pair cannot be in a line, so this is one character.
            'R' => {
                self.has_newline_sequence = true;
                Node::Class(vertical())
            }
            'N' if !self.rest().starts_with("{U+") => {
                if self.rest().starts_with('{') && !self.is_count() {
                    return Err(self.error(UNSUPPORTED_LETTERS));
                }
                Node::Class(any())
            }
            'X' | 'C' => return Err(self.unsupported(format!("\\{c} is not supported"))),
            'k' => return self.named_back_reference().map(|node| (node, true)),
            'g' => return self.g_reference().map(|node| (node, true)),
            '1'..='9' => return self.number_escape(start).map(|node| (node, true)),
            _ => match self.class_escape(c)? {
                Some(class) => Node::Class(class),
                None => {
                    let c = self.character_escape(c)?;
                    self.character(c)
                }
            },
        };
        Ok((node, true))
    }

    fn is_count(&self) -> bool {
        let mut probe = Parser {
            names: HashMap::new(),
            references: Vec::new(),
            name_references: Vec::new(),
            late: None,
            ..*self
        };
        matches!(probe.counted(), Ok(Some(_)))
    }

    /// `\d` and its like, in and outside brackets.
    fn class_escape(&mut self, c: char) -> Result<Option<ClassUnicode>> {
        Ok(Some(match c {
            'd' => digit(),
            'D' => negated(digit()),
            'w' => word(),
            'W' => negated(word()),
            's' => space(),
            'S' => negated(space()),
            'h' => horizontal(),
            'H' => negated(horizontal()),
            'v' => vertical(),
            'V' => negated(vertical()),
            'p' => self.property_escape()?,
            'P' => negated(self.property_escape()?),
            _ => return Ok(None),
        }))
    }

    fn property_escape(&mut self) -> Result<ClassUnicode> {
        const MALFORMED: &str = "malformed \\P or \\p sequence";
        let name = if self.eat("{") {
            self.until('}').ok_or_else(|| self.error(MALFORMED))?.to_owned()
        } else {
            match self.next() {
                Some(c) if c.is_ascii_alphabetic() => c.to_string(),
                _ => return Err(self.error(MALFORMED)),
            }
        };
        property(&name).ok_or_else(|| self.error("unknown property after \\P or \\p"))
    }

    /// An escape that stands for one character.
    fn character_escape(&mut self, c: char) -> Result<char> {
        Ok(match c {
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => return self.octal(1, 2),
            'o' => return self.braced_octal(),
            'x' => return self.hex(),
            'c' => return self.control(),
            'N' => {
                self.at += "{U+".len();
                let digits =
                    self.until('}').ok_or_else(|| self.error("missing terminating ] for character class"))?;
                return self.code_point(digits, 16);
            }
            'l' | 'L' | 'u' | 'U' | 'F' => return Err(self.error(UNSUPPORTED_LETTERS)),
            c if c.is_ascii_alphanumeric() => return Err(self.error("unrecognized character follows \\")),
            c => c,
        })
    }

    /// Up to `more` octal digits after one (or a zero) that was eaten already.
    fn octal(&mut self, eaten: usize, more: usize) -> Result<char> {
        let begin = self.at - eaten;
        let digits = self.rest().bytes().take(more).take_while(|b| (b'0'..=b'7').contains(b)).count();
        self.at += digits;
        self.code_point(&self.text[begin..self.at], 8)
    }

    fn braced_octal(&mut self) -> Result<char> {
        if !self.eat("{") {
            return Err(self.error("missing opening brace after \\o"));
        }
        let at_end = self.rest().is_empty();
        let digits = self.until('}').unwrap_or("?");
        if digits.is_empty() || at_end {
            return Err(self.error("digits missing in \\x{} or \\o{} or \\N{U+}"));
        }
        if !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return Err(self.error("non-octal character in \\o{} (closing brace missing?)"));
        }
        self.code_point(digits, 8)
    }

    fn hex(&mut self) -> Result<char> {
        if self.eat("{") {
            let at_end = self.rest().is_empty();
            let digits = self.until('}').unwrap_or("?");
            if digits.is_empty() || at_end {
                return Err(self.error("digits missing in \\x{} or \\o{} or \\N{U+}"));
            }
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(self.error("non-hex character in \\x{} (closing brace missing?)"));
            }
            return self.code_point(digits, 16);
        }
        let digits = self.rest().bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
        let text = &self.rest()[..digits];
        self.at += digits;
        if text.is_empty() { Ok('\0') } else { self.code_point(text, 16) }
    }

    fn code_point(&self, digits: &str, radix: u32) -> Result<char> {
        let digits = match digits.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        let number = u32::from_str_radix(digits, radix)
            .map_err(|_| self.error("character code point value in \\x{} or \\o{} is too large"))?;
        if (0xd800..0xe000).contains(&number) {
            return Err(self.error("disallowed Unicode code point (>= 0xd800 && <= 0xdfff)"));
        }
        char::from_u32(number)
            .ok_or_else(|| self.error("character code point value in \\x{} or \\o{} is too large"))
    }

    fn control(&mut self) -> Result<char> {
        match self.next() {
            Some(c @ ' '..='~') => Ok(char::from(u8::try_from(c).unwrap_or(0).to_ascii_uppercase() ^ 0x40)),
            Some(_) => Err(self.error("\\c must be followed by a printable ASCII character")),
            None => Err(self.error("\\c at end of pattern")),
        }
    }

    /// `\1` to `\9` refer; larger numbers refer when there are so many groups already, and are octal otherwise.
    fn number_escape(&mut self, start: usize) -> Result<Node> {
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

    fn named_reference(&mut self, name: &str) -> Node {
        let number = self.name_number(name);
        Node::Reference { number, caseless: self.flags.caseless }
    }

    fn name_number(&mut self, name: &str) -> usize {
        self.name_references.push((name.to_owned(), self.at));
        NAME_BASE + self.name_references.len() - 1
    }

    fn named_back_reference(&mut self) -> Result<Node> {
        let end = match self.next() {
            Some('{') => '}',
            Some('<') => '>',
            Some('\'') => '\'',
            _ => return Err(self.error("\\k is not followed by a braced, angle-bracketed, or quoted name")),
        };
        let name = self.name(end)?;
        Ok(self.named_reference(name))
    }

    fn g_reference(&mut self) -> Result<Node> {
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

    // ---- brackets

    fn bracket(&mut self) -> Result<(Node, bool)> {
        let start = self.at;
        if self.eat("[:<:]]") {
            return Ok((Node::Concat(vec![Node::WordEdge, look_at_word(false)]), true));
        }
        if self.eat("[:>:]]") {
            return Ok((Node::Concat(vec![Node::WordEdge, look_at_word(true)]), true));
        }
        if self.posix_name().is_some() {
            return Err(self.error("POSIX named classes are supported only within a class"));
        }
        self.at = start;
        let negative = self.eat("^");
        let mut class = ClassUnicode::empty();
        self.bracket_items(&mut class)?;
        Ok((Node::Class(if negative { negated(class) } else { class }), true))
    }

    /// `:name:]` after a `[`, for the error outside of classes; the caller restores the position.
    fn posix_name(&mut self) -> Option<&'a str> {
        let sign = self.peek().filter(|c| matches!(c, ':' | '.' | '='))?;
        let rest = &self.rest()[1..];
        let length = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '^').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(length);
        let end = format!("{sign}]");
        if !tail.starts_with(&end) {
            return None;
        }
        self.at += 1 + length + end.len();
        Some(name)
    }

    fn bracket_items(&mut self, class: &mut ClassUnicode) -> Result<()> {
        let mut first = true;
        loop {
            if self.flags.extended_more && self.peek().is_some_and(|c| c == ' ' || c == '\t') {
                self.next();
                continue;
            }
            match self.peek() {
                None => return Err(self.error("missing terminating ] for character class")),
                Some(']') if !first => {
                    self.next();
                    return Ok(());
                }
                Some(_) => self.bracket_item(class)?,
            }
            first = false;
        }
    }

    fn bracket_item(&mut self, class: &mut ClassUnicode) -> Result<()> {
        if self.eat(r"\E") {
            return Ok(());
        }
        if self.rest().starts_with(r"\Q") {
            return self.bracket_quote(class);
        }
        match self.bracket_atom()? {
            Member::Set(set) => {
                class.union(&set);
                self.refuse_range_after_set()
            }
            Member::Char(low) => {
                let high = self.range_end(low)?;
                class.union(&self.with_case(set(&[(u32::from(low), u32::from(high))])));
                Ok(())
            }
        }
    }

    fn bracket_quote(&mut self, class: &mut ClassUnicode) -> Result<()> {
        self.at += 2;
        let Some(end) = self.rest().find(r"\E") else {
            return Err(self.error("missing terminating ] for character class"));
        };
        for c in self.rest()[..end].chars() {
            class.union(&self.with_case(set(&[(u32::from(c), u32::from(c))])));
        }
        self.at += end + 2;
        Ok(())
    }

    fn with_case(&self, class: ClassUnicode) -> ClassUnicode {
        if self.flags.caseless { folded(class) } else { class }
    }

    fn refuse_range_after_set(&self) -> Result<()> {
        let rest = self.rest();
        if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
            return Err(self.error("invalid range in character class"));
        }
        Ok(())
    }

    fn range_end(&mut self, low: char) -> Result<char> {
        let rest = self.rest();
        if !rest.starts_with('-') || rest.starts_with("-]") || rest.len() == 1 {
            return Ok(low);
        }
        self.next();
        match self.bracket_atom()? {
            Member::Char(high) if high >= low => Ok(high),
            Member::Char(_) => Err(self.error("range out of order in character class")),
            Member::Set(_) => Err(self.error("invalid range in character class")),
        }
    }

    fn bracket_atom(&mut self) -> Result<Member> {
        let start = self.at;
        match self.next() {
            Some('[') => {
                let sign = self.peek();
                match self.posix_name() {
                    Some(name) if sign == Some(':') => self.posix_class(name).map(Member::Set),
                    Some(_) => Err(self.error("POSIX collating elements are not supported")),
                    None => {
                        self.at = start + 1;
                        Ok(Member::Char('['))
                    }
                }
            }
            Some('\\') => self.bracket_escape(),
            Some(c) => Ok(Member::Char(c)),
            None => Err(self.error("missing terminating ] for character class")),
        }
    }

    fn posix_class(&self, name: &str) -> Result<ClassUnicode> {
        let (plain, negative) = match name.strip_prefix('^') {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let class =
            posix(plain, self.flags.caseless).ok_or_else(|| self.error("unknown POSIX class name"))?;
        Ok(if negative { negated(class) } else { class })
    }

    fn bracket_escape(&mut self) -> Result<Member> {
        let Some(c) = self.next() else {
            return Err(self.error("\\ at end of pattern"));
        };
        match c {
            'b' => return Ok(Member::Char('\u{8}')),
            'N' if !self.rest().starts_with("{U+") => {
                return Err(self.error("\\N is not supported in a class"));
            }
            'B' | 'R' | 'X' => return Err(self.error("escape sequence is invalid in character class")),
            '1'..='7' => return self.octal(1, 2).map(Member::Char),
            '8' | '9' => return Ok(Member::Char(c)),
            _ => {}
        }
        if let Some(set) = self.class_escape(c)? {
            return Ok(Member::Set(set));
        }
        self.character_escape(c).map(Member::Char)
    }

    // ---- when everything is known

    fn resolve(&self, node: Node) -> Result<Node> {
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

enum Member {
    Char(char),
    Set(ClassUnicode),
}

const NO_SUCH_GROUP: &str = "reference to non-existent subpattern";
const UNSUPPORTED_LETTERS: &str = "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u";

fn is_pattern_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

/// The alternatives of a node at its top.
pub(super) fn branches(node: &Node) -> &[Node] {
    match node {
        Node::Alternatives(nodes) => nodes,
        other => std::slice::from_ref(other),
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

fn look_at_word(behind: bool) -> Node {
    Node::Look { behind, negative: false, node: Box::new(Node::Class(word())) }
}

/// Puts the numbers of groups in the place of references by name.
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
