//! The machine that the demo's agent watches: this one, or this one with its own logs if no process may be killed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use oomwatch_tests::{Limited, PluginSpec, binaries};

use crate::generated::first_line;
use crate::output::say;

const LIMIT_BYTES: u64 = 30 << 20;
const APACHE_LOG: &str = "var/log/httpd/error_log";
const MESSAGES: &str = "var/log/messages";
/// A real report of a web server with CentOS 7: httpd requested memory, and the kernel killed mysqld.
const REPORT: &str = "crates/oom-evidence/tests/corpus/el7-httpd-kills-mysqld.log";
/// The process that this report names.
const REPORTED: &str = "mysqld";
/// The victim's name: a stand-in for the httpd of the incident.
const VICTIM: &str = "httpd-hungry";

pub(super) struct Ground {
    directory: PathBuf,
    /// Where a real process is killed.
    limited: Option<Limited>,
}

impl Ground {
    /// A directory with this machine's `/proc`, `/sys` and `/etc`, used if this machine does not permit a kill.
    pub(super) fn new(scratch: &Path) -> io::Result<Self> {
        let limited = Limited::new("oomwatch-demo", LIMIT_BYTES);
        let directory = scratch.join("machine");
        for log in [APACHE_LOG, MESSAGES] {
            let path = directory.join(log);
            fs::create_dir_all(path.parent().unwrap_or(&directory))?;
            File::create(path)?;
        }
        if let Err(why) = &limited {
            say(&format!(
                "No process can be killed here ({why}): the kernel's report of a real kill is injected instead."
            ));
            ["proc", "sys", "etc"]
                .iter()
                .try_for_each(|name| symlink(format!("/{name}"), directory.join(name)))?;
        }
        Ok(Self { directory, limited: limited.ok() })
    }

    /// Returns the options that make the plugin watch this machine.
    pub(super) fn watched_by(&self, plugin: PluginSpec) -> PluginSpec {
        match self.limited {
            Some(_) => plugin,
            None => plugin.option("HostRoot", self.directory.display().to_string()),
        }
    }

    /// Path of Apache's log in item keys.
    pub(super) fn apache_log(&self) -> String {
        let root = if self.limited.is_some() { self.directory.as_path() } else { Path::new("/") };
        root.join(APACHE_LOG).display().to_string()
    }

    pub(super) fn apache_says(&self, line: &str) -> io::Result<()> {
        self.append(APACHE_LOG, line)
    }

    /// Causes a kill. Returns its description, and the word that its problem must contain.
    pub(super) fn runs_out_of_memory(&self) -> io::Result<(&'static str, &'static str)> {
        let Some(limited) = &self.limited else {
            self.append(MESSAGES, &report_of_now()?)?;
            return Ok(("the injected report of a real OOM kill", REPORTED));
        };
        let program = self.directory.join(VICTIM);
        fs::copy("/usr/bin/tail", &program)?;
        let (pid, _) = limited.run_into_limit(&program)?;
        say(&format!("The kernel has killed {VICTIM} (process {pid}) at its cgroup's limit of 30 MiB."));
        Ok(("a real OOM kill in a memory cgroup", VICTIM))
    }

    fn append(&self, log: &str, lines: &str) -> io::Result<()> {
        writeln!(File::options().append(true).open(self.directory.join(log))?, "{}", lines.trim_end())
    }
}

/// Returns the report with the current time.
fn report_of_now() -> io::Result<String> {
    let now = first_line("date", &["+%b %e %H:%M:%S"]);
    let report = fs::read_to_string(binaries::workspace().join(REPORT))?;
    let lines = report.lines().filter_map(|line| line.get(now.len()..));
    Ok(lines.map(|rest| format!("{now}{rest}\n")).collect())
}
