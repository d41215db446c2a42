//! Files that grow, are rotated, or are absent.

use std::fs;

use oomwatch_tests::{Error, Generation};

use crate::differences::INVALID_BEFORE_A_LINE;
use crate::scene::{Question, Scene};

/// The output of the slowest item in ten seconds: all of these lines in its first value would be too early.
const LINES_OF_LIMITED: usize = 40;
const SLOWEST: u64 = 4;

pub(crate) fn compare_all(generation: Generation) -> Result<(), Error> {
    let scene = Scene::new();
    let questions = questions(&scene);
    let questions = scene.poll(generation, questions)?;
    questions.compare();
    for step in [grow, rotate, truncate, appear] {
        step(questions.scene());
        questions.compare();
    }
    Ok(())
}

fn questions(scene: &Scene) -> Vec<Question> {
    [growing(scene), limited(scene), rotated(scene), odd(scene)].into_iter().flatten().collect()
}

fn growing(scene: &Scene) -> Vec<Question> {
    let files = [
        scene.file("grows.log", "error 1\nfine\nerror 2\nno end yet: error"),
        scene.file("ends.log", "error 1\r\nerror 2\r\rerror 3\n\r\n"),
        scene.file("empty.log", ""),
    ];
    let of = |file: &String| {
        let modes = ["", "all", "skip"];
        let lines = modes.map(|mode| Question::new("log", &[file, "error", "", "100", mode, "<\\0>"]));
        let counts = modes.map(|mode| Question::new("log.count", &[file, "error", "", "100", mode]));
        let options = ["mtime-reread", "mtime-noreread"]
            .map(|option| Question::new("log", &[file, "error", "", "100", "", "", "", option]));
        lines.into_iter().chain(counts).chain(options).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

fn limited(scene: &Scene) -> Vec<Question> {
    let text: String = (0..LINES_OF_LIMITED).map(|number| format!("error {number}\n")).collect();
    let file = scene.file("limited.log", text);
    let limits = [Some(SLOWEST), Some(100), None];
    let questions = |limit: Option<u64>| {
        let text = limit.map(|lines| lines.to_string()).unwrap_or_default();
        let questions = ["log", "log.count"].map(|key| Question::new(key, &[&file, "error", "", &text]));
        // Without a limit the agent delivers 20 lines a second, and ours 10,000, because they are one value.
        questions.map(|question| match limit {
            Some(lines) => question.paced(lines),
            None => question,
        })
    };
    limits.into_iter().flat_map(questions).collect()
}

fn rotated(scene: &Scene) -> Vec<Question> {
    scene.file("rt.log", "error 1\nerror 2\n");
    scene.file("rt.log.gz", "error that is not of the pattern\n");
    scene.file("copied.log", "error 1\nerror 2\n");
    let (names, copied) = (scene.text("^rt\\.log(\\.[0-9])?$"), scene.text("^copied\\.log(\\.[0-9])?$"));
    let mut questions = Vec::new();
    for option in ["", "rotate", "mtime-reread", "mtime-noreread"] {
        questions.push(Question::new("logrt", &[&names, "error", "", "100", "", "", "", option]));
        questions.push(Question::new("logrt", &[&names, "error", "", "100", "skip", "", "", option]));
        questions.push(Question::new("logrt.count", &[&names, "error", "", "100", "", "", option]));
    }
    questions.push(Question::new("logrt", &[&copied, "error", "", "100", "", "", "", "copytruncate"]));
    questions.push(Question::new("logrt.count", &[&copied, "error", "", "100", "", "", "copytruncate"]));
    questions
}

/// Directories, names and patterns of names that are wrong or do not exist yet.
fn odd(scene: &Scene) -> Vec<Question> {
    fs::create_dir(scene.path("directory")).expect("a directory of the test's own");
    let ask = |path: &str| {
        ["log", "log.count", "logrt", "logrt.count"].map(|key| Question::new(key, &[path, "error"]))
    };
    let mut questions = Vec::new();
    questions.extend(ask(&scene.text("later.log")));
    questions.extend(ask(&scene.text("nowhere/x.log")));
    questions.extend(ask(&scene.text("directory")));
    questions.extend(ask(&scene.text("directory/")));
    questions.extend(ask("relative.log"));
    questions.extend(ask("/"));
    questions.extend(ask(&scene.text("empty.log/x")));
    questions.extend(ask("/dev/null"));
    for pattern in ["(", "[z-a]", "*", "a{3,2}", "(?<=a+)b", "(a)\\2", "\\p{Foo}"] {
        questions.push(Question::new("logrt", &[&scene.text(pattern), "error"]));
        questions.push(Question::new("logrt.count", &[&scene.text(pattern), "error"]));
    }
    let empty = scene.file("stays-empty.log", "");
    questions.push(Question::new("log", &[&empty, "("]).differs(Some(&INVALID_BEFORE_A_LINE)));
    questions
}

fn grow(scene: &Scene) {
    for name in ["grows.log", "ends.log", "empty.log", "rt.log", "copied.log"] {
        scene.append(name, "error added\nfine added\nmore: error\n");
    }
}

fn rotate(scene: &Scene) {
    scene.append("rt.log", "error at the last moment\n");
    fs::rename(scene.path("rt.log"), scene.path("rt.log.1")).expect("a file of the test's own");
    scene.file("rt.log", "error in the new file\n");
    fs::copy(scene.path("copied.log"), scene.path("copied.log.1")).expect("a file of the test's own");
    scene.truncate("copied.log");
    scene.append("copied.log", "error after the copy\n");
}

fn truncate(scene: &Scene) {
    scene.truncate("grows.log");
    scene.append("grows.log", "error anew\n");
}

fn appear(scene: &Scene) {
    scene.file("later.log", "error 1\nfine\nerror 2\n");
}
