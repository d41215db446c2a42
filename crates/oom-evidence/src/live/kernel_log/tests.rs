//! A stand-in for the kernel: a ring of records with a limit, and readers that can be overtaken, closed and broken.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::state::{Source, Timing};
use super::*;

const SOON: Duration = Duration::from_secs(20);
const TIMING: Timing = Timing {
    silence: Duration::from_millis(50),
    keep: Duration::from_secs(3600),
    pauses: (Duration::from_millis(1), Duration::from_millis(4)),
};

#[derive(Default)]
struct Kernel {
    records: VecDeque<String>,
    capacity: usize,
    /// Sequence number of the first record that still exists.
    oldest: u64,
    /// The position of the last reader.
    reader: u64,
    bells: Vec<UnixStream>,
    opens: u32,
    /// Each read fails until it is taken away.
    fault: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Open(Errno),
    Read(Errno),
    Panic,
    /// The reader is woken and finds nothing.
    Empty,
    /// A record comes with each read.
    Flood {
        facility: u64,
    },
}

#[derive(Clone)]
struct FakeKernel(Arc<Mutex<Kernel>>);

struct FakeReader {
    kernel: FakeKernel,
    next: u64,
    bell: UnixStream,
}

impl FakeKernel {
    fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Kernel { capacity, ..Kernel::default() })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Kernel) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn open(&self) -> io::Result<Source> {
        let (bell, heard) = UnixStream::pair()?;
        heard.set_nonblocking(true)?;
        let next = self.with(|kernel| {
            kernel.opens += 1;
            if let Some(Fault::Open(errno)) = kernel.fault {
                return Err(io::Error::from(errno));
            }
            kernel.bells.push(bell);
            kernel.ring();
            Ok(kernel.oldest)
        })?;
        let readiness = Some(OwnedFd::from(heard.try_clone()?));
        Ok(Source { records: Box::new(FakeReader { kernel: self.clone(), next, bell: heard }), readiness })
    }

    fn log(&self, timing: Timing, position: Option<u64>) -> KernelLog {
        let kernel = self.clone();
        let state = LogState::new(PathBuf::from("/dev/kmsg"), timing, Box::new(move || kernel.open()));
        KernelLog::new(state, position, Box::new(|| {})).unwrap()
    }

    fn push(&self, facility: u64, text: &str) {
        self.with(|kernel| {
            let sequence = kernel.oldest + kernel.records.len() as u64;
            kernel.records.push_back(format!("{},{sequence},{sequence}0,-;{text}\n", facility << 3 | 6));
            if kernel.records.len() > kernel.capacity {
                kernel.records.pop_front();
                kernel.oldest += 1;
            }
            kernel.ring();
        });
    }

    fn kill(&self, pid: u32) {
        self.push(0, &format!("Out of memory: Killed process {pid} (hog) total-vm:8kB, anon-rss:4kB"));
    }

    fn noise(&self, count: usize) {
        for _ in 0..count {
            self.push(0, "usb 1-1: reset high-speed device");
        }
    }

    fn end(&self) -> u64 {
        self.with(|kernel| kernel.oldest + kernel.records.len() as u64)
    }

    fn set_fault(&self, fault: Option<Fault>) {
        self.with(|kernel| {
            kernel.fault = fault;
            kernel.ring();
        });
    }

    /// Waits until the thread has read everything.
    fn wait_for_reader(&self) {
        let is_read = || self.with(|kernel| kernel.reader == kernel.oldest + kernel.records.len() as u64);
        assert!(wait_until(is_read), "the thread reads what comes");
    }
}

impl Kernel {
    /// Wakes the readers.
    fn ring(&mut self) {
        self.bells.retain_mut(|bell| {
            let _ = bell.set_nonblocking(true);
            !matches!(bell.write(b"x"), Err(error) if error.kind() != io::ErrorKind::WouldBlock)
        });
    }
}

impl Read for FakeReader {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let mut kernel = self.kernel.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kernel.fault {
            Some(Fault::Read(errno)) => return Err(errno.into()),
            Some(Fault::Panic) => panic!("a defect of the reader"),
            Some(Fault::Empty) => return Err(Errno::AGAIN.into()),
            Some(Fault::Flood { facility }) => {
                self.next += 1;
                let text =
                    format!("{},{},1,-;Out of memory: Killed process 7 (hog)\n", facility << 3, self.next);
                buffer.write_all(text.as_bytes())?;
                return Ok(text.len());
            }
            Some(Fault::Open(_)) | None => {}
        }
        if self.next < kernel.oldest {
            self.next = kernel.oldest;
            return Err(Errno::PIPE.into());
        }
        let at = usize::try_from(self.next - kernel.oldest).unwrap();
        let Some(record) = kernel.records.get(at) else {
            while matches!((&self.bell).read(&mut [0; 512]), Ok(512)) {}
            return Err(Errno::AGAIN.into());
        };
        buffer.write_all(record.as_bytes())?;
        let length = record.len();
        self.next += 1;
        kernel.reader = self.next;
        Ok(length)
    }
}

fn wait_until(mut is_true: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_true() {
        if start.elapsed() > SOON {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

fn soon() -> Instant {
    Instant::now() + SOON
}

fn pids(reports: &[Report]) -> Vec<u32> {
    reports.iter().flat_map(|report| &report.victims).map(|victim| victim.pid).collect()
}

#[test]
fn ring_that_wraps_between_two_polls_loses_no_report() {
    let kernel = FakeKernel::new(100);
    kernel.noise(3);
    let log = kernel.log(TIMING, None);
    let read = log.read(soon());
    assert_eq!((read.reports.len(), read.position, read.before_start), (0, Some(3), 0));
    for pid in 1..=8 {
        kernel.push(0, "hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0");
        kernel.kill(pid);
        for _ in 0..10 {
            kernel.wait_for_reader();
            kernel.noise(50);
        }
    }
    assert!(kernel.with(|kernel| kernel.oldest) > 3000, "all reports were overwritten");
    let read = log.read(soon());
    assert_eq!((pids(&read.reports), read.lost), ((1..=8).collect(), 0));
    assert!(read.error.is_none() && read.notes.is_empty(), "{read:?}");
    assert_eq!(read.position, Some(kernel.end()));
}

#[test]
fn reports_beyond_the_limit_stay_in_the_ring_and_the_loss_is_exact() {
    let kernel = FakeKernel::new(200);
    let log = kernel.log(TIMING, None);
    log.read(soon());
    for pid in 1..=2000 {
        kernel.kill(pid);
        if pid % 50 == 0 {
            let before = kernel.with(|kernel| kernel.reader);
            // Either the thread reads on, or it has stopped.
            wait_until(|| kernel.with(|kernel| kernel.reader) > before || log.shared.lock().is_stalled);
        }
    }
    assert!(wait_until(|| log.shared.lock().is_stalled));
    let mut reports = Vec::new();
    let mut lost = 0;
    assert!(wait_until(|| {
        let read = log.read(soon());
        assert!(read.reports.len() <= 2 * 512 + 16);
        reports.extend(read.reports);
        lost += read.lost;
        read.position == Some(2000)
    }));
    assert!(lost > 0);
    assert_eq!(reports.len() as u64 + lost, 2000);
    let found = pids(&reports);
    assert!(found.is_sorted() && found.first() == Some(&1) && found.last() == Some(&2000));
}

#[test]
fn failed_ring_is_opened_again_and_no_record_is_lost() {
    let kernel = FakeKernel::new(1000);
    let log = kernel.log(TIMING, None);
    log.read(soon());
    for (pid, errno) in [(1, Errno::IO), (2, Errno::BADF), (3, Errno::SPIPE)] {
        kernel.set_fault(Some(Fault::Read(errno)));
        kernel.kill(pid);
        let opens = kernel.with(|kernel| kernel.opens);
        assert!(wait_until(|| kernel.with(|kernel| kernel.opens) > opens + 2), "the thread tries again");
        let read = log.read(Instant::now());
        let error = read.error.expect("an error").to_string();
        assert!(error.starts_with("cannot read /dev/kmsg: "), "{error}");
        assert!(read.notes.iter().all(|note| note.contains("it is opened again in ")), "{:?}", read.notes);
        assert!((1..=8).contains(&read.notes.len()), "{:?}", read.notes);
        kernel.set_fault(None);
        let mut found = Vec::new();
        assert!(wait_until(|| {
            found.extend(pids(&log.read(soon()).reports));
            !found.is_empty()
        }));
        let read = log.read(soon());
        assert_eq!((found, read.lost, read.error.is_none()), (vec![pid], 0, true));
    }
}

#[test]
fn failed_ring_is_left_alone_until_its_pause_is_over() {
    let kernel = FakeKernel::new(1000);
    let hour = Duration::from_secs(3600);
    let log = kernel.log(Timing { pauses: (hour, hour), ..TIMING }, None);
    log.read(soon());
    kernel.set_fault(Some(Fault::Read(Errno::IO)));
    for _ in 0..100 {
        assert!(log.read(soon()).error.is_some());
    }
    assert_eq!(kernel.with(|kernel| kernel.opens), 1);
}

#[test]
fn ring_that_cannot_be_opened_is_tried_with_each_poll_and_has_no_thread() {
    let kernel = FakeKernel::new(1000);
    kernel.set_fault(Some(Fault::Open(Errno::ACCESS)));
    kernel.kill(7);
    let log = kernel.log(TIMING, None);
    for opens in 1..=3 {
        let read = log.read(soon());
        assert_eq!(read.error.unwrap().source.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!((kernel.with(|kernel| kernel.opens), read.notes.len()), (opens, 0));
    }
    assert!(!log.shared.lock().has_thread);
    kernel.set_fault(None);
    assert_eq!(pids(&log.read(soon()).reports), [7]);
    assert!(log.shared.lock().has_thread);
}

#[test]
fn missing_descriptor_is_named_as_such() {
    let kernel = FakeKernel::new(10);
    kernel.set_fault(Some(Fault::Open(Errno::MFILE)));
    let error = kernel.log(TIMING, None).read(soon()).error.unwrap().to_string();
    assert!(
        error.starts_with("cannot read /dev/kmsg: too many open files: the plugin's limit is "),
        "{error}"
    );
}

#[test]
fn closed_source_is_opened_again() {
    let kernel = FakeKernel::new(1000);
    let log = kernel.log(TIMING, None);
    log.read(soon());
    kernel.with(|kernel| kernel.bells.drain(..).for_each(|bell| bell.shutdown(Shutdown::Both).unwrap()));
    assert!(wait_until(|| kernel.with(|kernel| kernel.opens) == 2));
    kernel.kill(7);
    kernel.wait_for_reader();
    let read = log.read(soon());
    assert_eq!((pids(&read.reports), read.lost), (vec![7], 0));
    assert!(read.notes[0].contains("it was closed"), "{:?}", read.notes);
}

#[test]
fn source_that_wakes_for_nothing_is_not_read_in_a_loop() {
    let kernel = FakeKernel::new(1000);
    let hour = Duration::from_secs(3600);
    let log = kernel.log(Timing { pauses: (hour, hour), ..TIMING }, None);
    log.read(soon());
    kernel.set_fault(Some(Fault::Empty));
    assert!(wait_until(|| log.shared.lock().failure.is_some()));
    let error = log.read(soon()).error.unwrap().to_string();
    assert!(error.ends_with("it is readable and returns no record"), "{error}");
}

#[test]
fn death_of_the_thread_is_noticed_and_it_is_started_again() {
    let kernel = FakeKernel::new(1000);
    let log = kernel.log(TIMING, None);
    log.read(soon());
    kernel.set_fault(Some(Fault::Panic));
    let is_dead = || log.thread.lock().unwrap().as_ref().is_some_and(JoinHandle::is_finished);
    assert!(wait_until(is_dead));
    kernel.set_fault(None);
    kernel.kill(7);
    let read = log.read(soon());
    assert_eq!(pids(&read.reports), [7]);
    assert!(
        read.notes.iter().any(|note| note.contains("thread") && note.contains("started again")),
        "{read:?}"
    );
    assert!(!is_dead());
}

/// Returns how often the thread has waited.
fn waits_of_thread() -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| Some(task.ok()?.path()));
    let mut named = tasks.filter(|task| fs::read(task.join("comm")).is_ok_and(|name| name == b"kmsg\n"));
    let status = fs::read_to_string(named.next()?.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[test]
fn thread_sleeps_until_a_record_comes() {
    let kernel = FakeKernel::new(1000);
    let log = kernel.log(TIMING, None);
    kernel.kill(7);
    assert_eq!(pids(&log.read(soon()).reports), [7]);
    let mut before = None;
    // The number rests once the thread sleeps.
    assert!(wait_until(|| {
        thread::sleep(Duration::from_millis(100));
        let now = waits_of_thread();
        now.is_some() && std::mem::replace(&mut before, now) == now
    }));
    thread::sleep(Duration::from_millis(700));
    assert_eq!(waits_of_thread(), before);
    kernel.noise(1);
    assert!(wait_until(|| waits_of_thread() > before));
}

#[test]
fn thread_ends_if_no_caller_comes_and_the_next_one_continues_there() {
    let kernel = FakeKernel::new(1000);
    let log = kernel.log(Timing { keep: Duration::from_millis(100), ..TIMING }, None);
    kernel.noise(5);
    log.read(soon());
    assert!(wait_until(|| !log.shared.lock().has_thread));
    assert!(!log.shared.lock().is_open());
    kernel.kill(7);
    kernel.noise(1010);
    let read = log.read(soon());
    // The ring kept 1,000 records of the 1,016, and 5 of them were read before.
    assert_eq!((read.reports.len(), read.lost, read.before_start), (0, 11, 0));
    assert!(read.notes.is_empty(), "{:?}", read.notes);
}

#[test]
fn reports_are_announced_once_and_can_be_taken_without_a_poll() {
    let kernel = FakeKernel::new(1000);
    let announced = Arc::new(Mutex::new(0));
    let count = Arc::clone(&announced);
    let fake = kernel.clone();
    let state = LogState::new(PathBuf::from("/dev/kmsg"), TIMING, Box::new(move || fake.open()));
    let log = KernelLog::new(state, None, Box::new(move || *count.lock().unwrap() += 1)).unwrap();
    kernel.kill(1);
    assert_eq!(pids(&log.read(soon()).reports), [1]);
    for (round, pid) in [(1, 2), (2, 4)] {
        kernel.kill(pid);
        assert!(wait_until(|| *announced.lock().unwrap() == round));
        kernel.kill(pid + 1);
        kernel.wait_for_reader();
        assert!(wait_until(|| log.shared.lock().settled().next == Some(kernel.end())));
        let read = log.take();
        assert_eq!((pids(&read.reports), read.position), (vec![pid, pid + 1], Some(kernel.end())));
        assert_eq!(*announced.lock().unwrap(), round);
    }
    assert_eq!(pids(&log.take().reports), []);
}

#[test]
fn next_process_continues_at_the_position_and_counts_nothing_twice() {
    let kernel = FakeKernel::new(100);
    kernel.noise(1);
    let first = kernel.log(TIMING, None);
    kernel.kill(1);
    let read = first.read(soon());
    assert_eq!((pids(&read.reports), read.position), (vec![1], Some(2)));
    // The thread takes this report, and the process is killed before the next poll.
    kernel.kill(2);
    kernel.wait_for_reader();
    drop(first);
    let second = kernel.log(TIMING, read.position);
    let read = second.read(soon());
    assert_eq!((pids(&read.reports), read.lost, read.before_start), (vec![2], 0, 0));
    assert_eq!(read.position, Some(3));
}

#[test]
fn position_and_counts_stay_before_an_open_report() {
    let kernel = FakeKernel::new(10);
    kernel.noise(1);
    let patient = Timing { silence: Duration::from_secs(3600), ..TIMING };
    let log = kernel.log(patient, None);
    assert_eq!(log.read(soon()).position, Some(1));
    drop(log);
    kernel.noise(14);
    kernel.push(0, "hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0");
    // 0 to 5 are overwritten, of which 0 was read.
    let log = kernel.log(patient, Some(1));
    let read = log.read(Instant::now() + Duration::from_millis(100));
    assert_eq!((read.reports.len(), read.position, read.lost), (0, Some(15), 5));
    drop(log);
    let log = kernel.log(TIMING, Some(15));
    let read = log.read(soon());
    assert_eq!((read.reports.len(), read.position, read.lost), (1, Some(16), 0));
}

#[test]
fn flood_that_never_ends_does_not_delay_a_poll_or_use_memory() {
    for facility in [0, 1] {
        let kernel = FakeKernel::new(10);
        let log = kernel.log(TIMING, None);
        log.read(soon());
        kernel.set_fault(Some(Fault::Flood { facility }));
        for _ in 0..20 {
            let start = Instant::now();
            let read = log.read(start + Duration::from_millis(20));
            assert!(start.elapsed() < SOON);
            assert!(read.reports.len() <= 2 * 512 + 16, "{}", read.reports.len());
            assert!(facility == 0 || read.reports.is_empty());
        }
    }
}

#[test]
fn file_in_place_of_the_device_is_read_at_polls_without_a_thread() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev")).unwrap();
    let path = root.path().join("dev/kmsg");
    fs::write(&path, "3,5,100,-;Out of memory: Killed process 7 (hog) total-vm:8kB\n").unwrap();
    let log = KernelLog::open(root.path(), None, || {}).unwrap();
    let read = log.read(soon());
    assert_eq!((pids(&read.reports), read.before_start), (vec![7], 5));
    assert!(!log.shared.lock().has_thread);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let log = KernelLog::open(root.path(), None, || {}).unwrap();
    assert!(log.read(soon()).error.is_none());
    assert!(!log.shared.lock().has_thread);
}

#[test]
fn records_are_read_once_while_the_thread_and_many_callers_read() {
    let kernel = FakeKernel::new(100_000);
    let log = kernel.log(TIMING, None);
    log.read(soon());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while found.lock().unwrap().len() < 400 {
                    let read = log.read(Instant::now() + Duration::from_millis(100));
                    found.lock().unwrap().extend(pids(&read.reports));
                }
            });
        }
        for pid in 1..=400 {
            kernel.kill(pid);
            kernel.noise(10);
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_unstable();
    assert_eq!(found, (1..=400).collect::<Vec<_>>());
}
