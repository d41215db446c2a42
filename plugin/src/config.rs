//! `Plugins.OomWatch.*`: from what was written to what was checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent2_plugin::OptionError;
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
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ProcOptions {
    max_age: Option<String>,
}

/// The options as they were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) host_root: PathBuf,
    /// How old a shared walk may be.
    pub(crate) proc_max_age: Duration,
}

/// An older walk would answer polls of one second with the state of a minute ago.
const MAX_PROC_MAX_AGE: Duration = Duration::from_secs(60);

impl Options {
    /// # Errors
    /// Names the option.
    pub(crate) fn check(&self) -> Result<Config, OptionError> {
        Ok(Config {
            host_root: check_host_root(self.host_root.as_deref())?,
            proc_max_age: check_max_age(self.proc.max_age.as_deref())?,
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
        let expected = Config { host_root: "/".into(), proc_max_age: Duration::from_secs(1) };
        assert_eq!(check("Plugins.OomWatch.System.Path=/x"), Ok(expected));
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
    fn a_misspelt_option_is_named_with_its_line() {
        let error = check("\nPlugins.OomWatch.Proc.Maxage=1").unwrap_err();
        assert!(
            error.starts_with("option Plugins.OomWatch.Proc.Maxage (line 2): there is no such option"),
            "{error}"
        );
    }
}
