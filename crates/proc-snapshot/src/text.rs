//! Text rules of the built-in keys: lines of `status` and `meminfo`, and Go's white space and base names.

/// The amount of memory on a line of `status` or `meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// The line is missing or empty.
    Absent,
    /// A number with a known unit, converted to bytes.
    Bytes(u64),
    /// Not a number with a known unit.
    Garbled,
}

impl Amount {
    /// Returns the amount as `proc.get` writes it.
    pub(crate) fn or_minus_one(self) -> i64 {
        match self {
            Self::Bytes(bytes) => i64::try_from(bytes).unwrap_or(-1),
            Self::Absent | Self::Garbled => -1,
        }
    }
}

/// Splits lines at their first colon; lines without a colon are skipped.
pub(crate) fn lines(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    data.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((&line[..colon], &line[colon + 1..]))
    })
}

/// Parses the part after the colon of a line such as `VmRSS:    1234 kB`.
pub(crate) fn amount(value: &[u8]) -> Amount {
    if value.len() < 3 {
        return Amount::Absent;
    }
    let (digits, unit) = value.split_at(value.len() - 2);
    let shift = match unit {
        b"kB" => 10,
        b"mB" => 20,
        b"GB" => 30,
        b"TB" => 40,
        _ => return Amount::Garbled,
    };
    let bytes = number(digits.trim_ascii()).and_then(|number| number.checked_mul(1 << shift));
    bytes.map_or(Amount::Garbled, Amount::Bytes)
}

/// Returns an amount of `meminfo` in bytes.
///
/// `procfs::Meminfo` is not used: it refuses a file that lacks any of 17 lines, `Slab` and `VmallocTotal` among them,
/// which sandboxes such as gVisor leave out.
pub(crate) fn meminfo_bytes(meminfo: &[u8], field: &str) -> Option<u64> {
    lines(meminfo).find_map(|(key, value)| match amount(value) {
        Amount::Bytes(bytes) if key == field.as_bytes() => Some(bytes),
        _ => None,
    })
}

/// Parses a decimal number without sign.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// Parses a decimal number that may have a minus sign.
pub(crate) fn signed(digits: &[u8]) -> Option<i64> {
    match digits.strip_prefix(b"-") {
        Some(rest) => number(rest).and_then(|number| 0_i64.checked_sub_unsigned(number)),
        None => number(digits).and_then(|number| i64::try_from(number).ok()),
    }
}

/// Removes Unicode white space from both ends, as Go does.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let Some(length) = leading_space(bytes) {
        bytes = &bytes[length..];
    }
    while let Some(length) = trailing_space(bytes) {
        bytes = &bytes[..bytes.len() - length];
    }
    bytes
}

/// Returns the first word.
pub(crate) fn first_word(bytes: &[u8]) -> &[u8] {
    let word = trim(bytes);
    let end = (0..word.len()).find(|&at| leading_space(&word[at..]).is_some());
    &word[..end.unwrap_or(word.len())]
}

/// Returns the length of the white-space character at the start, if there is one.
fn leading_space(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return char::from(first).is_whitespace().then_some(1);
    }
    (2..=bytes.len().min(3)).find(|&length| is_one_space(&bytes[..length]))
}

fn trailing_space(bytes: &[u8]) -> Option<usize> {
    let last = *bytes.last()?;
    if last.is_ascii() {
        return char::from(last).is_whitespace().then_some(1);
    }
    (2..=bytes.len().min(3)).find(|&length| is_one_space(&bytes[bytes.len() - length..]))
}

fn is_one_space(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let mut chars = text.chars();
        chars.next().is_some_and(char::is_whitespace) && chars.next().is_none()
    })
}

/// Returns the last component of a path, as Go's `filepath.Base` does.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let Some(end) = path.iter().rposition(|&byte| byte != b'/') else { return b"/" };
    let start = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    &path[start..=end]
}

/// Returns the name of a process as `proc.get` does: the kernel's, completed from the first word of the command line if
/// that begins with it and is longer. A colon at the end (`nginx: worker`) is removed.
pub(crate) fn full_name<'a>(kernel_name: &'a [u8], cmdline: &'a [u8]) -> &'a [u8] {
    let word = first_word(cmdline);
    if !word.is_empty() {
        let base = without_colon(base_name(word));
        if base.len() > kernel_name.len() && base.starts_with(kernel_name) {
            return base;
        }
    }
    without_colon(kernel_name)
}

fn without_colon(name: &[u8]) -> &[u8] {
    name.strip_suffix(b":").unwrap_or(name)
}

/// Returns the name of `stat` as `status` writes it: newline and backslash escaped.
pub(crate) fn status_name(comm: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(comm.len());
    for &byte in comm {
        match byte {
            b'\n' => name.extend_from_slice(b"\\n"),
            b'\\' => name.extend_from_slice(b"\\\\"),
            _ => name.push(byte),
        }
    }
    trim(&name).to_vec()
}

/// A command line by the rules of the built-in keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cmdline {
    /// NUL turned into space.
    spaced: Vec<u8>,
    /// Where the first NUL was.
    first_end: Option<usize>,
}

impl Cmdline {
    pub(crate) fn new(mut raw: Vec<u8>) -> Self {
        let first_end = raw.iter().position(|&byte| byte == 0);
        raw.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        Self { spaced: raw, first_end }
    }

    /// Returns the text that patterns are matched against: one space at the end is removed.
    pub(crate) fn matched(&self) -> &[u8] {
        &self.spaced[..matched_length(&self.spaced)]
    }

    pub(crate) fn arg0(&self) -> &[u8] {
        arg0(&self.spaced[..self.first_end.unwrap_or(self.spaced.len())], self.first_end.is_some())
    }
}

/// Returns the length of a command line, with NUL replaced by space, that is matched.
pub(crate) fn matched_length(spaced: &[u8]) -> usize {
    spaced.len() - usize::from(spaced.last() == Some(&b' '))
}

/// Returns the last component of the first argument. A line without NUL is a title set by the process and stays whole.
pub(crate) fn arg0(first: &[u8], ended: bool) -> &[u8] {
    let slash = first.iter().rposition(|&byte| byte == b'/').filter(|_| ended);
    &first[slash.map_or(0, |slash| slash + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_need_a_number_and_a_unit() {
        assert_eq!(amount(b"\t    1234 kB"), Amount::Bytes(1234 * 1024));
        assert_eq!(amount(b" 1 TB"), Amount::Bytes(1 << 40));
        assert_eq!(amount(b""), Amount::Absent);
        for garbled in [&b"  12"[..], b" x kB", b" -1 kB", b" 18446744073709551615 kB", b"   kB", b" 1 KB"] {
            assert_eq!(amount(garbled), Amount::Garbled, "{garbled:?}");
        }
    }

    #[test]
    fn white_space_is_that_of_unicode() {
        assert_eq!(trim("\u{3000} a\u{85}b \u{a0}\n".as_bytes()), "a\u{85}b".as_bytes());
        assert_eq!(trim(b"\xc2"), b"\xc2");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(first_word("  a\u{2003}b c".as_bytes()), b"a");
        assert_eq!(first_word(b"\xff\xfe x"), b"\xff\xfe");
    }

    #[test]
    fn base_names_equal_those_of_go() {
        for (path, base) in
            [("", "."), ("/", "/"), ("///", "/"), ("/a/b", "b"), ("/a/b/", "b"), ("a", "a"), ("a//", "a")]
        {
            assert_eq!(base_name(path.as_bytes()), base.as_bytes(), "{path}");
        }
    }

    #[test]
    fn names_are_completed_from_the_first_word() {
        let full = |name: &str, cmdline: &str| {
            String::from_utf8(full_name(name.as_bytes(), cmdline.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(full("systemd-journal", "/usr/lib/systemd/systemd-journald"), "systemd-journald");
        assert_eq!(full("nginx", "nginx: worker process"), "nginx");
        assert_eq!(full("python", "/usr/bin/python3.11 x"), "python3.11");
        assert_eq!(full("bash", "-bash"), "bash");
        assert_eq!(full("kthreadd", ""), "kthreadd");
        assert_eq!(full("a:", ""), "a");
    }

    #[test]
    fn signed_numbers() {
        assert_eq!(signed(b"-1"), Some(-1));
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(signed(b"-"), None);
    }
}
