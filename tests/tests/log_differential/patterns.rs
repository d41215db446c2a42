//! Every pattern on every line.

use crate::differences::NO_ENGINE;
use crate::scene::{Question, Scene};

#[path = "../../../crates/log-follow/tests/tables/patterns.rs"]
mod tables;

use tables::{INVALID, LINES, UNSUPPORTED, VALID};

pub(crate) fn questions(scene: &Scene) -> Vec<Question> {
    let file = scene.file("lines.log", &[LINES.join(&b'\n'), b"\n".to_vec()].concat());
    let question = |pattern: &str| Question::new("log", &[&file, pattern, "", "1000"]);
    let mut questions: Vec<_> = VALID.iter().chain(INVALID).map(|pattern| question(pattern)).collect();
    questions.extend(UNSUPPORTED.iter().map(|(pattern, _)| question(pattern).differs(&NO_ENGINE)));
    questions.push(question(""));
    questions
}
