//! Splits text into lines and words as httpd does.

use crate::Limit;

/// Returns the next word of a line and the rest, without the blanks between them. Quotes of both kinds keep a word together;
/// inside, a backslash escapes the quote and itself.
pub(super) fn next_word(line: &str) -> (String, &str) {
    let line = line.trim_start_matches(is_blank);
    let quote = line.chars().next().filter(|first| matches!(first, '"' | '\''));
    let (word, rest) = match quote {
        Some(quote) => quoted(&line[1..], quote),
        None => {
            let end = line.find(is_blank).unwrap_or(line.len());
            (unescaped(&line[..end], None), &line[end..])
        }
    };
    (word, rest.trim_start_matches(is_blank))
}

/// More words than any directive takes.
const WORDS_MAX: usize = 1_000;

/// The words of a line, at most a thousand.
pub(super) fn words(mut line: &str) -> Vec<String> {
    let mut words = Vec::new();
    while !line.is_empty() && words.len() < WORDS_MAX {
        let (word, rest) = next_word(line);
        words.push(word);
        line = rest;
    }
    words
}

fn quoted(inside: &str, quote: char) -> (String, &str) {
    let mut escaped = false;
    for (at, found) in inside.char_indices() {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = inside[at + 1..].starts_with([quote, '\\']),
            _ if found == quote => return (unescaped(&inside[..at], Some(quote)), &inside[at + 1..]),
            _ => {}
        }
    }
    (unescaped(inside, Some(quote)), "")
}

fn unescaped(word: &str, quote: Option<char>) -> String {
    let mut result = String::with_capacity(word.len());
    let mut characters = word.chars().peekable();
    while let Some(found) = characters.next() {
        let protects = |next: &char| *next == '\\' || Some(*next) == quote;
        result.push(match characters.next_if(|next| found == '\\' && protects(next)) {
            Some(next) => next,
            None => found,
        });
    }
    result
}

/// The blanks of C's `isspace`.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Parses a number as C's `atoi` does, which httpd uses: a character that is not a digit ends it, no digit is 0, and a number
/// beyond 32 bits wraps.
pub(super) fn atoi(text: &str) -> i32 {
    let text = text.trim_start_matches(is_blank);
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    // Only the lower half of the `long` is used. A `long` that overflows is its largest or smallest value.
    let value = match (negative, value) {
        (true, i64::MAX) => i64::MIN,
        (true, value) => -value,
        (false, value) => value,
    };
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// The logical lines of a file: a backslash at the end of a line joins the next one, and blanks at both ends are removed.
#[derive(Debug)]
pub(super) struct Lines {
    content: Vec<u8>,
    position: usize,
    number: u32,
    /// httpd 2.2 takes two backslashes at the end of a line for an escaped one.
    protected_backslash: bool,
}

impl Lines {
    pub(super) fn new(content: Vec<u8>, protected_backslash: bool) -> Self {
        Self { content, position: 0, number: 0, protected_backslash }
    }

    /// The number of bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.content.len()
    }

    fn physical(&mut self) -> Option<(usize, usize, bool)> {
        let start = self.position;
        if start == self.content.len() {
            return None;
        }
        let newline = memchr::memchr(b'\n', &self.content[start..]).map(|at| start + at);
        self.position = newline.map_or(self.content.len(), |at| at + 1);
        self.number = self.number.saturating_add(1);
        Some((start, newline.unwrap_or(self.content.len()), newline.is_some()))
    }
}

impl Iterator for Lines {
    type Item = (u32, String);

    /// Joins lines no further than to the limit of a line, which the caller checks.
    fn next(&mut self) -> Option<Self::Item> {
        let mut joined: Vec<u8> = Vec::new();
        let mut is_joined = false;
        loop {
            let Some((start, end, complete)) = self.physical() else {
                return is_joined.then(|| (self.number.saturating_add(1), trimmed(joined)));
            };
            let part = &self.content[start..end];
            let ending = part.strip_suffix(b"\r").unwrap_or(part);
            let continued = ending.strip_suffix(b"\\").filter(|_| complete);
            let (text, ends) = match continued {
                Some(rest) => (rest, self.protected_backslash && rest.ends_with(b"\\")),
                None => (part, true),
            };
            joined.extend_from_slice(text);
            is_joined = true;
            if ends || joined.len() as u64 > Limit::LineBytes.max() {
                return Some((self.number, trimmed(joined)));
            }
        }
    }
}

fn trimmed(line: Vec<u8>) -> String {
    let line = String::from_utf8(line);
    let line = line.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    line.trim_matches(is_blank).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, protected: bool) -> Vec<(u32, String)> {
        Lines::new(text.as_bytes().to_vec(), protected).collect()
    }

    #[test]
    fn words_are_cut_and_unquoted() {
        let cut = |line: &str| words(line);
        assert_eq!(cut(r#"  a "b c"  'd "e' f"#), ["a", "b c", "d \"e", "f"]);
        assert_eq!(cut(r#""a \" \\ \n" b\\c d\e"#), [r#"a " \ \n"#, r"b\c", r"d\e"]);
        assert_eq!(cut(r#""never closed"#), ["never closed"]);
        assert_eq!(cut(r#""a"b ''"#), ["a", "b", ""]);
        assert!(cut("").is_empty());
    }

    #[test]
    fn lines_are_joined_and_counted() {
        let text = "a \\\n  b\n# c\\\r\nd\r\n\n  e";
        let expected = [(2, "a   b"), (4, "# cd"), (5, ""), (6, "e")].map(|(n, l)| (n, l.to_owned()));
        assert_eq!(lines(text, false), expected);
        assert_eq!(lines("a\\\\\nb\n", false), [(2, "a\\b".to_owned())]);
        assert_eq!(lines("a\\\\\nb\n", true), [(1, "a\\".to_owned()), (2, "b".to_owned())]);
        assert_eq!(lines("a\\\n", false), [(2, "a".to_owned())]);
        assert_eq!(lines("a\\", false), [(1, "a\\".to_owned())]);
    }

    #[test]
    fn numbers_are_those_of_atoi() {
        let read = ["256", " 25x", "-3", "+7", "x", "", "99999999999", "99999999999999999999", "-"].map(atoi);
        assert_eq!(read, [256, 25, -3, 7, 0, 0, 1_215_752_191, -1, 0]);
    }
}
