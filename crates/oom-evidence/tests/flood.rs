//! The kernel's real ring buffer in a flood of messages, with real kills.
//!
//! The test writes 100,000 records through /dev/kmsg. Meanwhile the kernel kills ten processes in a memory cgroup of
//! the test, and some records imitate a kill. One reader keeps up and must find all kills. One reader is late again
//! and again and must count exactly how many records it lost. A third reader, which uses no code of the crate,
//! collects sequence numbers for comparison.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use oom_evidence::{KernelRing, Origin, Parser, Report};

const RECORDS: u32 = 100_000;
const KILL_EVERY: u32 = 10_000;
/// Records between two reads of the readers that keep up. The smallest ring buffer of Debian's kernels holds some
/// thousand records.
const READ_EVERY: u32 = 200;
/// Records between two reads of the late reader: more than any ring buffer here holds.
const LATE_EVERY: u32 = 45_000;
const LIMIT_BYTES: &str = "20971520";
const SOON: Duration = Duration::from_secs(30);

/// A kernel parameter; restored when dropped.
struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    fn new(path: &'static str, value: &str) -> Result<Self, String> {
        let failed = |error| format!("{path}: {error}");
        let before = fs::read_to_string(path).map_err(failed)?;
        fs::write(path, value).map_err(failed)?;
        Ok(Self { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(self.path, &self.before).unwrap();
    }
}

/// A memory cgroup with a limit; removed when dropped.
struct Limited(PathBuf);

impl Limited {
    fn new(name: &str) -> Result<Self, String> {
        let v2 = Path::new("/sys/fs/cgroup");
        let v1 = v2.join("memory");
        let is_v2 = fs::read_to_string(v2.join("cgroup.subtree_control"))
            .is_ok_and(|offered| offered.split_whitespace().any(|controller| controller == "memory"));
        let (parent, files) = if is_v2 {
            (v2.to_owned(), [("memory.max", LIMIT_BYTES), ("memory.swap.max", "0")])
        } else {
            (v1, [("memory.limit_in_bytes", LIMIT_BYTES), ("memory.memsw.limit_in_bytes", LIMIT_BYTES)])
        };
        let dir = parent.join(name);
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let limited = Self(dir);
        let [(memory, bytes), (swap, swap_bytes)] = files;
        fs::write(limited.0.join(memory), bytes).map_err(|error| format!("{memory}: {error}"))?;
        // Kernels without swap accounting have no such file.
        drop(fs::write(limited.0.join(swap), swap_bytes));
        Ok(limited)
    }

    /// Runs a process in the cgroup that allocates memory until it is killed, and returns its pid.
    fn kill_one(&self) -> u32 {
        let script = r#"echo $$ > "$0/cgroup.procs" && exec tail /dev/zero"#;
        let mut child = Command::new("sh").arg("-c").arg(script).arg(&self.0).spawn().unwrap();
        assert!(!child.wait().unwrap().success(), "the kernel killed it");
        child.id()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let start = Instant::now();
        while fs::remove_dir(&self.0).is_err() && self.0.exists() && start.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Collects the sequence numbers of all records.
struct Witness {
    source: File,
    seen: BTreeSet<u64>,
}

impl Witness {
    fn read_new(&mut self) {
        let mut record = [0; 16 * 1024];
        loop {
            let length = match self.source.read(&mut record) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the witness was overtaken: {error}"),
            };
            let text = String::from_utf8_lossy(&record[..length]);
            self.seen.insert(text.split(',').nth(1).unwrap().parse().unwrap());
        }
    }

    fn between(&self, range: Range<u64>) -> u64 {
        self.seen.range(range).count() as u64
    }
}

fn open(write: bool) -> std::io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(!write).write(write).custom_flags(nonblock).open("/dev/kmsg")
}

/// A reader of the crate, and its reports.
struct Reader {
    ring: KernelRing<File>,
    parser: Parser,
    reports: Vec<Report>,
    /// First sequence number, and the number of records read before it.
    start: (u64, u64),
}

impl Reader {
    fn new() -> Self {
        let ring = KernelRing::open(Path::new("/")).unwrap();
        let parser = Parser::new(Origin::KernelRing);
        let mut reader = Self { ring, parser, reports: Vec::new(), start: (0, 0) };
        reader.read_new();
        reader.reports.clear();
        reader.start = (reader.ring.next_sequence().unwrap(), reader.ring.stats().records);
        reader
    }

    /// Returns the records read since the start, and all records that the witness collected since.
    fn read_of(&self, witness: &Witness) -> (u64, u64) {
        let (start, records) = self.start;
        let all = witness.between(start..self.ring.next_sequence().unwrap());
        (self.ring.stats().records - records, all)
    }

    fn read_new(&mut self) {
        while let Some(record) = self.ring.next_record().unwrap() {
            self.reports.extend(self.parser.feed_message(Some(record.since_boot), None, &record.text));
        }
        self.reports.extend(self.parser.flush());
    }

    fn kills(&self, of: &[u32]) -> Vec<u32> {
        let pids = self.reports.iter().flat_map(|report| &report.victims).map(|victim| victim.pid);
        pids.filter(|pid| of.contains(pid)).collect()
    }
}

struct Flood {
    kmsg: File,
    limited: Limited,
    _setting: Setting,
}

impl Flood {
    /// Fails without root, /dev/kmsg or a memory cgroup.
    fn new() -> Result<Self, String> {
        // Only root may write these files.
        let setting = Setting::new("/proc/sys/kernel/printk_devkmsg", "on\n")?;
        let kmsg = open(true).map_err(|error| format!("/dev/kmsg: {error}"))?;
        let limited = Limited::new(&format!("owflood{}", std::process::id()))?;
        Ok(Self { kmsg, limited, _setting: setting })
    }

    /// No console shows this level. The kernel never grants facility 0 to a process.
    fn write(&mut self, at: u32) {
        let text = if at % 1000 == 7 {
            format!(
                "<6>Out of memory: Killed process {at} (owforged) total-vm:8kB, anon-rss:4kB, file-rss:0kB\n"
            )
        } else if at % 1000 == 8 {
            "<6>owforged invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
                .to_owned()
        } else {
            format!("<6>owflood: record {at} of a flood that is there to overwrite what came before\n")
        };
        self.kmsg.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn all_kills_in_a_flood_are_found_or_the_loss_is_exact() {
    let mut flood = Flood::new().unwrap_or_else(|reason| {
        panic!("this test needs root, /dev/kmsg and a memory cgroup ({reason}); to run the others: -E 'not binary(flood)'")
    });
    let (mut prompt, mut late) = (Reader::new(), Reader::new());
    let mut witness = Witness { source: open(false).unwrap(), seen: BTreeSet::new() };
    witness.read_new();
    let mut killed = Vec::new();
    for at in 0..RECORDS {
        flood.write(at);
        if at % KILL_EVERY == KILL_EVERY / 2 {
            killed.push(flood.limited.kill_one());
        }
        if at % READ_EVERY == 0 {
            witness.read_new();
            prompt.read_new();
        }
        if at % LATE_EVERY == LATE_EVERY - 1 {
            late.read_new();
        }
    }
    prompt.read_new();
    late.read_new();
    witness.read_new();
    assert_all_found(&prompt, &witness, &killed);
    assert_loss_is_exact(&late, &witness, &killed);
    assert_nothing_is_forged(&prompt);
    assert_nothing_is_forged(&late);
}

fn assert_all_found(prompt: &Reader, witness: &Witness, killed: &[u32]) {
    assert_eq!(killed.len(), (RECORDS / KILL_EVERY) as usize);
    let (read, all) = prompt.read_of(witness);
    assert_eq!((prompt.kills(killed), prompt.ring.stats().lost, read), (killed.to_vec(), 0, all));
    assert!(prompt.ring.stats().foreign >= u64::from(RECORDS), "{:?}", prompt.ring.stats());
}

fn assert_loss_is_exact(late: &Reader, witness: &Witness, killed: &[u32]) {
    let (read, all) = late.read_of(witness);
    let stats = late.ring.stats();
    assert_eq!(read + stats.lost, all, "{stats:?}");
    let found = late.kills(killed);
    assert_eq!(found.len() < killed.len(), stats.overruns > 0, "{found:?} of {killed:?}, {stats:?}");
    eprintln!("{} of {all} records lost, {} of {} kills found", stats.lost, found.len(), killed.len());
}

fn assert_nothing_is_forged(reader: &Reader) {
    let forged = Some(&b"owforged"[..]);
    for report in &reader.reports {
        assert!(report.invoked_by.as_deref() != forged, "{report:?}");
        assert!(report.victims.iter().all(|victim| victim.name.as_deref() != forged), "{report:?}");
    }
}
