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

/// Longer names do not fit into the name of an item.
const LABEL_CHARS_MAX: usize = 120;

/// Converts a name from a configuration to one that is safe as a discovery macro, in a JSONPath and in a page. Characters other
/// than letters, digits, blanks and `-._@+=/():,~#` become `%` and the hexadecimal digits of each byte, so different names stay
/// different. A name that is too long is cut and gets `number` at its end.
pub(crate) fn label(name: &str, number: usize) -> String {
    let mut label = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() || " -._@+=/():,~#".contains(c) {
            label.push(c);
        } else {
            label.extend(c.to_string().bytes().map(|byte| format!("%{byte:02X}")));
        }
        if label.chars().count() > LABEL_CHARS_MAX {
            let cut: String = label.chars().take(LABEL_CHARS_MAX).collect();
            return format!("{cut}~{number}");
        }
    }
    label
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
    fn labels_are_safe_and_distinct() {
        assert_eq!(label("www (/etc/php/8.2/fpm/php-fpm.conf)", 0), "www (/etc/php/8.2/fpm/php-fpm.conf)");
        assert_eq!(label("店 1", 0), "店 1");
        let unsafe_names = [
            "<script>", "a\nb", "a\"b", "a'b", "{#MACRO}", "{$X}", "a%3Cb", "a<b", "\u{fffd}", "a\\",
            "[*]?&;`|",
        ];
        let labels = unsafe_names.map(|name| label(name, 0));
        assert_eq!(labels[..3], ["%3Cscript%3E", "a%0Ab", "a%22b"]);
        for (at, one) in labels.iter().enumerate() {
            assert!(!one.contains(['<', '>', '"', '\'', '{', '}', '$', '\\', '\n', '*', '[', '&']), "{one}");
            assert!(!labels[..at].contains(one), "{one}");
        }
        let long = "é".repeat(500);
        assert_eq!(label(&long, 7).chars().count(), LABEL_CHARS_MAX + 2);
        assert_ne!(label(&long, 7), label(&long, 8));
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
