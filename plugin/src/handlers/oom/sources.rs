//! `oom.sources`: which sources of OOM reports can be read.

use std::collections::BTreeMap;

use agent2_plugin::{ItemError, Reply, Request};
use serde::Serialize;

use crate::json;
use crate::oom::{Evidence, OomSource, Sight, SourceState};
use crate::parameters::Arguments;
use crate::state::PluginState;

#[derive(Serialize)]
struct SourcesJson<'a> {
    readable: bool,
    sources: Vec<SourceJson<'a>>,
    counts: CountsJson<'a>,
    messages_lost: u64,
    messages_before_start: u64,
    persistence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct SourceJson<'a> {
    name: &'static str,
    /// Whether the source carries the kernel's own reports, and not only the end of services.
    #[serde(skip)]
    is_text: bool,
    /// `readable`, `absent`, `forbidden`, `failed` or `off`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// Kills since this boot.
#[derive(Serialize)]
struct CountsJson<'a> {
    /// The kernel's own count; null if the kernel has none (before 4.13).
    kernel: Option<u64>,
    reported: u64,
    by_source: BTreeMap<&'a str, u64>,
    agree: Option<bool>,
}

/// Reports an error if no source can be read: no report would then mean nothing. Reports from earlier are still returned.
pub(super) fn refuse_blind(evidence: &Evidence) -> Result<(), ItemError> {
    if evidence.ledger.reports > 0 || can_see(&source_list(evidence)) {
        return Ok(());
    }
    Err(ItemError::new("no source of OOM reports can be read: oomwatch.oom.sources gives the reasons"))
}

/// Returns the state of every source, each log file on its own.
pub(super) fn source_list(evidence: &Evidence) -> Vec<SourceJson<'_>> {
    let mut sources = vec![
        SourceJson::new(OomSource::Kmsg, None, &evidence.ring_state),
        SourceJson::new(OomSource::Journal, None, &evidence.journal_state),
    ];
    let files = evidence.files.iter();
    sources.extend(
        files.map(|(file, state)| {
            SourceJson::new(OomSource::File, Some(file.path.display().to_string()), state)
        }),
    );
    sources.push(SourceJson::new(OomSource::Systemd, None, &evidence.systemd_state));
    sources.push(SourceJson::new(OomSource::SystemdOomd, None, &evidence.oomd_state));
    sources
}

/// Reports whether a source is readable that reports every kill. systemd reports only kills that end a service, so it does
/// not stand for the others unless the configuration names no other.
pub(super) fn can_see(sources: &[SourceJson<'_>]) -> bool {
    let wants_text = sources.iter().any(|source| source.is_text && source.state != "off");
    sources.iter().any(|source| source.readable && (source.is_text || !wants_text))
}

impl<'a> SourceJson<'a> {
    fn new(source: OomSource, path: Option<String>, state: &'a SourceState) -> Self {
        let status = match state.sight {
            Sight::Readable => "readable",
            Sight::Absent => "absent",
            Sight::Forbidden => "forbidden",
            Sight::Failed => "failed",
            Sight::Off => "off",
        };
        Self {
            name: source.name(),
            is_text: source.is_text(),
            state: status,
            path,
            readable: state.problem.is_none(),
            reason: state.problem.as_deref(),
            remedy: state.mend,
        }
    }
}

/// `oom.sources`
pub(crate) fn sources(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    plugin.oom.poll(arguments.request(), |evidence| {
        let sources = source_list(evidence);
        let count = evidence.ledger.count_of_boot();
        let reported = count.reported();
        let is_readable = can_see(&sources);
        let sees_text = sources.iter().any(|source| source.is_text && source.readable);
        json::reply(&SourcesJson {
            readable: is_readable,
            counts: CountsJson {
                kernel: count.kernel,
                reported,
                by_source: count.found.iter().map(|(name, kills)| (name.as_ref(), *kills)).collect(),
                agree: count.agree(sees_text),
            },
            sources,
            messages_lost: evidence.ledger.lost,
            messages_before_start: evidence.ledger.before_start,
            persistence: evidence.store.name(),
            reason: evidence.store.reason(),
        })
    })?
}

/// Whether a source can be read, for `check`.
#[derive(Debug)]
pub(crate) struct Readability {
    pub(crate) source: OomSource,
    pub(crate) problem: Option<String>,
}

/// Returns the state of each source that is not switched off. Log files count as one source: a machine has one or two.
pub(crate) fn readability(plugin: &PluginState, request: &Request) -> Result<Vec<Readability>, ItemError> {
    plugin.oom.poll(request, |evidence| {
        let of = |source, state: &SourceState| {
            (state.sight != Sight::Off).then(|| Readability { source, problem: state.problem.clone() })
        };
        let file = evidence.files.iter().map(|(_, state)| state).min_by_key(|state| state.rank());
        let all = [
            of(OomSource::Kmsg, &evidence.ring_state),
            of(OomSource::Journal, &evidence.journal_state),
            file.and_then(|state| of(OomSource::File, state)),
            of(OomSource::Systemd, &evidence.systemd_state),
            of(OomSource::SystemdOomd, &evidence.oomd_state),
        ];
        all.into_iter().flatten().collect()
    })
}
