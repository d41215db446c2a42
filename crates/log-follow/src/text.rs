//! Cutting texts at the boundaries of characters.

/// The longest value, in bytes of UTF-8.
pub const MAX_VALUE_BYTES: usize = 65_535;

/// The end of a text that was cut.
const CUT_MARK: &str = "…";

/// Cuts a text to at most `max` bytes at the boundary of a character, and marks it.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(char_boundary(&text, max - CUT_MARK.len()));
        text.push_str(CUT_MARK);
    }
    text
}

/// Returns the last boundary of a character at or before `at`.
pub(crate) fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_ends_at_a_character_and_is_marked() {
        assert_eq!(cut("abc".into(), 3), "abc");
        assert_eq!(cut("abcdef".into(), 5), "ab…");
        assert_eq!(cut("日本語".into(), 8), "日…");
    }
}
