//! Output templates for matching lines.

use crate::Captures;
use crate::text::MAX_VALUE_BYTES;

/// What to deliver of a matching line: `\0` stands for the whole match, `\1` to `\9` for groups, `\\` for a backslash. The
/// empty template, which is the default, delivers the whole line.
///
/// ```
/// use log_follow::{Pattern, Template};
///
/// let pattern: Pattern = r"client (\S+) port (\d+)".parse().unwrap();
/// let captures = pattern.captures(b"refused: client 10.0.0.7 port 4711").unwrap();
/// assert_eq!(Template::new(r"\1:\2").apply(&captures), "10.0.0.7:4711");
/// assert_eq!(Template::default().apply(&captures), "refused: client 10.0.0.7 port 4711");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Every text is a template: a backslash before anything else stands for itself, as does a number without a group for
    /// nothing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether whole lines are delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text for one match. Bytes that are not UTF-8 become U+FFFD. A text longer than a value may be incomplete.
    #[must_use]
    pub fn apply(&self, captures: &Captures<'_>) -> String {
        if self.0.is_empty() {
            return String::from_utf8_lossy(captures.line()).into_owned();
        }
        let mut out = Vec::new();
        let mut rest = self.0.as_bytes();
        while let Some(at) = memchr::memchr(b'\\', rest) {
            // A value is not longer. A template can name a line of 256 KiB a thousand times.
            if out.len() > MAX_VALUE_BYTES {
                break;
            }
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.first() {
                Some(digit @ b'0'..=b'9') => {
                    out.extend_from_slice(captures.get(usize::from(digit - b'0')).unwrap_or_default());
                    rest = &rest[1..];
                }
                Some(b'\\') => {
                    out.push(b'\\');
                    rest = &rest[1..];
                }
                _ => out.push(b'\\'),
            }
        }
        out.extend_from_slice(rest);
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pattern;

    #[test]
    fn templates_replace_groups_and_keep_the_rest() {
        let pattern = Pattern::new("(a)(b)(c)(d)(e)(f)(g)(h)(i)(x)?").unwrap();
        let captures = pattern.captures(b"<abcdefghi>").unwrap();
        let cases = [
            ("", "<abcdefghi>"),
            (r"\0", "abcdefghi"),
            (r"\1\2\3\4\5\6\7\8\9", "abcdefghi"),
            (r"\9\1", "ia"),
            (r"[\1] and \\1", r"[a] and \1"),
            (r"\10", "a0"),
            (r"\n\@", r"\n\@"),
            ("text", "text"),
            (r"end\", r"end\"),
            (r"日\1本", "日a本"),
        ];
        for (template, expected) in cases {
            assert_eq!(Template::new(template).apply(&captures), expected, "{template:?}");
        }
        let pattern = Pattern::new("(x)?(a)").unwrap();
        assert_eq!(Template::new(r"<\1\2\3>").apply(&pattern.captures(b"a").unwrap()), "<a>");
    }
}
