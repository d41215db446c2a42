//! The keys about the OOM killer: `oom.count` and its kin.

mod cgroups;
mod evidence;
mod files;
mod ledger;
mod moment;
mod risk;
mod services;
mod store;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Reply, Request};
use oom_evidence::Systemd;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::config::Config;
use crate::exporter::{OomWatch, Purpose};
use crate::json;
use crate::report::ReportJson;
use evidence::{Evidence, Sight, SourceState};
use risk::Trend;

pub(crate) use cgroups::{cgroups, discovery};
pub(crate) use ledger::Source;
pub(crate) use risk::risk;
pub(crate) use services::{services, services_discovery};

const DEFAULT_LIST: usize = 10;
/// How long before the poll's deadline reading stops, so that the reply can still be written in time.
const WRITING_TIME: Duration = Duration::from_millis(250);
/// Reading a source may hold the evidence up for as long as a poll lasts.
const KEEPING_TIME: Duration = Duration::from_secs(60);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What the `oom` keys share.
pub(crate) struct Oom {
    host_root: PathBuf,
    state_dir: PathBuf,
    sources: Vec<Source>,
    purpose: Purpose,
    /// None where it is switched off. Nothing is started before a key needs it.
    systemd: Option<Systemd>,
    /// A thread is about to keep what systemd told.
    is_keeping: AtomicBool,
    /// Opened by the first key that needs reports, so that a plugin without any touches no state.
    evidence: Mutex<Option<Evidence>>,
    trend: Trend,
}

impl Oom {
    pub(crate) fn new(config: &Config, purpose: Purpose) -> Arc<Self> {
        Arc::new_cyclic(|oom: &Weak<Self>| {
            let oom = oom.clone();
            let systemd = || {
                Systemd::of(&config.host_root, move || oom.upgrade().map(Self::keep_news).unwrap_or_default())
            };
            Self {
                host_root: config.host_root.clone(),
                state_dir: config.state_dir.clone(),
                sources: config.oom_sources.clone(),
                purpose,
                systemd: config.systemd.then(systemd),
                is_keeping: AtomicBool::new(false),
                evidence: Mutex::new(None),
                trend: Trend::default(),
            }
        })
    }

    /// Has what systemd told written down at once: a plugin that is killed before the next poll must still have counted
    /// it. The one who tells must not wait for a disk, so a thread of its own does, for as long as it takes.
    fn keep_news(self: Arc<Self>) {
        if self.purpose == Purpose::Look || self.is_keeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let oom = Arc::clone(&self);
        let keep = move || {
            let evidence = oom.lock(Instant::now() + KEEPING_TIME);
            // From here on there may be news that this thread does not see.
            oom.is_keeping.store(false, Ordering::Release);
            if let Ok(mut evidence) = evidence {
                oom.opened(&mut evidence).save();
            }
        };
        if thread::Builder::new().name("news".to_owned()).spawn(keep).is_err() {
            // The next poll takes them.
            self.is_keeping.store(false, Ordering::Release);
        }
    }

    /// Answers from what all sources tell until now.
    fn ask<T>(&self, request: &Request, answer: impl FnOnce(&Evidence) -> T) -> Result<T, ItemError> {
        let deadline = deadline(request);
        let mut evidence = self.lock(deadline)?;
        let evidence = self.opened(&mut evidence);
        evidence.refresh(self.systemd.as_ref(), deadline);
        Ok(answer(evidence))
    }

    /// Answers from what is known, with what systemd told until now.
    fn recall<T>(&self, deadline: Instant, answer: impl FnOnce(&Evidence) -> T) -> Result<T, ItemError> {
        let mut evidence = self.lock(deadline)?;
        let evidence = self.opened(&mut evidence);
        evidence.save();
        Ok(answer(evidence))
    }

    fn opened<'a>(&self, evidence: &'a mut Option<Evidence>) -> &'a mut Evidence {
        let only_look = self.purpose == Purpose::Look;
        let open = || Evidence::open(&self.host_root, &self.state_dir, &self.sources, only_look);
        let evidence = evidence.get_or_insert_with(open);
        evidence.take_news(self.systemd.as_ref());
        evidence
    }

    /// A source on a dead disk holds up the one who reads it; the others are told so in time.
    fn lock(&self, deadline: Instant) -> Result<MutexGuard<'_, Option<Evidence>>, ItemError> {
        loop {
            match self.evidence.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(poisoned)) => {
                    // What a panic left half done is read anew from the state file.
                    let mut guard = poisoned.into_inner();
                    *guard = None;
                    self.evidence.clear_poison();
                    return Ok(guard);
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(ItemError::new(
                        "the sources of OOM reports are still being read for another item",
                    ));
                }
            }
        }
    }
}

/// When reading must be done with.
fn deadline(request: &Request) -> Instant {
    let early = WRITING_TIME.min(request.time_left() / 4);
    request.deadline().checked_sub(early).unwrap_or_else(|| request.deadline())
}

/// `oom.count`
pub(crate) fn count(oomwatch: &OomWatch, _: Arguments<'_>) -> Result<Reply, ItemError> {
    Ok(oom_evidence::oom_kills(&oomwatch.oom.host_root)?.into())
}

/// `oom.total`
pub(crate) fn total(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    oomwatch.oom.ask(arguments.request(), |evidence| {
        if evidence.kernel_count.is_err() && !can_see(&evidence.sources()) {
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
pub(crate) fn last(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    oomwatch.oom.ask(arguments.request(), |evidence| {
        evidence.refuse_blind()?;
        let report = evidence.ledger.newest().next().map(|event| &event.report);
        json::reply(&LastJson { count: evidence.ledger.reports, report })
    })?
}

/// `oom.list[count]`
pub(crate) fn list(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let count = arguments.count(0, DEFAULT_LIST)?;
    oomwatch.oom.ask(arguments.request(), |evidence| {
        evidence.refuse_blind()?;
        let events: Vec<_> = evidence.ledger.newest().take(count).map(|event| &event.report).collect();
        json::reply(&events)
    })?
}

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
struct SourceJson<'a> {
    name: &'static str,
    /// Whether the kernel's reports are read there, and not only what becomes of services.
    #[serde(skip)]
    is_text: bool,
    /// `readable`, `absent`, `forbidden`, `failed` or `off`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'static str>,
}

/// Kills of this boot.
#[derive(Serialize)]
struct CountsJson<'a> {
    /// The kernel's own count; null where it has none.
    kernel: Option<u64>,
    reported: u64,
    by_source: std::collections::BTreeMap<&'a str, u64>,
    agree: Option<bool>,
}

impl Evidence {
    /// Without a source nobody knows that there was no report. What is known from before is told all the same.
    fn refuse_blind(&self) -> Result<(), ItemError> {
        if self.ledger.reports > 0 || can_see(&self.sources()) {
            return Ok(());
        }
        Err(ItemError::new("no source of OOM reports can be read: oomwatch.oom.sources tells why"))
    }

    fn sources(&self) -> Vec<SourceJson<'_>> {
        let mut sources = vec![
            SourceJson::of(Source::Kmsg, None, &self.ring_state),
            SourceJson::of(Source::Journal, None, &self.journal_state),
        ];
        let files = self.files.iter();
        sources.extend(
            files.map(|(file, state)| {
                SourceJson::of(Source::File, Some(file.path.display().to_string()), state)
            }),
        );
        sources.push(SourceJson::of(Source::Systemd, None, &self.systemd_state));
        sources.push(SourceJson::of(Source::SystemdOomd, None, &self.oomd_state));
        sources
    }
}

/// Whether a source can be read that tells of every kill. systemd sees only what its services come to, so it must not
/// stand for the others, unless the configuration wants no other.
fn can_see(sources: &[SourceJson<'_>]) -> bool {
    let wants_text = sources.iter().any(|source| source.is_text && source.state != "off");
    sources.iter().any(|source| source.readable && (source.is_text || !wants_text))
}

impl<'a> SourceJson<'a> {
    fn of(source: Source, path: Option<String>, state: &'a SourceState) -> Self {
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
            why: state.problem.as_deref(),
            mend: state.mend,
        }
    }
}

/// Whether a source can be read, for people.
#[derive(Debug)]
pub(crate) struct Readability {
    pub(crate) source: Source,
    pub(crate) problem: Option<String>,
}

/// Of each source that is not switched off. Log files are one source: a machine has one or two of them.
pub(crate) fn readability(oomwatch: &OomWatch, request: &Request) -> Result<Vec<Readability>, ItemError> {
    oomwatch.oom.ask(request, |evidence| {
        let of = |source, state: &SourceState| {
            (state.sight != Sight::Off).then(|| Readability { source, problem: state.problem.clone() })
        };
        let file = evidence.files.iter().map(|(_, state)| state).min_by_key(|state| state.rank());
        let all = [
            of(Source::Kmsg, &evidence.ring_state),
            of(Source::Journal, &evidence.journal_state),
            file.and_then(|state| of(Source::File, state)),
            of(Source::Systemd, &evidence.systemd_state),
            of(Source::SystemdOomd, &evidence.oomd_state),
        ];
        all.into_iter().flatten().collect()
    })
}

/// `oom.sources`
pub(crate) fn sources(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    oomwatch.oom.ask(arguments.request(), |evidence| {
        let sources = evidence.sources();
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
