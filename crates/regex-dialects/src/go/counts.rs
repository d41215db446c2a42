//! Counted repetitions.

/// Parses `{min}`, `{min,}` or `{min,max}`: its length and the numbers. `None` for another form, which makes the brace a
/// literal.
pub(super) fn parse_counts(text: &[u8]) -> Option<(usize, u64, Option<u64>)> {
    let mut at = 1;
    let min = parse_count(text, &mut at)?;
    let max = if text.get(at) == Some(&b',') {
        at += 1;
        if text.get(at) == Some(&b'}') { None } else { Some(parse_count(text, &mut at)?) }
    } else {
        Some(min)
    };
    (text.get(at) == Some(&b'}')).then_some((at + 1, min, max))
}

/// Parses digits without a leading zero; too many digits are a number that is too large.
fn parse_count(text: &[u8], at: &mut usize) -> Option<u64> {
    let digits = text.get(*at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = &text[*at..*at + digits];
    if digits == 0 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    *at += digits;
    Some(std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX))
}
