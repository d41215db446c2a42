//! Reads a pattern by Go's rules and writes it for the regex crate.
//!
//! The order in which faults are found is Go's too, because a pattern with two faults must be blamed for the same one.

use std::fmt::Write as _;

use super::class::{Class, Group};
use super::error::{PatternError, PatternErrorKind as Kind};

/// The highest count of one repetition, and of nested ones multiplied.
const MAX_REPEAT: u32 = 1000;
/// How deep a pattern may nest.
pub(super) const MAX_HEIGHT: u32 = 1000;

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// What a piece is, as far as joining it to others depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Literal { fold: bool },
    Concat,
    Alternate,
    Other,
}

/// A part of the pattern, written for the regex crate.
#[derive(Debug)]
struct Piece {
    text: String,
    shape: Shape,
    /// The largest product of nested counts.
    copies: u32,
    /// Levels, as Go counts them.
    height: u32,
}

impl Piece {
    fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), shape: Shape::Other, copies: 1, height: 1 }
    }
}

/// An open group; the outermost stands for the whole pattern.
#[derive(Debug, Default)]
struct Open {
    /// The flags to return to.
    flags: Flags,
    captures: bool,
    alternatives: Vec<Piece>,
    pieces: Vec<Piece>,
}

struct Parser<'a> {
    whole: &'a [u8],
    at: usize,
    flags: Flags,
    outer: Vec<Open>,
    open: Open,
    /// Where the repetition began that was the last thing seen.
    last_repeat: Option<usize>,
}

type Parsed<T> = Result<T, PatternError>;

/// The pattern in the regex crate's syntax.
pub(super) fn translate(pattern: &[u8]) -> Parsed<String> {
    let mut parser = Parser {
        whole: pattern,
        at: 0,
        flags: Flags::default(),
        outer: Vec::new(),
        open: Open::default(),
        last_repeat: None,
    };
    while parser.at < pattern.len() {
        let repeat = parser.step()?;
        parser.last_repeat = repeat;
    }
    if !parser.outer.is_empty() {
        return Err(PatternError::new(Kind::MissingParen, pattern));
    }
    let open = std::mem::take(&mut parser.open);
    Ok(parser.close(open)?.text)
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.whole[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn error<T>(&self, kind: Kind, from: usize) -> Parsed<T> {
        Err(PatternError::new(kind, &self.whole[from..self.at]))
    }

    /// The next character; U+FFFD at the end, as Go's decoder has it.
    fn next_char(&mut self) -> Parsed<char> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok('\u{fffd}');
        }
        let length = (1..=rest.len().min(4)).find(|&length| std::str::from_utf8(&rest[..length]).is_ok());
        let text = length.and_then(|length| std::str::from_utf8(&rest[..length]).ok());
        let Some(char) = text.and_then(|text| text.chars().next()) else {
            return Err(PatternError::new(Kind::InvalidUtf8, rest));
        };
        self.at += char.len_utf8();
        Ok(char)
    }

    /// Takes one element. Returns where it began if it was a repetition.
    fn step(&mut self) -> Parsed<Option<usize>> {
        let begin = self.at;
        match self.whole[begin] {
            b'(' => self.open_group()?,
            b'|' => self.vertical_bar()?,
            b')' => self.close_group()?,
            b'^' => self.assertion(1, if self.flags.multi_line { "(?m:^)" } else { r"\A" })?,
            b'$' => self.assertion(1, if self.flags.multi_line { "(?m:$)" } else { r"\z" })?,
            b'.' => self.assertion(1, if self.flags.dot_newline { "(?s:.)" } else { "(?-s:.)" })?,
            b'[' => self.class()?,
            b'*' | b'+' | b'?' => return self.simple_repeat().map(|()| Some(begin)),
            b'{' => return self.counted_repeat(),
            b'\\' => self.backslash()?,
            _ => {
                let char = self.next_char()?;
                self.literal(u32::from(char))?;
            }
        }
        Ok(None)
    }

    fn push(&mut self, piece: Piece) -> Parsed<()> {
        if piece.height > MAX_HEIGHT {
            return Err(PatternError::new(Kind::NestingDepth, self.whole));
        }
        self.open.pieces.push(piece);
        Ok(())
    }

    /// Something without parts of its own, written in the pattern with `length` bytes.
    fn assertion(&mut self, length: usize, text: &str) -> Parsed<()> {
        self.at += length;
        self.push(Piece::leaf(text))
    }

    fn literal(&mut self, rune: u32) -> Parsed<()> {
        let mut text = match char::from_u32(rune) {
            Some(char) => regex::escape(char.encode_utf8(&mut [0; 4])),
            None => Class::new(false).write(false),
        };
        let fold = self.flags.fold;
        if fold {
            text = format!("(?i:{text})");
        }
        self.push(Piece { shape: Shape::Literal { fold }, ..Piece::leaf(text) })
    }

    fn open_group(&mut self) -> Parsed<()> {
        if self.rest().get(1) == Some(&b'?') {
            return self.perl_group();
        }
        self.at += 1;
        self.enter(true);
        Ok(())
    }

    fn enter(&mut self, captures: bool) {
        let open = Open { flags: self.flags, captures, ..Open::default() };
        self.outer.push(std::mem::replace(&mut self.open, open));
    }

    /// `(?...`: a named group, flags, or both flags and a group.
    fn perl_group(&mut self) -> Parsed<()> {
        let rest = self.rest();
        if rest.len() > 4 && rest.starts_with(b"(?P<") {
            return self.named_group(4);
        }
        if rest.len() > 3 && rest.starts_with(b"(?<") {
            return self.named_group(3);
        }
        self.flag_group()
    }

    fn named_group(&mut self, name_at: usize) -> Parsed<()> {
        let (begin, rest) = (self.at, self.rest());
        let Some(end) = rest.iter().position(|&byte| byte == b'>') else {
            self.check_utf8(rest)?;
            return Err(PatternError::new(Kind::InvalidNamedCapture, rest));
        };
        let name = &rest[name_at.min(end)..end];
        self.check_utf8(name)?;
        self.at += end + 1;
        if name.is_empty() || !name.iter().all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            return self.error(Kind::InvalidNamedCapture, begin);
        }
        self.enter(true);
        Ok(())
    }

    #[allow(clippy::unused_self)] // reads as one of the parser's checks
    fn check_utf8(&self, text: &[u8]) -> Parsed<()> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(PatternError::new(Kind::InvalidUtf8, &text[error.valid_up_to()..])),
        }
    }

    fn flag_group(&mut self) -> Parsed<()> {
        let begin = self.at;
        self.at += 2;
        let (mut flags, mut set, mut seen) = (self.flags, true, false);
        while self.at < self.whole.len() {
            match self.next_char()? {
                'i' => flags.fold = set,
                'm' => flags.multi_line = set,
                's' => flags.dot_newline = set,
                // Greedy or not does not change whether there is a match.
                'U' => {}
                '-' if set => {
                    (set, seen) = (false, false);
                    continue;
                }
                end @ (':' | ')') if set || seen => {
                    if end == ':' {
                        self.enter(false);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            seen = true;
        }
        self.error(Kind::InvalidPerlOp, begin)
    }

    fn vertical_bar(&mut self) -> Parsed<()> {
        self.at += 1;
        let piece = join(&mut self.open.pieces);
        if piece.height > MAX_HEIGHT {
            return Err(PatternError::new(Kind::NestingDepth, self.whole));
        }
        self.open.alternatives.push(piece);
        Ok(())
    }

    fn close_group(&mut self) -> Parsed<()> {
        let Some(outer) = self.outer.pop() else {
            return Err(PatternError::new(Kind::UnexpectedParen, self.whole));
        };
        self.at += 1;
        let inner = std::mem::replace(&mut self.open, outer);
        self.flags = inner.flags;
        let piece = self.close(inner)?;
        self.push(piece)
    }

    /// What a group holds, as one piece that can stand anywhere. No group captures: only whether there is a match is
    /// asked.
    fn close(&self, mut open: Open) -> Parsed<Piece> {
        let last = join(&mut open.pieces);
        let mut piece = last;
        if !open.alternatives.is_empty() {
            open.alternatives.push(piece);
            piece = choose(&open.alternatives);
        }
        if open.captures {
            piece.height += 1;
            piece.shape = Shape::Other;
        }
        if piece.height > MAX_HEIGHT {
            return Err(PatternError::new(Kind::NestingDepth, self.whole));
        }
        if !matches!(piece.shape, Shape::Literal { .. }) {
            piece.text = format!("(?:{})", piece.text);
        }
        Ok(piece)
    }

    fn simple_repeat(&mut self) -> Parsed<()> {
        let begin = self.at;
        let operator = char::from(self.whole[begin]).to_string();
        self.at += 1;
        self.repeat(begin, &operator, None)
    }

    fn counted_repeat(&mut self) -> Parsed<Option<usize>> {
        let begin = self.at;
        let Some((length, min, max)) = parse_counts(self.rest()) else {
            self.at += 1;
            return self.literal(u32::from(b'{')).map(|()| None);
        };
        self.at += length;
        let limit = u64::from(MAX_REPEAT);
        if min > limit || max.is_some_and(|max| max > limit || min > max) {
            return self.error(Kind::InvalidRepeatSize, begin);
        }
        let operator = match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        self.repeat(begin, &operator, Some((min, max)))?;
        Ok(Some(begin))
    }

    fn repeat(&mut self, begin: usize, operator: &str, counts: Option<(u64, Option<u64>)>) -> Parsed<()> {
        if self.peek() == Some(b'?') {
            self.at += 1;
        }
        if let Some(first) = self.last_repeat {
            return self.error(Kind::InvalidRepeatOp, first);
        }
        let Some(inner) = self.open.pieces.pop() else {
            return self.error(Kind::MissingRepeatArgument, begin);
        };
        let copies = match counts {
            None => inner.copies,
            Some((_, Some(0))) => 1,
            Some((min, max)) => {
                let count = u32::try_from(max.unwrap_or(min)).unwrap_or(u32::MAX).max(1);
                inner.copies.saturating_mul(count)
            }
        };
        let many = counts.is_some_and(|(min, max)| min >= 2 || max.is_some_and(|max| max >= 2));
        let text = format!("(?:{}){operator}", inner.text);
        self.push(Piece { text, shape: Shape::Other, copies, height: inner.height + 1 })?;
        if many && copies > MAX_REPEAT {
            return self.error(Kind::InvalidRepeatSize, begin);
        }
        Ok(())
    }

    fn backslash(&mut self) -> Parsed<()> {
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

    /// `\Q...\E`, or to the end.
    fn quoted(&mut self) -> Parsed<()> {
        self.at += 2;
        let rest = self.rest();
        let end = rest.windows(2).position(|pair| pair == br"\E");
        let stop = self.at + end.unwrap_or(rest.len());
        while self.at < stop {
            // Go decodes the quoted part by itself, so a character may not be blamed on what follows it.
            let quoted = &self.whole[self.at..stop];
            let char = self.next_char().map_err(|_| PatternError::new(Kind::InvalidUtf8, quoted))?;
            self.literal(u32::from(char))?;
        }
        self.at = stop + end.map_or(0, |_| 2);
        Ok(())
    }

    /// `\d` and its like, or `\p{...}`.
    fn group(&mut self) -> Parsed<Option<Group>> {
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
                self.check_utf8(rest)?;
                return Err(PatternError::new(Kind::InvalidCharRange, rest));
            };
            self.at = begin + end + 1;
            &rest[3..end]
        } else {
            self.next_char()?;
            &self.whole[begin + 2..self.at]
        };
        self.check_utf8(name)?;
        if let Some(positive) = name.strip_prefix(b"^") {
            (name, negated) = (positive, !negated);
        }
        let group = std::str::from_utf8(name).ok().and_then(|name| Group::unicode(name, negated));
        group.map_or_else(|| self.error(Kind::InvalidCharRange, begin), Ok)
    }

    /// An escape that stands for one character.
    fn escape(&mut self) -> Parsed<u32> {
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

    /// What follows `\x`: two digits, or any number in braces.
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

    fn class(&mut self) -> Parsed<()> {
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

/// One after the other. Neighbouring literals count as one, and what is a sequence itself adds no level.
fn join(pieces: &mut Vec<Piece>) -> Piece {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let mut joined = Piece { shape: Shape::Concat, ..Piece::leaf(String::new()) };
    let first = pieces.first().map(|piece| piece.shape);
    let one_literal =
        matches!(first, Some(Shape::Literal { .. })) && pieces.iter().all(|p| Some(p.shape) == first);
    for piece in pieces.drain(..) {
        joined.text.push_str(&piece.text);
        joined.copies = joined.copies.max(piece.copies);
        joined.height =
            joined.height.max(piece.height + u32::from(piece.shape != Shape::Concat && !one_literal));
    }
    joined
}

fn choose(alternatives: &[Piece]) -> Piece {
    let mut chosen = Piece { shape: Shape::Alternate, ..Piece::leaf(String::new()) };
    for (index, piece) in alternatives.iter().enumerate() {
        let bar = if index == 0 { "" } else { "|" };
        let _ = write!(chosen.text, "{bar}{}", piece.text);
        chosen.copies = chosen.copies.max(piece.copies);
        chosen.height = chosen.height.max(piece.height + u32::from(piece.shape != Shape::Alternate));
    }
    chosen
}

/// Reads `{min}`, `{min,}` or `{min,max}`: its length and the numbers. `None` if it is not of that form, which makes the
/// brace a literal.
fn parse_counts(text: &[u8]) -> Option<(usize, u64, Option<u64>)> {
    let mut at = 1;
    let min = parse_count(text, &mut at)?;
    let max = if text.get(at) == Some(&b',') {
        at += 1;
        if text.get(at) == Some(&b'}') { None } else { Some(parse_count(text, &mut at)?) }
    } else {
        Some(min)
    };
    (text.get(at) == Some(&b'}')).then_some((at + 1, min, max))
}

/// Digits without a leading zero; too many of them count as too large.
fn parse_count(text: &[u8], at: &mut usize) -> Option<u64> {
    let digits = text.get(*at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = &text[*at..*at + digits];
    if digits == 0 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    *at += digits;
    Some(crate::text::number(number).unwrap_or(u64::MAX))
}
