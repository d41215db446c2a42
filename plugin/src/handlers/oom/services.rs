//! `systemd.units`: services, their memory, and how often they ended in an OOM kill.

use agent2_plugin::{ItemError, Reply};
use oom_evidence::Service;
use oom_history::ServiceKills;
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::json;
use crate::oom::ServiceList;
use crate::parameters::Arguments;
use crate::state::PluginState;

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
    fn new(service: Service, kills: &ServiceKills) -> Self {
        let count = kills.counts.get(&service.name);
        Self {
            oom_kills: count.map(|count| count.kills).unwrap_or_default(),
            last_oom_kill: count.map(|count| count.last_unix_seconds),
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

fn read(plugin: &PluginState, arguments: Arguments<'_>) -> Result<ServiceList, ItemError> {
    let count = arguments.count(0, DEFAULT_COUNT)?.min(COUNT_MAX);
    plugin.oom.services(count, reading_deadline(arguments.request()))
}

/// `systemd.units[count]`
pub(crate) fn services(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let ServiceList { bus, services } = read(plugin, arguments)?;
    plugin.oom.recall(reading_deadline(arguments.request()), |collector| {
        let kills = collector.history().services();
        json::reply(&ServicesJson {
            bus,
            oom_kills: kills.total,
            units: services.into_iter().map(|service| ServiceJson::new(service, kills)).collect(),
        })
    })?
}

/// `systemd.units.discovery[count]`
pub(crate) fn services_discovery(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let services = read(plugin, arguments)?.services;
    let row = |service: Service| DiscoveryJson {
        unit: service.name,
        limited: u8::from(service.memory_max_bytes.is_some()),
    };
    json::reply(&services.into_iter().map(row).collect::<Vec<_>>())
}
