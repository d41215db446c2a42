//! ASCII classes that both dialects have, as inclusive ranges of code points.

pub(crate) type Ranges = &'static [(u32, u32)];

pub(crate) const DIGIT: Ranges = &[(0x30, 0x39)];
pub(crate) const WORD: Ranges = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
pub(crate) const ALPHA: Ranges = &[(0x41, 0x5a), (0x61, 0x7a)];
/// POSIX `space`, which is also PCRE2's `\s`. Go's `\s` has no vertical tab.
pub(crate) const SPACE: Ranges = &[(0x09, 0x0d), (0x20, 0x20)];

/// Returns the class of `[:name:]`.
pub(crate) fn posix(name: &[u8]) -> Option<Ranges> {
    Some(match name {
        b"alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        b"alpha" => ALPHA,
        b"ascii" => &[(0, 0x7f)],
        b"blank" => &[(0x09, 0x09), (0x20, 0x20)],
        b"cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        b"digit" => DIGIT,
        b"graph" => &[(0x21, 0x7e)],
        b"lower" => &[(0x61, 0x7a)],
        b"print" => &[(0x20, 0x7e)],
        b"punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        b"space" => SPACE,
        b"upper" => &[(0x41, 0x5a)],
        b"word" => WORD,
        b"xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    })
}
