//! Parsing steps over bytes that the other modules share.

use memchr::memmem;

/// Returns the number at the front of `bytes` and the rest; none without a digit or beyond 64 bits.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (front, rest) = bytes.split_at(digits);
    let text = std::str::from_utf8(front).ok()?;
    Some((text.parse().ok()?, rest))
}

/// As [`number`], for process and user ids.
pub(crate) fn id(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = number(bytes)?;
    Some((value.try_into().ok()?, rest))
}

/// As [`number`], with a sign, for scores.
pub(crate) fn signed(bytes: &[u8]) -> Option<(i64, &[u8])> {
    match bytes.strip_prefix(b"-") {
        Some(rest) => number(rest).and_then(|(v, rest)| Some((i64::try_from(v).ok()?.checked_neg()?, rest))),
        None => number(bytes).and_then(|(v, rest)| Some((v.try_into().ok()?, rest))),
    }
}

/// Returns the bytes before and after the first `needle`.
pub(crate) fn cut<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(bytes, needle)?;
    Some((&bytes[..at], &bytes[at + needle.len()..]))
}

/// Returns the bytes before and after the last `needle`.
pub(crate) fn rcut<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::rfind(bytes, needle)?;
    Some((&bytes[..at], &bytes[at + needle.len()..]))
}

/// Returns the bytes up to the first blank, and the bytes after the blanks.
pub(crate) fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', bytes).unwrap_or(bytes.len());
    (&bytes[..end], skip_blanks(&bytes[end..]))
}

pub(crate) fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    &bytes[blanks..]
}

/// Whether `bytes` begin with `front`, ignoring case.
pub(crate) fn begins(bytes: &[u8], front: &[u8]) -> bool {
    bytes.get(..front.len()).is_some_and(|head| head.eq_ignore_ascii_case(front))
}

/// Copies `bytes`, shortened to `most`: stored names and paths must not grow with the line.
pub(crate) fn owned(bytes: &[u8], most: usize) -> Box<[u8]> {
    bytes[..bytes.len().min(most)].into()
}
