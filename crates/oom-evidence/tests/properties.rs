//! Properties of any text: fuzz targets as property tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use oom_evidence::{Constraint, KmsgRecord, Origin, Parser, Report, parse_all};
use proptest::collection::vec;
use proptest::prelude::*;

/// Pieces of reports, for texts that get further than random bytes do.
const PIECES: [&str; 44] = [
    "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "oom-killer: gfp_mask=0x1d2",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=5",
    ",task=,pid=,uid=",
    "Task in /a/b killed as a result of limit of /a",
    "Out of memory: Kill process 7 (x) score 51 or sacrifice child",
    "Killed process 7 (x) total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:-17",
    "Memory cgroup out of memory: Killed process ",
    "Killed process 8, UID 48, (",
    ") total-vm:99999999999999999999kB, anon-rss:18446744073709551615kB",
    "OOM killed process x (pid=7, ve=1202) exited",
    "Out of memory in UB 1202: OOM killed process 9 (x) score 0 vm:10kB, rss:7kB, swap:3kB",
    "Tasks in /a are going to be killed due to memory.oom.group set",
    "oom_reaper: reaped process 7 (x), now anon-rss:0kB",
    "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
    "[ pid ] name total_vm rss",
    "[     77]     5    77     1000      700    81920        3         -1000 a b",
    "[     77]     -5    77     18446744073709551615 9223372036854775807",
    "Node 0 Normal: 12*64kB (UME)",
    "Out of memory and no killable processes...",
    "Kernel panic - not syncing: System is deadlocked on memory",
    "Linux version 6.1",
    "oomd attempting to kill 63 with KILL",
    "Killed /a/b.scope due to memory pressure",
    "b.scope: systemd-oomd killed 18446744073709551615 process(es) in this unit.",
    "sending SIGTERM to process 7 uid 5 \"x\": badness 1, VmRSS 18446744073709551615 MiB",
    "a.service: A process of this unit has been killed by the OOM killer.",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\0\0",
    "[    1.000000] ",
    "[    1.000000][    T7] ",
    "Jun 20 12:47:42 host kernel: ",
    "2026-02-08T00:40:07.136582+00:00 host systemd[1]: ",
    "3,1,18446744073709551615,-;",
    "12,1,1,-,caller=T7;",
    "<6>1 2023-04-03T16:24:41Z box kernel - - - ",
    "\\x0a\\x",
    "\u{1b}[1;31m",
    "** 2 printk messages dropped ** ",
    "9999-99-99T99:99:99 ",
    "Mar 99999999999 1:1:1 ",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
        1 => (proptest::sample::select(&PIECES[..]), any::<proptest::sample::Index>()).prop_map(|(piece, at)| {
            piece.as_bytes()[..at.index(piece.len())].to_vec()
        }),
    ]
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

/// Feeds text in pieces of the given sizes, repeatedly.
fn in_chunks(text: &[u8], sizes: &[usize]) -> Vec<Report> {
    let mut parser = Parser::new(Origin::Text);
    let mut reports = Vec::new();
    let mut rest = text;
    for size in sizes.iter().cycle() {
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        reports.extend(parser.feed(chunk));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    reports.extend(parser.finish());
    reports
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A report as a kernel prints it.
#[derive(Debug, Clone)]
struct Model {
    kernel: Kernel,
    invoker: String,
    pid: u32,
    name: String,
    uid: u32,
    sizes_kib: [u32; 4],
    cgroup: Option<String>,
    has_header: bool,
    rows: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Kernel {
    V2_6_18,
    V2_6_32,
    Rhel6,
    V3_10,
    V4_9,
    V5_2,
    V6_12,
}

const KERNELS: [Kernel; 7] = [
    Kernel::V2_6_18,
    Kernel::V2_6_32,
    Kernel::Rhel6,
    Kernel::V3_10,
    Kernel::V4_9,
    Kernel::V5_2,
    Kernel::V6_12,
];

impl Model {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.has_header {
            lines.push(format!(
                "{} invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0",
                self.invoker
            ));
            lines.push("CPU: 1 PID: 5241 Comm: x Not tainted 5.3.0 #626".to_owned());
            lines.push(" dump_header+0x7e/0x1e0".to_owned());
        }
        lines.extend(self.limit());
        lines.extend(self.table());
        lines.extend(self.constraint());
        lines.extend(self.selection());
        lines.push(self.kill());
        lines
    }

    fn limit(&self) -> Option<String> {
        let cgroup =
            self.cgroup.as_ref().filter(|_| (Kernel::V2_6_32..Kernel::V5_2).contains(&self.kernel))?;
        Some(format!("Task in {cgroup}/c killed as a result of limit of {cgroup}"))
    }

    fn table(&self) -> Vec<String> {
        let Some(rows) = (self.kernel > Kernel::V2_6_18).then_some(self.rows) else { return Vec::new() };
        let head = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name";
        let row = |at: u32| {
            format!("[{at:7}]     5 {at:5} {:8} {at:8}    81920        3             0 t {at}", at * 2)
        };
        std::iter::once(head.to_owned()).chain((1..=rows).map(row)).collect()
    }

    fn constraint(&self) -> Option<String> {
        let Self { name, pid, uid, .. } = self;
        let limit = match &self.cgroup {
            Some(cgroup) => format!("MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={cgroup}"),
            None => "NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom".to_owned(),
        };
        let line =
            format!("oom-kill:constraint=CONSTRAINT_{limit},task_memcg=/t,task={name},pid={pid},uid={uid}");
        (self.kernel >= Kernel::V5_2).then_some(line)
    }

    fn reason(&self) -> &'static str {
        if self.cgroup.is_some() { "Memory cgroup out of memory" } else { "Out of memory" }
    }

    fn selection(&self) -> Option<String> {
        let Self { name, pid, .. } = self;
        let line = format!("{}: Kill process {pid} ({name}) score 51 or sacrifice child", self.reason());
        (Kernel::V2_6_32..Kernel::V5_2).contains(&self.kernel).then_some(line)
    }

    fn kill(&self) -> String {
        let Self { name, pid, uid, sizes_kib: [total, anon, file, shmem], .. } = self;
        let reason = self.reason();
        let old = format!("total-vm:{total}kB, anon-rss:{anon}kB, file-rss:{file}kB");
        match self.kernel {
            Kernel::V2_6_18 => format!("{reason}: Killed process {pid} ({name})."),
            Kernel::V2_6_32 => {
                format!("Killed process {pid} ({name}) vsz:{total}kB, anon-rss:{anon}kB, file-rss:{file}kB")
            }
            Kernel::Rhel6 => format!("Killed process {pid}, UID {uid}, ({name}) {old}"),
            Kernel::V3_10 => format!("Killed process {pid} ({name}) {old}"),
            Kernel::V4_9 => format!("Killed process {pid} ({name}) {old}, shmem-rss:{shmem}kB"),
            Kernel::V5_2 => format!("{reason}: Killed process {pid} ({name}) {old}, shmem-rss:{shmem}kB"),
            Kernel::V6_12 => format!(
                "{reason}: Killed process {pid} ({name}) {old}, shmem-rss:{shmem}kB, UID:{uid} pgtables:4kB oom_score_adj:0"
            ),
        }
    }

    fn check(&self, report: &Report) {
        let victim = &report.victims[0];
        assert_eq!((victim.pid, victim.name.as_deref()), (self.pid, Some(self.name.as_bytes())));
        assert_eq!(report.invoked_by.as_deref(), self.has_header.then_some(self.invoker.as_bytes()));
        let constraint = if self.cgroup.is_some() { Constraint::Memcg } else { Constraint::None };
        assert_eq!(report.constraint, Some(constraint));
        if self.kernel > Kernel::V2_6_18 {
            let [total, anon, file, _] = self.sizes_kib.map(|kib| Some(u64::from(kib) * 1024));
            assert_eq!(
                [victim.total_vm_bytes, victim.anon_rss_bytes, victim.file_rss_bytes],
                [total, anon, file]
            );
            assert_eq!(report.cgroup.as_deref(), self.cgroup.as_ref().map(String::as_bytes));
            assert_eq!(report.tasks_total, u64::from(self.rows));
        }
        let says_uid = matches!(self.kernel, Kernel::Rhel6 | Kernel::V5_2 | Kernel::V6_12);
        assert_eq!(victim.uid, says_uid.then_some(self.uid));
    }
}

/// Names that cannot be confused with a prefix without a tag.
fn process_name() -> impl Strategy<Value = String> {
    let name = "[A-Za-z0-9_./()-]([A-Za-z0-9_.:/ ()-]{0,12}[A-Za-z0-9_./()-])?";
    name.prop_filter("reads as a tag", |name| !name.contains("kernel:"))
}

fn model() -> impl Strategy<Value = Model> {
    let kernel = proptest::sample::select(&KERNELS[..]);
    let cgroup = proptest::option::of("(/[a-z0-9@.:-]{1,12}){1,4}");
    let who = (process_name(), 1..4_194_304_u32, process_name(), 0..70_000_u32);
    (kernel, who, any::<[u32; 4]>(), cgroup, any::<bool>(), 0..20_u32).prop_map(
        |(kernel, (invoker, pid, name, uid), sizes_kib, cgroup, has_header, rows)| Model {
            kernel,
            invoker,
            pid,
            name,
            uid,
            sizes_kib,
            cgroup,
            has_header,
            rows,
        },
    )
}

/// Returns every kind of prefix, for the line with this number.
const PREFIXES: [fn(usize) -> String; 26] = [
    |_| String::new(),
    |n| format!("[  123.{n:06}] "),
    |n| format!("[  123.{n:06}][ T1234] "),
    |n| format!("[  123.{n:06}] [    C0] "),
    |n| format!("<4>[  123.{n:06}] "),
    |n| format!("kern  :warn  : [  123.{n:06}] "),
    |_| "[Tue Aug 12 03:54:03 2025] ".to_owned(),
    |_| "[Di Aug 12 03:54:03 2025] ".to_owned(),
    |_| "2025-08-12T03:54:03,123456+02:00 ".to_owned(),
    |n| format!("[  123.{n:06} <    0.000001>] "),
    |_| "[Aug12 03:54] ".to_owned(),
    |_| "kernel: ".to_owned(),
    |_| "Jun  2 12:47:42 host kernel: ".to_owned(),
    |n| format!("Jun  2 12:47:42 host kernel: [  123.{n:06}] "),
    |_| "Jun  2 12:47:42 kernel: ".to_owned(),
    |_| "июл 24 01:20:00 host kernel: ".to_owned(),
    |_| "6月 02 12:47:42 host kernel: ".to_owned(),
    |_| "Jun 02 12:47:42.123456 host.example.org kernel: ".to_owned(),
    |_| "2026-03-18T04:06:54+0100 host kernel: ".to_owned(),
    |n| format!("2026-03-18T04:06:54.136582+00:00 host kernel: [  123.{n:06}] "),
    |_| "Wed 2026-03-18 04:06:54 CET host kernel: ".to_owned(),
    |_| "1712345678.123456 host kernel: ".to_owned(),
    |n| format!("[  123.{n:06}] host kernel: "),
    |n| format!("<4>1 2023-04-03T16:24:41.390796-06:00 box kernel - - - [  123.{n:06}] "),
    |_| "Jan  1 05:22:16 host kernel: : ".to_owned(),
    |n| format!("Tue Aug 12 03:54:03 2025 kern.warn kernel: [  123.{n:06}] "),
];

fn prefixed(lines: &[String], prefix: fn(usize) -> String) -> Vec<u8> {
    lines.iter().enumerate().flat_map(|(n, line)| format!("{}{line}\n", prefix(n)).into_bytes()).collect()
}

/// Formats a line as a record of /dev/kmsg.
fn escaped(text: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b'\\' | 0..32 | 127.. => format!("\\x{byte:02x}").into_bytes(),
        _ => vec![*byte],
    };
    text.iter().flat_map(escape).collect()
}

fn records(lines: &[String]) -> Vec<u8> {
    let record = |(n, line): (usize, &String)| {
        [format!("4,{n},{n},-;").as_bytes(), &escaped(line.as_bytes()), b"\n SUBSYSTEM=x\n"].concat()
    };
    lines.iter().enumerate().flat_map(record).collect()
}

/// Removes from the reports what the prefix alone determines.
fn timeless(text: &[u8]) -> Vec<Report> {
    let mut reports = parse_all(Origin::Text, text);
    for report in &mut reports {
        report.time = None;
        report.victims.iter_mut().for_each(|victim| victim.time = None);
    }
    reports
}

/// `PROPTEST_CASES` requests more cases than a run of the suite.
fn config(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(wanted.unwrap_or(cases)) }
}

/// Lines that may stand between the lines of reports and are not about a kill.
const NOISE: [&str; 30] = [
    "",
    "\r",
    "Mem-Info:",
    "x invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0",
    "oom_reaper: reaped process 7 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    "oom_reaper: unable to reap pid:7 (x)",
    "OOM victim 7 (x) is already exiting. Skip killing the task",
    "Task in /a killed as a result of limit of /a",
    "Task in /a killed as a",
    "Memory cgroup stats for /a: cache:0KB rss:5KB",
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=5",
    "[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
    "[ 2188]    27  2188   832504   124000     100        0             0 mysqld",
    "Out of memory and no killable processes...",
    "total-vm:5kB, anon-rss:3kB",
    "UID:5 pgtables:4kB oom_score_adj:0",
    " SUBSYSTEM=usb",
    "** 3 printk messages dropped **",
    "Jun  2 12:47:42 host app[9]: Killed process 999999 (x) total-vm:5kB",
    "Jun  2 12:47:42 host root: Out of memory: Killed process 999998 (x) total-vm:5kB",
    "12,1,1,-;Out of memory: Killed process 999997 (x) total-vm:5kB",
    "<14>Jun  2 12:47:42 host kernel: Out of memory: Killed process 999996 (x) total-vm:5kB",
    "Jun  2 12:47:42 host systemd[1]: a.service: A process of this unit has been killed by the OOM killer.",
    "systemd-oomd[9]: Killed /a.scope due to memory pressure for / being 51%",
    "{\"MESSAGE\":\"Killed process 999995 (x)\"}",
    "6,1,1,c;usb 1-1: ",
    "6,2,2,+;reset",
    "Killed",
    "\u{1b}[31mred\u{1b}[0m",
];

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_kill_is_reported_once_with_any_text_between(
        kills in vec((model(), 0..PREFIXES.len(), vec((0..NOISE.len(), 0..PREFIXES.len(), any::<bool>()), 0..6)), 1..12),
        sizes in vec(1..500_usize, 1..5),
    ) {
        let mut text = Vec::new();
        for (pid, (model, prefix, noise)) in (1000_u32..).zip(&kills) {
            for (at, prefix, is_prefixed) in noise {
                let prefix = if *is_prefixed { PREFIXES[*prefix](*at) } else { String::new() };
                // A line with a prefix of its own takes no other.
                let prefix = if NOISE[*at].contains("99999") { String::new() } else { prefix };
                text.extend_from_slice(format!("{prefix}{}\n", NOISE[*at]).as_bytes());
            }
            let model = Model { pid, ..model.clone() };
            text.extend_from_slice(format!("{}{}\n", PREFIXES[*prefix](0), model.kill()).as_bytes());
        }
        let reports = in_chunks(&text, &sizes);
        let mut pids: Vec<u32> = reports.iter().flat_map(|r| r.victims.iter().map(|v| v.pid)).collect();
        pids.sort_unstable();
        let expected: Vec<u32> = (1000..).take(kills.len()).collect();
        prop_assert_eq!(pids, expected, "{}", String::from_utf8_lossy(&text));
    }

    /// Mail programs break at a blank, terminals anywhere.
    #[test]
    fn broken_kill_line_is_joined(model in model(), prefix in 1..PREFIXES.len(), at in any::<prop::sample::Index>(), hard: bool) {
        let kill = model.kill();
        let name_end = kill.rfind(')').unwrap() + 1;
        let places: Vec<usize> = (name_end..kill.len()).filter(|at| hard || kill.as_bytes()[*at] == b' ').collect();
        prop_assume!(!places.is_empty());
        let (first, rest) = kill.split_at(places[at.index(places.len())]);
        prop_assume!(!first.contains("oom_score_adj:") && rest != ".");
        let whole = format!("{}{kill}\n", PREFIXES[prefix](0));
        let broken = format!("{}{first}\n{}\nMem-Info:\n", PREFIXES[prefix](0), rest.trim_start());
        prop_assert_eq!(timeless(broken.as_bytes()), timeless(whole.as_bytes()), "{}", broken);
    }

    #[test]
    fn any_bytes_are_read(text in vec(any::<u8>(), 0..4096)) {
        for report in parse_all(Origin::Text, &text) {
            prop_assert!(report.victims.len() <= Report::VICTIMS_MAX);
        }
    }

    #[test]
    fn any_soup_is_read(text in soup()) {
        for report in parse_all(Origin::Text, &text) {
            prop_assert!(report.victims.len() as u64 <= report.kills.unwrap_or(u64::MAX));
            prop_assert!(report.tasks.len() as u64 <= report.tasks_total);
        }
    }

    #[test]
    fn chunks_do_not_matter(text in soup(), sizes in vec(1..50_usize, 1..10)) {
        prop_assert_eq!(in_chunks(&text, &sizes), parse_all(Origin::Text, &text));
    }

    #[test]
    fn any_record_is_decoded(text in soup()) {
        for line in text.split(|b| *b == b'\n') {
            if let Ok(record) = KmsgRecord::parse(line) {
                prop_assert!(record.text.len() <= line.len());
            }
        }
    }

    #[test]
    fn records_carry_any_bytes(text in vec(any::<u8>(), 0..100), sequence: u64, priority in 0..192_u32) {
        let record = [format!("{priority},{sequence},5,-;").as_bytes(), &escaped(&text), b"\n"].concat();
        let record = KmsgRecord::parse(&record).unwrap();
        prop_assert_eq!(record.text, text);
        prop_assert_eq!((record.sequence, record.facility), (sequence, priority / 8));
    }

    #[test]
    fn every_prefix_gives_the_same_report(model in model()) {
        let lines = model.lines();
        let bare = timeless(&prefixed(&lines, PREFIXES[0]));
        prop_assert_eq!(bare.len(), 1);
        model.check(&bare[0]);
        for prefix in PREFIXES {
            let text = prefixed(&lines, prefix);
            prop_assert_eq!(&timeless(&text), &bare, "{}", String::from_utf8_lossy(&text));
        }
        prop_assert_eq!(&timeless(&records(&lines)), &bare);
    }

    /// A record of the kernel is exact for any name.
    #[test]
    fn any_name_survives_kmsg(model in model(), name in vec(1..=255_u8, 1..=15), invoker in vec(1..=255_u8, 1..=15)) {
        let kill = [format!("Out of memory: Killed process {} (", model.pid).as_bytes(), &name, b") total-vm:5kB"].concat();
        let header = [&invoker[..], b" invoked oom-killer: gfp_mask=0xcc0, order=0"].concat();
        let record = |text: &[u8]| [b"3,1,1,-;", &escaped(text)[..], b"\n"].concat();
        let reports = parse_all(Origin::KernelRing, &[record(&header), record(&kill)].concat());
        prop_assert_eq!(reports.len(), 1);
        prop_assert_eq!(reports[0].victims[0].name.as_deref(), Some(&name[..]));
        prop_assert_eq!(reports[0].victims[0].total_vm_bytes, Some(5 * 1024));
        prop_assert_eq!(reports[0].invoked_by.as_deref(), Some(&invoker[..]));
    }

    #[test]
    fn interleaved_reports_lose_no_victim(a in model(), b in model(), turns in vec(any::<bool>(), 0..80)) {
        prop_assume!(a.pid != b.pid);
        let (mut left, mut right) = (a.lines().into_iter(), b.lines().into_iter());
        let mut lines: Vec<String> =
            turns.iter().filter_map(|turn| if *turn { left.next() } else { right.next() }).collect();
        lines.extend(left.chain(right));
        for text in [prefixed(&lines, PREFIXES[0]), prefixed(&lines, PREFIXES[1])] {
            let reports = parse_all(Origin::Text, &text);
            let mut pids: Vec<u32> = reports.iter().flat_map(|r| r.victims.iter().map(|v| v.pid)).collect();
            pids.sort_unstable();
            prop_assert_eq!(&pids, &[a.pid.min(b.pid), a.pid.max(b.pid)], "{}", String::from_utf8_lossy(&text));
            prop_assert!(reports.iter().all(|report| report.victims.len() <= 1));
        }
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn real_reports_in_any_chunks(sizes in vec(1..3000_usize, 1..10)) {
        for log in corpus() {
            prop_assert_eq!(in_chunks(&log, &sizes), parse_all(Origin::Text, &log));
        }
    }

    /// The text between two kills is noise, all in one stream.
    #[test]
    fn a_flood_hides_no_kill(places in proptest::collection::btree_set(0..100_000_u32, 1..50), size in 1..100_000_usize) {
        let mut text = Vec::new();
        for n in 0..100_000_u32 {
            let record = if places.contains(&n) {
                format!("3,{n},{n},-;Out of memory: Killed process {n} (x) total-vm:10kB, anon-rss:7kB\n")
            } else {
                format!("6,{n},{n},-;usb 1-1: new high-speed USB device number {n}\n SUBSYSTEM=usb\n")
            };
            text.extend_from_slice(record.as_bytes());
        }
        let reports = in_chunks(&text, &[size]);
        let pids: Vec<u32> = reports.iter().flat_map(|r| r.victims.iter().map(|v| v.pid)).collect();
        prop_assert_eq!(pids, places.into_iter().collect::<Vec<_>>());
    }
}
