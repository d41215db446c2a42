//! Real servers with real agents and the plugin.

use std::fs;
use std::path::{Path, PathBuf};

use oomwatch_tests::zabbix::Zabbix;
use oomwatch_tests::{Error, Generation, binaries};
use serde_json::{Value, json};

/// The template files for a version, in one language.
fn files(generation: Generation, language: &str) -> Vec<PathBuf> {
    let directory = binaries::workspace().join("templates").join(generation.name()).join(language);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_is_imported_whole_and_a_second_import_changes_nothing() -> Result<(), Error> {
    for generation in Generation::ALL {
        let zabbix = Zabbix::start(generation)?;
        let mut wrong = Vec::new();
        for language in ["", "ja"] {
            let files = files(generation, language);
            assert!(!files.is_empty(), "{generation} {language}");
            for file in files {
                if let Err(why) = import(&zabbix, &file)? {
                    wrong.push(format!("{}:\n{why}", file.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    Ok(())
}

/// What is wrong with a file in the eyes of a server.
fn import(zabbix: &Zabbix, file: &Path) -> Result<Result<(), String>, Error> {
    let text = read(file);
    if let Err(refused) = zabbix.api().import(&text) {
        return Ok(Err(refused.to_string()));
    }
    let changes = zabbix.api().compare_import(&text)?;
    if changes != json!([]) {
        return Ok(Err(format!("a second import would change {changes}")));
    }
    let ours = zabbix.parse(&text)?["zabbix_export"].take();
    let names: Vec<&str> = ours["templates"]
        .as_array()
        .expect("templates")
        .iter()
        .filter_map(|t| t["template"].as_str())
        .collect();
    let theirs = zabbix.parse(&zabbix.api().export(&names)?)?["zabbix_export"].take();
    let mut differences = Vec::new();
    compare("", &ours, &theirs, &mut differences);
    Ok(if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) })
}

/// Where two exports differ. The order of a list counts only where its elements have nothing to be told apart by.
fn compare(at: &str, ours: &Value, theirs: &Value, differences: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for name in names.into_iter().filter(|name| *name != "date") {
                compare(&format!("{at}/{name}"), &ours[name], &theirs[name], differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let (a, b) = (sorted(a), sorted(b));
            for (index, (a, b)) in a.iter().zip(&b).enumerate() {
                compare(&format!("{at}/{}", identity(a).unwrap_or(index.to_string())), a, b, differences);
            }
        }
        _ if plain(ours) == plain(theirs) => {}
        _ => differences.push(format!("{at}: ours {ours}, the server's {theirs}")),
    }
}

fn sorted(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    list.sort_by_key(identity);
    list
}

fn identity(value: &Value) -> Option<String> {
    let name = |name: &str| value[name].as_str().map(ToOwned::to_owned);
    if let (Some(x), Some(y)) = (value.get("type"), value.get("width")) {
        return Some(format!("{x} {y} {} {}", value["x"], value["y"]));
    }
    ["uuid", "macro", "tag", "key", "name"].into_iter().find_map(name)
}

/// YAML's `1` and `'1'` are the same to a server.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
