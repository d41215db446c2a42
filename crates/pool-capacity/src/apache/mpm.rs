//! The multi-processing modules: their settings, and the bounds of each.

use std::fmt;

use super::directive::Directive;
use super::error::{ApacheError, Location, Warning};
use super::modules::Modules;
use super::version::Version;
use super::words::{atoi, words};
use crate::warnings::WARNINGS_MAX;

/// A multi-processing module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpm {
    /// A process for each connection.
    Prefork,
    /// Processes with a thread for each connection.
    Worker,
    /// Processes with threads for requests; idle connections need none.
    Event,
}

impl Mpm {
    /// Returns the MPM of a server.
    pub(super) fn of(modules: &Modules, version: Version) -> Result<Self, ApacheError> {
        match modules.mpms() {
            [name] => Self::named(name)
                .ok_or_else(|| ApacheError::whole(format!("{name} is not an MPM with known limits"))),
            [] if version.is_2_2() => Err(ApacheError::whole("the program has no MPM")),
            [] => Err(ApacheError::whole("no MPM is loaded: httpd refuses to start")),
            several => {
                let names = several.join(", ");
                Err(ApacheError::whole(format!(
                    "more than one MPM is loaded ({names}): httpd refuses to start"
                )))
            }
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "mpm_prefork_module" => Some(Self::Prefork),
            "mpm_worker_module" => Some(Self::Worker),
            "mpm_event_module" => Some(Self::Event),
            _ => None,
        }
    }

    /// `prefork`, `worker` or `event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefork => "prefork",
            Self::Worker => "worker",
            Self::Event => "event",
        }
    }

    pub(super) fn has_threads(self) -> bool {
        self != Self::Prefork
    }

    /// The largest allowed `ServerLimit`.
    pub(super) fn servers_max(self) -> i32 {
        if self.has_threads() { 20_000 } else { 200_000 }
    }

    /// The largest allowed `ThreadLimit`.
    pub(super) fn threads_max(self) -> i32 {
        if self == Self::Event { 100_000 } else { 20_000 }
    }

    pub(super) fn servers_default(self) -> i32 {
        if self.has_threads() { 16 } else { 256 }
    }
}

impl fmt::Display for Mpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A directive of an MPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    ServerLimit,
    ThreadLimit,
    ThreadsPerChild,
    MaxWorkers,
    StartServers,
    MinSpare,
    MaxSpare,
    AsyncFactor,
    ConnectionsPerChild,
}

impl Name {
    /// Returns a directive by its lower-case name, with the MPMs and versions that have it.
    fn of(name: &str) -> Option<(Self, Knows)> {
        Some(match name {
            "serverlimit" => (Self::ServerLimit, Knows::All),
            "startservers" => (Self::StartServers, Knows::All),
            "maxclients" => (Self::MaxWorkers, Knows::All),
            "maxrequestworkers" => (Self::MaxWorkers, Knows::Since24),
            "maxrequestsperchild" => (Self::ConnectionsPerChild, Knows::All),
            "maxconnectionsperchild" => (Self::ConnectionsPerChild, Knows::Since24),
            "minspareservers" => (Self::MinSpare, Knows::Prefork),
            "maxspareservers" => (Self::MaxSpare, Knows::Prefork),
            "minsparethreads" => (Self::MinSpare, Knows::Threads),
            "maxsparethreads" => (Self::MaxSpare, Knows::Threads),
            "threadlimit" => (Self::ThreadLimit, Knows::Threads),
            "threadsperchild" => (Self::ThreadsPerChild, Knows::Threads),
            "asyncrequestworkerfactor" => (Self::AsyncFactor, Knows::Event),
            _ => return None,
        })
    }
}

/// The MPMs that have a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    All,
    Since24,
    Prefork,
    Threads,
    Event,
}

impl Knows {
    fn includes(self, mpm: Mpm, version: Version) -> bool {
        match self {
            Self::All => true,
            Self::Since24 => !version.is_2_2(),
            Self::Prefork => mpm == Mpm::Prefork,
            Self::Threads => mpm.has_threads(),
            Self::Event => mpm == Mpm::Event && !version.is_2_2(),
        }
    }
}

/// Returns whether a directive, by its lower-case name, belongs to an MPM.
pub(super) fn is_of_an_mpm(name: &str) -> bool {
    Name::of(name).is_some()
}

/// Returns whether the MPM that is loaded so far has a directive; absent if it belongs to no MPM.
pub(super) fn knows(modules: &Modules, version: Version, name: &str) -> Option<bool> {
    let (_, knows) = Name::of(name)?;
    Some(Mpm::of(modules, version).is_ok_and(|mpm| knows.includes(mpm, version)))
}

/// A configured number of an MPM.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) name: Name,
    pub(super) written: String,
    pub(super) value: i32,
    pub(super) text: String,
    pub(super) at: Location,
}

/// Returns the settings of an MPM, in order. Refuses what httpd refuses.
pub(super) fn settings(
    directives: &[Directive],
    mpm: Mpm,
    version: Version,
) -> Result<Vec<Setting>, ApacheError> {
    let of_mpm = directives.iter().filter_map(|directive| Some((directive, Name::of(&directive.name)?)));
    of_mpm
        .map(|(directive, (name, knows))| {
            if !knows.includes(mpm, version) {
                let problem = format!(
                    "{} is not a directive of {mpm} in {version}: httpd refuses to start",
                    directive.written
                );
                return Err(ApacheError::line(&directive.at, problem));
            }
            setting(directive, name)
        })
        .collect()
}

/// Refuses a number that depends on a variable which only the server's environment has.
///
/// # Errors
///
/// Returns the line with it.
pub(super) fn all_are_known(settings: &[Setting]) -> Result<(), ApacheError> {
    let mut seen: Vec<Name> = Vec::new();
    let mut first_fault = None;
    for setting in settings.iter().rev() {
        // Only the last setting of each name counts.
        if seen.contains(&setting.name) {
            continue;
        }
        seen.push(setting.name);
        let variable = setting.text.split_once("${").and_then(|(_, rest)| rest.split_once('}'));
        if let Some((variable, _)) = variable {
            let written = &setting.written;
            let problem = format!(
                "{written} has ${{{variable}}}, whose value is only in the server's environment, which may not be read"
            );
            first_fault = Some(ApacheError::line(&setting.at, problem));
        }
    }
    first_fault.map_or(Ok(()), Err)
}

fn setting(directive: &Directive, name: Name) -> Result<Setting, ApacheError> {
    let refuse = |problem: String| Err(ApacheError::line(&directive.at, problem));
    if let Some(section) = &directive.place.section {
        return refuse(format!("{} cannot stand in {section}>", directive.written));
    }
    match &words(&directive.arguments)[..] {
        [text] if !text.is_empty() => {
            let (written, text) = (directive.written.clone(), text.clone());
            Ok(Setting { name, written, value: atoi(&text), text, at: directive.at.clone() })
        }
        _ => refuse(format!("{} takes one number", directive.written)),
    }
}

/// A correction that httpd makes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    ServersHigh,
    ServersLow,
    ThreadLimitHigh,
    ThreadLimitLow,
    ThreadsHigh,
    ThreadsLow,
    WorkersBelowThreads,
    WorkersNoMultiple,
    WorkersHigh,
    WorkersLow,
    StartLow,
    SpareLow,
}

impl Rule {
    /// The code of httpd 2.4's message at its start.
    fn code(self, mpm: Mpm) -> Option<&'static str> {
        let [prefork, worker, event] = match self {
            Self::ServersHigh => ["AH00175", "AH00300", "AH00497"],
            Self::ServersLow => ["AH00177", "AH00302", "AH00499"],
            Self::ThreadLimitHigh => ["", "AH00305", "AH00502"],
            Self::ThreadLimitLow => ["", "AH00307", "AH00504"],
            Self::ThreadsHigh => ["", "AH00310", "AH00507"],
            Self::ThreadsLow => ["", "AH00312", "AH00509"],
            Self::WorkersBelowThreads => ["", "AH00314", "AH00511"],
            Self::WorkersNoMultiple => ["", "AH00316", "AH00513"],
            Self::WorkersHigh => ["AH00180", "AH00318", "AH00515"],
            Self::WorkersLow => ["AH00182", "", ""],
            Self::StartLow => ["AH00184", "AH00320", "AH00517"],
            Self::SpareLow => ["AH00186", "AH00322", "AH00519"],
        };
        let code = match mpm {
            Mpm::Prefork => prefork,
            Mpm::Worker => worker,
            Mpm::Event => event,
        };
        (!code.is_empty()).then_some(code)
    }
}

/// Collects corrections.
#[derive(Debug)]
pub(super) struct Corrections {
    mpm: Mpm,
    pub(super) version: Version,
    pub(super) warnings: Vec<Warning>,
}

impl Corrections {
    pub(super) fn new(mpm: Mpm, version: Version) -> Self {
        Self { mpm, version, warnings: Vec::new() }
    }

    pub(super) fn add(&mut self, rule: Rule, at: Option<&Location>, text: String) {
        if self.warnings.len() == WARNINGS_MAX {
            return;
        }
        let code = if self.version.is_2_2() { None } else { rule.code(self.mpm) };
        self.warnings.push(Warning { text, at: at.cloned(), code });
    }

    /// Returns a value between 1 and `max`, as it is applied.
    pub(super) fn bounded(
        &mut self,
        name: &str,
        value: i32,
        max: i32,
        rules: [Rule; 2],
        at: Option<&Location>,
    ) -> i32 {
        let [low, high] = rules;
        if value > max {
            self.add(
                high,
                at,
                format!("{name} {value} exceeds httpd's own limit of {max}: lowered to {max}"),
            );
            return max;
        }
        self.at_least_one(name, value, low, at)
    }

    pub(super) fn at_least_one(&mut self, name: &str, value: i32, rule: Rule, at: Option<&Location>) -> i32 {
        if value < 1 {
            self.add(rule, at, format!("{name} {value} is not allowed: raised to 1"));
        }
        value.max(1)
    }
}
