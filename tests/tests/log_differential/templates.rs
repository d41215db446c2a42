//! What is made of a matching line.

use crate::scene::{Question, Scene};

const LINES: &str =
    "abcdefghi\n<abcdefghij> and abcdefghi again\nkey=value other\nkey=\nk=日本語\n\\1 and \\0\n\n";

const PATTERNS: [&str; 6] =
    ["", "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)?", "(\\w+)=(\\w+)?", "=(?<name>.*)", "abc", "\\\\(.)|x(y)"];

const TEMPLATES: [&str; 24] = [
    "",
    "\\0",
    "\\1",
    "\\2",
    "\\9",
    "\\1\\2\\3",
    "\\10",
    "\\00",
    "[\\1]",
    "\\",
    "\\\\",
    "\\\\1",
    "\\\\0",
    "\\@",
    "\\@\\1",
    "\\n",
    "\\a\\1",
    "text",
    "text \\",
    "日\\1本",
    " \\1 ",
    "$1",
    "&\\0&",
    "\\1,\\2]",
];

pub(crate) fn questions(scene: &Scene) -> Vec<Question> {
    let file = scene.file("templates.log", LINES.as_bytes());
    let pairs = PATTERNS.into_iter().flat_map(|pattern| TEMPLATES.map(|template| (pattern, template)));
    let question = |(pattern, template)| Question::new("log", &[&file, pattern, "", "1000", "", template]);
    pairs.map(question).collect()
}
