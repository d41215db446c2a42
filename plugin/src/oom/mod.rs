//! The state behind the `oom` and `systemd` keys: the history of kills, the sources of reports, the connection to systemd.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Request};
use oom_evidence::{Service, ServiceQuery, Systemd};
use oom_history::{Access, CgroupCount, Collector, Durability, OomSource};
use proc_snapshot::{CgroupKills, oom_kills};

use crate::config::Config;
use crate::deadline::reading_deadline;
use crate::purpose::Purpose;

/// Limit for the wait for the lock. A poll holds it while it reads the sources.
const SAVING_TIME: Duration = Duration::from_secs(60);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// State that the `oom` and `systemd` keys share.
pub(crate) struct Oom {
    pub(crate) host_root: PathBuf,
    state_dir: PathBuf,
    sources: Vec<OomSource>,
    purpose: Purpose,
    /// None if it is switched off. The first key that needs it starts it.
    systemd: Option<Systemd>,
    /// A thread is about to save what systemd or the kernel reported.
    is_saving: AtomicBool,
    /// Opened by the first key that needs it, so that a plugin without such items touches no state.
    collector: Mutex<Option<Collector>>,
    /// Whether the history outlives the process, as of the last poll. None before the first one.
    durability: Mutex<Option<Durability>>,
    /// For the threads that report news.
    own: Weak<Self>,
}

impl Oom {
    pub(crate) fn new(config: &Config, purpose: Purpose) -> Arc<Self> {
        Arc::new_cyclic(|oom: &Weak<Self>| {
            let own = Weak::clone(oom);
            let systemd = || {
                Systemd::new(&config.host_root, move || {
                    if let Some(oom) = own.upgrade() {
                        oom.save_news();
                    }
                })
            };
            Self {
                host_root: config.host_root.clone(),
                state_dir: config.state_dir.clone(),
                sources: config.oom_sources.clone(),
                purpose,
                systemd: config.systemd.then(systemd),
                is_saving: AtomicBool::new(false),
                collector: Mutex::new(None),
                durability: Mutex::new(None),
                own: Weak::clone(oom),
            }
        })
    }

    /// Saves what systemd or the kernel reported at once: a plugin that is killed before the next poll must have counted it.
    /// The threads that follow them must not wait for a disk, so another thread saves.
    fn save_news(self: Arc<Self>) {
        if self.purpose == Purpose::ReadOnly || self.is_saving.swap(true, Ordering::AcqRel) {
            return;
        }
        let oom = Arc::clone(&self);
        let save = move || {
            let collector = oom.lock(Instant::now() + SAVING_TIME);
            // This thread does not see what arrives from here on.
            oom.is_saving.store(false, Ordering::Release);
            if let Ok(mut collector) = collector
                && let Ok(collector) = oom.opened(&mut collector)
            {
                collector.save();
                oom.note_durability(collector);
            }
        };
        if thread::Builder::new().name("news".to_owned()).spawn(save).is_err() {
            // The next poll saves it.
            self.is_saving.store(false, Ordering::Release);
        }
    }

    /// Reads all sources and returns a value from the history.
    pub(crate) fn poll<T>(
        &self,
        request: &Request,
        value: impl FnOnce(&Collector) -> T,
    ) -> Result<T, ItemError> {
        let deadline = reading_deadline(request);
        let mut collector = self.lock(deadline)?;
        let collector = self.opened(&mut collector)?;
        let kernel_count = oom_kills(&self.host_root).map_err(|error| error.to_string());
        collector.refresh(kernel_count, self.systemd.as_ref(), deadline);
        self.note_durability(collector);
        Ok(value(collector))
    }

    fn note_durability(&self, collector: &Collector) {
        let durability = Some(collector.durability().clone());
        *self.durability.lock().unwrap_or_else(PoisonError::into_inner) = durability;
    }

    /// Returns whether the history outlives the process, as of the last poll. Waits for no source, and opens no state: none
    /// before the first OOM item.
    pub(crate) fn durability(&self) -> Option<Durability> {
        self.durability.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a value from the history and what systemd has reported, without reading the other sources.
    pub(crate) fn recall<T>(
        &self,
        deadline: Instant,
        value: impl FnOnce(&Collector) -> T,
    ) -> Result<T, ItemError> {
        let mut collector = self.lock(deadline)?;
        let collector = self.opened(&mut collector)?;
        collector.save();
        self.note_durability(collector);
        Ok(value(collector))
    }

    /// # Errors
    /// If the history cannot be opened now. The next poll tries again.
    fn opened<'a>(&self, collector: &'a mut Option<Collector>) -> Result<&'a mut Collector, ItemError> {
        // Another process owned the state and has ended: its history is loaded.
        if collector.as_ref().is_some_and(Collector::is_abandoned) {
            *collector = None;
        }
        let collector = match collector {
            Some(collector) => collector,
            none => none.insert(self.open()?),
        };
        collector.take_news(self.systemd.as_ref());
        Ok(collector)
    }

    fn open(&self) -> Result<Collector, ItemError> {
        let access = match self.purpose {
            Purpose::Serve => Access::ReadWrite,
            Purpose::ReadOnly => Access::ReadOnly,
        };
        let opened = Collector::open(&oom_history::Config {
            host_root: &self.host_root,
            state_dir: &self.state_dir,
            sources: &self.sources,
            access,
        });
        let own = Weak::clone(&self.own);
        let on_report = move || {
            if let Some(oom) = own.upgrade() {
                oom.save_news();
            }
        };
        opened
            .map(|collector| collector.on_report(on_report))
            .map_err(|error| ItemError::new(format!("the history of OOM kills cannot be opened: {error}")))
    }

    /// Waits for the lock until the deadline. A source on a dead disk blocks one poll, and the others get an error in time.
    fn lock(&self, deadline: Instant) -> Result<MutexGuard<'_, Option<Collector>>, ItemError> {
        loop {
            match self.collector.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(poisoned)) => {
                    // After a panic the history is loaded from the state file again.
                    let mut guard = poisoned.into_inner();
                    *guard = None;
                    self.collector.clear_poison();
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

impl Oom {
    /// Returns which option switched the source off.
    pub(crate) fn off_reason(&self, source: OomSource) -> &'static str {
        if self.systemd.is_none() && !source.is_kernel_text() {
            "Plugins.OomWatch.Systemd is off"
        } else {
            "Plugins.OomWatch.Oom.Sources does not name it"
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
        let first = self
            .recall(deadline, |collector| collector.history().services().counts.keys().cloned().collect())?;
        // A systemd that does not reply must leave time for the counters of the services that are known.
        let left = deadline.saturating_duration_since(Instant::now());
        let services = systemd.services(&ServiceQuery { count, first }, deadline - left / 4);
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
        let mut kills = Vec::new();
        for service in services {
            if Instant::now() >= deadline {
                return Err(ItemError::new(format!(
                    "deadline passed before the OOM kills of {} were read: raise the timeout",
                    service.name
                )));
            }
            let is_counted_by_cgroup =
                service.active_state == "active" && service.oom_policy.as_deref() == Some("continue");
            let path = service.control_group.as_deref().filter(|_| is_counted_by_cgroup);
            if let Some(path) = path
                && let Some(read) = CgroupKills::read(&self.host_root, path)?
            {
                kills.push((service.name.clone(), read));
            }
        }
        if kills.is_empty() {
            return Ok(());
        }
        let mut collector = self.lock(deadline)?;
        let collector = self.opened(&mut collector)?;
        for (unit, CgroupKills { inode, oom_kill }) in kills {
            collector.count_outlived(&unit, CgroupCount { inode, oom_kills: oom_kill });
        }
        Ok(())
    }
}
