//! Bytes that terminals and damaged disks add to a line.

use std::borrow::Cow;

use memchr::memmem;

use crate::scan;

/// Removes leading NUL bytes. A machine that lost power leaves blocks of them in its log, directly before the first
/// line of the next boot.
pub(crate) fn without_nuls(line: &[u8]) -> &[u8] {
    let nuls = line.iter().take_while(|b| **b == 0).count();
    &line[nuls..]
}

/// Removes colours. dmesg and journalctl can be configured to write them even into a file.
pub(crate) fn without_colours(line: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memmem::find(line, b"\x1b[") else { return Cow::Borrowed(line) };
    let mut out = line[..first].to_vec();
    let mut rest = &line[first..];
    while let Some((text, after)) = scan::cut(rest, b"\x1b[") {
        out.extend_from_slice(text);
        let parameters = after.iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
        rest = after[parameters..].strip_prefix(b"m").unwrap_or(after);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}
