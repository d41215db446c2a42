//! Hosts on which nothing happens: no item may become unsupported, and no unexpected problem may be raised.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::failure::Failure;
use super::super::made_up::{ACCESS_LOG, APACHE_LOG, ERROR_LOG, MadeUp, PHPFPM_LOG, SYSLOG};
use super::super::scene::{ALL, BOTH_WAYS, Cause, End, Scene};
use super::scene_entry::{Make, STRANGER};

pub(super) const SCENES: &[Make] =
    &[("healthy", healthy), ("plain", plain), ("without-cgroups", without_cgroups), ("closed", closed)];

const LINES: &str = include_str!("../../../../oom-evidence/tests/corpus/lines.jsonl");
/// The items that each host has. Items of all other templates must have no problem.
const MEANT: [&str; 3] = ["oom", "apache_max", "phpfpm_max"];
const NO_CONFIGURATION: [&str; 3] = [
    "Apache: configuration not found or not readable",
    "PHP-FPM: configuration not found or not readable",
    "MySQL: configuration not found or not readable",
];
const UNREADABLE: &str = "Agent: kernel messages cannot be read";

fn negatives() -> Vec<String> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = LINES.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| !MEANT.contains(&&*text(line, "class"))).map(|line| text(&line, "line")).collect()
}

/// Every line of the corpus without an OOM report, in every watched log.
fn healthy(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?.with_servers()?;
    let begin = machine.clone();
    let begin = move |_: &_| {
        for line in negatives() {
            for log in [SYSLOG, APACHE_LOG, PHPFPM_LOG] {
                begin.append(log, &line)?;
            }
            thread::sleep(Duration::from_secs(2));
        }
        Ok(())
    };
    let silence = End::ByItself("");
    let families = [&BOTH_WAYS[..], &["log"]].concat();
    let scene =
        Scene::new(name, "made-up machine with Apache's, php-fpm's and MariaDB's configurations", &families);
    Ok(scene.on(&machine).host().cause(Cause::new("lines that look like ours", &[], begin, silence)))
}

/// This machine as an unprivileged user sees it, in its own process namespace, so that servers of other scenes are hidden.
fn plain(name: &'static str, _: &Path) -> Result<Scene, Failure> {
    const RIGHTS: &[&str] = &[
        "--",
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "setpriv",
        // The change of the user clears the earlier parent-death signal.
        "--pdeathsig",
        "KILL",
        "--reuid",
        "54398",
        "--regid",
        "54398",
        "--clear-groups",
        "--inh-caps=-all",
        "--ambient-caps=-all",
    ];
    let about = "this Debian without Apache, php-fpm and MySQL; the agent is a user without rights";
    let expected =
        [&NO_CONFIGURATION[..], &[UNREADABLE, "OOM killer was invoked: no source reports the victim"]]
            .concat();
    Ok(Scene::new(name, about, &ALL).rights(RIGHTS).expecting(&expected).host())
}

fn without_cgroups(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let about = "made-up machine without /sys/fs/cgroup, and without Apache, php-fpm and MySQL";
    Ok(Scene::new(name, about, &ALL).on(&machine).aliases().expecting(&NO_CONFIGURATION).host())
}

/// All programs are installed, but the agent's user may not read any log.
fn closed(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?.with_servers()?;
    for file in [SYSLOG, APACHE_LOG, PHPFPM_LOG, ACCESS_LOG, ERROR_LOG] {
        machine.allow(file, 0o600)?;
    }
    let about = "made-up machine whose logs the agent's user may not read";
    let expected = [UNREADABLE, "Apache: error log cannot be read", "PHP-FPM: log cannot be read"];
    Ok(Scene::new(name, about, &ALL).on(&machine).aliases().rights(STRANGER).expecting(&expected).host())
}
