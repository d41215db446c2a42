//! `/dev/kmsg`: the kernel's ring buffer, one record for each read(2).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::words::{describe_io_error, short_path};
use crate::kmsg::KmsgRecord;

/// The kernel's limit for a record with all its fields (`CONSOLE_EXT_LOG_MAX`) is 8192.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Limit of consecutive failing reads. After an overrun the next read returns a record.
const FAILURES_MAX: u32 = 1000;

/// Reads the records of the kernel's ring buffer, each once, and counts exactly how many were overwritten before they
/// could be read.
///
/// ```
/// use oom_evidence::KernelRing;
///
/// /// Returns one record for each read, as /dev/kmsg does.
/// struct Records(std::vec::IntoIter<&'static str>);
///
/// impl std::io::Read for Records {
///     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
///         let mut record = self.0.next().ok_or(std::io::ErrorKind::WouldBlock)?.as_bytes();
///         record.read(buffer)
///     }
/// }
///
/// let records = vec!["6,5,100,-;first\n", "12,6,101,-;of a process\n", "6,9,102,-;last\n"];
/// let mut ring = KernelRing::new(Records(records.into_iter()));
/// assert_eq!(ring.next_record()?.unwrap().text, b"first");
/// assert_eq!(ring.next_record()?.unwrap().text, b"last");
/// assert!(ring.next_record()?.is_none());
/// assert_eq!((ring.stats().lost, ring.stats().foreign, ring.stats().before_start), (2, 1, 5));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct KernelRing<R> {
    source: R,
    /// The next sequence number; none before the first record.
    next: Option<u64>,
    stats: RingStats,
    buffer: Box<[u8]>,
    /// The first pieces of a line whose end was not read yet.
    started: Option<KmsgRecord>,
    /// Overruns since the last record.
    failures: u32,
}

/// Result of one read.
pub(super) enum RingStep {
    /// A record of the kernel.
    Record(KmsgRecord),
    /// A record that does not count, a piece of a line, or an overrun. The next read may return a record.
    Skipped,
    /// All records were read.
    End,
}

/// Why `/dev/kmsg` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {}", short_path(path), describe_io_error(source))]
pub struct RingError {
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// What a [`KernelRing`] has read, in records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Read records, including the foreign ones.
    pub records: u64,
    /// Skipped, because a process wrote them.
    pub foreign: u64,
    /// Skipped, because they are not records.
    pub malformed: u64,
    /// Overwritten between two reads, by their sequence numbers.
    pub lost: u64,
    /// Overwritten since boot before the first read.
    pub before_start: u64,
    /// Overruns that the kernel reported (EPIPE).
    pub overruns: u64,
}

impl KernelRing<File> {
    /// Opens `dev/kmsg` below `host_root`, at the oldest record that still exists. Reads never block.
    ///
    /// # Errors
    ///
    /// If the file does not exist, or if `kernel.dmesg_restrict` requires `CAP_SYSLOG`.
    pub fn open(host_root: &Path) -> Result<Self, RingError> {
        open_file(&kmsg_path(host_root)).map(Self::new)
    }
}

/// Returns the path of the ring buffer of the machine whose root is at `host_root`.
pub(super) fn kmsg_path(host_root: &Path) -> PathBuf {
    host_root.join("dev/kmsg")
}

pub(super) fn open_file(path: &Path) -> Result<File, RingError> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options.open(path).map_err(|source| RingError { path: path.to_owned(), source })
}

impl<R: Read> KernelRing<R> {
    /// Reads a ring through `source`, which returns one record for each read, or `WouldBlock` if there is none.
    #[must_use]
    pub fn new(source: R) -> Self {
        let buffer = vec![0; RECORD_BYTES_MAX].into_boxed_slice();
        Self { source, next: None, stats: RingStats::default(), buffer, started: None, failures: 0 }
    }

    /// Continues where an earlier reader of the same boot stopped: skips records before `sequence`, and counts the missing
    /// ones after it as lost.
    #[must_use]
    pub fn resume_at(mut self, sequence: u64) -> Self {
        self.next = Some(sequence);
        self
    }

    /// Returns where a later reader continues; none before the first record.
    #[must_use]
    pub fn next_sequence(&self) -> Option<u64> {
        self.started.as_ref().map(|record| record.sequence).or(self.next)
    }

    /// Counts of the records that were read so far.
    #[must_use]
    pub fn stats(&self) -> RingStats {
        self.stats
    }

    /// Returns the next record that the kernel itself wrote; none if all records were read. A line that the kernel printed
    /// in pieces is one record.
    ///
    /// # Errors
    ///
    /// If reading fails for another reason than an overrun. Open the ring again then.
    pub fn next_record(&mut self) -> io::Result<Option<KmsgRecord>> {
        loop {
            match self.step()? {
                RingStep::Record(record) => return Ok(Some(record)),
                RingStep::Skipped => {}
                RingStep::End => return Ok(None),
            }
        }
    }

    /// Reads once. A caller with a deadline can stop after each step, also in a flood of records that do not count.
    pub(super) fn step(&mut self) -> io::Result<RingStep> {
        let piece = match self.read_piece() {
            Ok(RingStep::Record(piece)) => piece,
            Ok(RingStep::Skipped) => return Ok(RingStep::Skipped),
            // The rest of the line may come later, or never.
            end => return self.started.take().map_or(end, |started| Ok(RingStep::Record(started))),
        };
        let Some(started) = &mut self.started else {
            if !piece.starts_line() {
                return Ok(RingStep::Record(piece));
            }
            self.started = Some(piece);
            return Ok(RingStep::Skipped);
        };
        Ok(match started.join(piece) {
            Some(other) => self.started.replace(other).map_or(RingStep::Skipped, RingStep::Record),
            None => RingStep::Skipped,
        })
    }

    /// Whether no piece of an unfinished line is held back.
    pub(super) fn is_between_lines(&self) -> bool {
        self.started.is_none()
    }

    fn read_piece(&mut self) -> io::Result<RingStep> {
        match self.source.read(&mut self.buffer) {
            Ok(0) => Ok(RingStep::End),
            Ok(length) => {
                self.failures = 0;
                Ok(self.take(length).map_or(RingStep::Skipped, RingStep::Record))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(RingStep::End),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(RingStep::Skipped),
            Err(error) if is_overrun(&error) => {
                self.failures += 1;
                self.stats.overruns += 1;
                if self.failures < FAILURES_MAX { Ok(RingStep::Skipped) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, length: usize) -> Option<KmsgRecord> {
        self.stats.records += 1;
        let Ok(record) = KmsgRecord::parse(&self.buffer[..length]) else {
            self.stats.malformed += 1;
            return None;
        };
        let is_new = self.count(record.sequence);
        if is_new && !record.is_from_kernel() {
            self.stats.foreign += 1;
        }
        (is_new && record.is_from_kernel()).then_some(record)
    }

    /// Whether this record was not read before.
    fn count(&mut self, sequence: u64) -> bool {
        match self.next {
            None => self.stats.before_start = sequence,
            Some(next) if sequence < next => return false,
            Some(next) => self.stats.lost += sequence - next,
        }
        self.next = sequence.checked_add(1);
        true
    }
}

/// EPIPE: the next record was overwritten. EINVAL: a record did not fit, and the kernel skipped it.
fn is_overrun(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PIPE | Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, Parser};

    /// A ring buffer: at each pause of the reader the writer overtakes it by this many records.
    struct FakeRing {
        records: std::vec::IntoIter<Result<String, Errno>>,
    }

    impl FakeRing {
        fn of(records: Vec<Result<String, Errno>>) -> KernelRing<Self> {
            KernelRing::new(Self { records: records.into_iter() })
        }
    }

    impl Read for FakeRing {
        fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
            let record = self.records.next().unwrap_or(Err(Errno::AGAIN))?;
            io::Write::write(&mut buffer, record.as_bytes())
        }
    }

    fn record(sequence: u64, text: &str) -> Result<String, Errno> {
        Ok(format!("6,{sequence},{},-;{text}\n", sequence * 10))
    }

    fn kill(sequence: u64) -> Result<String, Errno> {
        record(sequence, &format!("Out of memory: Killed process {} (hog) total-vm:8kB", 1000 + sequence))
    }

    fn texts(ring: &mut KernelRing<FakeRing>) -> Vec<String> {
        let next = || ring.next_record().unwrap().map(|record| String::from_utf8(record.text).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn overrun_is_survived_and_its_gap_is_counted() {
        let records =
            vec![record(7, "a"), Err(Errno::PIPE), record(107, "b"), Err(Errno::INTR), record(108, "c")];
        let mut ring = FakeRing::of(records);
        assert_eq!(texts(&mut ring), ["a", "b", "c"]);
        let stats = ring.stats();
        assert_eq!((stats.lost, stats.overruns, stats.before_start, stats.records), (99, 1, 7, 3));
    }

    #[test]
    fn reader_continues_after_the_records_of_the_previous_one() {
        let mut ring = FakeRing::of((0..10).map(|n| record(n, "x")).collect()).resume_at(8);
        assert_eq!(texts(&mut ring).len(), 2);
        assert_eq!((ring.stats().lost, ring.next_sequence()), (0, Some(10)));
        let mut ring = FakeRing::of(vec![record(20, "x")]).resume_at(10);
        assert_eq!(texts(&mut ring).len(), 1);
        assert_eq!(ring.stats().lost, 10);
    }

    #[test]
    fn line_in_pieces_is_one_record_and_none_is_lost() {
        let piece = |sequence: u64, flag: &str, text: &str| Ok(format!("6,{sequence},5,{flag};{text}\n"));
        let pieces = vec![
            piece(1, "c", "Task in /a"),
            Err(Errno::PIPE),
            piece(2, "+", " killed"),
            piece(3, "-", "x"),
            piece(4, "c", "y"),
            piece(5, "c", "z"),
            piece(6, "+", "z"),
        ];
        let mut ring = FakeRing::of(pieces);
        assert_eq!(ring.next_record().unwrap().unwrap().text, b"Task in /a killed");
        // A reader that stops here has not read the third.
        assert_eq!(ring.next_sequence(), Some(3));
        assert_eq!(texts(&mut ring), ["x", "y", "zz"]);
        assert_eq!((ring.next_sequence(), ring.stats().records), (Some(7), 6));
    }

    #[test]
    fn records_of_processes_are_skipped() {
        let forged = Ok("12,1,1,-;Out of memory: Killed process 1 (init) total-vm:8kB\n".to_owned());
        let mut ring = FakeRing::of(vec![forged, Ok("rubbish".to_owned()), record(2, "kernel")]);
        assert_eq!(texts(&mut ring), ["kernel"]);
        assert_eq!((ring.stats().foreign, ring.stats().malformed), (1, 1));
    }

    #[test]
    fn ring_that_only_fails_is_given_up() {
        let mut ring = FakeRing::of(vec![Err(Errno::PIPE); 5000]);
        assert!(ring.next_record().is_err());
        let mut ring = FakeRing::of(vec![Err(Errno::IO)]);
        assert!(ring.next_record().is_err());
    }

    /// 100,000 messages with a kill in every thousand; `lost` of them are overwritten after each pause.
    fn flood(lost: u64) -> (u64, KernelRing<FakeRing>) {
        let mut records = Vec::new();
        let mut sequence = 0;
        while sequence < 100_000 {
            if lost > 0 && sequence % 10_000 == 5_000 {
                records.push(Err(Errno::PIPE));
                sequence += lost;
            }
            records.push(if sequence % 1000 == 500 {
                kill(sequence)
            } else {
                record(sequence, "usb 1-1: reset")
            });
            sequence += 1;
        }
        let mut ring = FakeRing::of(records);
        let mut parser = Parser::new(Origin::KernelRing);
        let mut kills = 0;
        while let Some(record) = ring.next_record().unwrap() {
            kills += parser.feed_message(Some(record.since_boot), None, &record.text).count() as u64;
        }
        kills += parser.flush().len() as u64;
        (kills, ring)
    }

    #[test]
    fn flood_loses_no_kill_or_counts_the_loss() {
        let (kills, ring) = flood(0);
        assert_eq!((kills, ring.stats().lost), (100, 0));
        // Each of ten overruns loses the kill at its beginning.
        let (kills, ring) = flood(501);
        assert_eq!((kills, ring.stats().lost, ring.stats().overruns), (90, 5010, 10));
    }
}
