//! Character classes in brackets.

use super::class::{Class, Group};
use super::error::{PatternError, PatternErrorKind as Kind};
use super::parser::{Parsed, Parser};
use super::piece::Piece;

impl<'a> Parser<'a> {
    pub(super) fn class(&mut self) -> Parsed<()> {
        let begin = self.at;
        self.at += 1;
        let negated = self.peek() == Some(b'^');
        self.at += usize::from(negated);
        let mut class = Class::new(negated);
        let mut first = true;
        while first || self.peek() != Some(b']') {
            first = false;
            self.class_item(begin, &mut class)?;
        }
        self.at += 1;
        self.push(Piece::leaf(class.write(self.flags.fold)))
    }

    fn class_item(&mut self, class_begin: usize, class: &mut Class) -> Parsed<()> {
        if let Some(group) = self.posix_group()? {
            class.push_group(&group);
            return Ok(());
        }
        if let Some(group) = self.group()? {
            class.push_group(&group);
            return Ok(());
        }
        let begin = self.at;
        let low = self.class_char(class_begin)?;
        let mut high = low;
        let rest = self.rest();
        if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
            self.at += 1;
            high = self.class_char(class_begin)?;
            if high < low {
                return self.error(Kind::InvalidCharRange, begin);
            }
        }
        class.push_range(low, high);
        Ok(())
    }

    fn posix_group(&mut self) -> Parsed<Option<Group>> {
        let (begin, rest) = (self.at, self.rest());
        if rest.len() <= 2 || !rest.starts_with(b"[:") {
            return Ok(None);
        }
        let Some(end) = rest[2..].windows(2).position(|pair| pair == b":]") else { return Ok(None) };
        self.at += end + 4;
        let group = Group::posix(&rest[2..end + 2]);
        group.map_or_else(|| self.error(Kind::InvalidCharRange, begin), |group| Ok(Some(group)))
    }

    fn class_char(&mut self, class_begin: usize) -> Parsed<u32> {
        match self.peek() {
            None => Err(PatternError::new(Kind::MissingBracket, &self.whole[class_begin..])),
            Some(b'\\') => self.escape(),
            Some(_) => self.next_char().map(u32::from),
        }
    }
}
