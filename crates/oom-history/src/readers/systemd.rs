//! systemd and systemd-oomd, over D-Bus.

use std::time::{Duration, Instant};

use oom_evidence::{Link, News, OomdKill, ServiceKill, Systemd};

use crate::record::KillRecord;
use crate::recorder::Recorder;
use crate::source::OomSource;
use crate::status::{Remedy, SourceState, SourceStatus};

/// The bus is on this machine. The first poll waits this long for it, so that its value is complete.
const LINK_TIME: Duration = Duration::from_secs(1);

/// Takes what the connection to the bus has collected.
#[derive(Debug)]
pub(crate) struct SystemdReader {
    manager_is_on: bool,
    oomd_is_on: bool,
    manager: SourceStatus,
    oomd: SourceStatus,
}

impl SystemdReader {
    pub(crate) fn new(manager_is_on: bool, oomd_is_on: bool) -> Self {
        Self { manager_is_on, oomd_is_on, manager: SourceStatus::default(), oomd: SourceStatus::default() }
    }

    pub(crate) fn manager(&self) -> &SourceStatus {
        &self.manager
    }

    pub(crate) fn oomd(&self) -> &SourceStatus {
        &self.oomd
    }

    /// `systemd` is none if the connection is switched off.
    pub(crate) fn refresh(
        &mut self,
        systemd: Option<&Systemd>,
        deadline: Instant,
        recorder: &mut Recorder<'_>,
    ) {
        let Some(systemd) = systemd else {
            (self.manager, self.oomd) = (SourceStatus::off(), SourceStatus::off());
            return;
        };
        let link = if self.manager_is_on || self.oomd_is_on {
            systemd.link(deadline.min(Instant::now() + LINK_TIME))
        } else {
            Link::Connecting
        };
        self.manager = self.status(OomSource::Systemd, &link);
        self.oomd = self.status(OomSource::SystemdOomd, &link);
        if self.manager.is_readable() {
            recorder.note_read(OomSource::Systemd);
        }
        self.take_news(Some(systemd), recorder);
    }

    fn status(&self, source: OomSource, link: &Link) -> SourceStatus {
        let is_oomd = source == OomSource::SystemdOomd;
        let is_on = if is_oomd { self.oomd_is_on } else { self.manager_is_on };
        match link {
            _ if !is_on => SourceStatus::off(),
            Link::Connected { oomd: false } if is_oomd => {
                let status = SourceStatus::unreadable(SourceState::Absent, &"systemd-oomd does not run");
                SourceStatus { remedy: Some(Remedy::StartOomd), ..status }
            }
            Link::Connected { .. } => SourceStatus::default(),
            Link::Connecting => SourceStatus::unreadable(SourceState::Failed, &"the bus has not replied yet"),
            Link::Broken { reason, absent } => {
                let state = if *absent { SourceState::Absent } else { SourceState::Failed };
                SourceStatus { remedy: Some(Remedy::ReachBus), ..SourceStatus::unreadable(state, reason) }
            }
        }
    }

    /// Records what the connection has collected since the last call.
    pub(crate) fn take_news(&self, systemd: Option<&Systemd>, recorder: &mut Recorder<'_>) {
        for news in systemd.map(Systemd::take).unwrap_or_default() {
            match news {
                News::Service(kill) => self.record_service(&kill, recorder),
                News::Oomd(kill) => self.record_oomd(&kill, recorder),
                _ => {}
            }
        }
    }

    pub(crate) fn record_service(&self, kill: &ServiceKill, recorder: &mut Recorder<'_>) {
        if recorder.history.services.add(kill, recorder.boot) && self.manager_is_on {
            let record = KillRecord::from_service_kill(kill, recorder.boot);
            recorder.history.record(record, OomSource::Systemd, None);
        }
    }

    pub(crate) fn record_oomd(&self, kill: &OomdKill, recorder: &mut Recorder<'_>) {
        if self.oomd_is_on {
            let record = KillRecord::from_oomd_kill(kill, recorder.boot);
            recorder.history.record(record, OomSource::SystemdOomd, None);
        }
    }
}
