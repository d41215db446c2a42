//! Walks over constructed trees, with inputs that real machines produce only rarely.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

mod support;

use std::fs;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use proc_snapshot::{
    CpuQuery, CpuSampler, CpuType, CpuWindow, GoPattern, MemType, Needs, ProcError, Process, Selector,
    SharedWalk, Snapshot, StateFilter, TopBy, Users, Visibility,
};

use support::{Tree, soon, stat_line};

fn find(snapshot: &Snapshot, pid: u32) -> Process<'_> {
    snapshot.processes().find(|process| process.pid() == pid).unwrap()
}

fn pattern(text: &str) -> Selector {
    Selector { cmdline: Some(GoPattern::new(text.as_bytes()).unwrap()), ..Selector::default() }
}

fn pids(snapshot: &Snapshot, selector: &Selector) -> Vec<u32> {
    let mut pids: Vec<u32> = snapshot
        .processes()
        .filter(|process| selector.matches(process))
        .map(|process| process.pid())
        .collect();
    pids.sort_unstable();
    pids
}

#[test]
fn names_match_the_kernel_name_and_the_first_argument() {
    let tree = Tree::new();
    tree.process(1, b"httpd", b"/usr/sbin/httpd\0-DFOREGROUND\0", 1);
    tree.process(2, b"php", b"/opt/bin/httpd\0x\0", 1);
    tree.process(3, b"nginx", b"nginx: master /usr/sbin/httpd", 1);
    tree.process(4, b"kthreadd", b"", 0);
    tree.process(5, b"systemd-journal", b"/usr/lib/systemd/systemd-journald\0", 1);
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!(pids(&snapshot, &Selector::by_name("httpd")), [1, 2]);
    assert_eq!(pids(&snapshot, &Selector::by_name("nginx: master /usr/sbin/httpd")), [3]);
    assert_eq!(pids(&snapshot, &Selector::by_name("kthreadd")), [4]);
    assert_eq!(pids(&snapshot, &Selector::by_name("systemd-journald")), [5]);
    assert_eq!(pids(&snapshot, &Selector::by_name("systemd-journal")), [5]);
    assert_eq!(find(&snapshot, 5).full_name(), Some(&b"systemd-journald"[..]));
}

#[test]
fn command_lines_are_matched_with_spaces_for_nul() {
    let tree = Tree::new();
    tree.process(1, b"a", b"one\0two\0\0", 1);
    tree.process(2, b"b", b"", 1);
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!(find(&snapshot, 1).cmdline(), Some(&b"one two "[..]), "one space is cut, not all");
    assert_eq!(pids(&snapshot, &pattern("^one two $")), [1]);
    assert_eq!(pids(&snapshot, &pattern("^$")), [2]);
}

#[test]
fn names_with_special_bytes_are_kept() {
    let tree = Tree::new();
    let names: [&[u8]; 5] = [b"a) R 1 2", b"((sd-pam))", b"new\nline", b"\xe3\x81", b"two words"];
    for (pid, name) in (1..).zip(names) {
        tree.process(pid, name, b"x\0", 1);
    }
    let snapshot = tree.snapshot(Needs::CMDLINE);
    for (pid, name) in (1..).zip(names) {
        assert_eq!(find(&snapshot, pid).comm(), Some(name));
        assert_eq!(pids(&snapshot, &Selector::by_name(name)), [pid]);
        assert_eq!(find(&snapshot, pid).state(), Some(b'S'));
    }
}

#[test]
fn vanished_process_is_not_an_error() {
    let tree = Tree::new();
    tree.process(1, b"stays", b"", 1);
    fs::create_dir(tree.path("2")).unwrap();
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!((snapshot.len(), snapshot.unreadable()), (1, 0));
    fs::remove_dir_all(tree.path("1")).unwrap();
    let memory = snapshot.memory(&Selector::default(), MemType::Rss, soon()).unwrap();
    assert_eq!(memory.count, 0);
    assert!(snapshot.process_details(&Selector::default(), &Users::new(), soon()).unwrap().is_empty());
}

#[test]
fn process_with_an_unreadable_file_is_kept() {
    // A directory in the place of a file cannot be read, even by root.
    let tree = Tree::new();
    tree.process(1, b"a", b"a\0", 1).process(2, b"b", b"b\0", 2).process(3, b"c", b"c\0", 3);
    for (pid, file) in [(1, "stat"), (2, "cmdline"), (3, "status")] {
        fs::remove_file(tree.path(&format!("{pid}/{file}"))).unwrap();
        fs::create_dir(tree.path(&format!("{pid}/{file}"))).unwrap();
    }
    let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
    assert_eq!((snapshot.len(), snapshot.unreadable()), (3, 1));
    assert_eq!((find(&snapshot, 1).comm(), find(&snapshot, 1).state()), (None, None));
    assert!(find(&snapshot, 1).uid().is_some());
    assert_eq!(snapshot.count(&Selector::default(), soon()).unwrap(), 3);
    assert_eq!(pids(&snapshot, &Selector::by_name("b")), [2], "the kernel's name is enough");
    assert!(pids(&snapshot, &pattern("b")).is_empty());
    assert_eq!(snapshot.memory(&Selector::default(), MemType::Rss, soon()).unwrap().count, 1);
    assert!(Visibility::new(snapshot.root(), &snapshot).unwrap().is_partial());
}

#[test]
fn truncated_stat_keeps_the_name() {
    let tree = Tree::new();
    tree.process(1, b"cut", b"cut\0", 1);
    tree.write("1/stat", "1 (cut) S 1 1");
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!(pids(&snapshot, &Selector::by_name("cut")), [1]);
    assert!(find(&snapshot, 1).status().unwrap().is_none(), "without a start time there is no identity");
}

#[test]
fn reused_pid_never_returns_data_for_the_old_process() {
    let tree = Tree::new();
    tree.process(7, b"old", b"old\0", 1);
    tree.write("7/smaps_rollup", "Pss: 1 kB\n");
    let snapshot = tree.snapshot(Needs::CMDLINE);
    fs::remove_dir_all(tree.path("7")).unwrap();
    tree.process(7, b"new", b"new\0", 500).write("7/stat", stat_line(7, b"new", 5000, 500 * 4096));
    tree.write("7/smaps_rollup", "Pss: 500 kB\n");
    assert!(find(&snapshot, 7).status().unwrap().is_none());
    assert!(find(&snapshot, 7).smaps(soon()).unwrap().is_none());
    let memory = snapshot.memory(&Selector::by_name("old"), MemType::Pss, soon()).unwrap();
    assert_eq!((memory.count, memory.unreadable), (0, 0));
}

#[test]
fn lazy_reads_are_shared() {
    let tree = Tree::new();
    tree.process(1, b"a", b"", 100);
    let snapshot = tree.snapshot(Needs::empty());
    assert_eq!(find(&snapshot, 1).status().unwrap().unwrap().rss_bytes(), Some(100 << 10));
    tree.process(1, b"a", b"", 200);
    assert_eq!(find(&snapshot, 1).status().unwrap().unwrap().rss_bytes(), Some(100 << 10));
}

#[test]
fn memory_is_summed_as_the_builtin_key_does() {
    let tree = Tree::new();
    tree.process(1, b"a", b"", 100).process(2, b"a", b"", 300).process(3, b"kernel", b"", 0);
    tree.write("3/status", "Name:\tkernel\nState:\tS (sleeping)\n")
        .write("3/stat", stat_line(3, b"kernel", 1, 0));
    tree.write("meminfo", "MemTotal:       1000 kB\n");
    for needs in [Needs::empty(), Needs::STATUS] {
        let snapshot = tree.snapshot(needs);
        let sum = |kind| {
            let memory = snapshot.memory(&Selector::default(), kind, soon()).unwrap();
            assert_eq!(memory.count, 2, "{kind:?}: kernel threads have no memory");
            memory.sum
        };
        let kib = |kib: u32| f64::from(kib << 10);
        assert_eq!(sum(MemType::Rss), kib(400));
        assert_eq!(sum(MemType::Vsize), kib(1600));
        assert_eq!(sum(MemType::Size), kib(120));
        assert_eq!(sum(MemType::Swap), kib(120));
        assert_eq!(sum(MemType::Pmem), 40.0);
        let memory = snapshot.memory(&Selector::default(), MemType::Hwm, soon()).unwrap();
        assert_eq!((memory.min, memory.max, memory.avg()), (kib(100), kib(300), Some(kib(200))));
    }
}

#[test]
fn garbled_line_is_an_error_and_a_missing_one_is_not_counted() {
    let tree = Tree::new();
    tree.process(1, b"a", b"", 1).write("1/status", "VmRSS:\tmany kB\nVmData:\t1 kB\n");
    let snapshot = tree.snapshot(Needs::empty());
    let error = snapshot.memory(&Selector::default(), MemType::Rss, soon()).unwrap_err();
    assert!(error.to_string().starts_with("Cannot obtain amount of VmRSS"), "{error}");
    assert_eq!(snapshot.memory(&Selector::default(), MemType::Size, soon()).unwrap().count, 0);
}

#[test]
fn percentages_need_the_total_memory() {
    let tree = Tree::new();
    let snapshot = tree.process(1, b"a", b"", 1).snapshot(Needs::empty());
    let pmem = || snapshot.memory(&Selector::default(), MemType::Pmem, soon());
    assert!(matches!(pmem(), Err(ProcError::NoTotalMemory { .. })));
    tree.write("meminfo", "MemTotal:  0 kB\n");
    assert_eq!(pmem().unwrap_err().to_string(), "Total memory reported is 0.");
}

#[test]
fn unreadable_memory_is_not_zero() {
    let tree = Tree::new();
    tree.process(1, b"mine", b"", 1).process(2, b"yours", b"", 1);
    tree.write("1/smaps_rollup", "Pss: 3 kB\nPrivate_Dirty: 2 kB\n");
    let snapshot = tree.snapshot(Needs::CMDLINE);
    let pss = snapshot.memory(&Selector::default(), MemType::Pss, soon()).unwrap();
    assert_eq!((pss.count, pss.sum, pss.unreadable), (1, 3072.0, 1));
    assert_eq!(snapshot.memory(&Selector::default(), MemType::Uss, soon()).unwrap().sum, 2048.0);
    let top = snapshot.top(TopBy::Pss, soon()).unwrap();
    assert_eq!((&*top[1].name, top[1].count, top[1].unreadable), (&b"yours"[..], 0, 1));
}

#[test]
fn passed_deadline_is_an_error() {
    let tree = Tree::new();
    let snapshot = tree.process(1, b"a", b"", 1).snapshot(Needs::CMDLINE);
    let past = Instant::now();
    let late = |result: Result<(), ProcError>| assert!(matches!(result, Err(ProcError::Deadline { .. })));
    late(snapshot.memory(&Selector::default(), MemType::Pss, past).map(drop));
    late(snapshot.top(TopBy::Rss, past).map(drop));
    late(snapshot.process_details(&Selector::default(), &Users::new(), past).map(drop));
    late(snapshot.thread_details(&Selector::default(), &Users::new(), past).map(drop));
    late(snapshot.name_summaries(&Selector::default(), &Users::new(), past).map(drop));
    late(find(&snapshot, 1).smaps(past).map(drop));
    late(SharedWalk::new(tree.root(), Duration::ZERO).snapshot(Needs::empty(), past).map(drop));
    // Loops check it even if no process is selected.
    let none = Selector::by_name("none");
    late(snapshot.count(&none, past).map(drop));
    late(snapshot.memory(&none, MemType::Rss, past).map(drop));
    late(snapshot.process_details(&none, &Users::new(), past).map(drop));
    late(snapshot.thread_details(&none, &Users::new(), past).map(drop));
}

#[test]
fn twenty_thousand_processes_are_counted_exactly_or_not_at_all() {
    const COUNT: u32 = 20_000;
    let tree = Tree::new();
    for pid in 1..=COUNT {
        // Kernel threads have one file less to be written.
        tree.write(&format!("{pid}/stat"), stat_line(pid, b"httpd", 1, 0));
    }
    let walks = SharedWalk::new(tree.root(), Duration::ZERO);
    let httpd = Selector::by_name("httpd");
    let count = |deadline| walks.snapshot(Needs::CMDLINE, deadline)?.count(&httpd, deadline);
    assert_eq!(count(soon()).unwrap(), 20_000);
    for millis in [3, 9, 27, 81] {
        match count(Instant::now() + Duration::from_millis(millis)) {
            Ok(count) => assert_eq!(count, 20_000, "within {millis} ms"),
            Err(error) => assert!(matches!(error, ProcError::Deadline { .. }), "{error}"),
        }
    }
    assert!(matches!(count(Instant::now() + Duration::from_micros(500)), Err(ProcError::Deadline { .. })));
}

/// A new query, asked while the tree changes.
#[test]
fn first_cpu_value_is_the_use_between_two_walks() {
    let tree = Tree::new();
    let stat = |pid: u32, start: u64, ticks: u64| {
        format!("{pid} (busy) R 1 1 1 0 -1 0 5 0 7 0 {ticks} 0 0 0 20 0 3 0 {start} 4096 9 1\n")
    };
    tree.write("1/stat", stat(1, 10, 1_000_000)).write("1/cmdline", "busy\0");
    tree.write("2/stat", stat(2, 20, 5000)).write("2/cmdline", "busy\0");
    let walks = Arc::new(SharedWalk::new(tree.root(), Duration::from_secs(60)));
    // The first walk.
    walks.snapshot(Needs::CMDLINE, soon()).unwrap();
    // 1,000,000 s of CPU time would show at any speed of this machine. Process 2 has ended, and its id is used again.
    tree.write("1/stat", stat(1, 10, 101_000_000));
    tree.write("2/stat", stat(2, 30, 999_000_000));
    tree.write("3/stat", stat(3, 40, 999_000_000)).write("3/cmdline", "busy\0");
    let started = walks.snapshot(Needs::CMDLINE, soon()).unwrap().taken();
    let sampler = CpuSampler::new(walks, Arc::new(Users::new()));
    let query = CpuQuery { name: "busy".to_owned(), ..CpuQuery::default() };
    let percent = sampler.utilization(&query, CpuType::User, CpuWindow::Avg1, soon()).unwrap();
    let span = started.elapsed().as_secs_f64();
    // Of process 1 alone; by then at least a second has passed.
    assert!(percent <= 1e8 / 0.85 && percent >= 1e8 / span, "{percent} in {span} s");
    let none = CpuQuery { user: "no such user".to_owned(), ..CpuQuery::default() };
    let error = sampler.utilization(&none, CpuType::User, CpuWindow::Avg1, soon()).unwrap_err();
    assert!(matches!(error, ProcError::UnknownUser { .. }), "{error}");
}

#[test]
fn states_match_the_letters_of_stat() {
    let tree = Tree::new();
    for (pid, state) in (1..).zip(["R", "S", "D", "T", "t", "Z", "I"]) {
        tree.write(
            &format!("{pid}/stat"),
            format!("{pid} (x) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0"),
        );
    }
    let snapshot = tree.snapshot(Needs::empty());
    let with = |word| {
        let state = StateFilter::from_word(word);
        assert!(state.is_some());
        pids(&snapshot, &Selector { state, ..Selector::default() })
    };
    assert_eq!(["run", "sleep", "disk", "trace", "zomb"].map(with), [[1], [2], [3], [4], [6]]);
    assert_eq!(StateFilter::from_word("all"), None);
}

#[test]
fn each_word_of_an_item_key_has_its_own_value() {
    assert_eq!(
        ["total", "user", "system"].map(CpuType::from_word),
        [Some(CpuType::Total), Some(CpuType::User), Some(CpuType::System)]
    );
    assert_eq!(
        ["avg1", "avg5", "avg15"].map(CpuWindow::from_word),
        [Some(CpuWindow::Avg1), Some(CpuWindow::Avg5), Some(CpuWindow::Avg15)]
    );
    assert_eq!(
        ["vsize", "rss", "pss", "uss"].map(MemType::from_word),
        [Some(MemType::Vsize), Some(MemType::Rss), Some(MemType::Pss), Some(MemType::Uss)]
    );
    for (word, by) in [("rss", TopBy::Rss), ("pss", TopBy::Pss), ("swap", TopBy::Swap), ("cpu", TopBy::Cpu)] {
        assert_eq!((TopBy::from_word(word), by.word()), (Some(by), word));
    }
    let unknown = "avg";
    assert_eq!((CpuType::from_word(unknown), CpuWindow::from_word(unknown)), (None, None));
    assert_eq!((MemType::from_word(unknown), TopBy::from_word(unknown)), (None, None));
}

#[test]
fn huge_command_lines_are_kept_up_to_a_limit() {
    let tree = Tree::new();
    let of_length = |length: usize| [&b"x".repeat(length - 9)[..], b" the end\0"].concat();
    // One that just fits, and one that is longer. Together with them 40 exceed the limit for all.
    tree.process(1, b"a", &of_length(256 << 10), 1);
    tree.process(2, b"a", &of_length((256 << 10) + 2), 1);
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!(snapshot.truncated_cmdlines(), 1);
    assert_eq!(pids(&snapshot, &pattern("the end$")), [1]);
    assert_eq!(pids(&snapshot, &pattern("^xxx")).len(), 2);
    for pid in 3..=40 {
        tree.process(pid, b"a", &of_length(1 << 20), 1);
    }
    let snapshot = tree.snapshot(Needs::CMDLINE);
    assert_eq!(pids(&snapshot, &pattern("^xxx")).len(), 40);
    let lengths: Vec<_> = snapshot.processes().map(|process| process.cmdline().unwrap().len()).collect();
    assert!(lengths.iter().sum::<usize>() <= (8 << 20) + 40 * 256, "{lengths:?}");
    assert!(lengths.iter().filter(|&&length| length == 256).count() >= 7, "{lengths:?}");
}

#[test]
fn details_equal_those_of_proc_get() {
    let tree = Tree::new();
    tree.process(9, b"systemd-journal", b"/usr/lib/systemd/systemd-journald\0-x\0", 100);
    tree.write("meminfo", "MemTotal:       1000 kB\n").write("9/statm", "500 25 1 1 0 1 0\n");
    let users = Users::new();
    let details = |selector: &Selector| {
        let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
        snapshot.process_details(selector, &users, soon()).unwrap()
    };
    assert!(details(&Selector::by_name("systemd-journal")).is_empty(), "only the completed name counts here");
    let found = details(&Selector::by_name("systemd-journald"));
    let process = &found[0];
    assert_eq!((process.pid, process.ppid, &*process.name), (9, 1, &b"systemd-journald"[..]));
    assert_eq!(&*process.cmdline, b"/usr/lib/systemd/systemd-journald -x");
    assert_eq!((process.vsize, process.rss, process.size), (400 << 10, 100 << 10, 60 << 10));
    assert_eq!((process.pmem, process.cputime_user, process.cputime_system), (10.0, 2.5, 1.5));
    assert_eq!((&*process.state, process.ctx_switches, process.threads), (&b"sleeping"[..], 17, 3));
    assert_eq!((process.page_faults, process.pss), (7, 25 * 4096));
    tree.write("9/smaps_rollup", "Pss: 10 kB\n");
    assert_eq!(details(&Selector::default())[0].pss, (10 << 10) + 512);
}

#[test]
fn details_of_kernel_threads_are_minus_one() {
    let tree = Tree::new();
    tree.process(2, b"kthreadd", b"", 0)
        .write("2/status", "Name:\tkthreadd\nState:\tI (idle)\nThreads:\t1\n");
    tree.write("meminfo", "MemTotal:       1000 kB\n");
    let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
    let details = snapshot.process_details(&Selector::default(), &Users::new(), soon()).unwrap();
    let process = &details[0];
    assert_eq!((process.vsize, process.size, process.pmem, process.ctx_switches), (-1, -1, -1.0, -1));
    assert_eq!((process.pss, &*process.state), (0, &b"idle"[..]), "the built-in key never gets to their pss");
}

#[test]
fn escaped_newline_is_selected_as_displayed() {
    let tree = Tree::new();
    tree.process(3, b"new\nline", b"x\0", 1).write("3/status", b"Name:\tnew\\nline\nState:\tS (sleeping)\n");
    let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
    let found =
        |name: &str| snapshot.process_details(&Selector::by_name(name), &Users::new(), soon()).unwrap().len();
    assert_eq!((found("new\\nline"), found("new\nline")), (1, 0));
}

#[test]
fn summaries_are_in_order_of_appearance() {
    let tree = Tree::new();
    tree.process(1, b"a", b"", 100).process(2, b"b", b"", 50).process(3, b"a", b"", 200);
    tree.write("3/status", "Name:\ta\nVmRSS:\t200 kB\nThreads:\t4\n").write("meminfo", "MemTotal: 1000 kB\n");
    let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
    let mut sums = snapshot.name_summaries(&Selector::default(), &Users::new(), soon()).unwrap();
    sums.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(sums.len(), 2);
    let a = &sums[0];
    assert_eq!((a.processes, a.rss, a.vsize, a.threads), (2, 300 << 10, -1, 7));
    assert_eq!((a.cputime_user, a.page_faults), (5.0, 14));
}

#[test]
fn threads_are_read_from_task_directories() {
    let tree = Tree::new();
    tree.process(5, b"main", b"/bin/main\0", 10);
    for (tid, name) in [(5_u32, "main"), (6, "worker")] {
        tree.write(
            &format!("5/task/{tid}/status"),
            format!("Name:\t{name}\nState:\tR (running)\nTgid:\t5\nPPid:\t1\n"),
        );
        tree.write(&format!("5/task/{tid}/stat"), stat_line(tid, name.as_bytes(), 1, 0));
    }
    let snapshot = tree.snapshot(Needs::CMDLINE | Needs::OWNER);
    let mut threads = snapshot.thread_details(&Selector::default(), &Users::new(), soon()).unwrap();
    threads.sort_by_key(|thread| thread.tid);
    let shown: Vec<_> = threads.iter().map(|thread| (thread.pid, thread.tid, &*thread.tname)).collect();
    assert_eq!(shown, [(5, 5, &b"main"[..]), (5, 6, b"worker")]);
    assert_eq!((&*threads[1].state, threads[1].cputime_user), (&b"running"[..], 2.5));
    let named = snapshot.thread_details(&Selector::by_name("worker"), &Users::new(), soon()).unwrap();
    assert_eq!(named.len(), 1);
}

#[test]
fn names_are_ranked_largest_first_and_ties_by_name() {
    let tree = Tree::new();
    tree.process(1, b"small", b"", 10).process(2, b"worker", b"", 60).process(3, b"worker", b"", 40);
    tree.process(4, b"big", b"", 100).process(5, b"kernel", b"", 0).write("5/status", "Name:\tkernel\n");
    let snapshot = tree.snapshot(Needs::CMDLINE);
    let top = snapshot.top(TopBy::Rss, soon()).unwrap();
    let names: Vec<_> = top.iter().map(|total| String::from_utf8_lossy(&total.name).into_owned()).collect();
    assert_eq!(names, ["big", "worker", "small"]);
    let worker = &top[1];
    assert_eq!((worker.count, worker.sum, worker.avg, worker.max), (2, 102_400.0, 51_200.0, 61_440.0));
    let top = snapshot.top(TopBy::Swap, soon()).unwrap();
    let names: Vec<_> = top.iter().map(|total| String::from_utf8_lossy(&total.name).into_owned()).collect();
    assert_eq!(names, ["worker", "big", "small"]);
}

#[test]
fn hidepid_is_reported() {
    let tree = Tree::new();
    tree.process(50, b"mine", b"", 1);
    tree.write("self/mountinfo", "22 21 0:20 / /proc rw - proc proc rw,hidepid=invisible\n");
    let visibility = |tree: &Tree| {
        let snapshot = tree.snapshot(Needs::empty());
        Visibility::new(snapshot.root(), &snapshot).unwrap()
    };
    let seen = visibility(&tree);
    assert_eq!((seen.hidepid, seen.others_visible, seen.is_partial()), (Some(2), false, true));
    tree.process(1, b"init", b"", 1);
    assert!(!visibility(&tree).is_partial(), "hidepid does not apply if process 1 is readable");
}

#[test]
fn without_mount_options_process_1_decides() {
    let tree = Tree::new();
    let snapshot = tree.process(50, b"mine", b"", 1).snapshot(Needs::empty());
    let seen = Visibility::new(snapshot.root(), &snapshot).unwrap();
    assert_eq!((seen.hidepid, seen.others_visible), (None, false));
}

#[test]
fn concurrent_requests_share_one_walk() {
    let tree = Tree::new();
    for pid in 1..200 {
        tree.process(pid, b"a", b"a\0", 1);
    }
    let walks = Arc::new(SharedWalk::new(tree.root(), Duration::from_secs(60)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let walks = Arc::clone(&walks);
            std::thread::spawn(move || walks.snapshot(Needs::CMDLINE, soon()).unwrap().len())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 199);
    }
    let stats = walks.stats();
    assert_eq!((stats.walks, stats.shared, stats.failed, stats.processes), (1, 7, 0, 199));
}

#[test]
fn blocking_command_line_does_not_block_other_requests() {
    let tree = Tree::new();
    tree.process(1, b"init", b"init\0", 1).process(7, b"httpd", b"", 1).process(9, b"mysqld", b"mysqld\0", 1);
    // A FIFO without a writer blocks its reader, as a process does that hangs with its memory locked.
    let fifo = tree.path("7/cmdline");
    std::fs::remove_file(&fifo).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let walks = Arc::new(SharedWalk::new(tree.root(), Duration::from_secs(60)));
    let (sender, answers) = mpsc::channel();
    for _ in 0..2 {
        let (walks, sender) = (Arc::clone(&walks), sender.clone());
        std::thread::spawn(move || sender.send(walks.snapshot(Needs::CMDLINE, soon()).unwrap()));
    }
    // One of the two blocks; the other gives up that walk and makes its own.
    let snapshot = answers.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(pids(&snapshot, &Selector::by_name("httpd")), [7], "the kernel's name is enough");
    assert_eq!(find(&snapshot, 7).cmdline(), None);
    assert_eq!(find(&snapshot, 9).cmdline(), Some(&b"mysqld"[..]));
    assert!(answers.try_recv().is_err());
    // A writer ends the wait. The snapshot of the old walk does not replace that of a later one.
    drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    assert_eq!(answers.recv_timeout(Duration::from_secs(20)).unwrap().len(), 3);
    assert_eq!(find(&walks.snapshot(Needs::CMDLINE, soon()).unwrap(), 7).cmdline(), None);
    assert_eq!((walks.stats().walks, walks.stats().failed), (2, 0));
}

#[test]
fn alternating_needs_do_not_cause_alternating_walks() {
    let tree = Tree::new();
    let walks = SharedWalk::new(tree.process(1, b"a", b"a\0", 1).root(), Duration::from_secs(60));
    let ask = |needs| walks.snapshot(needs, soon()).unwrap().needs();
    assert_eq!(ask(Needs::empty()), Needs::empty());
    assert_eq!(ask(Needs::OWNER), Needs::OWNER);
    assert_eq!(ask(Needs::CMDLINE), Needs::OWNER | Needs::CMDLINE, "what was asked for lately is read too");
    for needs in [Needs::OWNER, Needs::CMDLINE, Needs::empty(), Needs::STATUS] {
        ask(needs);
    }
    assert_eq!((walks.stats().walks, walks.stats().shared), (3, 4));
}

#[test]
fn old_walk_is_not_shared_and_can_be_dropped() {
    let tree = Tree::new();
    let walks = SharedWalk::new(tree.process(1, b"a", b"", 1).root(), Duration::ZERO);
    let snapshot = walks.snapshot(Needs::empty(), soon()).unwrap();
    walks.snapshot(Needs::empty(), soon()).unwrap();
    assert_eq!((walks.stats().walks, walks.stats().shared), (2, 0));
    let last = walks.snapshot(Needs::empty(), soon()).unwrap();
    walks.forget_if_older(Duration::from_secs(60));
    assert_eq!(Arc::strong_count(&last), 2);
    std::thread::sleep(Duration::from_millis(2));
    walks.forget_if_older(Duration::from_millis(1));
    assert_eq!(Arc::strong_count(&last), 1);
    assert_eq!(snapshot.len(), 1, "who holds a snapshot keeps it");
}
