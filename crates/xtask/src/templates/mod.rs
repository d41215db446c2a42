//! `cargo xtask templates`: writes the templates for Zabbix. All versions and languages have one source.

mod common;
mod dashboard;
mod export;
mod linux;
mod logs;
mod model;
mod page;
mod patterns;
mod pools;
mod uuids;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::output::{Done, say};
use export::{Exporter, Language, Version};
use model::{Check, Template};
use uuids::Uuids;

/// Writes the stale files and prints their paths.
pub(crate) fn run() -> Done {
    let stale = refresh()?;
    let text = if stale.is_empty() { "all files are up to date".to_owned() } else { stale.join("\n") };
    say(&text);
    Ok(())
}

/// Returns all templates.
fn all() -> Vec<Template> {
    let checks = [Check::Passive, Check::Active];
    let makers = [linux::template, pools::apache, pools::phpfpm, pools::mysql, logs::sites];
    let templates = checks.into_iter().flat_map(|check| makers.map(|make| make(check)));
    templates.chain([logs::log(), logs::classic()]).collect()
}

/// Writes the files that differ from the source, and returns their paths.
fn refresh() -> io::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = files(&root)?;
    let mut stale = remove_unknown(&root.join("templates"), &files)?;
    for (path, text) in &files {
        if fs::read_to_string(path).is_ok_and(|stored| stored == *text) {
            continue;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, text)?;
        stale.push(path.display().to_string());
    }
    Ok(stale)
}

/// Returns the generated files: the templates, the page about them and the table of UUIDs.
fn files(root: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut uuids = Uuids::read(&root.join("crates/xtask/src/templates/uuids.txt"))?;
    let mut files = BTreeMap::new();
    let templates = all();
    for (language, path) in
        [(Language::English, "docs/templates.md"), (Language::Japanese, "docs/ja/templates.md")]
    {
        files.insert(root.join(path), page::page(&templates, language));
    }
    for template in &templates {
        for version in [Version::V6, Version::V7] {
            for (language, below) in [(Language::English, ""), (Language::Japanese, "ja")] {
                let text = Exporter { template, version, language, uuids: &mut uuids }.document()?;
                let directory = root.join("templates").join(version.name()).join(below);
                files.insert(directory.join(template.file_name()), text);
            }
        }
    }
    files.extend([uuids.file()]);
    Ok(files)
}

/// Removes the templates that the source no longer has, and returns their paths.
fn remove_unknown(directory: &Path, files: &BTreeMap<PathBuf, String>) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for below in ["6.0", "6.0/ja", "7.0", "7.0/ja"] {
        let Ok(entries) = fs::read_dir(directory.join(below)) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "yaml") && !files.contains_key(&path) {
                fs::remove_file(&path)?;
                removed.push(path.display().to_string());
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
