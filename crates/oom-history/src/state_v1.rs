//! Version 1 of the state file.

use std::collections::BTreeMap;

use oom_evidence::{Constraint, Killer, Trust};
use serde::Deserialize;

use crate::boots::BootCount;
use crate::history::KillHistory;
use crate::position::Positions;
use crate::record::{KillRecord, KilledProcess, RunningTask};
use crate::services::ServiceKills;
use crate::source::OomSource;

#[derive(Deserialize)]
pub(crate) struct StateV1 {
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Ledger {
    reports: u64,
    events: Vec<Event>,
    older_kills: u64,
    boots: Vec<Boot>,
    positions: Positions,
    lost: u64,
    before_start: u64,
    #[serde(default)]
    services: ServiceKills,
}

#[derive(Deserialize)]
struct Event {
    boot: Option<String>,
    unix_micros: Option<i64>,
    #[serde(default)]
    error_micros: u64,
    main_pid: Option<u32>,
    #[serde(default)]
    counted: u64,
    report: Report,
}

/// `clock` repeated `unix_micros` in seconds, and is not read.
#[derive(Deserialize)]
struct Report {
    time: Option<String>,
    since_boot_seconds: Option<f64>,
    killer: Killer,
    invoked_by: Option<String>,
    constraint: Option<Constraint>,
    cgroup: Option<String>,
    task_cgroup: Option<String>,
    unit: Option<String>,
    reason: Option<String>,
    panic: bool,
    kills: Option<u64>,
    victims: Vec<KilledProcess>,
    tasks: Vec<RunningTask>,
    #[serde(default)]
    units: Vec<String>,
    sources: Vec<OomSource>,
    trust: Trust,
}

#[derive(Deserialize)]
struct Boot {
    id: String,
    kernel: Option<u64>,
    found: BTreeMap<OomSource, u64>,
}

impl From<StateV1> for KillHistory {
    fn from(StateV1 { ledger }: StateV1) -> Self {
        Self {
            reports: ledger.reports,
            records: ledger.events.into_iter().map(KillRecord::from).collect(),
            older_kills: ledger.older_kills,
            boots: ledger.boots.into_iter().map(BootCount::from).collect(),
            positions: ledger.positions,
            messages_lost: ledger.lost,
            messages_before_start: ledger.before_start,
            services: ledger.services,
        }
    }
}

impl From<Event> for KillRecord {
    fn from(event: Event) -> Self {
        let report = event.report;
        Self {
            boot: event.boot,
            unix_micros: event.unix_micros,
            error_micros: event.error_micros,
            main_pid: event.main_pid,
            counted_kills: event.counted,
            // With a time since 1970 it was that time in RFC 3339.
            time_text: report.time.filter(|_| event.unix_micros.is_none()),
            since_boot_seconds: report.since_boot_seconds,
            killer: report.killer,
            invoked_by: report.invoked_by,
            constraint: report.constraint,
            cgroup: report.cgroup,
            task_cgroup: report.task_cgroup,
            unit: report.unit,
            reason: report.reason,
            panic: report.panic,
            kills: report.kills,
            victims: report.victims,
            tasks: report.tasks,
            units: report.units,
            sources: report.sources,
            trust: report.trust,
        }
    }
}

impl From<Boot> for BootCount {
    fn from(boot: Boot) -> Self {
        Self { id: boot.id, kernel: boot.kernel, by_source: boot.found }
    }
}
