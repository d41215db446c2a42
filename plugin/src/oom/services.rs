//! `systemd.units`: services, their memory, and how often they ended in an OOM kill.

use std::time::Instant;

use agent2_plugin::{ItemError, Reply};
use oom_evidence::{CgroupKills, Service, Wanted};
use serde::Serialize;

use super::evidence::Evidence;
use super::{Oom, deadline};
use crate::arguments::Arguments;
use crate::exporter::OomWatch;
use crate::json;

const DEFAULT_COUNT: usize = 50;
/// An answer must fit into what a server takes.
const COUNT_MAX: usize = 1000;

#[derive(Serialize)]
struct ServicesJson {
    bus: String,
    oom_kills: u64,
    units: Vec<ServiceJson>,
}

#[derive(Serialize)]
struct ServiceJson {
    unit: String,
    active_state: String,
    sub_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    oom_kills: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_oom_kill: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_current_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_oom_swap: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_oom_memory_pressure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_oom_memory_pressure_limit_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_oom_memory_pressure_duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_oom_preference: Option<String>,
}

impl ServiceJson {
    fn of(service: Service, evidence: &Evidence) -> Self {
        let count = evidence.ledger.services.counts.get(&service.name);
        Self {
            oom_kills: count.map(|count| count.kills).unwrap_or_default(),
            last_oom_kill: count.map(|count| count.last),
            unit: service.name,
            active_state: service.active_state,
            sub_state: service.sub_state,
            result: service.result,
            restarts: service.restarts,
            memory_current_bytes: service.memory_current_bytes,
            memory_peak_bytes: service.memory_peak_bytes,
            memory_max_bytes: service.memory_max_bytes,
            oom_policy: service.oom_policy,
            managed_oom_swap: service.managed_oom_swap,
            managed_oom_memory_pressure: service.managed_oom_memory_pressure,
            managed_oom_memory_pressure_limit_percent: service.managed_oom_memory_pressure_limit_percent,
            managed_oom_memory_pressure_duration_seconds: service
                .managed_oom_memory_pressure_duration_seconds,
            managed_oom_preference: service.managed_oom_preference,
        }
    }
}

#[derive(Serialize)]
struct DiscoveryJson {
    #[serde(rename = "{#UNIT}")]
    unit: String,
    #[serde(rename = "{#LIMITED}")]
    limited: u8,
}

impl Oom {
    /// The state of the bus in a word or a sentence, and the services. What is known from before is told all the same.
    fn read_services(&self, count: usize, deadline: Instant) -> Result<(String, Vec<Service>), ItemError> {
        let Some(systemd) = &self.systemd else { return Ok(("off".to_owned(), Vec::new())) };
        let first =
            self.recall(deadline, |evidence| evidence.ledger.services.counts.keys().cloned().collect())?;
        let services = systemd.services(&Wanted { count, first }, deadline);
        self.count_outlived(&services.list, deadline)?;
        match services.problem {
            None => Ok(("connected".to_owned(), services.list)),
            Some(why) if services.known => Ok((format!("unreachable: {why}"), services.list)),
            Some(why) => Err(ItemError::new(format!("systemd cannot be asked over D-Bus: {why}"))),
        }
    }
}

impl Oom {
    /// Has the kills counted that these services have outlived.
    fn count_outlived(&self, services: &[Service], deadline: Instant) -> Result<(), ItemError> {
        let kills_of = |service: &Service| {
            let is_its =
                service.active_state == "active" && service.oom_policy.as_deref() == Some("continue");
            let path = service.control_group.as_deref().filter(|_| is_its)?;
            CgroupKills::read(&self.host_root, path).map(|kills| (service.name.clone(), kills))
        };
        let kills: Vec<_> = services.iter().filter_map(kills_of).collect();
        if kills.is_empty() {
            return Ok(());
        }
        let mut evidence = self.lock(deadline)?;
        let evidence = self.opened(&mut evidence);
        kills.iter().for_each(|(unit, kills)| evidence.take_outlived(unit, *kills));
        Ok(())
    }
}

fn read(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<(String, Vec<Service>), ItemError> {
    let count = arguments.count(0, DEFAULT_COUNT)?.min(COUNT_MAX);
    oomwatch.oom.read_services(count, deadline(arguments.request()))
}

/// `systemd.units[count]`
pub(crate) fn services(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (bus, services) = read(oomwatch, arguments)?;
    oomwatch.oom.recall(deadline(arguments.request()), |evidence| {
        json::reply(&ServicesJson {
            bus,
            oom_kills: evidence.ledger.services.total,
            units: services.into_iter().map(|service| ServiceJson::of(service, evidence)).collect(),
        })
    })?
}

/// `systemd.units.discovery[count]`
pub(crate) fn services_discovery(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (_, services) = read(oomwatch, arguments)?;
    let row = |service: Service| DiscoveryJson {
        unit: service.name,
        limited: u8::from(service.memory_max_bytes.is_some()),
    };
    json::reply(&services.into_iter().map(row).collect::<Vec<_>>())
}
