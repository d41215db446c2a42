//! Properties that are compiled into the program: version, paths, and built-in modules.

use std::path::{Path, PathBuf};

use super::Version;
use crate::Reading;

/// The properties that are compiled into an httpd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The program's version.
    pub version: Version,
    /// The start of relative paths unless `ServerRoot` or `-d` sets another one.
    pub server_root: PathBuf,
    /// The main configuration file, relative to the server root.
    pub configuration: PathBuf,
    /// The file with the parent's process id unless `PidFile` sets another one, relative to the server root.
    pub pid_file: PathBuf,
    /// The sources of built-in modules: `core.c`, `mod_so.c`; also the MPM if it is built in.
    pub sources: Vec<String>,
    /// The program from which these were read; absent if they were concluded from the layout of the files.
    pub program: Option<PathBuf>,
}

const CORE: [&str; 3] = ["core.c", "mod_so.c", "http_core.c"];
/// The modules that Debian builds into its 2.4.
const DEBIAN_2_4: [&str; 5] =
    ["mod_watchdog.c", "mod_log_config.c", "mod_logio.c", "mod_version.c", "mod_unixd.c"];

/// More strings with the name of a source than any program has.
const SOURCES_MAX: usize = 10_000;

impl Build {
    /// Debian's build since release 8, with loadable MPMs.
    #[must_use]
    pub fn debian_2_4() -> Self {
        Self::layout(Version::LATE_2_4, "/etc/apache2", "apache2.conf", "/var/run/apache2.pid", &DEBIAN_2_4)
    }

    /// Debian's build up to release 7, with one of three MPMs.
    #[must_use]
    pub fn debian_2_2(mpm_source: &str) -> Self {
        let sources = ["mod_log_config.c", "mod_logio.c", "mod_version.c", mpm_source];
        Self::layout(Version::LAST_2_2, "/etc/apache2", "apache2.conf", "/var/run/apache2.pid", &sources)
    }

    /// Red Hat's build since release 7, with loadable MPMs.
    #[must_use]
    pub fn red_hat_2_4() -> Self {
        Self::layout(Version::LATE_2_4, "/etc/httpd", "conf/httpd.conf", "/run/httpd/httpd.pid", &[])
    }

    /// Red Hat's build in releases 5 and 6: `/usr/sbin/httpd` with `prefork.c`, `httpd.worker` and `httpd.event` with the other
    /// MPMs.
    #[must_use]
    pub fn red_hat_2_2(mpm_source: &str) -> Self {
        Self::layout(Version::LAST_2_2, "/etc/httpd", "conf/httpd.conf", "logs/httpd.pid", &[mpm_source])
    }

    /// The default build of the project's own sources.
    #[must_use]
    pub fn upstream_2_4() -> Self {
        let sources = ["event.c"];
        Self::layout(Version::LATE_2_4, "/usr/local/apache2", "conf/httpd.conf", "logs/httpd.pid", &sources)
    }

    fn layout(version: Version, root: &str, configuration: &str, pid_file: &str, sources: &[&str]) -> Self {
        Self {
            version,
            server_root: root.into(),
            configuration: configuration.into(),
            pid_file: pid_file.into(),
            sources: CORE.iter().chain(sources).map(|source| (*source).to_owned()).collect(),
            program: None,
        }
    }

    /// Reads the build from the strings in a program.
    pub(super) fn of_program(files: &Reading<'_>, program: &Path) -> Option<Self> {
        let content = files.peek(program)?;
        let version = version_in(&content)?;
        let setting = |name: &str| quoted_after(&content, &format!("-D {name}=\"")).map(PathBuf::from);
        Some(Self {
            version,
            server_root: setting("HTTPD_ROOT")?,
            configuration: setting("SERVER_CONFIG_FILE")?,
            pid_file: setting("DEFAULT_PIDLOG").unwrap_or_else(|| "logs/httpd.pid".into()),
            sources: sources_in(&content),
            program: Some(program.to_owned()),
        })
    }
}

/// Finds `Apache/2.4.62`, the server's own name.
fn version_in(content: &[u8]) -> Option<Version> {
    const NAME: &[u8] = b"Apache/2.";
    positions(content, NAME).find_map(|at| {
        let digits = content[at + NAME.len() - 2..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.');
        let text: String = digits.take(16).map(|byte| char::from(*byte)).collect();
        Version::parse(&text).filter(|version| version.patch > 0)
    })
}

fn quoted_after(content: &[u8], name: &str) -> Option<String> {
    let start = positions(content, name.as_bytes()).next()? + name.len();
    let end = content[start..].iter().take(4096).position(|byte| *byte == b'"')?;
    String::from_utf8(content[start..start + end].to_vec()).ok()
}

/// Finds the source name of every module, which is a string of its own in the program.
fn sources_in(content: &[u8]) -> Vec<String> {
    let strings = content.split(|byte| *byte == 0);
    let mut sources: Vec<String> = strings.filter_map(source_name).take(SOURCES_MAX).collect();
    // Linkers merge a string into the end of another one: core.c in http_core.c.
    sources.extend(CORE.map(ToOwned::to_owned));
    sources.sort_unstable();
    sources.dedup();
    sources
}

fn source_name(string: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(string.get(..string.len().min(64))?).ok()?;
    let name = name.rsplit('/').next()?;
    let known = ["core.c", "http_core.c", "prefork.c", "worker.c", "event.c"].contains(&name);
    (known || (name.starts_with("mod_") && name.ends_with(".c"))).then(|| name.to_owned())
}

fn positions<'a>(content: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(content, name)
}
