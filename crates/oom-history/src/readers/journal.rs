//! The kernel's messages in systemd's journal.

use std::path::Path;
use std::time::{Duration, Instant};

use oom_evidence::{Journal, JournalError, JournalRead, Origin, Parser};

use crate::boots::boot_id_of_journal;
use crate::readers::pace::half_of_the_time;
use crate::recorder::Recorder;
use crate::source::OomSource;
use crate::status::{Remedy, SourceState, SourceStatus};

/// Each reading of the journal starts a process. If `/dev/kmsg` is readable, the journal only confirms it.
const READ_EVERY: Duration = Duration::from_secs(10);
const READ_EVERY_BESIDE_KMSG: Duration = Duration::from_secs(60);
/// A machine that has run out of memory is slow to start a process. Half of the poll's time is the limit in any case.
const READ_TIME: Duration = Duration::from_secs(10);

/// Reads the journal with `journalctl`.
#[derive(Debug)]
pub(crate) struct JournalReader {
    pub(crate) journal: Journal,
    parser: Parser,
    /// Boot of the last entry.
    boot: String,
    /// When the last reading that left nothing behind has ended.
    read_at: Option<Instant>,
    cursor: Option<String>,
    status: SourceStatus,
}

impl JournalReader {
    pub(crate) fn new(host_root: &Path, cursor: Option<String>, is_on: bool) -> Self {
        Self {
            journal: Journal::new(host_root),
            parser: Parser::new(Origin::JournalKernel),
            boot: String::new(),
            read_at: None,
            cursor,
            status: if is_on { SourceStatus::default() } else { SourceStatus::off() },
        }
    }

    pub(crate) fn status(&self) -> &SourceStatus {
        &self.status
    }

    pub(crate) fn refresh(&mut self, is_kmsg_open: bool, deadline: Instant, recorder: &mut Recorder<'_>) {
        let every = if is_kmsg_open { READ_EVERY_BESIDE_KMSG } else { READ_EVERY };
        if self.status.is_off() || self.read_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        // The rest of the time is for the log files.
        let deadline = half_of_the_time(deadline).min(Instant::now() + READ_TIME);
        match self.read(deadline, recorder) {
            Ok(is_complete) => {
                self.status = SourceStatus::default();
                self.read_at = is_complete.then(Instant::now);
                recorder.note_read(OomSource::Journal);
            }
            Err(error) => {
                self.read_at = Some(Instant::now());
                self.status = match SourceState::from_journal_error(&error) {
                    SourceState::Forbidden => {
                        SourceStatus::repairable(SourceState::Forbidden, &error, Remedy::ReadJournal)
                    }
                    state => SourceStatus::unreadable(state, &error),
                };
            }
        }
    }

    /// Returns whether everything was read.
    fn read(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) -> Result<bool, JournalError> {
        let read = self.record_entries(deadline, recorder)?;
        if read.complete {
            let reports = self.parser.flush();
            recorder.record(&reports, OomSource::Journal, Some(&self.boot));
        }
        if read.restarted {
            log::warn!(
                "the journal does not know the saved position: all messages of this boot were read again"
            );
        }
        if let Some(cursor) = read.cursor {
            self.cursor = Some(String::from_utf8_lossy(&cursor).into_owned());
        }
        if !self.parser.has_open_report() {
            recorder.history.positions.journal.clone_from(&self.cursor);
        }
        Ok(read.complete)
    }

    /// Records the reports while the journal is read: the output of a flood is too large to be kept.
    fn record_entries(
        &mut self,
        deadline: Instant,
        recorder: &mut Recorder<'_>,
    ) -> Result<JournalRead, JournalError> {
        let (parser, boot) = (&mut self.parser, &mut self.boot);
        self.journal.read(self.cursor.as_deref().map(str::as_bytes), deadline, |entry| {
            let boot_of_entry = boot_id_of_journal(&entry.boot_id);
            if *boot != boot_of_entry {
                recorder.record(&parser.flush(), OomSource::Journal, Some(boot));
                *boot = boot_of_entry;
            }
            for report in parser.feed_message(entry.since_boot, entry.since_epoch, &entry.message) {
                recorder.record_one(&report, OomSource::Journal, Some(boot));
            }
        })
    }
}
