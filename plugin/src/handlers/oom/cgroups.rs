//! `oom.cgroups`: memory cgroups with a limit or with kills.

use agent2_plugin::{ItemError, Reply};
use proc_snapshot::{Cgroup, CgroupVersion, Cgroups};
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::json;
use crate::parameters::Arguments;
use crate::state::PluginState;
use crate::text;

const DEFAULT_COUNT: usize = 20;
/// An answer must fit into what a server takes.
const COUNT_MAX: usize = 1000;

#[derive(Serialize)]
struct CgroupsJson {
    version: u8,
    /// With a limit or with kills, those that are not listed among them.
    total: usize,
    complete: bool,
    cgroups: Vec<CgroupJson>,
}

#[derive(Serialize)]
struct CgroupJson {
    path: String,
    current_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_kill: Option<u64>,
}

impl CgroupJson {
    fn of(cgroup: &Cgroup) -> Self {
        let percent = |max: u64| (cgroup.current_bytes as f64 * 10_000.0 / max.max(1) as f64).round() / 100.0;
        Self {
            path: text::lossy(&cgroup.path),
            current_bytes: cgroup.current_bytes,
            max_bytes: cgroup.max_bytes,
            percent: cgroup.max_bytes.map(percent),
            peak_bytes: cgroup.peak_bytes,
            oom: cgroup.oom,
            oom_kill: cgroup.oom_kill,
        }
    }
}

#[derive(Serialize)]
struct DiscoveryJson {
    #[serde(rename = "{#CGROUP}")]
    path: String,
    #[serde(rename = "{#LIMITED}")]
    limited: u8,
}

fn read(plugin: &PluginState, arguments: Arguments<'_>) -> Result<(Cgroups, usize), ItemError> {
    let count = arguments.count(0, DEFAULT_COUNT)?.min(COUNT_MAX);
    Ok((Cgroups::read(&plugin.oom.host_root, reading_deadline(arguments.request()))?, count))
}

/// `oom.cgroups[count]`
pub(crate) fn cgroups(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (cgroups, count) = read(plugin, arguments)?;
    json::reply(&CgroupsJson {
        version: if cgroups.version == CgroupVersion::V2 { 2 } else { 1 },
        total: cgroups.list.len(),
        complete: cgroups.complete,
        cgroups: cgroups.list.iter().take(count).map(CgroupJson::of).collect(),
    })
}

/// `oom.cgroups.discovery[count]`
pub(crate) fn discovery(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (cgroups, count) = read(plugin, arguments)?;
    let row = |cgroup: &Cgroup| DiscoveryJson {
        path: text::lossy(&cgroup.path),
        limited: u8::from(cgroup.max_bytes.is_some()),
    };
    json::reply(&cgroups.list.iter().take(count).map(row).collect::<Vec<_>>())
}
