//! The limit of workers of a configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::directive::Directive;
use super::error::{ApacheError, Warning};
use super::invocation::Invocation;
use super::limits::{self, Limits};
use super::listen::{Listen, StatusPage};
use super::mpm::{self, Mpm, Name, Setting};
use super::reader::{Contents, Reader, normal};
use super::variables::Variables;
use super::version::Version;
use super::words::{next_word, words};
use crate::Reading;

/// The workers that a configuration allows, as the server applies them from its next start on. `ServerLimit` and `ThreadLimit`
/// change only by a stop and a start, not by a restart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pool {
    /// The main configuration file.
    pub conf: PathBuf,
    /// The server's version.
    pub version: Version,
    /// Its MPM.
    pub mpm: Mpm,
    /// The number of requests that can be served at the same time: [`limit_setting`](Self::limit_setting) after all
    /// corrections.
    pub limit: u32,
    /// The configured value, if there is one.
    pub limit_configured: Option<i64>,
    /// The directive to change: `MaxRequestWorkers`, or `MaxClients` in 2.2.
    pub limit_setting: &'static str,
    /// The number of processes for the limit: `limit` divided by `threads_per_child`.
    pub processes: u32,
    /// `ServerLimit`.
    pub server_limit: u32,
    /// `ThreadsPerChild`; 1 for prefork.
    pub threads_per_child: u32,
    /// `ThreadLimit`; 1 for prefork.
    pub thread_limit: u32,
    /// `StartServers`.
    pub start_servers: u32,
    /// `MinSpareServers` in processes, `MinSpareThreads` in threads.
    pub min_spare: u32,
    /// `MaxSpareServers` or `MaxSpareThreads` as configured. The server raises a value that is too low without a message.
    pub max_spare: i64,
    /// `MaxConnectionsPerChild` (`MaxRequestsPerChild`); 0 is unlimited.
    pub connections_per_child: i64,
    /// `AsyncRequestWorkerFactor`, for event.
    pub async_factor: Option<f64>,
    /// The addresses on which it listens.
    pub listen: Vec<Listen>,
    /// The URLs of mod_status.
    pub status: Vec<StatusPage>,
    /// The file with the parent's process id.
    pub pid_file: PathBuf,
    /// `ServerRoot`.
    pub server_root: PathBuf,
    /// Every file that was read, in order.
    pub files: Vec<PathBuf>,
    /// The defined names at the end, with their values.
    pub defines: BTreeMap<String, Option<String>>,
    /// The settings that httpd corrects or tolerates.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration as the server does at its start.
///
/// # Errors
///
/// Returns [`ApacheError`] if a file cannot be read, or httpd refuses to start with it.
pub fn read(files: &Reading<'_>, invocation: &Invocation) -> Result<Pool, ApacheError> {
    let variables = Variables::new(&invocation.defines, invocation.environment.clone());
    let mut reader = Reader::new(files, &invocation.build, &invocation.server_root, variables, is_wanted);
    reader.command_line(&invocation.before)?;
    reader.main_file(&invocation.configuration)?;
    reader.command_line(&invocation.after)?;
    let contents = reader.finish();
    files.check(&invocation.configuration)?;
    let version = invocation.build.version;
    let mpm = Mpm::of(&contents.modules, version)?;
    let settings = mpm::settings(&contents.directives, mpm, version)?;
    if invocation.is_environment_hidden {
        mpm::all_are_known(&settings)?;
    }
    Pool::new(invocation, mpm, &settings, contents)
}

fn is_wanted(name: &str) -> bool {
    mpm::is_of_an_mpm(name) || ["listen", "pidfile", "sethandler"].contains(&name)
}

impl Pool {
    fn new(
        invocation: &Invocation,
        mpm: Mpm,
        settings: &[Setting],
        contents: Contents,
    ) -> Result<Self, ApacheError> {
        let version = invocation.build.version;
        let limits = limits::applied(settings, mpm, version);
        let written = |name: Name| settings.iter().rev().find(|setting| setting.name == name);
        let async_factor = written(Name::AsyncFactor).map(async_factor).transpose()?;
        let default_connections = if version.is_2_2() { 10_000 } else { 0 };
        let processes = positive(limits.processes);
        Ok(Self {
            conf: invocation.configuration.clone(),
            version,
            mpm,
            limit: processes.saturating_mul(positive(limits.threads_per_child)),
            limit_configured: written(Name::MaxWorkers).map(|setting| setting.value.into()),
            limit_setting: limits::limit_setting(version),
            processes,
            server_limit: positive(limits.server_limit),
            threads_per_child: positive(limits.threads_per_child),
            thread_limit: positive(limits.thread_limit),
            start_servers: positive(limits.start_servers),
            min_spare: positive(limits.min_spare),
            max_spare: limits.max_spare.into(),
            connections_per_child: written(Name::ConnectionsPerChild)
                .map_or(default_connections, |setting| setting.value.into()),
            async_factor,
            listen: listens(&contents.directives)?,
            status: statuses(&contents),
            pid_file: pid_file(invocation, &contents),
            warnings: warnings(contents.warnings, limits),
            server_root: contents.server_root,
            files: contents.files,
            defines: contents.defines,
        })
    }

    /// The largest number of idle workers: [`max_spare`](Self::max_spare) as the server raises it.
    #[must_use]
    pub fn max_idle(&self) -> i64 {
        self.max_spare.max(i64::from(self.min_spare) + i64::from(self.threads_per_child))
    }

    /// Returns whether the server never ends an idle worker: then all workers may run without load.
    #[must_use]
    pub fn keeps_idle(&self) -> bool {
        self.max_idle() >= i64::from(self.limit)
    }

    /// The setting that limits idle workers: `MaxSpareServers` or `MaxSpareThreads`.
    #[must_use]
    pub fn max_spare_name(&self) -> &'static str {
        if self.mpm.has_threads() { "MaxSpareThreads" } else { "MaxSpareServers" }
    }
}

fn positive(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn warnings(of_reading: Vec<Warning>, limits: Limits) -> Vec<Warning> {
    [of_reading, limits.warnings].concat()
}

fn async_factor(setting: &Setting) -> Result<f64, ApacheError> {
    let factor = setting.text.parse().ok().filter(|factor: &f64| *factor > 0.0);
    factor.ok_or_else(|| ApacheError::line(&setting.at, "AsyncRequestWorkerFactor takes a positive number"))
}

fn named<'a>(directives: &'a [Directive], name: &'a str) -> impl DoubleEndedIterator<Item = &'a Directive> {
    directives.iter().filter(move |directive| directive.name == name)
}

fn listens(directives: &[Directive]) -> Result<Vec<Listen>, ApacheError> {
    for directive in named(directives, "listen") {
        if let Some(section) = &directive.place.section {
            return Err(ApacheError::line(&directive.at, format!("Listen cannot stand in {section}>")));
        }
    }
    Ok(named(directives, "listen").filter_map(|directive| Listen::parse(&directive.arguments)).collect())
}

/// Returns the pages of mod_status, if it is loaded.
fn statuses(contents: &Contents) -> Vec<StatusPage> {
    if !contents.modules.contains("status_module") {
        return Vec::new();
    }
    named(&contents.directives, "sethandler").filter_map(StatusPage::of).collect()
}

fn pid_file(invocation: &Invocation, contents: &Contents) -> PathBuf {
    let written = named(&contents.directives, "pidfile").next_back();
    let path = written.map(|directive| PathBuf::from(next_word(&directive.arguments).0));
    let path = path.unwrap_or_else(|| invocation.build.pid_file.clone());
    normal(&contents.server_root.join(path))
}

/// Returns the process id in a PID file.
pub(super) fn pid_in(files: &Reading<'_>, path: &Path) -> Option<u32> {
    let content = files.peek(path)?;
    words(&String::from_utf8_lossy(content.get(..content.len().min(64))?)).first()?.parse().ok()
}
