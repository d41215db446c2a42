//! The words of comments, pages and configuration files: see "Language" in CONTRIBUTING.md.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

const TELL: [&str; 3] = ["tell", "tells", "told"];
const VAGUE: [&str; 4] = ["whoever", "somebody", "nobody", "whatever"];

/// Hidden directories with files of the project.
const HIDDEN: [&str; 3] = [".cargo", ".config", ".github"];

/// A text that people read, with its place.
struct Line {
    place: String,
    text: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn files(directory: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_read = name != "target" && (!name.starts_with('.') || HIDDEN.contains(&name.as_str()));
        if path.is_dir() && is_read {
            files(&path, extensions, found);
        } else if path.extension().is_some_and(|end| extensions.iter().any(|extension| end == *extension)) {
            found.push(path);
        }
    }
}

/// Returns the part after `//`, `///` or `//!`, without code spans.
fn comment(line: &str) -> Option<String> {
    let (_, comment) = line.split_once("//")?;
    let text = comment.trim_start_matches(['/', '!']);
    text.starts_with(' ').then(|| without_code(text))
}

/// Returns the comment of a configuration file or script, or the description of a crate.
fn configuration_text(line: &str) -> Option<String> {
    let comment = line.split_once('#').map(|(_, comment)| comment).filter(|comment| comment.starts_with(' '));
    comment.or_else(|| line.strip_prefix("description = ")).map(without_code)
}

fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

fn lines(extensions: &[&str], read: impl Fn(&str) -> Option<String>) -> Vec<Line> {
    let mut paths = Vec::new();
    files(&workspace(), extensions, &mut paths);
    let mut lines = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(workspace()).unwrap().display().to_string();
        for (line, number) in text.lines().zip(1..) {
            lines.extend(read(line).map(|text| Line { place: format!("{name}:{number}"), text }));
        }
    }
    lines
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn hits<'l>(lines: &'l [Line], wanted: &[&str]) -> Vec<&'l str> {
    let has = |line: &&Line| words(&line.text).any(|word| wanted.contains(&word.as_str()));
    lines.iter().filter(has).map(|line| line.place.as_str()).collect()
}

/// Fails if more than `per_10_000` of 10,000 words are among the wanted ones.
fn check(lines: &[Line], wanted: &[&str], per_10_000: usize) {
    let count = lines.iter().flat_map(|line| words(&line.text)).count();
    let hits = hits(lines, wanted);
    assert!(
        hits.len() * 10_000 <= count * per_10_000,
        "{wanted:?}: {} in {count} words; see \"Language\" in CONTRIBUTING.md:\n{}",
        hits.len(),
        hits.join("\n")
    );
}

#[test]
fn comments_name_their_subjects_and_use_the_fields_words() {
    let comments = lines(&["rs"], comment);
    assert!(comments.len() > 5_000, "only {} comments found", comments.len());
    check(&comments, &TELL, 1);
    check(&comments, &VAGUE, 1);
    let (conditions, places) = (hits(&comments, &["if"]).len(), hits(&comments, &["where"]).len());
    assert!(conditions > places, "`if` in {conditions} comments, `where` in {places}");
}

#[test]
fn pages_name_their_subjects_and_use_the_fields_words() {
    let pages = lines(&["md", "txt"], |line| Some(without_code(line)));
    check(&pages, &TELL, 1);
    check(&pages, &VAGUE, 1);
}

#[test]
fn configuration_files_name_their_subjects_and_use_the_fields_words() {
    let texts = lines(&["toml", "yml", "sh", "conf"], configuration_text);
    assert!(texts.len() > 50, "only {} comments found", texts.len());
    check(&texts, &TELL, 0);
    check(&texts, &VAGUE, 0);
}

#[test]
fn code_in_comments_does_not_count() {
    assert_eq!(comment("    /// Runs as `nobody`, then").unwrap(), " Runs as  , then");
    assert_eq!(comment("let url = \"https://example.org\";"), None);
    assert_eq!(comment("let count = 1;"), None);
    assert_eq!(configuration_text("retries = 0 # see `man`").unwrap(), " see  ");
    assert_eq!(configuration_text("description = \"A crate\"").unwrap(), "\"A crate\"");
    assert_eq!(configuration_text("retries = 0"), None);
}
