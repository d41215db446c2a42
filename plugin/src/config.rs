//! `Plugins.OomWatch.*`: from what was written to what was checked.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent2_plugin::OptionError;
use log_follow::{AllowPath, Pattern, Query};
use oom_history::OomSource;
use serde::Deserialize;

/// The options as they are written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Options {
    /// The root of the machine that is watched, `/` by default; for an agent in a container.
    #[serde(default)]
    host_root: Option<PathBuf>,
    /// `Proc.*`.
    #[serde(default)]
    proc: ProcOptions,
    /// Directory of the state files.
    #[serde(default)]
    state_dir: Option<PathBuf>,
    /// `Log.*`.
    #[serde(default)]
    log: LogOptions,
    /// `Regexp.<name>`: patterns that items call `@name`.
    #[serde(default)]
    regexp: BTreeMap<String, String>,
    /// `Apache.*`.
    #[serde(default)]
    apache: PoolOptions,
    /// `PhpFpm.*`.
    #[serde(default)]
    php_fpm: PoolOptions,
    /// `Mysql.*`.
    #[serde(default)]
    mysql: PoolOptions,
    /// Whether the plugin connects to systemd over D-Bus: `on` (default) or `off`.
    systemd: Option<String>,
    /// `Oom.*`.
    #[serde(default)]
    oom: OomOptions,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PoolOptions {
    conf: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OomOptions {
    sources: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ProcOptions {
    max_age: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct LogOptions {
    max_lines: Option<u32>,
    #[serde(default)]
    allow_path: Vec<String>,
}

/// The options as they were checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) host_root: PathBuf,
    /// How old a shared walk may be.
    pub(crate) proc_max_age: Duration,
    pub(crate) state_dir: PathBuf,
    /// Lines a second that a log item delivers if its key has no limit.
    pub(crate) log_max_lines: NonZeroU32,
    pub(crate) log_allow_path: AllowPath,
    /// Patterns by the name after `@`.
    pub(crate) regexps: BTreeMap<String, String>,
    pub(crate) confs: Confs,
    /// Whether the plugin connects to systemd over D-Bus.
    pub(crate) systemd: bool,
    /// Sources of OOM kills that are used.
    pub(crate) oom_sources: Vec<OomSource>,
}

/// Configuration files of servers in unusual directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confs {
    pub(crate) apache: Option<PathBuf>,
    pub(crate) php_fpm: Option<PathBuf>,
    pub(crate) mysql: Option<PathBuf>,
}

const STATE_DIR: &str = "/var/lib/zabbix-agent2-plugin-oomwatch";
const MAX_LOG_MAX_LINES: u32 = 1_000_000;

/// An older walk would answer polls of one second with the state of a minute ago.
const MAX_PROC_MAX_AGE: Duration = Duration::from_secs(60);

impl Options {
    /// # Errors
    /// Names the option.
    pub(crate) fn check(&self) -> Result<Config, OptionError> {
        Ok(Config {
            host_root: check_host_root(self.host_root.as_deref())?,
            proc_max_age: check_max_age(self.proc.max_age.as_deref())?,
            state_dir: check_state_dir(self.state_dir.as_deref())?,
            log_max_lines: check_max_lines(self.log.max_lines)?,
            log_allow_path: check_allow_path(&self.log.allow_path)?,
            regexps: check_regexps(&self.regexp)?,
            confs: Confs {
                apache: check_conf("Apache", &self.apache)?,
                php_fpm: check_conf("PhpFpm", &self.php_fpm)?,
                mysql: check_conf("Mysql", &self.mysql)?,
            },
            systemd: check_systemd(self.systemd.as_deref())?,
            oom_sources: check_sources(self.oom.sources.as_deref())?,
        })
    }
}

fn check_host_root(given: Option<&Path>) -> Result<PathBuf, OptionError> {
    let Some(root) = given else { return Ok(PathBuf::from("/")) };
    let about = |text: &str| {
        OptionError::about("Plugins.OomWatch.HostRoot", format_args!("{} {text}", root.display()))
    };
    if !root.is_absolute() {
        return Err(about("is not an absolute path"));
    }
    if !root.join("proc/stat").exists() {
        return Err(about("is not the root of a machine: it has no proc/stat"));
    }
    Ok(root.to_owned())
}

fn check_max_age(given: Option<&str>) -> Result<Duration, OptionError> {
    let Some(text) = given else { return Ok(Duration::from_secs(1)) };
    seconds(text).filter(|&age| age <= MAX_PROC_MAX_AGE).ok_or_else(|| {
        let limit = MAX_PROC_MAX_AGE.as_secs();
        let message = format_args!("`{text}` is not a time from 0 to {limit} s, such as 1, 0.5 or 2s");
        OptionError::about("Plugins.OomWatch.Proc.MaxAge", message)
    })
}

fn check_state_dir(given: Option<&Path>) -> Result<PathBuf, OptionError> {
    match given {
        None => Ok(PathBuf::from(STATE_DIR)),
        Some(dir) if dir.is_absolute() => Ok(dir.to_owned()),
        Some(dir) => {
            let message = format_args!("{} is not an absolute path", dir.display());
            Err(OptionError::about("Plugins.OomWatch.StateDir", message))
        }
    }
}

/// Checks the path only. The items report a file that cannot be read, because the server may be installed later.
fn check_conf(pool: &str, given: &PoolOptions) -> Result<Option<PathBuf>, OptionError> {
    match &given.conf {
        Some(path) if !path.is_absolute() => {
            let message = format_args!("{} is not an absolute path", path.display());
            Err(OptionError::about(&format!("Plugins.OomWatch.{pool}.Conf"), message))
        }
        conf => Ok(conf.clone()),
    }
}

fn check_max_lines(given: Option<u32>) -> Result<NonZeroU32, OptionError> {
    let lines = given.unwrap_or(Query::DEFAULT_MAX_LINES_PER_SEC);
    NonZeroU32::new(lines).filter(|lines| lines.get() <= MAX_LOG_MAX_LINES).ok_or_else(|| {
        let message = format_args!("`{lines}` is not a number of lines from 1 to {MAX_LOG_MAX_LINES}");
        OptionError::about("Plugins.OomWatch.Log.MaxLines", message)
    })
}

fn check_allow_path(given: &[String]) -> Result<AllowPath, OptionError> {
    if given.is_empty() {
        return Ok(AllowPath::everything());
    }
    let patterns = given.iter().map(|text| checked_pattern("Plugins.OomWatch.Log.AllowPath", text));
    Ok(AllowPath::only(patterns.collect::<Result<_, _>>()?))
}

fn check_regexps(given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, OptionError> {
    for (name, text) in given {
        checked_pattern(&format!("Plugins.OomWatch.Regexp.{name}"), text)?;
    }
    Ok(given.clone())
}

fn check_systemd(given: Option<&str>) -> Result<bool, OptionError> {
    match given {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => {
            let message = format_args!("`{other}` is neither on nor off");
            Err(OptionError::about("Plugins.OomWatch.Systemd", message))
        }
    }
}

fn check_sources(given: Option<&str>) -> Result<Vec<OomSource>, OptionError> {
    let Some(text) = given else { return Ok(OomSource::ALL.to_vec()) };
    let words = text.split(',').map(str::trim);
    words.map(|word| OomSource::from_name(word).ok_or_else(|| no_source(word))).collect()
}

fn no_source(word: &str) -> OptionError {
    let names = OomSource::ALL.map(OomSource::name).join(", ");
    let message = format_args!("`{word}` is not a source of OOM kills: the sources are {names}");
    OptionError::about("Plugins.OomWatch.Oom.Sources", message)
}

fn checked_pattern(option: &str, text: &str) -> Result<Pattern, OptionError> {
    Pattern::new(text)
        .map_err(|error| OptionError::about(option, format_args!("`{text}` is not a pattern: {error}")))
}

/// A time as Zabbix writes it: seconds, or a number with `s` or `m` behind it.
fn seconds(text: &str) -> Option<Duration> {
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
mod tests {
    use agent2_plugin::Node;

    use super::*;

    fn check(conf: &str) -> Result<Config, String> {
        let options: Options =
            Node::from_conf("OomWatch", conf).options().map_err(|error: OptionError| error.to_string())?;
        options.check().map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_machine_itself_and_one_second() {
        let config = check("Plugins.OomWatch.System.Path=/x").unwrap();
        assert_eq!((config.host_root, config.proc_max_age), ("/".into(), Duration::from_secs(1)));
        assert_eq!((config.state_dir, config.log_max_lines.get()), (STATE_DIR.into(), 10_000));
        assert!(config.log_allow_path.allows(Path::new("/anything")));
    }

    #[test]
    fn times_have_zabbix_suffixes() {
        let age = |text: &str| {
            check(&format!("Plugins.OomWatch.Proc.MaxAge={text}")).map(|config| config.proc_max_age)
        };
        assert_eq!(age("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(age("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(age("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["61", "-1", "abc", "1h", "NaN", "inf"] {
            let error = age(wrong).unwrap_err();
            assert!(error.starts_with("option Plugins.OomWatch.Proc.MaxAge: `"), "{error}");
        }
    }

    #[test]
    fn a_host_root_must_hold_a_machine() {
        let directory = tempfile::tempdir().unwrap();
        let conf = format!("Plugins.OomWatch.HostRoot={}", directory.path().display());
        assert!(check(&conf).unwrap_err().ends_with("is not the root of a machine: it has no proc/stat"));
        std::fs::create_dir(directory.path().join("proc")).unwrap();
        std::fs::write(directory.path().join("proc/stat"), "").unwrap();
        assert_eq!(check(&conf).unwrap().host_root, directory.path());
        let error = check("Plugins.OomWatch.HostRoot=relative").unwrap_err();
        assert_eq!(error, "option Plugins.OomWatch.HostRoot: relative is not an absolute path");
    }

    #[test]
    fn log_options_are_checked() {
        let conf = "Plugins.OomWatch.Log.AllowPath=^/var/log/\nPlugins.OomWatch.Log.AllowPath=\\.log$\n\
                    Plugins.OomWatch.Log.MaxLines=5\nPlugins.OomWatch.Regexp.oom=oom-killer|Out of memory\n";
        let config = check(conf).unwrap();
        let allows = |path: &str| config.log_allow_path.allows(Path::new(path));
        assert_eq!([allows("/var/log/x"), allows("/srv/a.log"), allows("/etc/shadow")], [true, true, false]);
        assert_eq!(config.log_max_lines.get(), 5);
        assert_eq!(config.regexps["oom"], "oom-killer|Out of memory");
        for (conf, expected) in [
            (
                "Plugins.OomWatch.StateDir=here",
                "option Plugins.OomWatch.StateDir: here is not an absolute path",
            ),
            (
                "Plugins.OomWatch.Log.MaxLines=0",
                "option Plugins.OomWatch.Log.MaxLines: `0` is not a number of lines",
            ),
            (
                "Plugins.OomWatch.Log.AllowPath=(",
                "option Plugins.OomWatch.Log.AllowPath: `(` is not a pattern: ",
            ),
            ("Plugins.OomWatch.Regexp.x=[", "option Plugins.OomWatch.Regexp.x: `[` is not a pattern: "),
        ] {
            let error = check(conf).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn configurations_of_servers_are_absolute() {
        let config = check("Plugins.OomWatch.PhpFpm.Conf=/opt/php/etc/php-fpm.conf").unwrap();
        assert_eq!(config.confs.php_fpm.as_deref(), Some(Path::new("/opt/php/etc/php-fpm.conf")));
        assert_eq!((config.confs.apache, config.confs.mysql), (None, None));
        for name in ["Apache.Conf", "PhpFpm.Conf", "Mysql.Conf"] {
            let error = check(&format!("Plugins.OomWatch.{name}=conf/x")).unwrap_err();
            assert_eq!(error, format!("option Plugins.OomWatch.{name}: conf/x is not an absolute path"));
        }
    }

    #[test]
    fn sources_are_a_list_of_words() {
        assert_eq!(check("").unwrap().oom_sources, OomSource::ALL);
        let config =
            check("Plugins.OomWatch.Oom.Sources=kmsg, systemd-oomd\nPlugins.OomWatch.Systemd=off").unwrap();
        assert_eq!(
            (config.oom_sources, config.systemd),
            (vec![OomSource::Kmsg, OomSource::SystemdOomd], false)
        );
        for (conf, expected) in [
            (
                "Plugins.OomWatch.Oom.Sources=kmsg,syslog",
                "option Plugins.OomWatch.Oom.Sources: `syslog` is not a source of OOM kills: the sources are \
                 kmsg, journal, file, systemd, systemd-oomd",
            ),
            (
                "Plugins.OomWatch.Oom.Sources=kmsg,",
                "option Plugins.OomWatch.Oom.Sources: `` is not a source of OOM kills",
            ),
            ("Plugins.OomWatch.Systemd=yes", "option Plugins.OomWatch.Systemd: `yes` is neither on nor off"),
        ] {
            let error = check(conf).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_misspelt_option_is_named_with_its_line() {
        let error = check("\nPlugins.OomWatch.Proc.Maxage=1").unwrap_err();
        assert!(
            error.starts_with("option Plugins.OomWatch.Proc.Maxage (line 2): there is no such option"),
            "{error}"
        );
    }
}
