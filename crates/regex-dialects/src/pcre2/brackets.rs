//! Character classes in brackets.

use regex_syntax::hir::ClassUnicode;

use super::ast::{Node, folded, negated, set};
use super::class::{posix, word};
use super::parser::{Parser, Result};

enum Member {
    Char(char),
    Set(ClassUnicode),
}

impl<'a> Parser<'a> {
    pub(super) fn bracket(&mut self) -> Result<(Node, bool)> {
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

    /// Returns the name in `:name:]` after a `[`, for the error outside of classes; the caller restores the position.
    fn posix_name(&mut self) -> Option<&'a str> {
        let sign = self.peek().filter(|c| matches!(c, ':' | '.' | '='))?;
        let rest = &self.rest()[1..];
        let length = posix_name_length(rest.as_bytes(), u8::try_from(sign).ok()?)?;
        self.at += 1 + length + "]".len() + sign.len_utf8();
        Some(&rest[..length])
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
}

/// Returns the length of the text before `:]`. As in PCRE2, it may contain anything but an unescaped `]` and `[:`.
fn posix_name_length(text: &[u8], sign: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(&[first, second]) = text.get(at..at + 2) {
        match (first, second) {
            (b'\\', b']' | b'\\') => at += 1,
            (b'[', next) if next == sign => return None,
            (b']', _) => return None,
            (byte, b']') if byte == sign => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn look_at_word(behind: bool) -> Node {
    Node::Look { behind, negative: false, node: Box::new(Node::Class(word())) }
}
