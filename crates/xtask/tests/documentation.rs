//! The written pages: links lead to files and headings that exist, and docs/reliability.md names tests that exist.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns all files with this extension, without hidden and build directories.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && name != "target" {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// Returns the text of a page without code: blocks of code contain brackets that are not links.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with("    ") {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// Returns the targets of inline links and images.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Returns the anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == wanted)
}

/// Returns what is wrong with a link, if anything.
fn fault(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !path.exists() {
        return Some(format!("{}: {target}: there is no such file", page.display()));
    }
    if heading.is_empty() {
        return None;
    }
    let there = if file.is_empty() { text.to_owned() } else { fs::read_to_string(&path).unwrap() };
    (!has_anchor(&there, heading)).then(|| format!("{}: {target}: there is no such heading", page.display()))
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    // Below `src` are parts that a generator puts into pages elsewhere.
    let is_page = |path: &PathBuf| !path.iter().any(|part| part == "src");
    let pages: Vec<_> = files(&workspace(), "md").into_iter().filter(is_page).collect();
    assert!(pages.len() > 20, "{pages:?}");
    let mut faults = Vec::new();
    let mut checked = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let prose = prose(&text);
        checked += links(&prose).count();
        faults.extend(links(&prose).filter_map(|target| fault(&page, &text, target)));
    }
    assert!(checked > 100, "only {checked} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the names of the workspace's tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files(&workspace(), "rs") {
        let text = fs::read_to_string(file).unwrap();
        for (_, after) in text.match_indices("#[test]").map(|(at, mark)| text.split_at(at + mark.len())) {
            let name = after.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn the_page_on_reliability_names_tests_that_exist() {
    let text = fs::read_to_string(workspace().join("docs/reliability.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|') && line.ends_with("` |"));
    let named: Vec<_> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() > 40, "{named:?}");
    let tests = tests();
    let missing: Vec<_> = named.into_iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/reliability.md names tests that do not exist: {missing:#?}");
}
