//! Where readers deliver what they read.

use oom_evidence::Report;

use crate::clocks::Clocks;
use crate::history::KillHistory;
use crate::record::KillRecord;
use crate::source::OomSource;

/// The history, with the boot and the clocks by which reports are dated.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    pub(crate) history: &'a mut KillHistory,
    pub(crate) clocks: &'a Clocks,
    /// This boot; empty if the machine does not name it.
    pub(crate) boot: &'a str,
}

impl Recorder<'_> {
    /// Records reports of a boot, or of text that does not name its boot.
    pub(crate) fn record(&mut self, reports: &[Report], source: OomSource, boot: Option<&str>) {
        for report in reports {
            self.record_one(report, source, boot);
        }
    }

    /// Records one report, so that a reader of a large text need not keep all of them.
    pub(crate) fn record_one(&mut self, report: &Report, source: OomSource, boot: Option<&str>) {
        let record = KillRecord::dated(report, source, boot, self.clocks);
        self.history.record(record, source, self.clocks.boot_micros());
    }

    /// Notes that the source was read in this boot.
    pub(crate) fn note_read(&mut self, source: OomSource) {
        self.history.this_boot().note_read(source);
    }
}
