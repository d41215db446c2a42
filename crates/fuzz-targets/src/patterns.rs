//! Both dialects of regular expressions. The first line of an input is the pattern, the others are searched.

use std::ops::Range;

use regex_dialects::go::{Pattern as GoPattern, PatternErrorKind};
use regex_dialects::pcre2::{Pattern, PatternError, Searcher, Verdict};

/// The number of lines that are searched, because some patterns take long.
const LINES_MAX: usize = 8;

fn split(input: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let mut lines = input.split(|byte| *byte == b'\n');
    (lines.next().unwrap_or_default(), lines.take(LINES_MAX))
}

/// Compares a pattern with PCRE2: whether it is valid, and the match with its groups.
pub fn pcre2_patterns(input: &[u8]) {
    let (text, lines) = split(input);
    // The agent passes parameters as text, and compiles with the option UTF.
    let Ok(text) = std::str::from_utf8(text) else { return };
    let reference = pcre2::bytes::RegexBuilder::new().utf(true).multi_line(true).build(text);
    let ours = Pattern::new(text);
    let (reference, ours) = match (reference, ours) {
        (Ok(reference), Ok(ours)) => (reference, ours),
        (Err(_), Err(_)) => return,
        (reference, ours) => return check_refusal(text, reference.err(), ours.err()),
    };
    for line in lines {
        check_searcher(&ours, line);
        // The empty pattern stands for the whole line, as an item without a pattern delivers it.
        if std::str::from_utf8(line).is_ok() && !text.is_empty() && !has_newer_matches(text) {
            compare(text, &reference, &ours, line);
        }
    }
}

/// One of the two refused the pattern.
fn check_refusal(text: &str, reference: Option<pcre2::Error>, ours: Option<PatternError>) {
    let known = match &ours {
        // The reason says what is not supported.
        Some(error) => !error.refused_by_pcre2 || is_newer_syntax(text),
        None => is_newer_syntax(text),
    };
    let outcome = |error: Option<String>| error.unwrap_or_else(|| "accepts".to_owned());
    let (reference, ours) = (reference.map(|error| error.to_string()), ours.map(|error| error.to_string()));
    assert!(known, "{text:?}: PCRE2 {}, here {}", outcome(reference), outcome(ours));
}

/// Syntax that changed between PCRE2 10.42, which is the model, and the version that is compared with.
fn is_newer_syntax(text: &str) -> bool {
    let longer_names = ["(?<", "(?P<", "(?'"];
    let others = ["(*", "\\x", "\\o", "\\N", "(?^", "(?a"];
    longer_names.iter().chain(&others).any(|new| text.contains(new)) || has_newer_count(text)
}

/// `{,3}` and blanks in `{ 1, 3 }` are counts since 10.43, and text before.
fn has_newer_count(text: &str) -> bool {
    text.contains('{') && ["{,", "{ ", " ,", ", ", " }"].iter().any(|new| text.contains(new))
}

/// Patterns whose matches changed as well.
fn has_newer_matches(text: &str) -> bool {
    let has_property = text.contains("\\p") || text.contains("\\P");
    has_newer_count(text) || (has_property && text.contains("(?"))
}

fn compare(text: &str, reference: &pcre2::bytes::Regex, ours: &Pattern, line: &[u8]) {
    // PCRE2 gives up at another number of steps.
    let Ok(theirs) = reference.captures(line) else { return };
    if ours.verdict(line) == Verdict::StepLimit {
        return;
    }
    let ours = ours.captures(line);
    let range = |part: &[u8]| {
        let start = part.as_ptr().addr() - line.as_ptr().addr();
        start..start + part.len()
    };
    let theirs: Option<Vec<Option<Range<usize>>>> = theirs
        .map(|found| (0..found.len()).map(|group| found.get(group).map(|m| m.start()..m.end())).collect());
    let ours: Option<Vec<Option<Range<usize>>>> =
        ours.map(|found| (0..=found.groups()).map(|group| found.get(group).map(range)).collect());
    // A group that is repeated and can be empty keeps another text: see the documentation of `Pattern`.
    let groups = if has_repeated_group(text) { 1 } else { usize::MAX };
    assert_eq!(
        first(theirs, groups),
        first(ours, groups),
        "{text:?} on {:?}",
        line.escape_ascii().to_string()
    );
}

fn has_repeated_group(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0] == b')' && b"*+?{".contains(&pair[1]))
}

/// Groups at the end that did not match may be left out.
fn first(found: Option<Vec<Option<Range<usize>>>>, count: usize) -> Option<Vec<Option<Range<usize>>>> {
    let mut groups = found?;
    groups.truncate(count);
    while groups.last().is_some_and(Option::is_none) {
        groups.pop();
    }
    Some(groups)
}

/// A search over a whole buffer finds a line if and only if the line matches.
fn check_searcher(pattern: &Pattern, line: &[u8]) {
    let is_match = pattern.is_match(line);
    if line.contains(&b'\r') {
        return;
    }
    let buffer = [b"\n", line, b"\n"].concat();
    let is_utf8 = std::str::from_utf8(line).is_ok();
    let found = match pattern.searcher() {
        Searcher::EveryLine => Some(1),
        Searcher::Literal(finder) => finder.find(&buffer),
        Searcher::Linear(regex) if is_utf8 => regex.find_at(&buffer, 1).map(|found| found.start()),
        Searcher::Linear(_) | Searcher::EachLine => return check_required(pattern, line, is_match),
    };
    let is_found = found.is_some_and(|start| start <= line.len() + 1);
    assert_eq!(is_found, is_match, "{pattern:?} in a buffer with {:?}", line.escape_ascii().to_string());
    check_required(pattern, line, is_match);
}

/// A line that matches contains one of the texts that the pattern requires.
fn check_required(pattern: &Pattern, line: &[u8], is_match: bool) {
    if let Some(search) = pattern.required_search() {
        assert!(
            !is_match || search.find(line).is_some(),
            "{pattern:?} on {:?}",
            line.escape_ascii().to_string()
        );
    }
}

/// Compiles a pattern of Go's dialect. A plain pattern has the same meaning as in the regex crate.
pub fn go_patterns(input: &[u8]) {
    let (text, lines) = split(input);
    let ours = GoPattern::new(text);
    if let Err(error) = &ours {
        let is_large = text.contains(&b'{') || text.len() > 1000;
        assert!(
            error.kind() != PatternErrorKind::TooLarge || is_large,
            "the translation is not valid: {error}"
        );
    }
    let plain = std::str::from_utf8(text).ok().filter(|text| is_plain(text));
    let Some(plain) = plain else {
        return lines.for_each(|line| _ = ours.as_ref().map(|ours| ours.is_match(line)));
    };
    let reference = regex::bytes::Regex::new(plain);
    let Ok(ours) = ours else {
        let kind = ours.err().map(|error| error.kind());
        let is_stricter = kind == Some(PatternErrorKind::InvalidRepeatOp);
        assert!(reference.is_err() || is_stricter, "{plain:?} is refused: {kind:?}");
        return;
    };
    let reference = reference.expect("a plain pattern that Go accepts is valid for the regex crate");
    for line in lines.filter(|line| line.is_ascii()) {
        let line_text = line.escape_ascii();
        assert_eq!(ours.is_match(line), reference.is_match(line), "{plain:?} on \"{line_text}\"");
    }
}

/// Syntax that means the same in both.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" _-,:/=.|()*+?^$".contains(&byte);
    text.bytes().all(is_plain) && !text.contains("(?")
}
