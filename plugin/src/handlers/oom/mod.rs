//! `oom.count`, `oom.total`, `oom.last` and `oom.list`.

mod cgroups;
mod risk;
mod services;
mod sources;

use agent2_plugin::{ItemError, Reply};
use serde::Serialize;

use crate::json;
use crate::parameters::Arguments;
use crate::report::ReportJson;
use crate::state::PluginState;
use sources::{check_sources, has_full_view};

pub(crate) use cgroups::{cgroups, discovery};
pub(crate) use risk::risk;
pub(crate) use services::{services, services_discovery};
pub(crate) use sources::{CheckedSource, checked_sources, sources};

const DEFAULT_LIST: usize = 10;

/// `oom.count`
pub(crate) fn count(plugin: &PluginState, _: Arguments<'_>) -> Result<Reply, ItemError> {
    Ok(proc_snapshot::oom_kills(&plugin.oom.host_root)?.into())
}

/// `oom.total`
pub(crate) fn total(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |collector| {
        if let Err(reason) = collector.kernel_count()
            && !has_full_view(&collector.sources())
        {
            return Err(ItemError::new(format!(
                "{reason}, and no source of reports can be read: see oomwatch.oom.sources"
            )));
        }
        Ok(collector.history().total().into())
    })?
}

#[derive(Serialize)]
struct LastJson {
    count: u64,
    #[serde(flatten)]
    report: Option<ReportJson>,
}

/// `oom.last`
pub(crate) fn last(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |collector| {
        check_sources(collector)?;
        let report = collector.history().newest().next().map(ReportJson::from);
        json::reply(&LastJson { count: collector.history().reports(), report })
    })?
}

/// `oom.list[count]`
pub(crate) fn list(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let count = arguments.count(0, DEFAULT_LIST)?;
    plugin.oom.poll(arguments.request(), |collector| {
        check_sources(collector)?;
        let reports: Vec<_> = collector.history().newest().take(count).map(ReportJson::from).collect();
        json::reply(&reports)
    })?
}
