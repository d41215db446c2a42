//! Escapes and quoted text.

use super::class::{Class, Group};
use super::error::{PatternError, PatternErrorKind as Kind};
use super::parser::{Parsed, Parser, check_utf8};
use super::piece::Piece;

impl<'a> Parser<'a> {
    pub(super) fn backslash(&mut self) -> Parsed<()> {
        match self.rest().get(1) {
            Some(b'A') => return self.assertion(2, r"\A"),
            Some(b'b') => return self.assertion(2, r"(?-u:\b)"),
            Some(b'B') => return self.assertion(2, r"(?-u:\B)"),
            Some(b'z') => return self.assertion(2, r"\z"),
            Some(b'Q') => return self.quoted(),
            Some(b'C') => {
                let begin = self.at;
                self.at += 2;
                return self.error(Kind::InvalidEscape, begin);
            }
            _ => {}
        }
        if let Some(group) = self.group()? {
            let mut class = Class::new(false);
            class.push_group(&group);
            return self.push(Piece::leaf(class.write(self.flags.fold)));
        }
        let rune = self.escape()?;
        self.literal(rune)
    }

    /// Parses `\Q...\E`, or up to the end.
    fn quoted(&mut self) -> Parsed<()> {
        self.at += 2;
        let rest = self.rest();
        let end = rest.windows(2).position(|pair| pair == br"\E");
        let stop = self.at + end.unwrap_or(rest.len());
        while self.at < stop {
            // Go decodes the quoted part alone, so the text after it must not change the error.
            let quoted = &self.whole[self.at..stop];
            let char = self.next_char().map_err(|_| PatternError::new(Kind::InvalidUtf8, quoted))?;
            self.literal(u32::from(char))?;
        }
        self.at = stop + end.map_or(0, |_| 2);
        Ok(())
    }

    /// Parses `\d` and similar escapes, or `\p{...}`.
    pub(super) fn group(&mut self) -> Parsed<Option<Group>> {
        let rest = self.rest();
        if rest.first() != Some(&b'\\') || rest.len() < 2 {
            return Ok(None);
        }
        if matches!(rest[1], b'p' | b'P') {
            return self.unicode_group().map(Some);
        }
        let group = Group::perl(rest[1]);
        self.at += if group.is_some() { 2 } else { 0 };
        Ok(group)
    }

    fn unicode_group(&mut self) -> Parsed<Group> {
        let (begin, rest) = (self.at, self.rest());
        let mut negated = rest[1] == b'P';
        self.at += 2;
        let mut name = if self.peek() == Some(b'{') {
            let Some(end) = rest.iter().position(|&byte| byte == b'}') else {
                check_utf8(rest)?;
                return Err(PatternError::new(Kind::InvalidCharRange, rest));
            };
            self.at = begin + end + 1;
            &rest[3..end]
        } else {
            self.next_char()?;
            &self.whole[begin + 2..self.at]
        };
        check_utf8(name)?;
        if let Some(positive) = name.strip_prefix(b"^") {
            (name, negated) = (positive, !negated);
        }
        let group = std::str::from_utf8(name).ok().and_then(|name| Group::unicode(name, negated));
        group.map_or_else(|| self.error(Kind::InvalidCharRange, begin), Ok)
    }

    /// Parses an escape for one character.
    pub(super) fn escape(&mut self) -> Parsed<u32> {
        let begin = self.at;
        self.at += 1;
        if self.peek().is_none() {
            return Err(PatternError::new(Kind::TrailingBackslash, b""));
        }
        let char = self.next_char()?;
        let rune = match char {
            '1'..='7' if !self.at_octal() => None,
            '0'..='7' => Some(self.octal(char)),
            'x' => self.hexadecimal()?,
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ if char.is_ascii() && !char.is_ascii_alphanumeric() => Some(u32::from(char)),
            _ => None,
        };
        rune.map_or_else(|| self.error(Kind::InvalidEscape, begin), Ok)
    }

    fn at_octal(&self) -> bool {
        matches!(self.peek(), Some(b'0'..=b'7'))
    }

    fn octal(&mut self, first: char) -> u32 {
        let mut rune = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            if !self.at_octal() {
                break;
            }
            rune = rune * 8 + u32::from(self.whole[self.at] - b'0');
            self.at += 1;
        }
        rune
    }

    /// Parses the digits after `\x`: two, or any number in braces.
    fn hexadecimal(&mut self) -> Parsed<Option<u32>> {
        if self.peek().is_none() {
            return Ok(None);
        }
        let first = self.next_char()?;
        if first == '{' {
            return self.braced_hexadecimal();
        }
        let second = self.next_char()?;
        Ok(first.to_digit(16).zip(second.to_digit(16)).map(|(high, low)| high * 16 + low))
    }

    fn braced_hexadecimal(&mut self) -> Parsed<Option<u32>> {
        let mut rune = None;
        while self.peek().is_some() {
            let char = self.next_char()?;
            if char == '}' {
                return Ok(rune);
            }
            let Some(digit) = char.to_digit(16) else { return Ok(None) };
            let next = rune.unwrap_or(0) * 16 + digit;
            if next > 0x10_FFFF {
                return Ok(None);
            }
            rune = Some(next);
        }
        Ok(None)
    }
}
