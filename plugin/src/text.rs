//! Bytes and amounts as text for people and for JSON.

/// Converts bytes to text: each byte that is not UTF-8 becomes U+FFFD, as in the built-in keys' JSON.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Converts bytes to text for a terminal. Names come from other users' processes, so control characters become `?`.
pub(crate) fn printable(name: &[u8]) -> String {
    lossy(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Formats an amount of bytes with a binary unit: `1.5 KiB`.
pub(crate) fn byte_size(amount: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = amount;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_is_not_utf_8_is_replaced() {
        assert_eq!(lossy(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(lossy("あ".as_bytes()), "あ");
        assert_eq!(lossy(&"あ".as_bytes()[..2]), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn amounts_have_binary_units() {
        assert_eq!(
            [0.0, 1023.0, 1024.0, 1536.0, 3.7e9, 2e12, 5e15].map(byte_size),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "3.4 GiB", "1.8 TiB", "4547.5 TiB"]
        );
    }

    #[test]
    fn process_name_cannot_send_control_characters_to_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\n"), "a?[2Jb?");
    }
}
