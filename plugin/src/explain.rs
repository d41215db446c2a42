//! `explain FILE`: every OOM report in a log, as text for people or as one JSON object a line.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use oom_evidence::{Constraint, Killer, Origin, Parser, Report, Victim, Witness};

use crate::cli::{bytes, printable};
use crate::report::{ReportJson, time_text};

/// How reports are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

const PIECE_BYTES: usize = 256 * 1024;
/// Rows of the report's table that the text shows.
const TASKS_SHOWN: usize = 5;

/// Reads the whole log, in bounded memory, and writes its reports as they are complete.
pub(crate) fn explain(log: &mut impl Read, form: Form, out: &mut impl Write) -> io::Result<()> {
    let mut parser = Parser::new(Origin::Text);
    let mut piece = vec![0; PIECE_BYTES];
    let mut seen = 0_u64;
    loop {
        let length = match log.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for report in parser.feed(&piece[..length]) {
            write_report(&report, form, &mut seen, out)?;
        }
    }
    for report in parser.finish() {
        write_report(&report, form, &mut seen, out)?;
    }
    if seen == 0 && form == Form::Text {
        writeln!(out, "no OOM report")?;
    }
    Ok(())
}

fn write_report(report: &Report, form: Form, seen: &mut u64, out: &mut impl Write) -> io::Result<()> {
    *seen += 1;
    match form {
        Form::Json => writeln!(out, "{}", serde_json::to_string(&ReportJson::of(report, "file"))?),
        Form::Text => out.write_all(as_text(report, *seen).as_bytes()),
    }
}

fn as_text(report: &Report, number: u64) -> String {
    let mut page = format!("{}{}. {}\n", if number > 1 { "\n" } else { "" }, number, headline(report));
    if let Some(time) = &report.time {
        line(&mut page, "time", &time_text(time));
    }
    if let Some(name) = &report.invoked_by {
        line(&mut page, "asked for memory", &printable(name));
    }
    line(&mut page, "limit", &limit(report));
    for victim in &report.victims {
        line(&mut page, "killed", &killed(victim));
    }
    if report.panic {
        line(&mut page, "then", "the kernel panicked");
    }
    for task in report.tasks.iter().take(TASKS_SHOWN) {
        let name = task.name.as_deref().map_or_else(|| "?".to_owned(), printable);
        line(&mut page, "largest", &format!("{name} (process {}), RSS {}", task.pid, size(task.rss_bytes)));
    }
    page
}

fn line(page: &mut String, what: &str, value: &str) {
    let _ = writeln!(page, "   {:<17} {value}", format!("{what}:"));
}

fn headline(report: &Report) -> String {
    let killer = match report.killer {
        Killer::Kernel => "The kernel's OOM killer",
        Killer::SystemdOomd => "systemd-oomd",
        Killer::Earlyoom => "earlyoom",
        _ => "An OOM killer",
    };
    match (report.kills, report.witness) {
        (_, Witness::Systemd) => "systemd tells of a kill for want of memory".to_owned(),
        (Some(0), _) => format!("{killer} ran; no kill is told"),
        (Some(1), _) => format!("{killer} killed a process"),
        (Some(kills), _) => format!("{killer} killed {kills} processes"),
        (None, _) => format!("{killer} killed processes"),
    }
}

fn limit(report: &Report) -> String {
    let of_cgroup = |what: &str| match &report.cgroup {
        Some(cgroup) => format!("{what} of {}", printable(cgroup)),
        None => what.to_owned(),
    };
    match report.constraint {
        Some(Constraint::None) => "the whole machine".to_owned(),
        Some(Constraint::Memcg) => of_cgroup("the memory limit"),
        Some(Constraint::Cpuset) => of_cgroup("the memory nodes of a cpuset"),
        Some(Constraint::Mempolicy) => "the memory nodes of a process's policy".to_owned(),
        _ => of_cgroup("not told"),
    }
}

fn killed(victim: &Victim) -> String {
    let name = victim.name.as_deref().map_or_else(|| "?".to_owned(), printable);
    let mut text = format!("{name} (process {}", victim.pid);
    if let Some(uid) = victim.uid {
        let _ = write!(text, ", uid {uid}");
    }
    text.push(')');
    for (what, amount) in [
        ("virtual", victim.total_vm_bytes),
        ("anonymous", victim.anon_rss_bytes),
        ("file", victim.file_rss_bytes),
        ("shared", victim.shmem_rss_bytes),
        ("RSS", victim.rss_bytes),
    ] {
        if let Some(amount) = amount {
            let _ = write!(text, ", {what} {}", size(amount));
        }
    }
    if let Some(adj) = victim.oom_score_adj {
        let _ = write!(text, ", oom_score_adj {adj}");
    }
    text
}

fn size(amount: u64) -> String {
    bytes(amount as f64)
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

    fn explained(log: &str, form: Form) -> String {
        let mut out = Vec::new();
        explain(&mut log.as_bytes(), form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_report_is_one_json_object_with_what_its_text_says() {
        let lines = explained(LOG, Form::Json);
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
    fn people_get_sentences() {
        let expected = "\
1. The kernel's OOM killer killed a process
   time:             Jun 20 12:47:42
   asked for memory: httpd
   limit:            the whole machine
   killed:           mysqld (process 2188, uid 27), virtual 3.2 GiB, anonymous 484.4 MiB, file 0 B
   largest:          mysqld (process 2188), RSS 484.4 MiB
";
        assert_eq!(explained(LOG, Form::Text), expected);
        assert_eq!(explained("sshd[5]: Accepted publickey\n", Form::Text), "no OOM report\n");
        assert_eq!(explained("sshd[5]: Accepted publickey\n", Form::Json), "");
    }
}
