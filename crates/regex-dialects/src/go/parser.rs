//! Parses a pattern by Go's rules and writes it for the regex crate.
//!
//! Faults are found in Go's order, because a pattern with two faults must have the same error.

use super::class::Class;
use super::counts::parse_counts;
use super::error::{PatternError, PatternErrorKind as Kind};
use super::piece::{Piece, Shape, choose, join};

/// The limit of one repetition count, and of the product of nested ones.
const MAX_REPEAT: u32 = 1000;
/// The limit of nesting.
pub(super) const MAX_HEIGHT: u32 = 1000;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// An open group. The outermost one is the whole pattern.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The flags after the group.
    flags: Flags,
    captures: bool,
    alternatives: Vec<Piece>,
    pieces: Vec<Piece>,
}

pub(super) struct Parser<'a> {
    pub(super) whole: &'a [u8],
    pub(super) at: usize,
    pub(super) flags: Flags,
    pub(super) outer: Vec<Open>,
    pub(super) open: Open,
    /// The start of a repetition, if it was the last element.
    pub(super) last_repeat: Option<usize>,
}

pub(super) type Parsed<T> = Result<T, PatternError>;

/// Translates a pattern to the regex crate's syntax.
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
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.whole[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    pub(super) fn error<T>(&self, kind: Kind, from: usize) -> Parsed<T> {
        Err(PatternError::new(kind, &self.whole[from..self.at]))
    }

    /// Returns the next character; U+FFFD at the end, as Go's decoder does.
    pub(super) fn next_char(&mut self) -> Parsed<char> {
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

    /// Parses one element. Returns its start if it was a repetition.
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

    pub(super) fn push(&mut self, piece: Piece) -> Parsed<()> {
        if piece.height > MAX_HEIGHT {
            return Err(PatternError::new(Kind::NestingDepth, self.whole));
        }
        self.open.pieces.push(piece);
        Ok(())
    }

    /// Adds an element without parts, which has `length` bytes in the pattern.
    pub(super) fn assertion(&mut self, length: usize, text: &str) -> Parsed<()> {
        self.at += length;
        self.push(Piece::leaf(text))
    }

    pub(super) fn literal(&mut self, rune: u32) -> Parsed<()> {
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

    /// Parses `(?...`: a named group, flags, or flags with a group.
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
            check_utf8(rest)?;
            return Err(PatternError::new(Kind::InvalidNamedCapture, rest));
        };
        let name = &rest[name_at.min(end)..end];
        check_utf8(name)?;
        self.at += end + 1;
        if name.is_empty() || !name.iter().all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            return self.error(Kind::InvalidNamedCapture, begin);
        }
        self.enter(true);
        Ok(())
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
                // Greediness does not change whether there is a match.
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

    /// Joins the parts of a group. No group captures, because only the existence of a match matters.
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
}

pub(super) fn check_utf8(text: &[u8]) -> Parsed<()> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(PatternError::new(Kind::InvalidUtf8, &text[error.valid_up_to()..])),
    }
}
