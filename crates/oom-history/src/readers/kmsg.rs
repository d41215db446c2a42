//! `/dev/kmsg`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use oom_evidence::{KernelRing, Origin, Parser, Report, RingError};

use crate::readers::pace::SILENCE;
use crate::recorder::Recorder;
use crate::source::OomSource;
use crate::status::{Remedy, SourceState, SourceStatus};

const PAUSE: Duration = Duration::from_millis(50);

/// Reads the kernel's ring buffer and keeps it open.
#[derive(Debug)]
pub(crate) struct KmsgReader {
    host_root: PathBuf,
    ring: Option<KernelRing<File>>,
    parser: Parser,
    /// Lost messages of the open ring that are in the history already, in all and before the first reading.
    counted: (u64, u64),
    status: SourceStatus,
}

/// Why `/dev/kmsg` was not read.
#[derive(Debug, thiserror::Error)]
enum KmsgReadError {
    #[error(transparent)]
    Open(#[from] RingError),
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl KmsgReadError {
    fn state(&self) -> SourceState {
        match self {
            Self::Open(RingError { source, .. }) | Self::Read(source) => SourceState::from_io_error(source),
        }
    }
}

impl KmsgReader {
    pub(crate) fn new(host_root: &Path, is_on: bool) -> Self {
        Self {
            host_root: host_root.to_owned(),
            ring: None,
            parser: Parser::new(Origin::KernelRing),
            counted: (0, 0),
            status: if is_on { SourceStatus::default() } else { SourceStatus::off() },
        }
    }

    pub(crate) fn status(&self) -> &SourceStatus {
        &self.status
    }

    pub(crate) fn is_open(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn refresh(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) {
        if self.status.is_off() {
            return;
        }
        match self.read(deadline, recorder) {
            Ok(()) => {
                self.status = SourceStatus::default();
                recorder.note_read(OomSource::Kmsg);
            }
            Err(error) => {
                self.ring = None;
                self.status = SourceStatus::repairable(error.state(), &error, Remedy::ReadKmsg);
            }
        }
    }

    fn read(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) -> Result<(), KmsgReadError> {
        let mut ring = match self.ring.take() {
            Some(ring) => ring,
            None => self.open(recorder.history.positions.kmsg)?,
        };
        let mut reports = Vec::new();
        let outcome = drain(&mut ring, &mut self.parser, deadline, &mut reports);
        let stats = ring.stats();
        let (lost, before) = self.counted;
        recorder.history.messages_lost += stats.lost - lost;
        recorder.history.messages_before_start += stats.before_start - before;
        self.counted = (stats.lost, stats.before_start);
        if !self.parser.has_open_report() {
            recorder.history.positions.kmsg = ring.next_sequence();
        }
        // Reports that were read before an error count as well.
        let boot = recorder.boot;
        recorder.record(&reports, OomSource::Kmsg, Some(boot));
        outcome?;
        self.ring = Some(ring);
        Ok(())
    }

    fn open(&mut self, position: Option<u64>) -> Result<KernelRing<File>, RingError> {
        let ring = KernelRing::open(&self.host_root)?;
        self.counted = (0, 0);
        Ok(match position {
            Some(sequence) => ring.resume_at(sequence),
            None => ring,
        })
    }
}

/// Reads all records that exist. If a report is open at the end, waits a moment for the rest of it.
fn drain<R: Read>(
    ring: &mut KernelRing<R>,
    parser: &mut Parser,
    deadline: Instant,
    reports: &mut Vec<Report>,
) -> io::Result<()> {
    let mut silent_since = Instant::now();
    while Instant::now() < deadline {
        if let Some(record) = ring.next_record()? {
            reports.extend(parser.feed_message(Some(record.since_boot), None, &record.text));
            silent_since = Instant::now();
        } else if !parser.has_open_report() {
            return Ok(());
        } else if silent_since.elapsed() >= SILENCE {
            reports.extend(parser.flush());
            return Ok(());
        } else {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}
