//! Real servers with real agents and the plugin.

mod host;
mod lines;
mod person;
mod scenes;
mod triggers;

use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use oomwatch_tests::zabbix::Zabbix;
use oomwatch_tests::{Error, Generation, Limited, binaries};
use serde_json::Value;
use tempfile::TempDir;

use host::{HostUnderTest, SOON};
use person::Person;

fn templates(generation: Generation, language: &str) -> PathBuf {
    binaries::workspace().join("templates").join(generation.name()).join(language)
}

/// The template files for a version, in one language.
fn files(generation: Generation, language: &str) -> Vec<PathBuf> {
    let directory = templates(generation, language);
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
fn server_6_0_imports_the_templates_and_raises_their_problems() -> Result<(), Error> {
    serve(Generation::V6_0)
}

#[test]
fn server_7_0_imports_the_templates_and_raises_their_problems() -> Result<(), Error> {
    serve(Generation::V7_0)
}

/// One server for all steps; those that mostly wait run in parallel.
fn serve(generation: Generation) -> Result<(), Error> {
    let zabbix = Zabbix::start(generation)?;
    let mut person = Person::log_in(&zabbix)?;
    person.import(&templates(generation, "").join("oomwatch_linux_agent2.yaml"))?;
    zabbix.api().template("OomWatch Linux by Zabbix agent 2")?;
    every_file_is_imported_completely_and_a_second_import_changes_nothing(&zabbix, "")?;
    triggers::all_have_scenes(&zabbix)?;
    thread::scope(|scope| {
        let running = [
            scope.spawn(|| kill_is_the_only_problem_of_a_host_with_stock_software(&zabbix, &person)),
            scope.spawn(|| triggers::fire_and_recover(&zabbix)),
            scope.spawn(|| triggers::fire_and_recover_by_the_clock(&zabbix)),
            scope.spawn(|| lines::all_templates_have_values_and_harmless_lines_raise_nothing(&zabbix)),
        ];
        running.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    // The same templates in another language: earlier problems keep their names.
    every_file_is_imported_completely_and_a_second_import_changes_nothing(&zabbix, "ja")?;
    if generation == Generation::V7_0 {
        person.speak_japanese()?;
        kill_is_a_problem_in_japanese(&zabbix, &person)?;
    }
    Ok(())
}

fn every_file_is_imported_completely_and_a_second_import_changes_nothing(
    zabbix: &Zabbix,
    language: &str,
) -> Result<(), Error> {
    let files = files(zabbix.generation(), language);
    assert!(!files.is_empty(), "{} {language}", zabbix.generation());
    let mut wrong = Vec::new();
    for file in files {
        if let Err(why) = import(zabbix, &file)? {
            wrong.push(format!("{}:\n{why}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

const LIMIT_BYTES: u64 = 30 << 20;

fn kill_is_the_only_problem_of_a_host_with_stock_software(
    zabbix: &Zabbix,
    person: &Person<'_>,
) -> Result<(), Error> {
    let passive = HostUnderTest::plain(zabbix, "OomWatch Linux by Zabbix agent 2")?;
    let active = HostUnderTest::plain(zabbix, "OomWatch Linux by Zabbix agent 2 active")?;
    let victim = Victim::new(zabbix.generation());
    kill(
        zabbix,
        &victim,
        &[&passive, &active],
        person,
        "OOM kill",
        ["OomWatch: Memory", "Memory", "Services and cgroups"],
    )
}

fn kill_is_a_problem_in_japanese(zabbix: &Zabbix, person: &Person<'_>) -> Result<(), Error> {
    let host = HostUnderTest::plain(zabbix, "OomWatch Linux by Zabbix agent 2")?;
    let victim = Victim::new(zabbix.generation());
    kill(
        zabbix,
        &victim,
        &[&host],
        person,
        "メモリ cgroup",
        ["OomWatch: メモリ", "メモリ", "サービスと cgroup"],
    )
}

/// Has the victim killed. Each host has a problem with these words, which is visible in the frontend, as are the pages of
/// the host's dashboard.
fn kill(
    zabbix: &Zabbix,
    victim: &Victim,
    hosts: &[&HostUnderTest],
    person: &Person<'_>,
    words: &str,
    dashboard: [&str; 3],
) -> Result<(), Error> {
    person.wait_for_values_in_graphs();
    let cause = victim.die();
    for host in hosts {
        let problem = zabbix.api().wait_for_problem(&host.host, &victim.name, SOON)?;
        let problem = problem.unwrap_or_else(|| panic!("no problem: {}", host.seen(zabbix)));
        let seconds = problem.seconds_after(cause);
        assert!(seconds <= SOON.as_secs(), "{}: {problem:?} after {seconds} s", zabbix.generation());
        assert!(problem.name.contains(words), "{}", problem.name);
        let others = zabbix.api().problems(&host.host)?;
        assert!(others.iter().all(|other| other.trigger == problem.trigger), "{others:#?}");
        person.see_problem(&host.host, &problem.name)?;
        person.see_dashboard(&host.host, dashboard)?;
    }
    Ok(())
}

/// A program that the kernel kills because of its memory cgroup's limit.
struct Victim {
    name: String,
    limited: Limited,
    directory: TempDir,
}

impl Victim {
    fn new(generation: Generation) -> Self {
        let name = format!("httpd-{}{}", std::process::id() % 100_000, &generation.name()[..1]);
        let limited = Limited::new(&name, LIMIT_BYTES).expect("this test needs root and a memory cgroup");
        let directory = tempfile::tempdir().expect("a directory");
        fs::copy("/usr/bin/tail", directory.path().join(&name)).expect("tail can be copied");
        Self { name, limited, directory }
    }

    /// The time at which it began to allocate memory.
    fn die(&self) -> SystemTime {
        let cause = SystemTime::now();
        let program = self.directory.path().join(&self.name);
        let (_, status) = self.limited.run_into_limit(&program).expect("it starts");
        assert!(!status.success(), "the kernel has killed it: {status}");
        cause
    }
}

/// The differences between a file and the server's objects after its import.
fn import(zabbix: &Zabbix, file: &Path) -> Result<Result<(), String>, Error> {
    let text = read(file);
    if let Err(refused) = zabbix.api().import(&text) {
        return Ok(Err(refused.to_string()));
    }
    // 6.0 reports an update if lists have another order than its own, so the members are compared.
    let changes = changed(&zabbix.api().compare_import(&text)?);
    let ours = zabbix.parse(&text)?["zabbix_export"].take();
    let names = ours["templates"].as_array().expect("templates").iter();
    let names: Vec<&str> = names.filter_map(|template| template["template"].as_str()).collect();
    let first = zabbix.parse(&zabbix.api().export(&names)?)?["zabbix_export"].take();
    zabbix.api().import(&text)?;
    let second = zabbix.parse(&zabbix.api().export(&names)?)?["zabbix_export"].take();
    let differences = [differences(&ours, &first), differences(&first, &second), changes].concat();
    Ok(if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) })
}

fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", ours, theirs, &mut differences);
    differences
}

/// The changes that an import would make: every object with `before` and `after`, member by member.
fn changed(comparison: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match comparison {
        Value::Object(members) => {
            if let (Some(after), Some(before)) = (members.get("after"), members.get("before")) {
                compare("", after, before, &mut lines);
                let name = after["name"].as_str().unwrap_or_default();
                lines.iter_mut().for_each(|line| *line = format!("{name}{line}"));
            }
            let others = members.iter().filter(|(name, _)| !matches!(name.as_str(), "after" | "before"));
            for (name, inner) in others {
                lines.extend(changed(inner).iter().map(|line| format!("{name}/{line}")));
                if matches!(name.as_str(), "added" | "removed") {
                    lines.push(format!("{name}: {inner}"));
                }
            }
        }
        Value::Array(list) => lines.extend(list.iter().flat_map(changed)),
        _ => {}
    }
    lines
}

/// The differences between two exports. The order of a list matters only if its elements have no identity.
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

/// YAML's `1` and `'1'` are the same to a server. 6.0 adds an end of line to exported scripts.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.trim_end_matches('\n').to_owned())
}
