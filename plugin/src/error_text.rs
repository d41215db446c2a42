//! The form of an error's text: at most 300 visible characters.
//!
//! An error names the object that failed, and often this is a parameter or a name from outside, which may have megabytes or
//! control characters. The text goes to the server, the frontend and the log.

use std::borrow::Cow;

/// Limit for a text, in characters.
const TEXT_MAX: usize = 300;
/// Characters that are kept of the end, with the reason and the next step.
const END: usize = 140;
/// Limit for a parameter within the text.
const PARAMETER_MAX: usize = 60;
/// Characters that are kept of the end of a parameter.
const PARAMETER_END: usize = 20;
const ELLIPSIS: char = '…';

/// Returns the text with parameters shortened, control characters escaped, and its middle left out if it is too long.
pub(crate) fn shortened(text: &str, parameters: &[String]) -> String {
    let text = without_repetition(text);
    let long = parameters.iter().filter(|parameter| parameter.chars().nth(PARAMETER_MAX).is_some());
    let text = long.fold(Cow::Borrowed(text), |text, parameter| match text.contains(parameter.as_str()) {
        true => Cow::Owned(text.replace(parameter, &without_middle(parameter, PARAMETER_MAX, PARAMETER_END))),
        false => text,
    });
    without_middle(&escaped(&without_middle(&text, TEXT_MAX, END)), TEXT_MAX, END)
}

/// Returns the text without its last part if that part stands in front of itself. An error whose text contains its cause
/// ends with it twice after the causes are joined.
fn without_repetition(text: &str) -> &str {
    let parts = text.match_indices(": ");
    let repeated = parts.map(|(at, separator)| (&text[..at], &text[at + separator.len()..]));
    let mut repeated =
        repeated.filter(|(head, tail)| !tail.is_empty() && head.ends_with(&format!(": {tail}")));
    repeated.next().map_or(text, |(head, _)| head)
}

/// Leaves out the middle: the start names the object, the end the reason and the next step.
fn without_middle(text: &str, max: usize, end: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    let cut = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(index, _)| index);
    let tail = text.char_indices().rev().nth(end - 1).map_or(0, |(index, _)| index);
    format!("{}{ELLIPSIS}{}", &text[..cut(max - end - 1)], &text[tail..])
}

/// Escapes characters that do not show, or that change the direction or the line of the text after them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() || is_format(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Zero-width characters, separators of lines and paragraphs, and marks of direction.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_unchanged() {
        let text = "Failed to compile regular expression '(': error parsing regexp: missing closing ): `(`";
        assert_eq!(shortened(text, &["(".to_owned()]), text);
        let longest = "あ".repeat(300);
        assert_eq!(shortened(&longest, &[]), longest);
    }

    #[test]
    fn long_text_keeps_its_start_and_its_end() {
        let text = format!("cannot read /var/{}: raise the limit", "あ".repeat(10_000));
        let short = shortened(&text, &[]);
        assert_eq!(short.chars().count(), 300);
        assert!(
            short.starts_with("cannot read /var/あ") && short.ends_with("あ: raise the limit"),
            "{short}"
        );
        assert_eq!(short.matches('…').count(), 1);
    }

    #[test]
    fn cause_stands_in_the_text_once() {
        let cause = "Too many open files: os error 24";
        assert_eq!(
            shortened(&format!("cannot read /x: {cause}: {cause}"), &[]),
            format!("cannot read /x: {cause}")
        );
        assert_eq!(shortened("cannot read x: x", &[]), "cannot read x: x");
        assert_eq!(shortened("a: b: c: ", &[]), "a: b: c: ");
    }

    #[test]
    fn long_parameter_is_shortened_where_it_stands() {
        let pattern = format!("({}end of it", "x".repeat(10 << 20));
        let text = format!("Failed to compile '{pattern}': missing closing ): `{pattern}`");
        let short = shortened(&text, &[pattern]);
        let quoted = format!("({}…{}end of it", "x".repeat(38), "x".repeat(11));
        assert_eq!(short, format!("Failed to compile '{quoted}': missing closing ): `{quoted}`"));
    }

    #[test]
    fn characters_that_do_not_show_are_escaped() {
        assert_eq!(shortened("a\nb\r\tc\u{1b}[2J\0\u{85}", &[]), "a\\nb\\r\\tc\\u{1b}[2J\\u{0}\\u{85}");
        assert_eq!(shortened("gnp\u{202e}exe\u{200b}\u{2028}", &[]), "gnp\\u{202e}exe\\u{200b}\\u{2028}");
        let controls = shortened(&"\u{1b}".repeat(1000), &[]);
        assert_eq!(controls.chars().count(), 300);
        assert!(controls.starts_with("\\u{1b}\\u{1b}") && controls.ends_with("\\u{1b}"));
    }
}
