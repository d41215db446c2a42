//! Every pattern on every line.

use oomwatch_tests::Generation;

use crate::differences::{AGENTS_PARSER, Difference, NO_ENGINE, NOT_UTF8};
use crate::scene::{Question, Scene};

#[path = "../../../crates/regex-dialects/tests/tables/pcre2.rs"]
mod tables;

use tables::{INVALID, LINES, UNSUPPORTED, VALID};

/// Minimum size, so that a table that lost entries by accident is noticed.
const FEWEST_PATTERNS: usize = 300;

pub(crate) fn questions(scene: &Scene, generation: Generation) -> Vec<Question> {
    let file = scene.file("lines.log", lines(generation));
    let unsupported = UNSUPPORTED.iter().map(|(pattern, _)| pattern);
    let patterns = VALID.iter().chain(INVALID).chain(unsupported).chain(&[""]);
    let questions: Vec<_> = patterns
        .map(|pattern| {
            Question::new("log", &[&file, pattern, "", "1000"]).differs(difference(pattern, generation))
        })
        .collect();
    assert!(questions.len() >= FEWEST_PATTERNS, "only {} patterns", questions.len());
    questions
}

fn difference(pattern: &str, generation: Generation) -> Option<&'static Difference> {
    match pattern {
        "[" | "[a" => Some(&AGENTS_PARSER),
        "^" | "$" | "abc\\z" | "abc\\Z" if generation == Generation::V7_0 => Some(&NOT_UTF8),
        _ => UNSUPPORTED.iter().any(|(unsupported, _)| *unsupported == pattern).then_some(&NO_ENGINE),
    }
}

/// Agent 6.0 declares every line to PCRE2 as valid UTF-8 without a check, so an invalid line can crash the agent.
fn lines(generation: Generation) -> Vec<u8> {
    let lines = LINES.iter().filter(|line| generation != Generation::V6_0 || str::from_utf8(line).is_ok());
    lines.flat_map(|line| [*line, b"\n"].concat()).collect()
}
