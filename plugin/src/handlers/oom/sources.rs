//! `oom.sources`: which sources of OOM reports can be read.

use std::collections::BTreeMap;

use agent2_plugin::{ItemError, Reply, Request};
use oom_history::{Collector, OomSource, SourceReport, SourceState, SourceStatus};
use serde::Serialize;

use crate::json;
use crate::oom::Oom;
use crate::parameters::Arguments;
use crate::remedies;
use crate::state::PluginState;

#[derive(Serialize)]
struct SourcesJson<'a> {
    readable: bool,
    sources: Vec<SourceJson<'a>>,
    counts: CountsJson,
    messages_lost: u64,
    messages_before_start: u64,
    persistence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct SourceJson<'a> {
    name: &'static str,
    /// `readable`, `absent`, `forbidden`, `failed` or `off`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Kills since this boot.
#[derive(Serialize)]
struct CountsJson {
    /// The kernel's own count; null if the kernel has none (before 4.13).
    kernel: Option<u64>,
    reported: u64,
    by_source: BTreeMap<&'static str, u64>,
    agree: Option<bool>,
}

/// Reports an error if no source can be read: no report would then mean nothing. Reports from earlier are still returned.
pub(super) fn check_sources(collector: &Collector) -> Result<(), ItemError> {
    if collector.history().reports() > 0 || has_full_view(&collector.sources()) {
        return Ok(());
    }
    Err(ItemError::new("no source of OOM reports can be read: oomwatch.oom.sources gives the reasons"))
}

/// Whether a source is readable that reports every kill. systemd reports only kills that end a service, so it does not
/// stand for the others unless the configuration names no other.
pub(super) fn has_full_view(sources: &[SourceReport<'_>]) -> bool {
    let wants_text = sources
        .iter()
        .any(|report| report.source.is_kernel_text() && report.status.state != SourceState::Off);
    sources
        .iter()
        .any(|report| report.status.is_readable() && (report.source.is_kernel_text() || !wants_text))
}

impl<'a> SourceJson<'a> {
    fn new(report: &SourceReport<'a>, oom: &Oom) -> Self {
        let SourceReport { source, path, status, .. } = *report;
        let off_reason = || (status.state == SourceState::Off).then(|| oom.off_reason(source));
        Self {
            name: source.name(),
            state: status.state.name(),
            path: path.map(|path| path.display().to_string()),
            readable: status.is_readable(),
            reason: status.reason.as_deref().or_else(off_reason),
            remedy: status.remedy.map(remedies::text),
        }
    }
}

/// `oom.sources`
pub(crate) fn sources(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |collector| {
        let sources = collector.sources();
        let history = collector.history();
        let count = history.count_of_boot();
        let is_text_readable =
            sources.iter().any(|report| report.source.is_kernel_text() && report.status.is_readable());
        json::reply(&SourcesJson {
            readable: has_full_view(&sources),
            counts: CountsJson {
                kernel: count.kernel,
                reported: count.reported(),
                by_source: count.by_source.iter().map(|(source, kills)| (source.name(), *kills)).collect(),
                agree: count.agree(is_text_readable),
            },
            sources: sources.iter().map(|report| SourceJson::new(report, &plugin.oom)).collect(),
            messages_lost: history.messages_lost(),
            messages_before_start: history.messages_before_start(),
            persistence: collector.durability().name(),
            reason: collector.durability().reason(),
        })
    })?
}

/// A source that is not switched off, for `check`.
#[derive(Debug)]
pub(crate) struct CheckedSource {
    pub(crate) source: OomSource,
    pub(crate) status: SourceStatus,
}

/// Returns each source that is not switched off. Log files count as one source: a machine has one or two of them.
pub(crate) fn checked_sources(
    plugin: &PluginState,
    request: &Request,
) -> Result<Vec<CheckedSource>, ItemError> {
    plugin.oom.poll(request, |collector| {
        let reports = collector.sources();
        let best = |source| {
            let reports = reports.iter().filter(|report| report.source == source);
            reports.map(|report| report.status).min_by_key(|status| rank(status))
        };
        let checked = OomSource::ALL.into_iter().filter_map(|source| {
            let status = best(source).filter(|status| status.state != SourceState::Off)?.clone();
            Some(CheckedSource { source, status })
        });
        checked.collect()
    })
}

/// Ranks a readable source first, then one with a remedy.
fn rank(status: &SourceStatus) -> (bool, bool) {
    (!status.is_readable(), status.remedy.is_none())
}
