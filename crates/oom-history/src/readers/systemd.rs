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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::clocks::Clocks;
    use crate::history::KillHistory;

    fn after_kills(reader: &SystemdReader) -> (u64, u64) {
        let mut history = KillHistory::default();
        let clocks = Clocks { boot: None, zone: TimeZone::UTC, suspended: Duration::ZERO };
        let mut recorder = Recorder { history: &mut history, clocks: &clocks, boot: "b1" };
        let (unit, at) = ("a.service".to_owned(), UNIX_EPOCH + Duration::from_secs(5));
        let kill = ServiceKill { unit, run: 1, main_pid: None, at, witnessed: true };
        reader.record_service(&kill, &mut recorder);
        let (cgroup, reason) = ("/b.service".to_owned(), "memory-used".to_owned());
        reader.record_oomd(&OomdKill { cgroup, reason, at }, &mut recorder);
        (history.reports, history.services.total)
    }

    #[test]
    fn source_that_is_off_adds_no_record_and_services_are_counted_anyway() {
        assert_eq!(after_kills(&SystemdReader::new(true, true)), (2, 1));
        assert_eq!(after_kills(&SystemdReader::new(false, true)), (1, 1));
        assert_eq!(after_kills(&SystemdReader::new(true, false)), (1, 1));
        assert_eq!(after_kills(&SystemdReader::new(false, false)), (0, 1));
    }

    #[test]
    fn state_of_the_connection_is_the_status_of_both_sources() {
        let reader = SystemdReader::new(true, true);
        let status = |link: &Link| {
            [OomSource::Systemd, OomSource::SystemdOomd].map(|source| {
                let status = reader.status(source, link);
                (status.state, status.remedy)
            })
        };
        let readable = (SourceState::Readable, None);
        assert_eq!(status(&Link::Connected { oomd: true }), [readable; 2]);
        let absent = (SourceState::Absent, Some(Remedy::StartOomd));
        assert_eq!(status(&Link::Connected { oomd: false }), [readable, absent]);
        assert_eq!(status(&Link::Connecting), [(SourceState::Failed, None); 2]);
        for (absent, state) in [(true, SourceState::Absent), (false, SourceState::Failed)] {
            let broken = Link::Broken { reason: "no bus".to_owned(), absent };
            assert_eq!(status(&broken), [(state, Some(Remedy::ReachBus)); 2]);
        }
    }

    #[test]
    fn source_that_is_off_has_no_other_status() {
        let connected = Link::Connected { oomd: true };
        let reader = SystemdReader::new(false, true);
        assert!(reader.status(OomSource::Systemd, &connected).is_off());
        assert!(reader.status(OomSource::SystemdOomd, &connected).is_readable());
        let reader = SystemdReader::new(true, false);
        assert!(reader.status(OomSource::Systemd, &connected).is_readable());
        assert!(reader.status(OomSource::SystemdOomd, &connected).is_off());
    }
}
