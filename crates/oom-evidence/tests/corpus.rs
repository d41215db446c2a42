//! Compares every field of every report of the corpus with its expected value. Other lines must give no report.
//!
//! The conventions of the expected values are in `tests/corpus/README.txt`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use oom_evidence::{Killer, Origin, Report, Victim, Witness, parse_all};
use serde_json::{Value, json};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Fields about the source of a report, not its content.
const ABOUT_THE_SOURCE: [&str; 8] =
    ["source", "kernel", "kernel_series", "format", "notes", "hard", "anonymised", "elided"];

/// Expected values that the parser cannot know: file, field, reason.
const DISPUTED: [(&str, &str, &str); 5] = [
    // A program's unfinished output stands before the kernel's time, and the header is broken within its first words.
    ("k57-i386-mkfs-console-three-headers", "invoked_by", "behind another's words"),
    ("k57-i386-mkfs-console-three-headers", "events[0].invoked_by", "behind another's words"),
    // A console that lost its newlines: only the first line has a beginning.
    ("k26x-qemu-lines-glued-together", "kills", "no newlines"),
    ("k26x-qemu-lines-glued-together", "number of events", "no newlines"),
    ("k26x-qemu-lines-glued-together", "kill_lines", "no newlines"),
];

/// Mismatches of one report.
struct Check<'a> {
    name: &'a str,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn equal(&mut self, field: &str, found: &Value, truth: &Value) {
        let is_disputed = DISPUTED.iter().any(|(name, disputed, _)| (*name, *disputed) == (self.name, field));
        if (found == truth) == is_disputed {
            self.wrong.push(format!("{}: {field}: found {found}, truth {truth}", self.name));
        }
    }
}

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!(String::from_utf8_lossy(bytes)))
}

fn kib(bytes: Option<u64>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!(bytes / 1024))
}

/// Pids with names, for lists of kills.
fn named<'a>(list: impl Iterator<Item = (u32, Option<&'a [u8]>)>) -> Value {
    Value::Array(list.map(|(pid, name)| json!([pid, text(name)])).collect())
}

fn victims(reports: &[Report]) -> impl Iterator<Item = &Victim> {
    reports.iter().flat_map(|report| &report.victims)
}

/// The report with the first kill line.
fn first_event(reports: &[Report]) -> Option<&Report> {
    let with_victims = reports.iter().find(|report| !report.victims.is_empty());
    with_victims
        .or_else(|| reports.iter().find(|report| report.kills != Some(0) && report.cgroup.is_some()))
        .or(reports.first())
}

fn kills(reports: &[Report]) -> Value {
    let unnamed: Option<u64> = reports.iter().map(|r| Some(r.kills? - r.victims.len() as u64)).sum();
    let pids: BTreeSet<u32> = victims(reports).map(|victim| victim.pid).collect();
    unnamed.map_or(Value::Null, |unnamed| json!(pids.len() as u64 + unnamed))
}

fn expected_field(field: &str, reports: &[Report]) -> Value {
    let event = first_event(reports);
    let victim = event.and_then(|event| event.victims.first());
    match field {
        "invoked_by" => text(event.and_then(|event| event.invoked_by.as_deref())),
        "constraint" => event.and_then(|event| event.constraint).map_or(Value::Null, |c| json!(c.as_str())),
        "victim_pid" => victim.map_or(Value::Null, |victim| json!(victim.pid)),
        "victim_name" => text(victim.and_then(|victim| victim.name.as_deref())),
        "uid" => victim.and_then(|victim| victim.uid).map_or(Value::Null, |uid| json!(uid)),
        "total_vm_kb" => kib(victim.and_then(|victim| victim.total_vm_bytes)),
        "anon_rss_kb" => kib(victim.and_then(|victim| victim.anon_rss_bytes)),
        "file_rss_kb" => kib(victim.and_then(|victim| victim.file_rss_bytes)),
        "shmem_rss_kb" => kib(victim.and_then(|victim| victim.shmem_rss_bytes)),
        "oom_score_adj" => {
            victim.and_then(|victim| victim.oom_score_adj).map_or(Value::Null, |adj| json!(adj))
        }
        "cgroup" => text(event.and_then(|event| event.cgroup.as_deref())),
        "kills" => kills(reports),
        "panic" => json!(reports.iter().any(|report| report.panic)),
        unknown => panic!("no rule for expected.{unknown}"),
    }
}

fn fact(field: &str, reports: &[Report]) -> Value {
    let event = first_event(reports);
    let victim = event.and_then(|event| event.victims.first());
    let bytes = |report: Option<&'_ [u8]>| text(report);
    match field {
        "killer" => json!(match event {
            Some(event) if event.witness == Witness::Systemd => "kernel (seen only by systemd)",
            Some(event) => event.killer.as_str(),
            None => "nobody",
        }),
        // Killers in user space print no kill line of the kernel, and the expected value counts only those.
        "kill_lines" => {
            let of_kernel = reports.iter().filter(|report| report.killer == Killer::Kernel);
            json!(of_kernel.map(|report| report.kill_lines).sum::<u64>())
        }
        "all_kills" => named(victims(reports).map(|victim| (victim.pid, victim.name.as_deref()))),
        "selected" => named(reports.iter().flat_map(|r| &r.selected).map(|s| (s.pid, s.name.as_deref()))),
        "selected_pid" => {
            event.and_then(|event| event.selected.as_ref()).map_or(Value::Null, |s| json!(s.pid))
        }
        "reaped" => {
            named(reports.iter().flat_map(|r| &r.reaped).map(|reaped| (reaped.pid, reaped.name.as_deref())))
        }
        "task_memcg" => bytes(event.and_then(|event| event.task_cgroup.as_deref())),
        "constraint_text" => bytes(event.and_then(|event| event.constraint_text.as_deref())),
        "oom_group" => bytes(event.and_then(|event| event.group.as_deref())),
        "ve" | "ub" => {
            event.and_then(|event| event.container).map_or(Value::Null, |id| json!(id.to_string()))
        }
        "rss_kb" => kib(victim.and_then(|victim| victim.rss_bytes)),
        "rss_mib" => victim.and_then(|victim| victim.rss_bytes).map_or(Value::Null, |rss| json!(rss >> 20)),
        "swap_kb" => kib(victim.and_then(|victim| victim.swap_bytes)),
        "task_table_uid" => {
            let pid = victim.map(|victim| victim.pid);
            let row = event.and_then(|event| event.tasks.iter().find(|task| Some(task.pid) == pid));
            row.and_then(|row| row.uid).map_or(Value::Null, |uid| json!(uid))
        }
        unknown => panic!("no rule for {unknown}"),
    }
}

/// One event of a text with several. Its expected values name only what differs.
fn event_field(field: &str, report: &Report) -> Value {
    match field {
        "panic" => json!(report.panic),
        _ => expected_field(field, std::slice::from_ref(report)),
    }
}

fn check_events(check: &mut Check<'_>, events: &[Value], reports: &[Report]) {
    check.equal("number of events", &json!(reports.len()), &json!(events.len()));
    for (at, (event, report)) in events.iter().zip(reports).enumerate() {
        for (field, truth) in event.as_object().unwrap() {
            check.equal(&format!("events[{at}].{field}"), &event_field(field, report), truth);
        }
    }
}

fn check_report(name: &str, log: &[u8], truth: &Value) -> Vec<String> {
    let reports = parse_all(Origin::Text, log);
    let mut check = Check { name, wrong: Vec::new() };
    for (field, truth) in truth["expected"].as_object().unwrap() {
        check.equal(field, &expected_field(field, &reports), truth);
    }
    for (field, truth) in truth.as_object().unwrap() {
        match field.as_str() {
            "expected" => {}
            "events" => check_events(&mut check, truth.as_array().unwrap(), &reports),
            field if ABOUT_THE_SOURCE.contains(&field) => {}
            field => check.equal(field, &fact(field, &reports), truth),
        }
    }
    check.wrong
}

fn reports_of_corpus() -> BTreeMap<String, (Vec<u8>, Value)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let truth = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.insert(name, (fs::read(&path).unwrap(), truth));
        }
    }
    found
}

#[test]
fn every_report_matches_its_expected_values() {
    let corpus = reports_of_corpus();
    assert_eq!(corpus.len(), 172, "reports in the corpus");
    let wrong: Vec<String> =
        corpus.iter().flat_map(|(name, (log, truth))| check_report(name, log, truth)).collect();
    assert!(wrong.is_empty(), "{} mismatches:\n{}", wrong.len(), wrong.join("\n"));
}

struct Line {
    text: String,
    class: String,
    part: String,
    is_constructed: bool,
}

fn lines() -> Vec<Line> {
    let file = fs::read_to_string(corpus().join("lines.jsonl")).unwrap();
    let line = |json: &str| {
        let value: Value = serde_json::from_str(json).unwrap();
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let is_constructed = value["constructed"] == true;
        Line { text: field("line"), class: field("class"), part: field("part"), is_constructed }
    };
    file.lines().map(line).collect()
}

/// What a single line must give, by its part of a report.
fn says(part: &str, reports: &[Report]) -> bool {
    let Some(report) = reports.first() else { return part == "reaper" };
    let one = reports.len() == 1;
    one && match part {
        "header" => report.victims.is_empty() && report.kills == Some(0),
        "select" => report.selected.is_some() && report.victims.is_empty(),
        "kill" | "select+kill" | "earlyoom" => report.victims.len() == 1 && report.victims[0].name.is_some(),
        "constraint" => report.constraint_text.is_some() && report.victims.is_empty(),
        "taskin" => report.cgroup.is_some() && report.victims.is_empty(),
        "panic" => report.panic,
        "panic-note" => !report.panic && report.victims.is_empty(),
        "group" => report.group.is_some(),
        "systemd" => report.units.len() == 1 && report.kills.is_none(),
        "oomd" => report.killer == Killer::SystemdOomd && report.victims.is_empty(),
        _ => false,
    }
}

#[test]
fn every_line_of_a_report_is_recognised_alone() {
    let lines: Vec<Line> = lines().into_iter().filter(|line| line.class == "oom").collect();
    assert!(lines.len() > 50, "{} lines", lines.len());
    let is_wrong = |line: &&Line| !says(&line.part, &parse_all(Origin::Text, line.text.as_bytes()));
    let wrong: Vec<&str> = lines.iter().filter(is_wrong).map(|line| line.text.as_str()).collect();
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn other_lines_give_no_report() {
    let lines: Vec<Line> = lines().into_iter().filter(|line| line.class != "oom").collect();
    assert!(lines.len() > 170 && lines.iter().any(|line| line.is_constructed), "{} lines", lines.len());
    let is_wrong = |line: &&Line| !parse_all(Origin::Text, line.text.as_bytes()).is_empty();
    let wrong: Vec<&str> = lines.iter().filter(is_wrong).map(|line| line.text.as_str()).collect();
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
    let together: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    assert_eq!(parse_all(Origin::Text, together.as_bytes()), []);
}
