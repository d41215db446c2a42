//! Lines of logs, from a file through a real agent with the plugin to a real server: harmless lines raise nothing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use oomwatch_tests::zabbix::Zabbix;
use oomwatch_tests::{Error, wait_until};
use serde_json::Value;

use crate::host::{HostUnderTest, SOON};

const CORPUS: &str = include_str!("../../../crates/oom-evidence/tests/corpus/lines.jsonl");
/// The classes of lines that the three log items report.
const REPORTED: [&str; 3] = ["oom", "apache_max", "phpfpm_max"];
/// One line of each class, before and after the harmless lines.
const LINES: [(&str, &str); 3] = [
    (
        "oomwatch.log[{$OOMWATCH.SYSLOG}",
        "Nov 24 10:00:00 web kernel: httpd invoked oom-killer: gfp_mask=0x100cca, order=0",
    ),
    (
        "oomwatch.log[{$OOMWATCH.APACHE.LOG}",
        "[mpm_prefork:error] [pid 1] AH00161: server reached MaxRequestWorkers setting",
    ),
    (
        "oomwatch.logrt[{$OOMWATCH.PHPFPM.LOG}",
        "WARNING: [pool www] server reached pm.max_children setting (5)",
    ),
];
const SUBJECTS: [&str; 7] = ["Linux", "Apache", "PHP-FPM", "MySQL", "Sites", "log", "Classic"];

/// Real lines about other subjects, some of which people have mistaken for such a report.
fn silent() -> Vec<String> {
    let lines = CORPUS.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let others = lines.filter(|line| !REPORTED.iter().any(|class| line["class"] == *class));
    others.map(|line| line["line"].as_str().expect("a line").to_owned()).collect()
}

/// A host with all templates for active checks, whose logs are one file.
struct Logs<'a> {
    zabbix: &'a Zabbix,
    watched: HostUnderTest,
    file: PathBuf,
}

/// On a machine without most of the monitored programs every item of every template is supported, and of a log with many
/// lines only the relevant ones arrive.
pub(crate) fn all_templates_have_values_and_harmless_lines_raise_nothing(
    zabbix: &Zabbix,
) -> Result<(), Error> {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = Logs::new(zabbix, directory.path())?;
    let passive: Vec<_> =
        SUBJECTS[..5].iter().map(|subject| format!("OomWatch {subject} by Zabbix agent 2")).collect();
    let passive = HostUnderTest::new(zabbix, &passive.iter().map(String::as_str).collect::<Vec<_>>(), &[])?;
    let watched = || {
        LINES.iter().all(|(_, line)| logs.append(line))
            && LINES.iter().all(|(key, line)| logs.arrived(key).contains(*line))
    };
    assert!(wait_until(SOON, watched), "{}", logs.watched.seen(zabbix));
    let silent = silent();
    assert!(silent.len() > 100 && silent.iter().all(|line| logs.append(line)));
    for (key, line) in LINES {
        let last = format!("{line}, the last");
        assert!(logs.append(&last) && wait_until(SOON, || logs.arrived(key).contains(&last)), "{last}");
        let arrived = logs.arrived(key);
        let others: Vec<_> = arrived.lines().filter(|other| !other.starts_with(line)).collect();
        assert!(others.is_empty(), "{}: {key}: {others:#?}", zabbix.generation());
    }
    for watched in [&passive, &logs.watched] {
        assert_eq!(watched.unsupported(zabbix)?, Vec::<String>::new(), "{}", zabbix.generation());
    }
    Ok(())
}

impl<'a> Logs<'a> {
    fn new(zabbix: &'a Zabbix, directory: &Path) -> Result<Self, Error> {
        let file = directory.join("error.log");
        fs::write(&file, "").expect("a log");
        let (path, pattern) = (file.display().to_string(), format!("{}/^error[.]log$", directory.display()));
        let macros = [
            ("{$OOMWATCH.SYSLOG}", path.as_str()),
            ("{$OOMWATCH.APACHE.LOG}", &path),
            ("{$OOMWATCH.PHPFPM.LOG}", &pattern),
        ];
        let templates = SUBJECTS.map(|subject| format!("OomWatch {subject} by Zabbix agent 2 active"));
        let watched = HostUnderTest::new(zabbix, &templates.each_ref().map(String::as_str), &macros)?;
        Ok(Self { zabbix, watched, file })
    }

    fn append(&self, line: &str) -> bool {
        let file = fs::File::options().append(true).open(&self.file);
        file.is_ok_and(|mut file| writeln!(file, "{line}").is_ok())
    }

    /// The server's history of the log item whose key begins with `key`.
    fn arrived(&self, key: &str) -> String {
        let items = self.zabbix.api().items(&self.watched.host).unwrap_or_default();
        let item = items.iter().find(|item| item.key.starts_with(key));
        let history = item.map(|item| self.zabbix.api().history(&item.id).expect("a history"));
        history.into_iter().flatten().map(|(_, value)| value + "\n").collect()
    }
}
