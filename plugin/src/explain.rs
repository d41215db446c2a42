//! `explain FILE`: every OOM report in a log, as text for people or as one JSON object a line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write};

use oom_evidence::{Constraint, Killer, Origin, Parser, Report, Task, Victim, Witness};
use oom_history::{KillRecord, OomSource, time_text};
use serde::Serialize;

use crate::report::ReportJson;
use crate::text::{byte_size, printable};

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

const PIECE_BYTES: usize = 256 * 1024;
/// Rows of the report's table that the text shows.
const TASKS_SHOWN: usize = 5;
/// Victims and units that the text shows one by one.
const LIST_SHOWN: usize = 20;

/// Files without text: their first bytes, their description, and the program that converts them to text.
const BINARY_FORMATS: [(&[u8], &str, &str); 6] = [
    (b"\x1f\x8b", "compressed with gzip", "zcat"),
    (b"\xfd7zXZ\0", "compressed with xz", "xzcat"),
    (b"BZh", "compressed with bzip2", "bzcat"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "zstdcat"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "lz4cat"),
    (b"LPKSHHRH", "a file of systemd's journal", "journalctl --dmesg --file"),
];

/// Why a log cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    #[error("{0}")]
    Read(io::Error),
    #[error("{0}")]
    Output(#[from] io::Error),
    #[error("it is {what}; use `{program} FILE | zabbix-agent2-plugin-oomwatch explain -`")]
    NotText { what: &'static str, program: &'static str },
}

/// Writes the reports of logs, one log after the other.
pub(crate) struct Explainer<'a, W> {
    form: Form,
    out: &'a mut W,
    /// Name of the current log, if there are several.
    name: Option<String>,
    is_named: bool,
    /// Logs that were read completely.
    logs: u64,
    reports: u64,
    kills: u64,
}

/// A report and its file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(flatten)]
    report: ReportJson,
}

impl<'a, W: Write> Explainer<'a, W> {
    pub(crate) fn new(form: Form, out: &'a mut W) -> Self {
        Self { form, out, name: None, is_named: false, logs: 0, reports: 0, kills: 0 }
    }

    /// Reads a log in bounded memory and writes each report when it is complete. `name` distinguishes it from other logs.
    pub(crate) fn read(&mut self, log: &mut impl Read, name: Option<String>) -> Result<(), ExplainError> {
        (self.name, self.is_named) = (name, false);
        let mut parser = Parser::new(Origin::Text);
        let mut piece = vec![0; PIECE_BYTES];
        let mut is_begun = false;
        loop {
            let length = match log.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ExplainError::Read(error)),
            };
            if !std::mem::replace(&mut is_begun, true) {
                check_is_text(&piece[..length])?;
            }
            for report in parser.feed(&piece[..length]) {
                self.write(&report)?;
            }
        }
        for report in parser.finish() {
            self.write(&report)?;
        }
        self.logs += 1;
        Ok(())
    }

    /// Writes the totals of all logs.
    pub(crate) fn finish(self) -> io::Result<()> {
        match (self.form, self.reports) {
            (Form::Json, _) | (Form::Text, 1) => {}
            (Form::Text, 0) if self.logs == 0 => {}
            (Form::Text, 0) => writeln!(self.out, "no OOM report")?,
            (Form::Text, reports) => {
                writeln!(
                    self.out,
                    "\n{reports} reports, {}",
                    counted(self.kills, "process", "processes") + " killed"
                )?;
            }
        }
        self.out.flush()
    }

    fn write(&mut self, report: &Report) -> io::Result<()> {
        self.reports += 1;
        self.kills = self.kills.saturating_add(report.kills.unwrap_or(0));
        if self.form == Form::Json {
            let record = KillRecord::from_report(report, OomSource::File);
            let line = Line { file: self.name.as_deref(), report: ReportJson::from(&record) };
            return writeln!(self.out, "{}", serde_json::to_string(&line)?);
        }
        if self.reports > 1 {
            writeln!(self.out)?;
        }
        if let Some(name) = self.name.as_deref().filter(|_| !std::mem::replace(&mut self.is_named, true)) {
            writeln!(self.out, "{name}:")?;
        }
        self.out.write_all(as_text(report, self.reports).as_bytes())
    }
}

/// Refuses known binary formats: a search in a compressed log would find nothing.
fn check_is_text(beginning: &[u8]) -> Result<(), ExplainError> {
    let known = BINARY_FORMATS.into_iter().find(|(mark, ..)| beginning.starts_with(mark));
    known.map_or(Ok(()), |(_, what, program)| Err(ExplainError::NotText { what, program }))
}

fn as_text(report: &Report, number: u64) -> String {
    let mut page = format!("{number}. {}\n", headline(report));
    if let Some(time) = &report.time {
        line(&mut page, "time", &time_text(time));
    }
    line(&mut page, "reason", &reason(report));
    for victim in report.victims.iter().take(LIST_SHOWN) {
        line(&mut page, "killed", &killed(victim));
    }
    let hidden = report.kills.unwrap_or(0).saturating_sub(report.victims.len().min(LIST_SHOWN) as u64);
    if hidden > 0 {
        line(&mut page, "killed", &(counted(hidden, "more process", "more processes")));
    }
    write_context(&mut page, report);
    write_largest(&mut page, report);
    page
}

/// Writes the cgroup of the victims, and the process that was chosen instead of them.
fn write_context(page: &mut String, report: &Report) {
    let is_killed = |pid: u32| report.victims.iter().any(|victim| victim.pid == pid);
    if let Some(selected) = report.selected.as_ref().filter(|selected| !is_killed(selected.pid)) {
        let name = named(selected.name.as_deref());
        let end = if report.victims.is_empty() { "" } else { ", but a child of it was killed" };
        line(page, "chosen", &format!("{name} (process {}){end}", selected.pid));
    }
    if let Some(cgroup) = report.task_cgroup.as_ref().filter(|own| Some(*own) != report.cgroup.as_ref()) {
        line(page, "cgroup", &printable(cgroup));
    }
    if let Some(group) = &report.group {
        line(page, "with it", &format!("all of {} (memory.oom.group)", printable(group)));
    }
    for unit in report.units.iter().take(LIST_SHOWN) {
        line(page, "unit", &printable(unit));
    }
}

fn write_largest(page: &mut String, report: &Report) {
    let mut label = "largest";
    for task in report.tasks.iter().take(TASKS_SHOWN) {
        line(page, label, &largest(task));
        label = "";
    }
    let shown = report.tasks.len().min(TASKS_SHOWN) as u64;
    if report.tasks_total > shown && shown > 0 {
        line(page, "", &format!("of {} processes in all", report.tasks_total));
    }
}

fn largest(task: &Task) -> String {
    let swapped = task.swap_bytes.filter(|swap| *swap > 0);
    let swapped = swapped.map_or_else(String::new, |swap| format!(", {} in swap", size(swap)));
    format!("{:>9} {} (process {}){swapped}", size(task.rss_bytes), named(task.name.as_deref()), task.pid)
}

fn line(page: &mut String, what: &str, value: &str) {
    let what = if what.is_empty() { String::new() } else { format!("{what}:") };
    let _ = writeln!(page, "   {what:<9}{value}");
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn named(name: Option<&[u8]>) -> String {
    name.map_or_else(|| "?".to_owned(), printable)
}

fn headline(report: &Report) -> String {
    let killer = match report.killer {
        Killer::Kernel => "The kernel's OOM killer",
        Killer::SystemdOomd => "systemd-oomd",
        Killer::Earlyoom => "earlyoom",
        _ => "An OOM killer",
    };
    let headline = match (report.kills, report.witness) {
        (_, Witness::Systemd) => "systemd reports an OOM kill; the kernel's own lines are missing".to_owned(),
        (Some(0), _) if report.panic => return "The kernel panicked because memory was exhausted".to_owned(),
        (Some(0), _) => format!("{killer} ran; no kill is reported"),
        (Some(1), _) => {
            format!("{killer} killed {}", names(report).unwrap_or_else(|| "a process".to_owned()))
        }
        (Some(kills), _) => {
            let names = names(report).map_or_else(String::new, |names| format!(": {names}"));
            format!("{killer} killed {kills} processes{names}")
        }
        (None, _) => format!("{killer} killed processes; their number is not reported"),
    };
    if report.panic { format!("{headline}, and the kernel panicked") } else { headline }
}

/// Returns the names of victims, each once.
fn names(report: &Report) -> Option<String> {
    let known: BTreeSet<_> = report.victims.iter().filter_map(|victim| victim.name.as_deref()).collect();
    let shown: Vec<_> = known.iter().take(3).map(|name| printable(name)).collect();
    let more = if known.len() > shown.len() { " and others" } else { "" };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

fn reason(report: &Report) -> String {
    let mut reason = limit(report);
    if let Some(name) = &report.invoked_by {
        let _ = write!(reason, "; requested by {}", printable(name));
    }
    reason
}

fn limit(report: &Report) -> String {
    let of = |what: &str| match &report.cgroup {
        Some(cgroup) => format!("{what} of {}", printable(cgroup)),
        None => format!("{what} of a cgroup that is not reported"),
    };
    match (report.killer, report.constraint) {
        (Killer::SystemdOomd, _) => match &report.cgroup {
            Some(cgroup) => {
                format!("memory was too short for too long; the cgroup was {}", printable(cgroup))
            }
            None => "memory was too short for too long".to_owned(),
        },
        (Killer::Earlyoom, _) => "the machine had almost no memory left".to_owned(),
        (_, Some(Constraint::None)) => "the whole machine had no memory left".to_owned(),
        (_, Some(Constraint::Memcg)) => format!("{} was reached", of("the memory limit")),
        (_, Some(Constraint::Cpuset)) => "the memory nodes of a cpuset had no memory left".to_owned(),
        (_, Some(Constraint::Mempolicy)) => {
            "the memory nodes of a process's policy had no memory left".to_owned()
        }
        _ => "the limit is not reported".to_owned(),
    }
}

fn killed(victim: &Victim) -> String {
    let mut text = format!("{} (process {}", named(victim.name.as_deref()), victim.pid);
    if let Some(uid) = victim.uid {
        let _ = write!(text, ", user {uid}");
    }
    text.push(')');
    if let Some(resident) = resident(victim) {
        let _ = write!(text, ", {resident}");
    }
    if let Some(total) = victim.total_vm_bytes {
        let _ = write!(text, ", {} virtual", size(total));
    }
    if let Some(adj) = victim.oom_score_adj {
        let _ = write!(text, ", oom_score_adj {adj}");
    }
    text
}

/// Formats `484.4 MiB resident (480.0 MiB anonymous, 4.4 MiB of files)`, as far as the line has the numbers.
fn resident(victim: &Victim) -> Option<String> {
    let parts = [
        (victim.anon_rss_bytes, "anonymous"),
        (victim.file_rss_bytes, "of files"),
        (victim.shmem_rss_bytes, "shared"),
    ];
    let known: Vec<_> = parts.iter().filter_map(|(amount, what)| Some((amount.as_ref()?, what))).collect();
    if known.is_empty() {
        return Some(format!("{} resident", size(victim.rss_bytes?)));
    }
    let sum = known.iter().fold(0_u64, |sum, (amount, _)| sum.saturating_add(**amount));
    let parts: Vec<_> = known.iter().map(|(amount, what)| format!("{} {what}", size(**amount))).collect();
    Some(format!("{} resident ({})", size(sum), parts.join(", ")))
}

fn size(amount: u64) -> String {
    byte_size(amount as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
Jun 20 12:47:42 web kernel: httpd invoked oom-killer: gfp_mask=0x201da, order=0, oom_adj=0, oom_score_adj=0
Jun 20 12:47:43 web kernel: [ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name
Jun 20 12:47:43 web kernel: [ 2188]    27  2188   832504   124000   1       0             0 mysqld
Jun 20 12:47:43 web kernel: Out of memory: Kill process 2188 (mysqld) score 51 or sacrifice child
Jun 20 12:47:43 web kernel: Killed process 2188, UID 27, (mysqld) total-vm:3330016kB, anon-rss:496000kB, file-rss:0kB
Jun 20 12:47:50 web sshd[5]: Accepted publickey
";

    fn explained(log: &[u8], form: Form) -> Result<String, ExplainError> {
        let mut out = Vec::new();
        let mut explainer = Explainer::new(form, &mut out);
        explainer.read(&mut &log[..], None)?;
        explainer.finish()?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn text(log: &str) -> String {
        explained(log.as_bytes(), Form::Text).unwrap()
    }

    #[test]
    fn report_is_one_json_object_with_the_content_of_its_text() {
        let lines = explained(LOG.as_bytes(), Form::Json).unwrap();
        let report: serde_json::Value = serde_json::from_str(&lines).unwrap();
        let expected = serde_json::json!({
            "time": "Jun 20 12:47:42", "killer": "kernel", "invoked_by": "httpd", "constraint": "none", "panic": false,
            "kills": 1, "sources": ["file"], "trust": "low",
            "victims": [{"pid": 2188, "name": "mysqld", "uid": 27, "total_vm_bytes": 3_409_936_384_u64,
                         "anon_rss_bytes": 507_904_000, "file_rss_bytes": 0}],
            "tasks": [{"pid": 2188, "name": "mysqld", "rss_bytes": 507_904_000}],
        });
        assert_eq!(report, expected);
    }

    #[test]
    fn text_form_has_sentences() {
        let expected = "\
1. The kernel's OOM killer killed mysqld
   time:    Jun 20 12:47:42
   reason:  the whole machine had no memory left; requested by httpd
   killed:  mysqld (process 2188, user 27), 484.4 MiB resident (484.4 MiB anonymous, 0 B of files), 3.2 GiB virtual
   largest: 484.4 MiB mysqld (process 2188)
";
        assert_eq!(text(LOG), expected);
        assert_eq!(text("sshd[5]: Accepted publickey\n"), "no OOM report\n");
        assert_eq!(explained(b"sshd[5]: Accepted publickey\n", Form::Json).unwrap(), "");
    }

    #[test]
    fn every_kind_of_report_has_victim_and_reason() {
        let kill = "Killed process 7 (x) total-vm:8kB, anon-rss:4kB, file-rss:2kB\n";
        let table = [
            (
                format!("Task in /a/b killed as a result of limit of /a\n{kill}"),
                "the memory limit of /a was reached\n   killed:  x (process 7), 6.0 KiB resident (4.0 KiB anonymous, 2.0 KiB of files), 8.0 KiB virtual\n   cgroup:  /a/b\n",
            ),
            (
                format!("Out of memory: Kill process 6 (y) score 9 or sacrifice child\n{kill}"),
                "chosen:  y (process 6), but a child of it was killed\n",
            ),
            ("Kernel panic - not syncing: System is deadlocked on memory\n".to_owned(), "1. The kernel panicked because memory was exhausted\n"),
            (
                "systemd-oomd[8]: Killed /u/a.scope due to memory pressure for /u being 51%\nsystemd[1]: a.scope: systemd-oomd killed 12 process(es) in this unit.\n".to_owned(),
                "1. systemd-oomd killed 12 processes\n   reason:  memory was too short for too long; the cgroup was /u/a.scope\n   killed:  12 more processes\n   unit:    a.scope\n",
            ),
            (
                "systemd[1]: a.service: A process of this unit has been killed by the OOM killer.\n".to_owned(),
                "the kernel's own lines are missing\n",
            ),
            (format!("{kill}{}", kill.replace('7', "8")), "\n2 reports, 2 processes killed\n"),
        ];
        for (log, expected) in table {
            assert!(text(&log).contains(expected), "{}", text(&log));
        }
    }

    #[test]
    fn sum_of_kills_does_not_wrap() {
        let unit = |name: &str| {
            let max = u64::MAX;
            format!(
                "systemd-oomd[8]: Killed /u/{name}.scope due to memory pressure for /u being 51%\n\
                 systemd[1]: {name}.scope: systemd-oomd killed {max} process(es) in this unit.\n"
            )
        };
        let text = text(&(unit("a") + &unit("b")));
        assert!(text.ends_with(&format!("\n2 reports, {} processes killed\n", u64::MAX)), "{text}");
    }

    #[test]
    fn binary_formats_are_refused_with_a_converter() {
        for (mark, what, _) in BINARY_FORMATS {
            let error = explained(&[mark, b"rest"].concat(), Form::Text).unwrap_err().to_string();
            assert!(error.contains(what) && error.ends_with("explain -`"), "{error}");
        }
        assert_eq!(text("BZ\n"), "no OOM report\n");
    }
}
