//! What a configuration allows.

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
use crate::Files;

/// The workers that a configuration allows, as the server applies it from its next start on. (`ServerLimit` and
/// `ThreadLimit` do not change by a restart, only by a stop and a start.)
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pool {
    /// The main configuration file.
    pub conf: PathBuf,
    /// The server's version.
    pub version: Version,
    /// Its MPM.
    pub mpm: Mpm,
    /// How many requests can be worked on at once: the value of [`limit_setting`](Self::limit_setting) after all corrections.
    pub limit: u32,
    /// That value as it is written, if it is.
    pub limit_configured: Option<i64>,
    /// The directive to change: `MaxRequestWorkers`, `MaxClients` in 2.2.
    pub limit_setting: &'static str,
    /// How many processes that takes: `limit` divided by `threads_per_child`.
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
    /// `MaxSpareServers` or `MaxSpareThreads` as written. Where it is less than the server needs it is raised, silently.
    pub max_spare: i64,
    /// `MaxConnectionsPerChild` (`MaxRequestsPerChild`); 0 is without limit.
    pub connections_per_child: i64,
    /// `AsyncRequestWorkerFactor`, for event.
    pub async_factor: Option<f64>,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// Where mod_status answers.
    pub status: Vec<StatusPage>,
    /// Where the parent writes its number.
    pub pid_file: PathBuf,
    /// `ServerRoot`.
    pub server_root: PathBuf,
    /// Every file that has been read, in this order.
    pub files: Vec<PathBuf>,
    /// What is defined at the end, with values where there are.
    pub defines: BTreeMap<String, Option<String>>,
    /// What httpd corrects or tolerates.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration as the server would at its start.
///
/// # Errors
///
/// [`ApacheError`] if a file cannot be read, or httpd would refuse to start with it.
pub fn read(files: &dyn Files, invocation: &Invocation) -> Result<Pool, ApacheError> {
    let variables = Variables::new(&invocation.defines, invocation.environment.clone());
    let mut reader = Reader::new(files, &invocation.build, &invocation.server_root, variables, is_wanted);
    reader.command_line(&invocation.before)?;
    reader.main_file(&invocation.configuration)?;
    reader.command_line(&invocation.after)?;
    let contents = reader.finish();
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

    /// The most workers that stay idle: [`max_spare`](Self::max_spare) as the server raises it.
    #[must_use]
    pub fn max_idle(&self) -> i64 {
        self.max_spare.max(i64::from(self.min_spare) + i64::from(self.threads_per_child))
    }

    /// Whether the server ends no worker for being idle: then all may run without any load.
    #[must_use]
    pub fn keeps_idle(&self) -> bool {
        self.max_idle() >= i64::from(self.limit)
    }

    /// What is written to let fewer stay idle: `MaxSpareServers` or `MaxSpareThreads`.
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

/// Pages of mod_status, if that is loaded.
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

/// The numbers of processes in a PID file.
pub(super) fn pid_in(files: &dyn Files, path: &Path) -> Option<u32> {
    let content = files.read(path).ok()?;
    words(&String::from_utf8_lossy(content.get(..content.len().min(64))?)).first()?.parse().ok()
}
