//! Matches file names with patterns as fnmatch(3) does; httpd's Include and php-fpm's include use the same ones.

/// Returns whether a name matches a pattern with `*`, `?`, `[a-z]`, `[!a-z]` and `\`. A dot at the start must be explicit.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    // The position to continue from if the text after the last `*` does not match: one byte more for the star.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        match (name.get(n), one(pattern, p, name.get(n))) {
            (None, _) if p == pattern.len() => return true,
            (Some(_), Some(next)) => (p, n) = (next, n + 1),
            (None, _) => return false,
            (Some(_), None) => match &mut retry {
                Some((star, from)) => {
                    *from += 1;
                    (p, n) = (*star, *from);
                }
                None => return false,
            },
        }
    }
}

/// Returns the end of the pattern's element at `p`, if it matches the byte.
fn one(pattern: &[u8], p: usize, byte: Option<&u8>) -> Option<usize> {
    let byte = *byte?;
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => bracket(pattern, p, byte).unwrap_or_else(|| (byte == b'[').then_some(p + 1)),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Matches a bracket. `None` if it is never closed, because then it is an ordinary character.
fn bracket(pattern: &[u8], start: usize, byte: u8) -> Option<Option<usize>> {
    let mut p = start + 1;
    let negated = matches!(pattern.get(p)?, b'!' | b'^');
    p += usize::from(negated);
    let (first, mut matched) = (p, false);
    loop {
        let (low, next) = member(pattern, p)?;
        if pattern[p] == b']' && p > first {
            return Some((matched != negated).then_some(p + 1));
        }
        p = next;
        let mut high = low;
        if pattern.get(p) == Some(&b'-') && pattern.get(p + 1).is_some_and(|end| *end != b']') {
            (high, p) = member(pattern, p + 1)?;
        }
        matched |= (low..=high).contains(&byte);
    }
}

fn member(pattern: &[u8], p: usize) -> Option<(u8, usize)> {
    match (*pattern.get(p)?, pattern.get(p + 1)) {
        (b'\\', Some(next)) => Some((*next, p + 2)),
        (byte, _) => Some((byte, p + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_fnmatch() {
        let yes = [
            ("*.conf", "a.conf"),
            ("*", "a"),
            ("0[0-9]-*.load", "07-mpm.load"),
            ("?a", "ba"),
            ("[!a]b", "cb"),
            ("[]x]", "]"),
            ("a\\*", "a*"),
            ("*a*b*c", "xxaxxbxxc"),
            (".*", ".hidden"),
            ("[", "["),
            ("a[b", "a[b"),
            ("[a-c]x", "bx"),
            (".*", ".x"),
        ];
        let no = [
            ("*.conf", ".a.conf"),
            ("*.conf", "a.conf~"),
            ("[!a]b", "ab"),
            ("?", ""),
            ("", "a"),
            ("a\\*", "ab"),
            ("*.CONF", "a.conf"),
            ("[a-c]x", "dx"),
        ];
        for (pattern, name) in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        // An implementation that returns to every star would take exponential time.
        assert!(!matches("*a".repeat(30).as_bytes(), "a".repeat(29).as_bytes()));
    }
}
