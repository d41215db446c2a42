//! Texts of messages, which stay short if the configuration has long names or values.

use std::path::Path;

/// The largest number of characters of a path in a message.
const PATH_CHARS_MAX: usize = 100;
/// The largest number of characters of a reason in a message. With a path and a line number, a message has at most 300.
const REASON_CHARS_MAX: usize = 180;
/// The largest number of characters of a name beside a path and a reason.
const NAME_CHARS_MAX: usize = 60;
/// The largest number of characters of a warning.
const WARNING_CHARS_MAX: usize = 300;

/// Returns the end of a path, which has the file's name.
pub(crate) fn short_path(path: &Path) -> String {
    let text = path.display().to_string();
    match text.char_indices().rev().nth(PATH_CHARS_MAX - 1) {
        Some((start, _)) if start > 0 => format!("...{}", &text[start..]),
        _ => text,
    }
}

/// Returns the start of a reason.
pub(crate) fn short(reason: String) -> String {
    truncated(reason, REASON_CHARS_MAX)
}

/// Returns the start of a name in a message.
pub(crate) fn short_name(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// Returns the start of a warning, which has its path in the text.
pub(crate) fn short_warning(text: String) -> String {
    truncated(text, WARNING_CHARS_MAX)
}

fn truncated(mut text: String, chars_max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push_str("...");
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_characters() {
        let path = format!("/あ/{}", "い".repeat(PATH_CHARS_MAX));
        assert_eq!(short_path(Path::new(&path)), format!("...{}", "い".repeat(PATH_CHARS_MAX)));
        assert_eq!(short_path(Path::new("/etc/my.cnf")), "/etc/my.cnf");
        let exact = "あ".repeat(REASON_CHARS_MAX);
        assert_eq!(short(exact.clone()), exact);
        assert_eq!(short(format!("{exact}x")), format!("{exact}..."));
    }
}
