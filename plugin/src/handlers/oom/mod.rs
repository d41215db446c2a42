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

use sources::{can_see, refuse_blind, source_list};

pub(crate) use cgroups::{cgroups, discovery};
pub(crate) use risk::risk;
pub(crate) use services::{services, services_discovery};
pub(crate) use sources::{Readability, readability, sources};

const DEFAULT_LIST: usize = 10;

/// `oom.count`
pub(crate) fn count(plugin: &PluginState, _: Arguments<'_>) -> Result<Reply, ItemError> {
    Ok(oom_evidence::oom_kills(&plugin.oom.host_root)?.into())
}

/// `oom.total`
pub(crate) fn total(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |evidence| {
        if evidence.kernel_count.is_err() && !can_see(&source_list(evidence)) {
            let why = evidence.kernel_count.as_ref().err().cloned().unwrap_or_default();
            return Err(ItemError::new(format!(
                "{why}, and no source of reports can be read: see oomwatch.oom.sources"
            )));
        }
        Ok(evidence.ledger.total().into())
    })?
}

#[derive(Serialize)]
struct LastJson<'a> {
    count: u64,
    #[serde(flatten)]
    report: Option<&'a ReportJson>,
}

/// `oom.last`
pub(crate) fn last(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |evidence| {
        refuse_blind(evidence)?;
        let report = evidence.ledger.newest().next().map(|event| &event.report);
        json::reply(&LastJson { count: evidence.ledger.reports, report })
    })?
}

/// `oom.list[count]`
pub(crate) fn list(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let count = arguments.count(0, DEFAULT_LIST)?;
    plugin.oom.poll(arguments.request(), |evidence| {
        refuse_blind(evidence)?;
        let events: Vec<_> = evidence.ledger.newest().take(count).map(|event| &event.report).collect();
        json::reply(&events)
    })?
}
