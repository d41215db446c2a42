//! docs/add-a-key.md, followed literally in a copy of the workspace.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        if path.is_symlink() || entry == "target" || entry == ".git" {
            continue;
        }
        let target = to.join(&entry);
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// A block of code and the line above it, which says where the code belongs.
struct Block<'a> {
    instruction: &'a str,
    code: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut instruction = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| *line != "```");
            let code = code.map(|line| format!("{line}\n")).collect();
            blocks.push(Block { instruction, code });
        } else if !line.is_empty() {
            instruction = line;
        }
    }
    blocks
}

impl Block<'_> {
    fn apply(&self, root: &Path) {
        let mut paths = self.instruction.split('`').filter(|text| text.contains('/'));
        let path = root.join(paths.next_back().unwrap());
        let text = fs::read_to_string(&path).unwrap_or_default();
        let changed = if self.instruction.starts_with("New file ") {
            assert!(!path.exists(), "{}", path.display());
            self.code.clone()
        } else if self.instruction.starts_with("Append to ") {
            text + &self.code
        } else if self.instruction.starts_with("Insert before the last `];` of ") {
            let (before, after) = text.rsplit_once("];").unwrap();
            format!("{before}{}];{after}", self.code)
        } else {
            panic!("no instruction: {}", self.instruction);
        };
        fs::write(path, changed).unwrap();
    }
}

/// The compiled dependencies of this build. Copied, they save the test several minutes; the crates of the workspace are
/// compiled again, because their paths differ.
fn copy_dependencies(to: &Path) {
    let from = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    fs::create_dir_all(to).unwrap();
    for directory in ["deps", "build", ".fingerprint"] {
        let mut command = Command::new("cp");
        // Times decide what cargo compiles again.
        let status =
            command.args(["-a", "--reflink=auto"]).arg(from.join(directory)).arg(to).status().unwrap();
        assert!(status.success(), "{directory}");
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root);
    command.env("CARGO_TARGET_DIR", root.join("target")).output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn page_adds_a_key_and_the_fast_tests_pass() {
    // Beside the other build, because /tmp may be memory.
    let copied = tempfile::tempdir_in(workspace().join("target")).unwrap();
    let root = copied.path();
    copy(&workspace(), root);
    copy_dependencies(&root.join("target/debug"));
    let page = fs::read_to_string(root.join("docs/add-a-key.md")).unwrap();
    let blocks = blocks(&page);
    assert_eq!(blocks.len(), 5, "blocks of code in docs/add-a-key.md");
    blocks.iter().for_each(|block| block.apply(root));

    // In the order of the page: the generated reference is out of date once.
    let stale = cargo(root, &["test", "--offline", "-p", "oomwatch-plugin", "--test", "reference"]);
    let message = "docs/keys.md was out of date and has been generated again: check the change and commit it";
    assert!(page.replace("\nof ", " of ").contains(message));
    assert!(!stale.status.success() && text(&stale).contains(message), "{}", text(&stale));

    let all = cargo(root, &["test", "--offline", "-p", "oomwatch-plugin"]);
    assert!(all.status.success(), "{}", text(&all));
    assert!(text(&all).contains("threads_of_all_users_and_of_an_unknown_one ... ok"), "{}", text(&all));
    let format = cargo(root, &["fmt", "--all", "--check"]);
    assert!(format.status.success(), "the page's code is not formatted: {}", text(&format));
}
