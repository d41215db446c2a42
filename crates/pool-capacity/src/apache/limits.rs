//! Converts configured limits to applied limits.

use super::error::{Location, Warning};
use super::mpm::{Corrections, Mpm, Name, Rule, Setting};
use super::version::Version;

/// The limits that a server applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// The largest number of processes.
    pub(super) processes: i32,
    pub(super) threads_per_child: i32,
    pub(super) server_limit: i32,
    pub(super) thread_limit: i32,
    pub(super) start_servers: i32,
    pub(super) min_spare: i32,
    pub(super) max_spare: i32,
    pub(super) warnings: Vec<Warning>,
}

pub(super) fn applied(settings: &[Setting], mpm: Mpm, version: Version) -> Limits {
    if version.is_2_2() { applied_by_2_2(settings, mpm) } else { applied_by_2_4(settings, mpm, version) }
}

/// The name of the workers' limit, which differs between the versions.
pub(super) fn limit_setting(version: Version) -> &'static str {
    if version.is_2_2() { "MaxClients" } else { "MaxRequestWorkers" }
}

/// A value and its line, if it is not the default.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    value: i32,
    at: Option<&'a Location>,
}

/// The last setting wins.
fn last<'a>(settings: &'a [Setting], name: Name, default: i32) -> Value<'a> {
    let found = settings.iter().rev().find(|setting| setting.name == name);
    match found {
        Some(setting) => Value { value: setting.value, at: Some(&setting.at) },
        None => Value { value: default, at: None },
    }
}

const THREADS_DEFAULT: i32 = 25;

/// Version 2.4 checks the values after it has read all of them.
fn applied_by_2_4(settings: &[Setting], mpm: Mpm, version: Version) -> Limits {
    let mut corrections = Corrections::new(mpm, version);
    let servers = last(settings, Name::ServerLimit, mpm.servers_default());
    let rules = [Rule::ServersLow, Rule::ServersHigh];
    let server_limit =
        corrections.bounded("ServerLimit", servers.value, mpm.servers_max(), rules, servers.at);
    let (thread_limit, threads_per_child) = threads_of_2_4(settings, mpm, &mut corrections);
    // The default does not depend on the other settings.
    let default = mpm.servers_default() * if mpm.has_threads() { THREADS_DEFAULT } else { 1 };
    let workers = last(settings, Name::MaxWorkers, default);
    let processes = if mpm.has_threads() {
        processes_of(workers, threads_per_child, server_limit, &mut corrections)
    } else {
        prefork_processes(workers, server_limit, &mut corrections)
    };
    let (start_servers, min_spare, max_spare) = spare(settings, mpm, &mut corrections);
    let warnings = corrections.warnings;
    Limits {
        processes,
        threads_per_child,
        server_limit,
        thread_limit,
        start_servers,
        min_spare,
        max_spare,
        warnings,
    }
}

fn threads_of_2_4(settings: &[Setting], mpm: Mpm, corrections: &mut Corrections) -> (i32, i32) {
    if !mpm.has_threads() {
        return (1, 1);
    }
    let limit = last(settings, Name::ThreadLimit, 64);
    let rules = [Rule::ThreadLimitLow, Rule::ThreadLimitHigh];
    let thread_limit = corrections.bounded("ThreadLimit", limit.value, mpm.threads_max(), rules, limit.at);
    let threads = last(settings, Name::ThreadsPerChild, THREADS_DEFAULT);
    if threads.value > thread_limit {
        let text = format!(
            "ThreadsPerChild {} exceeds ThreadLimit {thread_limit}: lowered to {thread_limit}",
            threads.value
        );
        corrections.add(Rule::ThreadsHigh, threads.at, text);
        return (thread_limit, thread_limit);
    }
    (thread_limit, corrections.at_least_one("ThreadsPerChild", threads.value, Rule::ThreadsLow, threads.at))
}

fn prefork_processes(workers: Value<'_>, server_limit: i32, corrections: &mut Corrections) -> i32 {
    let name = limit_setting(corrections.version);
    if workers.value > server_limit {
        let text =
            format!("{name} {} exceeds ServerLimit {server_limit}: lowered to {server_limit}", workers.value);
        corrections.add(Rule::WorkersHigh, workers.at, text);
        return server_limit;
    }
    corrections.at_least_one(name, workers.value, Rule::WorkersLow, workers.at)
}

fn processes_of(workers: Value<'_>, threads: i32, server_limit: i32, corrections: &mut Corrections) -> i32 {
    let Value { mut value, at } = workers;
    let name = limit_setting(corrections.version);
    if value < threads {
        let text = format!("{name} {value} is below ThreadsPerChild {threads}: raised to {threads}");
        corrections.add(Rule::WorkersBelowThreads, at, text);
        value = threads;
    }
    let processes = value / threads;
    let multiple = processes * threads;
    if multiple != value {
        let text =
            format!("{name} {value} is not a multiple of ThreadsPerChild {threads}: lowered to {multiple}");
        corrections.add(Rule::WorkersNoMultiple, at, text);
    }
    if processes > server_limit {
        let allowed = server_limit * threads;
        let text = format!(
            "{name} {multiple} needs {processes} processes and exceeds ServerLimit {server_limit}: \
             lowered to {allowed}"
        );
        corrections.add(Rule::WorkersHigh, at, text);
    }
    processes.min(server_limit)
}

fn spare(settings: &[Setting], mpm: Mpm, corrections: &mut Corrections) -> (i32, i32, i32) {
    let start = last(settings, Name::StartServers, if mpm.has_threads() { 3 } else { 5 });
    let start_servers = corrections.at_least_one("StartServers", start.value, Rule::StartLow, start.at);
    let (least, most) = if mpm.has_threads() { (75, 250) } else { (5, 10) };
    let min = last(settings, Name::MinSpare, least);
    let min_spare = corrections.at_least_one(min_spare_name(mpm), min.value, Rule::SpareLow, min.at);
    (start_servers, min_spare, last(settings, Name::MaxSpare, most).value)
}

fn min_spare_name(mpm: Mpm) -> &'static str {
    if mpm.has_threads() { "MinSpareThreads" } else { "MinSpareServers" }
}

/// Version 2.2 checks each value when it reads it, and reads the configuration twice before it starts. `ServerLimit` and
/// `ThreadLimit` keep their values of the first pass, so their order does not matter.
fn applied_by_2_2(settings: &[Setting], mpm: Mpm) -> Limits {
    let settings = threads_first(settings, mpm);
    let mut reading = Reading::new(mpm, mpm.servers_default(), if mpm.has_threads() { 64 } else { 1 });
    settings.iter().for_each(|setting| reading.take(setting));
    let mut reading = Reading::new(mpm, reading.server_limit, reading.thread_limit);
    settings.iter().for_each(|setting| reading.take(setting));
    reading.finish();
    let start_servers = last(&settings, Name::StartServers, if mpm.has_threads() { 3 } else { 5 }).value;
    let max_spare = last(&settings, Name::MaxSpare, if mpm.has_threads() { 250 } else { 10 }).value;
    Limits {
        processes: reading.processes,
        threads_per_child: reading.threads,
        server_limit: reading.server_limit,
        thread_limit: reading.thread_limit,
        start_servers,
        min_spare: reading.min_spare,
        max_spare,
        warnings: reading.corrections.warnings,
    }
}

/// Version 2.2 exchanges the first `MaxClients` and the first `ThreadsPerChild` if they are in the opposite order.
fn threads_first(settings: &[Setting], mpm: Mpm) -> Vec<Setting> {
    let mut settings = settings.to_vec();
    let first = |name: Name| settings.iter().position(|setting| setting.name == name);
    let (clients, threads) = (first(Name::MaxWorkers), first(Name::ThreadsPerChild));
    if let (true, Some(clients), Some(threads)) = (mpm.has_threads(), clients, threads)
        && clients < threads
    {
        settings.swap(clients, threads);
    }
    settings
}

/// One pass of 2.2 over its configuration.
struct Reading {
    mpm: Mpm,
    server_limit: i32,
    thread_limit: i32,
    processes: i32,
    threads: i32,
    min_spare: i32,
    corrections: Corrections,
}

impl Reading {
    fn new(mpm: Mpm, server_limit: i32, thread_limit: i32) -> Self {
        let threads = if mpm.has_threads() { THREADS_DEFAULT } else { 1 };
        let min_spare = if mpm.has_threads() { 75 } else { 5 };
        let corrections = Corrections::new(mpm, Version::LAST_2_2);
        Self { mpm, server_limit, thread_limit, processes: server_limit, threads, min_spare, corrections }
    }

    fn take(&mut self, setting: &Setting) {
        let (value, at) = (setting.value, Some(&setting.at));
        match setting.name {
            Name::ServerLimit => {
                let rules = [Rule::ServersLow, Rule::ServersHigh];
                let max = self.mpm.servers_max();
                self.server_limit = self.corrections.bounded("ServerLimit", value, max, rules, at);
            }
            Name::ThreadLimit => {
                let rules = [Rule::ThreadLimitLow, Rule::ThreadLimitHigh];
                let max = self.mpm.threads_max();
                self.thread_limit = self.corrections.bounded("ThreadLimit", value, max, rules, at);
            }
            Name::ThreadsPerChild => self.threads = self.threads_of(value, at),
            Name::MaxWorkers => self.processes = self.processes_for(value, at),
            Name::MinSpare => {
                let name = min_spare_name(self.mpm);
                self.min_spare = self.corrections.at_least_one(name, value, Rule::SpareLow, at);
            }

            Name::StartServers | Name::MaxSpare | Name::AsyncFactor | Name::ConnectionsPerChild => {}
        }
    }

    /// Refuses limits after the settings that they limit. The server has no scoreboard slots for them, does not notice, and
    /// writes beyond its memory. A real 2.2 was seen to crash there.
    fn finish(&mut self) {
        let (processes, servers) = (self.processes, self.server_limit);
        if processes > servers {
            let text = format!(
                "ServerLimit {servers} stands behind MaxClients, which needs {processes} processes: httpd 2.2 crashes when \
                 it needs more than {servers}"
            );
            self.corrections.add(Rule::WorkersHigh, None, text);
            self.processes = servers;
        }
        let (threads, limit) = (self.threads, self.thread_limit);
        if threads > limit {
            let text = format!(
                "ThreadLimit {limit} is below ThreadsPerChild {threads}: httpd 2.2 has no places for more than {limit} and \
                 does not notice"
            );
            self.corrections.add(Rule::ThreadsHigh, None, text);
            self.threads = limit;
        }
    }

    fn threads_of(&mut self, value: i32, at: Option<&Location>) -> i32 {
        let limit = self.thread_limit;
        if value > limit {
            let text = format!("ThreadsPerChild {value} exceeds ThreadLimit {limit}: lowered to {limit}");
            self.corrections.add(Rule::ThreadsHigh, at, text);
            return limit;
        }
        self.corrections.at_least_one("ThreadsPerChild", value, Rule::ThreadsLow, at)
    }

    fn processes_for(&mut self, value: i32, at: Option<&Location>) -> i32 {
        let workers = Value { value, at };
        if self.mpm.has_threads() {
            processes_of(workers, self.threads, self.server_limit, &mut self.corrections)
        } else {
            prefork_processes(workers, self.server_limit, &mut self.corrections)
        }
    }
}
