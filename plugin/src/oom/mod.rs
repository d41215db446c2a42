//! The state behind the `oom` and `systemd` keys: the history of kills, the sources of reports, the connection to systemd.

mod evidence;
mod files;
mod ledger;
mod moment;
mod store;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Request};
use oom_evidence::{CgroupKills, Service, Systemd, Wanted};

use crate::config::Config;
use crate::deadline::reading_deadline;
use crate::purpose::Purpose;

pub(crate) use evidence::{Evidence, Sight, SourceState};
pub(crate) use ledger::Source as OomSource;

/// Reading a source may hold the evidence up for as long as a poll lasts.
const KEEPING_TIME: Duration = Duration::from_secs(60);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What the `oom` keys share.
pub(crate) struct Oom {
    pub(crate) host_root: PathBuf,
    state_dir: PathBuf,
    sources: Vec<OomSource>,
    purpose: Purpose,
    /// None where it is switched off. Nothing is started before a key needs it.
    systemd: Option<Systemd>,
    /// A thread is about to keep what systemd told.
    is_keeping: AtomicBool,
    /// Opened by the first key that needs reports, so that a plugin without any touches no state.
    evidence: Mutex<Option<Evidence>>,
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
            }
        })
    }

    /// Has what systemd told written down at once: a plugin that is killed before the next poll must still have counted
    /// it. The one who tells must not wait for a disk, so a thread of its own does, for as long as it takes.
    fn keep_news(self: Arc<Self>) {
        if self.purpose == Purpose::ReadOnly || self.is_keeping.swap(true, Ordering::AcqRel) {
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
    pub(crate) fn poll<T>(
        &self,
        request: &Request,
        answer: impl FnOnce(&Evidence) -> T,
    ) -> Result<T, ItemError> {
        let deadline = reading_deadline(request);
        let mut evidence = self.lock(deadline)?;
        let evidence = self.opened(&mut evidence);
        evidence.refresh(self.systemd.as_ref(), deadline);
        Ok(answer(evidence))
    }

    /// Answers from what is known, with what systemd told until now.
    pub(crate) fn recall<T>(
        &self,
        deadline: Instant,
        answer: impl FnOnce(&Evidence) -> T,
    ) -> Result<T, ItemError> {
        let mut evidence = self.lock(deadline)?;
        let evidence = self.opened(&mut evidence);
        evidence.save();
        Ok(answer(evidence))
    }

    fn opened<'a>(&self, evidence: &'a mut Option<Evidence>) -> &'a mut Evidence {
        let only_look = self.purpose == Purpose::ReadOnly;
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

/// The services that a key lists, and the state of the connection to systemd.
pub(crate) struct ServiceList {
    /// `connected`, `off`, or `unreachable:` and the reason.
    pub(crate) bus: String,
    pub(crate) services: Vec<Service>,
}

impl Oom {
    /// Returns up to `count` services. If systemd is unreachable, the services that are known from before are returned.
    ///
    /// # Errors
    /// If systemd was never reached.
    pub(crate) fn services(&self, count: usize, deadline: Instant) -> Result<ServiceList, ItemError> {
        let Some(systemd) = &self.systemd else {
            return Ok(ServiceList { bus: "off".to_owned(), services: Vec::new() });
        };
        let first =
            self.recall(deadline, |evidence| evidence.ledger.services.counts.keys().cloned().collect())?;
        let services = systemd.services(&Wanted { count, first }, deadline);
        self.count_outlived(&services.list, deadline)?;
        let bus = match services.problem {
            None => "connected".to_owned(),
            Some(reason) if services.known => format!("unreachable: {reason}"),
            Some(reason) => {
                return Err(ItemError::new(format!("systemd cannot be queried over D-Bus: {reason}")));
            }
        };
        Ok(ServiceList { bus, services: services.list })
    }

    /// Counts the kills that these services outlived, from their cgroups.
    fn count_outlived(&self, services: &[Service], deadline: Instant) -> Result<(), ItemError> {
        let kills_of = |service: &Service| {
            let is_counted_by_cgroup =
                service.active_state == "active" && service.oom_policy.as_deref() == Some("continue");
            let path = service.control_group.as_deref().filter(|_| is_counted_by_cgroup)?;
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
