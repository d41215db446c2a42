//! Escapes: classes, properties, single characters, and references that begin with a backslash.

use std::collections::HashMap;

use regex_syntax::hir::ClassUnicode;

use super::ast::{Node, negated};
use super::class::{any, digit, horizontal, property, space, vertical, word};
use super::parser::{Parser, Result};

const UNSUPPORTED_LETTERS: &str = "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u";

impl<'a> Parser<'a> {
    pub(super) fn escape(&mut self) -> Result<(Node, bool)> {
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
            // A line cannot contain CR LF, so this is one character.
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

    /// Parses `\d` and similar escapes, inside and outside of brackets.
    pub(super) fn class_escape(&mut self, c: char) -> Result<Option<ClassUnicode>> {
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

    /// Parses an escape for one character.
    pub(super) fn character_escape(&mut self, c: char) -> Result<char> {
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

    /// Parses up to `more` octal digits after `eaten` ones.
    pub(super) fn octal(&mut self, eaten: usize, more: usize) -> Result<char> {
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
}
