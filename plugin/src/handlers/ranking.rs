//! `proc.top` and `proc.discovery`: process names ranked by their memory or CPU.

use agent2_plugin::{ItemError, Reply, Request};
use proc_snapshot::{NameTotal, Needs, TopBy, Visibility};
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::json;
use crate::parameters::Arguments;
use crate::state::PluginState;
use crate::text;

const DEFAULT_COUNT: usize = 10;

/// The names of a ranking, largest sum first, and the sum over all of them.
pub(crate) struct Ranking {
    pub(crate) by: TopBy,
    pub(crate) unit: &'static str,
    pub(crate) total: f64,
    /// Processes whose smaps_rollup could not be read. A ranking by PSS does not include them.
    pub(crate) unreadable: u64,
    pub(crate) names: Vec<NameTotal>,
}

impl Ranking {
    /// Ranks the running processes. Reports an error if the processes of other users are hidden.
    pub(crate) fn read(
        plugin: &PluginState,
        by: TopBy,
        count: usize,
        request: &Request,
    ) -> Result<Self, ItemError> {
        let needs = match by {
            TopBy::Rss | TopBy::Swap => Needs::CMDLINE | Needs::STATUS,
            TopBy::Pss | TopBy::Cpu => Needs::CMDLINE,
        };
        let snapshot = plugin.snapshot(needs, request)?;
        refuse_partial(&Visibility::new(plugin.walk.root(), &snapshot)?)?;
        let deadline = reading_deadline(request);
        let mut names = match by {
            TopBy::Cpu => plugin.sampler.top(deadline)?.names,
            _ => snapshot.top(by, deadline)?,
        };
        let unreadable = names.iter().map(|name| name.unreadable).sum();
        let total = names.iter().map(|name| name.sum).sum();
        names.truncate(count);
        Ok(Self { by, unit: if by == TopBy::Cpu { "%" } else { "B" }, total, unreadable, names })
    }
}

fn refuse_partial(visibility: &Visibility) -> Result<(), ItemError> {
    if !visibility.is_partial() {
        return Ok(());
    }
    let hidepid = visibility.hidepid.map_or_else(|| "unknown".to_owned(), |hidepid| hidepid.to_string());
    Err(ItemError::new(format!(
        "the processes of other users cannot be seen (hidepid={hidepid} on /proc): \
         add the agent's user to the group of the mount's gid= option, or mount /proc with hidepid=0"
    )))
}

/// `proc.top[by,count]`
pub(crate) fn top(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let ranking = read_ranking(plugin, arguments)?;
    json::reply(&TopJson {
        by: ranking.by.word(),
        unit: ranking.unit,
        total: ranking.total,
        unreadable: ranking.unreadable,
        names: ranking.names.iter().map(NameJson::new).collect(),
    })
}

/// `proc.discovery[by,count]`
pub(crate) fn discovery(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let ranking = read_ranking(plugin, arguments)?;
    json::reply(&ranking.names.iter().map(DiscoveryJson::new).collect::<Vec<_>>())
}

fn read_ranking(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Ranking, ItemError> {
    let by = arguments.word(0, TopBy::from_word)?;
    let count = arguments.count(1, DEFAULT_COUNT)?;
    Ranking::read(plugin, by, count, arguments.request())
}

#[derive(Serialize)]
struct TopJson {
    by: &'static str,
    unit: &'static str,
    #[serde(serialize_with = "json::number")]
    total: f64,
    unreadable: u64,
    names: Vec<NameJson>,
}

#[derive(Serialize)]
struct NameJson {
    name: String,
    count: u64,
    unreadable: u64,
    #[serde(serialize_with = "json::number")]
    sum: f64,
    #[serde(serialize_with = "json::number")]
    avg: f64,
    #[serde(serialize_with = "json::number")]
    max: f64,
}

impl NameJson {
    fn new(total: &NameTotal) -> Self {
        Self {
            name: text::lossy(&total.name),
            count: total.count,
            unreadable: total.unreadable,
            sum: total.sum,
            avg: total.avg,
            max: total.max,
        }
    }
}

#[derive(Serialize)]
struct DiscoveryJson {
    #[serde(rename = "{#NAME}")]
    name: String,
    #[serde(rename = "{#COUNT}")]
    count: u64,
    #[serde(rename = "{#SUM}", serialize_with = "json::number")]
    sum: f64,
}

impl DiscoveryJson {
    fn new(total: &NameTotal) -> Self {
        Self { name: text::lossy(&total.name), count: total.count, sum: total.sum }
    }
}
