//! Words, numbers and faults in every parameter.

use crate::differences::{Difference, GLOBAL_EXPRESSION, PERSISTENT_DIR};
use crate::scene::{Question, Scene};

const KEYS: [&str; 4] = ["log", "logrt", "log.count", "logrt.count"];
const LINES: &str = "one error\ntwo\nthree error\n\nfour\n";
/// Numbers that an agent's parser accepts and refuses.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "1000",
    "1001",
    "10000",
    "10001",
    "x",
    "5x",
    "+5",
    " 5",
    "5.5",
    "1e3",
    "0x5",
    "",
    "99999999999",
];
const DELAYS: [&str; 18] = [
    "0", "0.0", "-0", "1", "10", "1.5", "-1", "-0.1", "x", "1s", "1m", "5x", " 1", "1e2", "+1", ".5", "inf",
    "nan",
];
const WORDS: [&str; 10] = [
    "all",
    "skip",
    "ALL",
    "skip ",
    "wrong",
    "rotate",
    "copytruncate",
    "mtime-reread",
    "mtime-noreread",
    "Rotate",
];
/// Faults, each in one parameter: which of two is reported depends on the order of the checks.
const FAULTS: [(ParameterName, &str); 6] = [
    (ParameterName::Pattern, "("),
    (ParameterName::Pattern, "@nothing"),
    (ParameterName::Lines, "0"),
    (ParameterName::Mode, "wrong"),
    (ParameterName::Delay, "x"),
    (ParameterName::Options, "wrong"),
];

/// A parameter, independent of its position in the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ParameterName {
    File,
    Pattern,
    Encoding,
    Lines,
    Mode,
    Output,
    Delay,
    Options,
    PersistentDir,
}

/// A key's parameters. The output is left out if the key has none.
struct Draft<'a> {
    key: &'a str,
    parameters: Vec<(ParameterName, String)>,
}

impl<'a> Draft<'a> {
    fn new(key: &'a str, file: &str) -> Self {
        use ParameterName::{Delay, Encoding, File, Lines, Mode, Options, Output, Pattern, PersistentDir};
        let names = [File, Pattern, Encoding, Lines, Mode, Output, Delay, Options, PersistentDir];
        let names = names.into_iter().filter(|name| *name != Output || !key.ends_with(".count"));
        let parameters = names.map(|name| (name, String::new())).collect();
        Self { key, parameters }.with(File, file).with(Pattern, "error")
    }

    fn with(mut self, name: ParameterName, text: &str) -> Self {
        for (own, parameter) in &mut self.parameters {
            if *own == name {
                text.clone_into(parameter);
            }
        }
        self
    }

    /// Only as many parameters as needed, so that the last one is not empty.
    fn question(mut self) -> Question {
        while self.parameters.last().is_some_and(|(_, text)| text.is_empty()) {
            self.parameters.pop();
        }
        let parameters: Vec<&str> = self.parameters.iter().map(|(_, text)| text.as_str()).collect();
        let difference = self.difference();
        Question::new(self.key, &parameters).differs(difference)
    }

    fn difference(&self) -> Option<&'static Difference> {
        let has = |parameter, start| {
            self.parameters.iter().any(|(own, text)| *own == parameter && text.starts_with(start))
        };
        if has(ParameterName::PersistentDir, "/") {
            return Some(&PERSISTENT_DIR);
        }
        (has(ParameterName::File, "/") && has(ParameterName::Pattern, "@")).then_some(&GLOBAL_EXPRESSION)
    }
}

pub(crate) fn questions(scene: &Scene) -> Vec<Question> {
    let file = scene.file("parameters.log", LINES);
    KEYS.into_iter()
        .flat_map(|key| [singles(key, &file), pairs(key, &file), counts(key, &file)])
        .flatten()
        .collect()
}

/// One word or number per question.
fn singles(key: &str, file: &str) -> Vec<Question> {
    let draft = |parameter, text: &str| Draft::new(key, file).with(parameter, text).question();
    let numbers = NUMBERS.map(|number| draft(ParameterName::Lines, number));
    let delays = DELAYS.map(|delay| draft(ParameterName::Delay, delay));
    let modes = WORDS.map(|word| draft(ParameterName::Mode, word));
    let options = WORDS.map(|word| draft(ParameterName::Options, word));
    let truncated = DELAYS.map(|delay| {
        Draft::new(key, file)
            .with(ParameterName::Delay, delay)
            .with(ParameterName::Options, "copytruncate")
            .question()
    });
    let directory = [draft(ParameterName::PersistentDir, "/tmp")];
    [
        numbers.into_iter().collect::<Vec<_>>(),
        delays.into(),
        modes.into(),
        options.into(),
        truncated.into(),
        directory.into(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pairs(key: &str, file: &str) -> Vec<Question> {
    let mut questions = Vec::new();
    for (number, (parameter, text)) in FAULTS.into_iter().enumerate() {
        questions.push(Draft::new(key, "").with(parameter, text).question());
        for (other, fault) in FAULTS.into_iter().skip(number + 1).filter(|(other, _)| *other != parameter) {
            questions.push(Draft::new(key, file).with(parameter, text).with(other, fault).question());
        }
    }
    questions
}

/// Too few, too many, and empty parameters.
fn counts(key: &str, file: &str) -> Vec<Question> {
    let many = |count: usize| {
        let mut parameters = vec![file];
        parameters.resize(count, "");
        Question::new(key, &parameters)
    };
    let mut questions: Vec<_> = (1..12).map(many).collect();
    questions.extend((0..3).map(|count| Question::new(key, &vec![""; count])));
    questions
}
