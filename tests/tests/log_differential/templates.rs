//! Output templates for a matching line.

use oomwatch_tests::Generation;

use crate::differences::FIRST_GROUP;
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

pub(crate) fn questions(scene: &Scene, generation: Generation) -> Vec<Question> {
    let file = scene.file("templates.log", LINES);
    let pairs = PATTERNS.into_iter().flat_map(|pattern| TEMPLATES.map(|template| (pattern, template)));
    let question = |(pattern, template): (&str, &str)| {
        let first_group = generation == Generation::V6_0 && template.contains("\\@") && !pattern.is_empty();
        Question::new("log", &[&file, pattern, "", "1000", "", template])
            .differs(first_group.then_some(&FIRST_GROUP))
    };
    pairs.map(question).collect()
}
