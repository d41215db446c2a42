//! `/dev/kmsg`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use oom_evidence::{KernelLog, KernelLogRead};

use crate::readers::pace::half_of_the_time;
use crate::recorder::Recorder;
use crate::source::OomSource;
use crate::status::{Remedy, SourceStatus};

/// Takes what the thread that reads the kernel's ring buffer has collected, and reads the rest.
#[derive(Debug)]
pub(crate) struct KmsgReader {
    host_root: PathBuf,
    /// Opened at the first poll.
    log: Option<KernelLog>,
    on_report: OnReport,
    status: SourceStatus,
}

/// What to call if a report came between two polls.
#[derive(Clone)]
struct OnReport(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnReport")
    }
}

impl KmsgReader {
    pub(crate) fn new(host_root: &Path, is_on: bool) -> Self {
        let status = if is_on { SourceStatus::default() } else { SourceStatus::off() };
        Self { host_root: host_root.to_owned(), log: None, on_report: OnReport(Arc::new(|| {})), status }
    }

    pub(crate) fn set_on_report(&mut self, on_report: impl Fn() + Send + Sync + 'static) {
        self.on_report = OnReport(Arc::new(on_report));
    }

    pub(crate) fn status(&self) -> &SourceStatus {
        &self.status
    }

    pub(crate) fn is_open(&self) -> bool {
        self.log.is_some() && self.status.is_readable()
    }

    pub(crate) fn refresh(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) {
        if self.status.is_off() {
            return;
        }
        match self.opened(recorder.history.positions.kmsg) {
            Ok(log) => {
                let read = log.read(half_of_the_time(deadline));
                self.status = read.error.as_ref().map_or_else(SourceStatus::default, |error| {
                    SourceStatus::of_io_error(&error.source, error, Remedy::ReadKmsg)
                });
                if self.status.is_readable() {
                    recorder.note_read(OomSource::Kmsg);
                }
                record(&read, recorder);
            }
            Err(error) => self.status = SourceStatus::of_io_error(&error, &error, Remedy::ReadKmsg),
        }
    }

    fn opened(&mut self, position: Option<u64>) -> io::Result<&KernelLog> {
        match &mut self.log {
            Some(log) => Ok(log),
            none => {
                let OnReport(on_report) = self.on_report.clone();
                Ok(none.insert(KernelLog::open(&self.host_root, position, move || on_report())?))
            }
        }
    }

    /// Records what came since the last poll.
    pub(crate) fn take_news(&self, recorder: &mut Recorder<'_>) {
        if let Some(log) = &self.log {
            record(&log.take(), recorder);
        }
    }
}

/// Records the reports, also those that were read before an error, with the position after them.
fn record(read: &KernelLogRead, recorder: &mut Recorder<'_>) {
    for note in &read.notes {
        log::warn!("{note}");
    }
    recorder.history.messages_lost += read.lost;
    recorder.history.messages_before_start += read.before_start;
    let boot = recorder.boot;
    recorder.record(&read.reports, OomSource::Kmsg, Some(boot));
    if read.position.is_some() {
        recorder.history.positions.kmsg = read.position;
    }
}
