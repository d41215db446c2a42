//! Words, numbers and faults in every place.

use crate::differences::{Difference, GLOBAL_EXPRESSION, PERSISTENT_DIR};
use crate::scene::{Question, Scene};

const KEYS: [&str; 4] = ["log", "logrt", "log.count", "logrt.count"];
const LINES: &str = "one error\ntwo\nthree error\n\nfour\n";
/// As an agent's parser of numbers takes them, and not.
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
/// Faults, each in its own place: first or last of two depends on the order of the checks.
const FAULTS: [(Place, &str); 6] = [
    (Place::Pattern, "("),
    (Place::Pattern, "@nothing"),
    (Place::Lines, "0"),
    (Place::Mode, "wrong"),
    (Place::Delay, "x"),
    (Place::Options, "wrong"),
];

/// A parameter, wherever the key has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
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

/// A key's parameters, the output left out where the key has none.
struct Draft<'a> {
    key: &'a str,
    parameters: Vec<(Place, String)>,
}

impl<'a> Draft<'a> {
    fn new(key: &'a str, file: &str) -> Self {
        use Place::{Delay, Encoding, File, Lines, Mode, Options, Output, Pattern, PersistentDir};
        let places = [File, Pattern, Encoding, Lines, Mode, Output, Delay, Options, PersistentDir];
        let places = places.into_iter().filter(|place| *place != Output || !key.ends_with(".count"));
        let parameters = places.map(|place| (place, String::new())).collect();
        Self { key, parameters }.with(File, file).with(Pattern, "error")
    }

    fn with(mut self, place: Place, text: &str) -> Self {
        for (own, parameter) in &mut self.parameters {
            if *own == place {
                text.clone_into(parameter);
            }
        }
        self
    }

    /// As many parameters as needed, so that the last one is not empty.
    fn question(mut self) -> Question {
        while self.parameters.last().is_some_and(|(_, text)| text.is_empty()) {
            self.parameters.pop();
        }
        let parameters: Vec<&str> = self.parameters.iter().map(|(_, text)| text.as_str()).collect();
        let difference = self.difference();
        Question::new(self.key, &parameters).differs(difference)
    }

    fn difference(&self) -> Option<&'static Difference> {
        let has =
            |place, start| self.parameters.iter().any(|(own, text)| *own == place && text.starts_with(start));
        if has(Place::PersistentDir, "/") {
            return Some(&PERSISTENT_DIR);
        }
        (has(Place::File, "/") && has(Place::Pattern, "@")).then_some(&GLOBAL_EXPRESSION)
    }
}

pub(crate) fn questions(scene: &Scene) -> Vec<Question> {
    let file = scene.file("parameters.log", LINES);
    KEYS.into_iter()
        .flat_map(|key| [singles(key, &file), pairs(key, &file), counts(key, &file)])
        .flatten()
        .collect()
}

/// One word or number at a time.
fn singles(key: &str, file: &str) -> Vec<Question> {
    let draft = |place, text: &str| Draft::new(key, file).with(place, text).question();
    let numbers = NUMBERS.map(|number| draft(Place::Lines, number));
    let delays = DELAYS.map(|delay| draft(Place::Delay, delay));
    let modes = WORDS.map(|word| draft(Place::Mode, word));
    let options = WORDS.map(|word| draft(Place::Options, word));
    let truncated = DELAYS.map(|delay| {
        Draft::new(key, file).with(Place::Delay, delay).with(Place::Options, "copytruncate").question()
    });
    let directory = [draft(Place::PersistentDir, "/tmp")];
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
    for (number, (place, text)) in FAULTS.into_iter().enumerate() {
        questions.push(Draft::new(key, "").with(place, text).question());
        for (other, fault) in FAULTS.into_iter().skip(number + 1).filter(|(other, _)| *other != place) {
            questions.push(Draft::new(key, file).with(place, text).with(other, fault).question());
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
