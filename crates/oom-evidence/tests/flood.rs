//! The kernel's real ring buffer under a flood, with real kills in it.
//!
//! 100,000 records are written through /dev/kmsg, ten processes are killed in a memory cgroup of the test's own meanwhile,
//! and every now and then a record pretends to be a kill. One reader keeps up and must find all kills; one comes too
//! late again and again and must say exactly how much it has missed. What there was to be read tells a third that takes
//! nothing but sequence numbers and knows no code of the crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
/// Between two looks of those who keep up. The smallest ring that Debian's kernels have holds some thousand records.
const LOOK_EVERY: u32 = 200;
/// Between two looks of the one who comes too late: more than any ring here holds.
const LATE_EVERY: u32 = 45_000;
const LIMIT_BYTES: &str = "20971520";
const SOON: Duration = Duration::from_secs(30);

/// A kernel parameter, as it was before when dropped.
struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    fn new(path: &'static str, value: &str) -> Result<Self, String> {
        let told = |error| format!("{path}: {error}");
        let before = fs::read_to_string(path).map_err(told)?;
        fs::write(path, value).map_err(told)?;
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

    /// Runs a process in here that takes memory without end, and returns the number that it had.
    fn kill_one(&self) -> u32 {
        let script = r#"echo $$ > "$0/cgroup.procs" && exec tail /dev/zero"#;
        let mut child = Command::new("sh").arg("-c").arg(script).arg(&self.0).spawn().unwrap();
        assert!(!child.wait().unwrap().success(), "the kernel has killed it");
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

/// Takes the sequence numbers of everything that there is to be read.
struct Witness {
    source: File,
    seen: BTreeSet<u64>,
}

impl Witness {
    fn look(&mut self) {
        let mut record = [0; 16 * 1024];
        loop {
            let length = match self.source.read(&mut record) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the one that keeps up is overtaken, too: {error}"),
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

/// A reader of the crate, with what it has found.
struct Reader {
    ring: KernelRing<File>,
    parser: Parser,
    reports: Vec<Report>,
    /// Where it began, and how many records it had read by then.
    start: (u64, u64),
}

impl Reader {
    fn new() -> Self {
        let ring = KernelRing::open(Path::new("/")).unwrap();
        let parser = Parser::new(Origin::KernelRing);
        let mut reader = Self { ring, parser, reports: Vec::new(), start: (0, 0) };
        reader.look();
        reader.reports.clear();
        reader.start = (reader.ring.next_sequence().unwrap(), reader.ring.stats().records);
        reader
    }

    /// Records read since the start, and all that there were, by what the witness saw.
    fn read_of(&self, witness: &Witness) -> (u64, u64) {
        let (start, records) = self.start;
        let all = witness.between(start..self.ring.next_sequence().unwrap());
        (self.ring.stats().records - records, all)
    }

    fn look(&mut self) {
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
    /// Why there can be none is the reason to skip the test.
    fn new() -> Result<Self, String> {
        // Only root may do any of this.
        let setting = Setting::new("/proc/sys/kernel/printk_devkmsg", "on\n")?;
        let kmsg = open(true).map_err(|error| format!("/dev/kmsg: {error}"))?;
        let limited = Limited::new(&format!("owflood{}", std::process::id()))?;
        Ok(Self { kmsg, limited, _setting: setting })
    }

    /// The level is one that no console shows. Facility 0 is not granted to a process, whatever it writes.
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
fn failure_20_all_kills_in_a_flood_are_found_or_the_loss_is_exact() {
    let mut flood = match Flood::new() {
        Ok(flood) => flood,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let (mut prompt, mut late) = (Reader::new(), Reader::new());
    let mut witness = Witness { source: open(false).unwrap(), seen: BTreeSet::new() };
    witness.look();
    let mut killed = Vec::new();
    for at in 0..RECORDS {
        flood.write(at);
        if at % KILL_EVERY == KILL_EVERY / 2 {
            killed.push(flood.limited.kill_one());
        }
        if at % LOOK_EVERY == 0 {
            witness.look();
            prompt.look();
        }
        if at % LATE_EVERY == LATE_EVERY - 1 {
            late.look();
        }
    }
    prompt.look();
    late.look();
    witness.look();
    is_all_found(&prompt, &witness, &killed);
    is_loss_exact(&late, &witness, &killed);
    is_nothing_forged(&prompt);
    is_nothing_forged(&late);
}

fn is_all_found(prompt: &Reader, witness: &Witness, killed: &[u32]) {
    assert_eq!(killed.len(), (RECORDS / KILL_EVERY) as usize);
    let (read, all) = prompt.read_of(witness);
    assert_eq!((prompt.kills(killed), prompt.ring.stats().lost, read), (killed.to_vec(), 0, all));
    assert!(prompt.ring.stats().foreign >= u64::from(RECORDS), "{:?}", prompt.ring.stats());
}

fn is_loss_exact(late: &Reader, witness: &Witness, killed: &[u32]) {
    let (read, all) = late.read_of(witness);
    let stats = late.ring.stats();
    assert_eq!(read + stats.lost, all, "{stats:?}");
    let found = late.kills(killed);
    assert_eq!(found.len() < killed.len(), stats.overruns > 0, "{found:?} of {killed:?}, {stats:?}");
    eprintln!("{} of {all} records lost, {} of {} kills found", stats.lost, found.len(), killed.len());
}

fn is_nothing_forged(reader: &Reader) {
    let forged = Some(&b"owforged"[..]);
    for report in &reader.reports {
        assert!(report.invoked_by.as_deref() != forged, "{report:?}");
        assert!(report.victims.iter().all(|victim| victim.name.as_deref() != forged), "{report:?}");
    }
}
