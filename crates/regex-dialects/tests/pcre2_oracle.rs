//! Compares patterns with PCRE2 itself, compiled with the agent's options: the same patterns are valid and match the same lines
//! with the same groups.

#[path = "tables/pcre2.rs"]
mod tables;

use regex_dialects::pcre2::Pattern;

use tables::{INVALID, LINES, UNSUPPORTED, VALID};

/// The agents of Debian 12 have PCRE2 10.42. The reference of this test is newer; if they differ, this crate follows 10.42.
const REFUSED_BY_10_42: &[&str] =
    &["(?<=a{1,3})b", "(?<=ab(c|de))f", "(?<abcdefghijklmnopqrstuvwxyzabcdefghijklmn>a)"];

/// The reference for lines that are not UTF-8: invalid bytes match nothing, as in agents from 7.0 on. The binding sets this
/// option only together with UCP, whose effects `(?a)` removes.
fn tolerant_oracle(pattern: &str) -> Result<pcre2::bytes::Regex, pcre2::Error> {
    pcre2::bytes::RegexBuilder::new().ucp(true).multi_line(true).build(&format!("(?a){pattern}"))
}

fn oracle(pattern: &str) -> Result<pcre2::bytes::Regex, pcre2::Error> {
    pcre2::bytes::RegexBuilder::new().utf(true).multi_line(true).build(pattern)
}

type Found = Option<Vec<Option<Vec<u8>>>>;

fn theirs(regex: &pcre2::bytes::Regex, line: &[u8]) -> Found {
    let captures = regex.captures(line).expect("within its limits")?;
    Some((0..captures.len()).map(|i| captures.get(i).map(|m| m.as_bytes().to_vec())).collect())
}

fn ours(pattern: &Pattern, line: &[u8]) -> Found {
    let captures = pattern.captures(line)?;
    Some((0..=captures.groups()).map(|i| captures.get(i).map(<[u8]>::to_vec)).collect())
}

/// PCRE2 reports either all groups or those up to the last one that matched, so unmatched groups at the end are ignored.
fn trimmed(mut found: Found) -> Found {
    if let Some(groups) = &mut found {
        while groups.last().is_some_and(Option::is_none) {
            groups.pop();
        }
    }
    found
}

#[test]
fn valid_patterns_match_the_same_lines_with_the_same_groups() {
    let mut differences = Vec::new();
    let mut compared = 0;
    for text in VALID {
        let regex = match oracle(text) {
            Ok(regex) => regex,
            Err(e) => {
                differences.push(format!("{text:?}: the reference refuses it: {e}"));
                continue;
            }
        };
        let pattern = match Pattern::new(text) {
            Ok(pattern) => pattern,
            Err(e) => {
                differences.push(format!("{text:?}: refused: {e}"));
                continue;
            }
        };
        for line in LINES {
            let text_line = std::str::from_utf8(line).is_ok();
            let can_be_empty = regex.is_match(b"").unwrap();
            if !text_line && (can_be_empty || text.starts_with("(*") || text.contains("(?^")) {
                continue;
            }
            compared += 1;
            let regex = if text_line { &regex } else { &tolerant_oracle(text).unwrap() };
            let (theirs, ours) = (trimmed(theirs(regex, line)), trimmed(ours(&pattern, line)));
            if theirs != ours || pattern.is_match(line) != ours.is_some() {
                let line = line.escape_ascii();
                differences.push(format!("{text:?} on \"{line}\": PCRE2 {theirs:?}, here {ours:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(VALID.len() >= 200, "only {} patterns", VALID.len());
    assert!(compared >= VALID.len() * (LINES.len() - 7), "only {compared} comparisons");
}

#[test]
fn pattern_that_pcre2_refuses_is_refused() {
    let mut differences = Vec::new();
    for text in INVALID {
        if oracle(text).is_ok() {
            differences.push(format!("{text:?}: the reference accepts it"));
        }
        if let Ok(pattern) = Pattern::new(text) {
            differences.push(format!("{text:?}: accepted as {pattern:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn error_texts_equal_those_of_pcre2() {
    let mut differences = Vec::new();
    for text in INVALID {
        let (Err(theirs), Err(ours)) = (oracle(text), Pattern::new(text)) else { continue };
        // Newer versions have other texts, because they allow more.
        let reworded = ours.reason.starts_with("digits missing")
            || ours.reason == "lookbehind assertion is not fixed length"
            || *text == "\\x{";
        if !reworded && !theirs.to_string().contains(&ours.reason) {
            differences.push(format!("{text:?}: PCRE2 \"{theirs}\", here \"{ours}\""));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn error_position_of_a_missing_group_is_at_the_reference() {
    for (text, reference) in [(r"(a)\2bc", r"\2"), (r"(?<n>a)\k<m>bc", r"\k<m>")] {
        let start = text.find(reference).unwrap();
        let position = Pattern::new(text).map_err(|error| error.position).unwrap_err();
        assert!((start..=start + reference.len()).contains(&position), "{text:?}: {position}");
    }
}

#[test]
fn opening_of_another_class_ends_the_name_of_a_posix_class() {
    for (text, line) in [("[[:a[:digit:]]", "5"), ("[[:a[:digit:]]", ":")] {
        assert!(oracle(text).unwrap().is_match(line.as_bytes()).unwrap());
        assert!(Pattern::new(text).unwrap().is_match(line.as_bytes()), "{text:?} on {line:?}");
    }
    assert!(oracle("[[:a[b:]]").is_err() && Pattern::new("[[:a[b:]]").is_err());
}

#[test]
fn pattern_with_required_texts_has_a_search_for_them() {
    let pattern = Pattern::new("error [0-9]+").unwrap();
    assert!(pattern.required_texts().is_some() && pattern.required_search().is_some());
    let pattern = Pattern::new("[0-9]+").unwrap();
    assert!(pattern.required_texts().is_none() && pattern.required_search().is_none());
}

#[test]
fn differences_between_versions_follow_10_42() {
    for text in REFUSED_BY_10_42 {
        assert!(Pattern::new(text).is_err(), "{text:?}");
    }
    assert!(!Pattern::new(r"(?i)\p{Lu}").unwrap().is_match(b"a"));
    assert!(Pattern::new(r"\x").is_ok() && Pattern::new(r"(?<=\R)b").is_err());
    // `{,3}` is a quantifier since 10.43 and text before.
    assert!(Pattern::new("a{,3}x").unwrap().is_match(b"a{,3}x"));
    assert!(!Pattern::new("a{,3}x").unwrap().is_match(b"aax"));
}

#[test]
fn unsupported_constructs_are_named_in_the_error() {
    for (text, name) in UNSUPPORTED {
        assert!(oracle(text).is_ok(), "{text:?} is valid in PCRE2");
        let error = Pattern::new(text).expect_err(text);
        assert!(error.reason.contains(name), "{text:?}: {error}");
    }
}

#[test]
fn without_groups_compiles_as_the_agent_does() {
    // Without a back-reference by number plain parentheses do not capture.
    assert!(Pattern::without_groups("(a)?(?(1)b|c)").is_err());
    assert!(Pattern::without_groups("(?<n>a)?(?(n)b|c)").is_ok());
    // With one they do.
    assert!(Pattern::without_groups(r"(a)\1").unwrap().is_match(b"aa"));
    assert_eq!(Pattern::without_groups("(a)").unwrap().captures(b"a").unwrap().groups(), 0);
}

#[test]
fn exponential_pattern_ends() {
    let line = [b"a".repeat(5000), b"!".to_vec()].concat();
    // Exponential in a backtracking engine, linear here.
    assert!(!Pattern::new("(a+)+$").unwrap().is_match(&line));
    // Needs backtracking: the engine gives up, and the line does not match.
    assert!(!Pattern::new(r"^(?=(a+)+$)(a+)+\2b$").unwrap().is_match(&line));
    assert!(!Pattern::new(r"(a|aa)+(?<!x)\1\1b").unwrap().is_match(&line));
}
