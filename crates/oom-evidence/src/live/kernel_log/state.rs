//! What the thread and its callers share: the open ring, the parser and the reports that no caller has taken yet.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::live::ring::{KernelRing, RingError, RingStep, kmsg_path, open_file};
use crate::parser::Parser;
use crate::report::Report;
use crate::trust::Origin;

/// Limits of the reports that no caller has taken. If they are reached, records stay in the kernel's ring.
const REPORTS_MAX: usize = 512;
const REPORTS_BYTES_MAX: usize = 2 << 20;
/// Records that are read at a time. Between them others get the lock, and deadlines are checked.
const STEPS_AT_ONCE: usize = 256;
/// The device `/dev/kmsg` (the kernel's Documentation/admin-guide/devices.txt). Containers may have another file there.
const KMSG_DEVICE: (u32, u32) = (1, 11);

/// How long the reader waits, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// The kernel prints a report within milliseconds, and a slow console may delay it. After this silence it has ended.
    pub(super) silence: Duration,
    /// The thread ends if no caller came for this long.
    pub(super) keep: Duration,
    /// Pause before a ring that failed is opened again. It doubles up to the second one.
    pub(super) pauses: (Duration, Duration),
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            silence: Duration::from_millis(300),
            keep: Duration::from_secs(24 * 3600),
            pauses: (Duration::from_secs(1), Duration::from_secs(300)),
        }
    }
}

/// Opens the source of the records. Tests have others than `/dev/kmsg`.
pub(super) type Open = Box<dyn Fn() -> io::Result<Source> + Send>;

/// An open source: one record for each read.
pub(super) struct Source {
    pub(super) records: Box<dyn Read + Send>,
    /// Readable if there is a record. None if it cannot be waited for, as a copy of a ring in a file.
    pub(super) readiness: Option<OwnedFd>,
}

/// Opens `dev/kmsg`.
pub(super) fn open_kmsg(path: &Path) -> io::Result<Source> {
    let file = open_file(path).map_err(|error| error.source)?;
    let readiness = is_kmsg(&file)?.then(|| file.try_clone()).transpose()?.map(OwnedFd::from);
    Ok(Source { records: Box::new(file), readiness })
}

fn is_kmsg(file: &File) -> io::Result<bool> {
    let meta = file.metadata()?;
    let device = meta.rdev();
    let numbers = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(meta.file_type().is_char_device() && numbers == KMSG_DEVICE)
}

struct OpenRing {
    ring: KernelRing<Box<dyn Read + Send>>,
    readiness: Option<Arc<OwnedFd>>,
    opened: Instant,
}

/// How far the records were read at the last moment at which no report was open. A later reader continues there, so the
/// counts belong to the position.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settled {
    pub(super) next: Option<u64>,
    pub(super) lost: u64,
    pub(super) before_start: u64,
}

/// Why the ring is not read now.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error: Arc<RingError>,
    /// Not before this time a ring is opened again that could be opened, but not read.
    pub(super) retry_at: Instant,
    could_open: bool,
}

/// Result of reading a few records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// There may be more.
    Part,
    /// There are no more now.
    All,
    /// There are more, and no room for their reports.
    Full,
    /// The ring is not open.
    Closed,
}

pub(super) struct LogState {
    open: Open,
    path: PathBuf,
    pub(super) timing: Timing,
    ring: Option<OpenRing>,
    /// The next sequence number, for a ring that is opened again.
    next: Option<u64>,
    /// Counts of the rings that were closed: overwritten, and overwritten before the first record.
    closed: (u64, u64),
    parser: Parser,
    reports: VecDeque<Report>,
    reports_bytes: usize,
    settled: Settled,
    last_record: Instant,
    pub(super) failure: Option<Failure>,
    pause: Duration,
    pub(super) wanted_until: Instant,
    /// A thread reads the ring, or has ended by a panic.
    pub(super) has_thread: bool,
    /// The thread waits until a caller has taken the reports.
    pub(super) is_stalled: bool,
    /// The thread has announced the reports that wait.
    is_announced: bool,
    /// What a caller should log.
    pub(super) notes: Notes,
}

/// A few sentences about failures and recoveries.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    const MAX: usize = 8;

    pub(super) fn add(&mut self, note: String) {
        if self.0.len() < Self::MAX {
            self.0.push(note);
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
    }
}

impl LogState {
    pub(super) fn of_machine(host_root: &Path) -> Self {
        let path = kmsg_path(host_root);
        let opened = path.clone();
        Self::new(path, Timing::default(), Box::new(move || open_kmsg(&opened)))
    }

    pub(super) fn new(path: PathBuf, timing: Timing, open: Open) -> Self {
        let now = Instant::now();
        Self {
            open,
            path,
            timing,
            ring: None,
            next: None,
            closed: (0, 0),
            parser: Parser::new(Origin::KernelRing),
            reports: VecDeque::new(),
            reports_bytes: 0,
            settled: Settled::default(),
            last_record: now,
            failure: None,
            pause: timing.pauses.0,
            wanted_until: now,
            has_thread: false,
            is_stalled: false,
            is_announced: false,
            notes: Notes::default(),
        }
    }

    pub(super) fn resume_at(&mut self, sequence: u64) {
        self.next = Some(sequence);
        self.settled.next = Some(sequence);
    }

    pub(super) fn settled(&self) -> Settled {
        self.settled
    }

    pub(super) fn is_open(&self) -> bool {
        self.ring.is_some()
    }

    /// Returns what becomes readable with the next record; none if the ring is closed or cannot be waited for.
    pub(super) fn readiness(&self) -> Option<Arc<OwnedFd>> {
        self.ring.as_ref()?.readiness.clone()
    }

    /// Records and overruns that the open ring has returned.
    pub(super) fn progress(&self) -> u64 {
        self.ring.as_ref().map_or(0, |open| open.ring.stats().records + open.ring.stats().overruns)
    }

    /// Opens the ring if it is closed and no pause after a failure is left. A file that could not be opened is tried with
    /// each call. Returns whether the ring was opened.
    pub(super) fn ensure_open(&mut self) -> bool {
        let is_paused = |failure: &Failure| failure.could_open && Instant::now() < failure.retry_at;
        if self.ring.is_some() || self.failure.as_ref().is_some_and(is_paused) {
            return false;
        }
        match (self.open)() {
            Ok(source) => {
                let ring = KernelRing::new(source.records);
                let ring = match self.next {
                    Some(next) => ring.resume_at(next),
                    None => ring,
                };
                let readiness = source.readiness.map(Arc::new);
                self.ring = Some(OpenRing { ring, readiness, opened: Instant::now() });
                self.failure = None;
                true
            }
            Err(error) => {
                self.set_failure(error, false);
                false
            }
        }
    }

    /// Closes the ring. A ring that is opened later continues at the same record.
    pub(super) fn close(&mut self) {
        let Some(OpenRing { ring, .. }) = self.ring.take() else { return };
        let stats = ring.stats();
        self.closed = (self.closed.0 + stats.lost, self.closed.1 + stats.before_start);
        self.next = ring.next_sequence().or(self.next);
    }

    /// Closes a ring that cannot be read any more. It is opened again after a pause.
    pub(super) fn fail(&mut self, error: io::Error) {
        let longest = self.timing.pauses.1;
        if self.ring.as_ref().is_some_and(|open| open.opened.elapsed() > longest) {
            self.pause = self.timing.pauses.0;
        }
        self.close();
        self.set_failure(error, true);
        if let Some(failure) = &self.failure {
            self.notes.add(format!("{}; it is opened again in {:?}", failure.error, self.pause));
        }
        self.pause = (self.pause * 2).min(longest);
    }

    fn set_failure(&mut self, source: io::Error, could_open: bool) {
        let error = Arc::new(RingError { path: self.path.clone(), source });
        self.failure = Some(Failure { error, retry_at: Instant::now() + self.pause, could_open });
    }

    /// Reads a few records.
    pub(super) fn drain(&mut self) -> Drained {
        for _ in 0..STEPS_AT_ONCE {
            if self.is_full() {
                return Drained::Full;
            }
            let Some(open) = &mut self.ring else { return Drained::Closed };
            match open.ring.step() {
                Ok(RingStep::Record(record)) => {
                    self.last_record = Instant::now();
                    let reports = self.parser.feed_message(Some(record.since_boot), None, &record.text);
                    self.reports_bytes += add(&mut self.reports, reports);
                }
                Ok(RingStep::Skipped) => {}
                Ok(RingStep::End) => {
                    self.settle();
                    return Drained::All;
                }
                Err(error) => {
                    self.fail(error);
                    return Drained::Closed;
                }
            }
            self.settle();
        }
        Drained::Part
    }

    fn is_full(&self) -> bool {
        self.reports.len() >= REPORTS_MAX || self.reports_bytes >= REPORTS_BYTES_MAX
    }

    fn settle(&mut self) {
        let Some(open) = self.ring.as_ref().filter(|open| open.ring.is_between_lines()) else { return };
        if self.parser.has_open_report() {
            return;
        }
        let stats = open.ring.stats();
        self.settled = Settled {
            next: open.ring.next_sequence(),
            lost: self.closed.0 + stats.lost,
            before_start: self.closed.1 + stats.before_start,
        };
    }

    /// Closes an open report if the kernel has been silent for long enough. Returns how long to wait for that; none if no
    /// report is open.
    pub(super) fn close_silent_report(&mut self) -> Option<Duration> {
        if !self.parser.has_open_report() {
            return None;
        }
        let left = self.timing.silence.saturating_sub(self.last_record.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        let reports = self.parser.flush();
        self.reports_bytes += add(&mut self.reports, reports.into_iter());
        self.settle();
        None
    }

    /// Whether there are reports that were not announced. The next call returns false until a caller has taken them.
    pub(super) fn announce(&mut self) -> bool {
        !self.reports.is_empty() && !std::mem::replace(&mut self.is_announced, true)
    }

    pub(super) fn take_reports(&mut self) -> VecDeque<Report> {
        self.reports_bytes = 0;
        self.is_announced = false;
        std::mem::take(&mut self.reports)
    }

    /// Continues after a panic of the parser: it is replaced, and the record that it had is skipped.
    pub(super) fn recover(&mut self) {
        self.parser = Parser::new(Origin::KernelRing);
        self.notes.add(format!("a record of {} could not be parsed and was skipped", self.path.display()));
    }
}

/// Adds reports, and returns the bytes that they occupy.
fn add(reports: &mut VecDeque<Report>, new: impl Iterator<Item = Report>) -> usize {
    let mut bytes = 0;
    for report in new {
        bytes += report.memory_bytes();
        reports.push_back(report);
    }
    bytes
}

/// The error of a source that has been closed.
pub(super) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it was closed")
}

/// The error of a source that wakes its reader again and again for nothing.
pub(super) fn empty() -> io::Error {
    io::Error::other("it is readable and returns no record")
}
