//! Constructed reports: the formats of each kernel, hostile names, interleavings, groups, storms.

use oom_evidence::{Constraint, Killer, Origin, Parser, Report, Trust, Victim, Witness, parse_all};

fn parse(text: &str) -> Vec<Report> {
    parse_all(Origin::Text, text.as_bytes())
}

fn only(text: &str) -> Report {
    let mut reports = parse(text);
    assert_eq!(reports.len(), 1, "{text}\n{reports:#?}");
    reports.remove(0)
}

fn only_victim(text: &str) -> Victim {
    let mut report = only(text);
    assert_eq!((report.victims.len(), report.kills), (1, Some(1)), "{text}");
    report.victims.remove(0)
}

fn name(victim: &Victim) -> String {
    String::from_utf8_lossy(victim.name.as_deref().unwrap_or_default()).into_owned()
}

fn pids(reports: &[Report]) -> Vec<u32> {
    reports.iter().flat_map(|report| report.victims.iter().map(|victim| victim.pid)).collect()
}

const KIB: u64 = 1024;

#[derive(Debug, Default, PartialEq)]
struct Facts {
    uid: Option<u32>,
    /// total_vm, anon, file and shmem in kB.
    sizes: [Option<u64>; 4],
    oom_score_adj: Option<i64>,
    constraint: Option<Constraint>,
}

fn facts(report: &Report) -> Facts {
    let victim = &report.victims[0];
    let sizes = [victim.total_vm_bytes, victim.anon_rss_bytes, victim.file_rss_bytes, victim.shmem_rss_bytes];
    Facts {
        uid: victim.uid,
        sizes: sizes.map(|bytes| bytes.map(|bytes| bytes / KIB)),
        oom_score_adj: victim.oom_score_adj,
        constraint: report.constraint,
    }
}

#[test]
fn kill_lines_of_every_kernel_are_parsed() {
    let none = Facts::default;
    let limit = |constraint| Facts { constraint: Some(constraint), ..none() };
    let three = || Facts { sizes: [Some(10), Some(7), Some(2), None], ..none() };
    let four = || Facts { sizes: [Some(10), Some(7), Some(2), Some(1)], ..none() };
    let old = "total-vm:10kB, anon-rss:7kB, file-rss:2kB";
    let new = "total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:1kB";
    let full =
        "total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:1kB, UID:5 pgtables:4kB oom_score_adj:-17";
    let all =
        |constraint| Facts { uid: Some(5), oom_score_adj: Some(-17), constraint: Some(constraint), ..four() };
    let table = [
        ("2.6.9", "Out of Memory: Killed process 77 (x).".to_owned(), limit(Constraint::None)),
        ("2.6.18", "Out of memory: Killed process 77 (x).".to_owned(), limit(Constraint::None)),
        (
            "2.6.18, mempolicy",
            "No available memory (MPOL_BIND): Killed process 77 (x).".to_owned(),
            limit(Constraint::Mempolicy),
        ),
        (
            "2.6.18, cpuset",
            "No available memory in cpuset: Killed process 77 (x).".to_owned(),
            limit(Constraint::Cpuset),
        ),
        (
            "RHEL 5",
            "Out of memory: Killed process 77, UID 48, (x).".to_owned(),
            Facts { uid: Some(48), ..limit(Constraint::None) },
        ),
        ("2.6.28", "Killed process 77 (x)".to_owned(), none()),
        ("2.6.32", "Killed process 77 (x) vsz:10kB, anon-rss:7kB, file-rss:2kB".to_owned(), three()),
        ("2.6.36", format!("Killed process 77 (x) {old}"), three()),
        ("RHEL 6", format!("Killed process 77, UID 48, (x) {old}"), Facts { uid: Some(48), ..three() }),
        ("VServer", format!("Killed process 77[#1202] (x) {old}"), three()),
        ("4.5", format!("Killed process 77 (x) {new}"), four()),
        (
            "5.0",
            format!("Out of memory: Killed process 77 (x) {new}"),
            Facts { constraint: Some(Constraint::None), ..four() },
        ),
        (
            "5.3, memcg",
            format!("Memory cgroup out of memory: Killed process 77 (x) {new}"),
            Facts { constraint: Some(Constraint::Memcg), ..four() },
        ),
        ("5.4", format!("Out of memory: Killed process 77 (x) {full}"), all(Constraint::None)),
        ("5.4, memcg", format!("Memory cgroup out of memory: Killed process 77 (x) {full}"), all(Constraint::Memcg)),
        (
            "oom_kill_allocating_task",
            format!("Out of memory (oom_kill_allocating_task): Killed process 77 (x) {full}"),
            all(Constraint::None),
        ),
        ("OpenVZ 5", "OOM killed process x (pid=77, ve=1202) exited, free=43104 gen=24501.".to_owned(), none()),
        (
            "OpenVZ 6",
            "Out of memory in UB 1202: OOM killed process 77 (x) score 0 vm:10kB, rss:7kB, swap:3kB".to_owned(),
            Facts { sizes: [Some(10), None, None, None], ..none() },
        ),
        (
            "beyond 64 bits",
            "Killed process 77 (x) total-vm:18446744073709551615kB, anon-rss:99999999999999999999kB, file-rss:2kB"
                .to_owned(),
            Facts { sizes: [None, None, Some(2), None], ..none() },
        ),
    ];
    for (kernel, line, expected) in table {
        let report = only(&line);
        assert_eq!((report.victims[0].pid, name(&report.victims[0])), (77, "x".to_owned()), "{kernel}");
        assert_eq!(facts(&report), expected, "{kernel}");
    }
}

/// A terminal or a log daemon may cut a line anywhere. A number without its unit may be cut as well and does not
/// count.
#[test]
fn kill_lines_cut_anywhere_are_still_kills() {
    let line = "Out of memory: Killed process 771 (sh) total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:1kB, UID:0 \
                pgtables:4kB oom_score_adj:-17";
    let whole = only_victim(line);
    for end in "Out of memory: Killed process 771".len()..line.len() {
        let victim = only_victim(&line[..end]);
        let whole_or_absent = |cut: Option<u64>, whole: Option<u64>| cut.is_none() || cut == whole;
        assert_eq!(victim.pid, 771, "{end}");
        assert!(victim.name.is_none() || victim.name == whole.name, "{end}");
        assert!(whole_or_absent(victim.total_vm_bytes, whole.total_vm_bytes), "{end}");
        assert!(whole_or_absent(victim.anon_rss_bytes, whole.anon_rss_bytes), "{end}");
        assert!(whole_or_absent(victim.shmem_rss_bytes, whole.shmem_rss_bytes), "{end}");
        assert!(whole_or_absent(victim.pgtables_bytes, whole.pgtables_bytes), "{end}");
    }
}

/// Names that imitate other text. The kernel allows any 15 bytes.
const HOSTILE: [&str; 20] = [
    "a b",
    " a",
    "(sd-pam)",
    "a) b",
    ")",
    "(",
    "((((",
    "a) total-vm:1kB",
    "x) score 9 or s",
    "\"q\"'",
    "[123]",
    "[1.5] x",
    "runc:[2:INIT]",
    "tmux: server",
    "kernel: x",
    "a kernel: b",
    "Killed process ",
    "kill process 1",
    ",pid=1,uid=0",
    "日本語日本",
];

#[test]
fn hostile_names_do_not_change_a_kill() {
    for hostile in HOSTILE {
        let new =
            "total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:0";
        let text = format!(
            "3,1,1000000,-;{hostile} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
             6,2,1000001,-;[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n\
             6,3,1000002,-;[     77]     5    77       10        7    81920        0             0 {hostile}\n\
             6,4,1000003,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,\
             task_memcg=/a/b,task={hostile},pid=77,uid=5\n\
             3,5,1000004,-;Memory cgroup out of memory: Killed process 77 ({hostile}) {new}\n\
             6,6,1000005,-;oom_reaper: reaped process 77 ({hostile}), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\n"
        );
        let report = only(&text);
        let found = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        assert_eq!(found(report.invoked_by.as_deref()), hostile, "invoked_by");
        assert_eq!(report.victims.len(), 1, "{hostile:?}");
        assert_eq!(found(report.victims[0].name.as_deref()), hostile, "name");
        assert_eq!(report.victims[0].anon_rss_bytes, Some(7 * KIB), "{hostile:?}");
        assert_eq!(found(report.cgroup.as_deref()), "/a", "{hostile:?}");
        assert_eq!(found(report.task_cgroup.as_deref()), "/a/b", "{hostile:?}");
        assert_eq!(found(report.tasks[0].name.as_deref()), hostile, "task");
        assert_eq!(found(report.reaped[0].name.as_deref()), hostile, "reaped");
    }
}

#[test]
fn hostile_names_in_older_formats_do_not_change_a_kill() {
    for hostile in HOSTILE {
        let text = format!(
            "3,1,1000000,-;Out of memory: Kill process 76 ({hostile}) score 51 or sacrifice child\n\
             3,2,1000001,-;Killed process 77, UID 5, ({hostile}) total-vm:10kB, anon-rss:7kB, file-rss:2kB\n"
        );
        let report = only(&text);
        let selected = report.selected.as_ref().unwrap();
        assert_eq!((selected.pid, selected.score), (76, Some(51)), "{hostile:?}");
        assert_eq!(selected.name.as_deref(), Some(hostile.as_bytes()));
        assert_eq!((report.victims[0].pid, report.victims[0].uid), (77, Some(5)), "{hostile:?}");
        assert_eq!(name(&report.victims[0]), hostile);
    }
}

#[test]
fn names_keep_bytes_that_are_not_utf_8() {
    let escaped =
        "3,1,1,-;Out of memory: Killed process 77 (\\xff\\x0a\\x1b[31m\\x5cx41) total-vm:10kB, anon-rss:7kB";
    assert_eq!(only_victim(escaped).name.as_deref(), Some(&b"\xff\n\x1b[31m\\x41"[..]));
    let raw = b"[    1.000000] Out of memory: Killed process 77 (\xff\xe3\x81) total-vm:10kB, anon-rss:7kB";
    let reports = parse_all(Origin::Text, raw);
    assert_eq!(reports[0].victims[0].name.as_deref(), Some(&b"\xff\xe3\x81"[..]));
}

/// dmesg and log daemons without escapes print a newline in a name as a newline.
#[test]
fn name_with_a_newline_is_joined() {
    let text = "[    1.000000] Out of memory: Killed process 77 (a\n\
                [    1.000000] b) total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:0kB\n";
    let victim = only_victim(text);
    assert_eq!((name(&victim), victim.anon_rss_bytes), ("a\nb".to_owned(), Some(7 * KIB)));
}

/// Any user who may create cgroups chooses their names, including users of containers.
#[test]
fn path_of_a_cgroup_cannot_forge_a_kill() {
    let forged = "/user/x [    9.000000] Killed process 1 (init) total-vm:1kB, anon-rss:1kB";
    let text = format!(
        "[    1.000000] Task in {forged} killed as a result of limit of {forged}\n\
         [    1.000000] Memory cgroup stats for {forged}: cache:0KB\n\
         [    1.000000] Memory cgroup stats for /x invoked oom-killer: gfp_mask=0x1: cache:0KB\n\
         [    1.000000] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg={forged},\
         task_memcg={forged},task=sh,pid=77,uid=5\n\
         [    1.000000] Memory cgroup out of memory: Killed process 77 (sh) total-vm:10kB, anon-rss:7kB\n\
         [    1.000000] Tasks in {forged} are going to be killed due to memory.oom.group set\n"
    );
    let report = only(&text);
    assert_eq!(pids(std::slice::from_ref(&report)), [77]);
    assert_eq!(report.cgroup.as_deref(), Some(forged.as_bytes()));
}

#[test]
fn only_lines_of_the_kernel_count() {
    let kill = "Out of memory: Killed process 77 (x) total-vm:10kB, anon-rss:7kB, file-rss:2kB";
    let header = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
    for text in [kill, header] {
        for line in [
            format!("12,1,1,-;{text}"),
            format!("<13>Jun 20 12:47:42 host kernel: {text}"),
            format!("Jun 20 12:47:42 host root: {text}"),
            format!("Jun 20 12:47:42 host myapp[12]: {text}"),
            format!("2026-02-08T00:40:07.136582+00:00 host containerd[1]: {text}"),
            format!("<14>1 2023-04-03T16:24:41Z box app 12 - - {text}"),
            format!("user  :notice: [   12.345678] {text}"),
            format!(
                "192.0.2.1 - - [02/Mar/2024:10:21:02 +0000] \"GET /?q={text} HTTP/1.1\" 200 1 \"-\" \"-\""
            ),
            format!("time=\"2025-05-30T07:19:59Z\" level=error msg=\"{text}\""),
        ] {
            let reports = parse(&line);
            assert_eq!(reports, [], "{line}");
        }
    }
}

#[test]
fn similar_messages_are_not_kills() {
    for line in [
        "OOM victim 77 (x) is already exiting. Skip killing the task",
        "oom_reaper: unable to reap pid:77 (x)",
        "lowmemorykiller: Killing 'x' (77), adj 906, to free 10kB on behalf of 'kswapd0' (33) because",
        "lowmemorykiller: send sigkill to 77 (x), adj 906, size 100",
        "lmkd: Kill 'com.example.x' (77), uid 10000, oom_score_adj 900 to free 10kB",
        "x invoked the oom-killer: gfp_mask=0x1",
        "OOM killer enabled.",
        "Killed",
        "Killed process",
        "Killed process x",
        "Killed process 77b (x)",
        "init: x main process (77) killed by KILL signal",
        "TCP: out of memory -- consider tuning tcp_mem",
        "Memory cgroup stats for /a: cache:0KB",
        "Mem-Info:",
        "xen:balloon: Cannot add additional memory (-17)",
    ] {
        for prefix in ["", "[    1.000000] ", "Jun 20 12:47:42 host kernel: ", "4,1,1,-;"] {
            let reports = parse(&format!("{prefix}{line}"));
            assert_eq!(reports, [], "{line}");
        }
    }
}

#[test]
fn headers_of_every_kernel_are_parsed() {
    for (rest, invoker) in [
        ("oom-killer: gfp_mask=0x1d2", None),
        ("x invoked oom-killer: gfp_mask=0x201d2, order=0, oomkilladj=0", Some("x")),
        ("x invoked oom-killer: gfp_mask=0x201da, order=0, oom_adj=0, oom_score_adj=0", Some("x")),
        (
            "x invoked oom-killer: gfp_mask=0x24000c0(GFP_KERNEL), nodemask=0, order=0, oom_score_adj=0",
            Some("x"),
        ),
        ("x invoked oom-killer: gfp_mask=0x0(), order=-1, oom_score_adj=0", Some("x")),
        ("x invoked oom-killer in ub 1202 generation 0 gfp 0x2005a", Some("x")),
    ] {
        let report = only(rest);
        assert_eq!(report.invoked_by.as_deref(), invoker.map(str::as_bytes), "{rest}");
        assert_eq!((report.victims.len(), report.kills, report.panic), (0, Some(0), false), "{rest}");
    }
}

#[test]
fn limits_of_every_kernel_are_parsed() {
    for (line, cgroup, task) in [
        ("Task in /a/b killed as a result of limit of /a", "/a", Some("/a/b")),
        ("Memory limit reached of cgroup /a", "/a", None),
    ] {
        let report = only(line);
        assert_eq!(report.constraint, Some(Constraint::Memcg));
        assert_eq!(report.cgroup.as_deref(), Some(cgroup.as_bytes()));
        assert_eq!(report.task_cgroup.as_deref(), task.map(str::as_bytes));
    }
}

#[test]
fn tables_of_every_kernel_are_parsed() {
    for (kernel, head, row) in [
        (
            "2.6.28",
            "[ pid ]   uid  tgid total_vm      rss cpu oom_adj name",
            "[   77]     5    77     1000      700   1     -17 a b",
        ),
        (
            "2.6.36",
            "[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name",
            "[   77]     5    77     1000      700   1     -17         -1000 a b",
        ),
        (
            "3.8",
            "[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
            "[   77]     5    77     1000      700      20        3         -1000 a b",
        ),
        (
            "4.4",
            "[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name",
            "[   77]     5    77     1000      700      20       3        3         -1000 a b",
        ),
        (
            "4.19",
            "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
            "[     77]     5    77     1000      700    81920        3         -1000 a b",
        ),
        (
            "6.8",
            "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
            "[     77]     5    77     1000      700      600      100         0    81920        3         -1000 a b",
        ),
    ] {
        let report = only(&format!("{head}\n{row}\nKilled process 1 (x)\n"));
        check_row(kernel, &report);
        assert!(report.tasks[0].oom_score_adj.is_none_or(|adj| adj == -1000), "{kernel}");
        // The head is lost.
        let header = "x invoked oom-killer: gfp_mask=0x201da, order=0";
        check_row(kernel, &only(&format!("{header}\n{row}\nKilled process 1 (x)\n")));
    }
}

fn check_row(kernel: &str, report: &Report) {
    let task = &report.tasks[0];
    assert_eq!((task.pid, task.uid, task.rss_bytes), (77, Some(5), 700 * 4 * KIB), "{kernel}");
    assert_eq!(task.name.as_deref(), Some(&b"a b"[..]), "{kernel}");
    assert_eq!(report.tasks_total, 1, "{kernel}");
}

#[test]
fn page_size_of_64_kib_is_detected() {
    let table = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n\
                 [     77]     5    77      571        3    81920        2             0 x\n";
    let by_victim = only(&format!("{table}Killed process 77 (x) total-vm:36544kB, anon-rss:0kB\n"));
    let free_list = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
                     Node 0 Normal: 12*64kB (UME) 3*128kB (M) 0*256kB = 1152kB\n";
    let by_free_list = only(&format!("{free_list}{table}Killed process 1 (y)\n"));
    let unknown = only(&format!("{table}Killed process 1 (y)\n"));
    let rss = |report: &Report| report.tasks[0].rss_bytes / KIB;
    assert_eq!([rss(&by_victim), rss(&by_free_list), rss(&unknown)], [192, 192, 12]);
    assert_eq!(by_victim.tasks[0].swap_bytes, Some(128 * KIB));
}

#[test]
fn huge_table_keeps_the_largest_rows() {
    let mut text =
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n".to_owned();
    for pid in 1..=50_000_u64 {
        let rss = pid * 7919 % 50_021;
        text += &format!("[{pid:7}]     5 {pid:5} 1000000 {rss:8}    81920        3             0 x\n");
    }
    text += "Killed process 77 (x) total-vm:4000000kB, anon-rss:7kB\n";
    let report = only(&text);
    assert_eq!((report.tasks.len(), report.tasks_total), (Report::TASKS_MAX, 50_000));
    let mut all: Vec<u64> = (1..=50_000_u64).map(|pid| pid * 7919 % 50_021).collect();
    all.sort_unstable_by_key(|rss| std::cmp::Reverse(*rss));
    let found: Vec<u64> = report.tasks.iter().map(|task| task.rss_bytes / 4096).collect();
    assert_eq!(found, all[..Report::TASKS_MAX]);
}

#[test]
fn constraint_lines_are_parsed() {
    let uid = |line: &str, pid: u32| {
        only(&format!("{line}\nKilled process {pid} (x) total-vm:1kB\n")).victims[0].uid
    };
    let line = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,\
                task=x,pid=77,uid=5";
    assert_eq!(uid(line, 77), Some(5));
    assert_eq!(uid(line, 78), None, "the uid of another process");
    for (text, constraint) in [
        ("NONE", Some(Constraint::None)),
        ("CPUSET", Some(Constraint::Cpuset)),
        ("MEMORY_POLICY", Some(Constraint::Mempolicy)),
        ("MEMCG", Some(Constraint::Memcg)),
        ("SOMETHING_NEW", None),
    ] {
        let report =
            only(&format!("oom-kill:constraint=CONSTRAINT_{text},nodemask=0,cpuset=/,mems_allowed=0"));
        assert_eq!(report.constraint, constraint, "{text}");
        assert_eq!(report.constraint_text, Some(format!("CONSTRAINT_{text}").into_bytes().into()));
    }
}

#[test]
fn kills_of_a_group_are_one_report() {
    let new = "total-vm:10kB, anon-rss:7kB, file-rss:2kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:0";
    let kill = |pid: u32| format!("Memory cgroup out of memory: Killed process {pid} (x{pid}) {new}\n");
    let group = |path: &str| format!("Tasks in {path} are going to be killed due to memory.oom.group set\n");
    let header = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n";
    let text = [header, &kill(1), &group("/a"), &kill(1), &kill(2), &kill(3)].concat();
    let report = only(&text);
    assert_eq!(report.victims.iter().map(|victim| victim.pid).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((report.kills, report.kill_lines), (Some(3), 4));
    assert_eq!(report.group.as_deref(), Some(&b"/a"[..]));

    // A second group. Its header was suppressed by the limit on messages.
    let reports = parse(&[text.as_str(), &kill(4), &group("/b"), &kill(4), &kill(5)].concat());
    let of = |report: &Report| report.victims.iter().map(|victim| victim.pid).collect::<Vec<_>>();
    assert_eq!(reports.iter().map(of).collect::<Vec<_>>(), [vec![1, 2, 3], vec![4, 5]]);
    assert_eq!(reports[1].group.as_deref(), Some(&b"/b"[..]));
    assert_eq!((reports[1].kills, reports[1].invoked_by.as_deref()), (Some(2), None));
}

#[test]
fn kills_without_headers_are_reports_of_their_own() {
    let kill = |pid: u32| {
        format!("[  100.{pid:06}] Memory cgroup out of memory: Killed process {pid} (x) total-vm:10kB\n")
    };
    let text: String = (1..=500).map(kill).collect();
    let reports = parse(&text);
    assert_eq!(pids(&reports), (1..=500).collect::<Vec<_>>());
    assert_eq!(reports.len(), 500);
    assert!(reports.iter().all(|report| report.invoked_by.is_none()));
}

/// Kernels before the lock of 4.x, and their memory cgroups, printed two reports at once.
#[test]
fn interleaved_reports_are_separated() {
    let text = "[    1.000000] alpha invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0\n\
                [    1.000001] beta invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0\n\
                [    1.000002] Task in /a killed as a result of limit of /a\n\
                [    1.000003] Out of memory: Kill process 20 (y) score 60 or sacrifice child\n\
                [    1.000004] Memory cgroup out of memory: Kill process 10 (x) score 60 or sacrifice child\n\
                [    1.000005] Killed process 20 (y) total-vm:10kB, anon-rss:7kB, file-rss:2kB\n\
                [    1.000006] Killed process 10 (x) total-vm:10kB, anon-rss:7kB, file-rss:2kB\n";
    let reports = parse(text);
    assert_eq!(pids(&reports), [20, 10]);
    assert_eq!(
        reports.iter().map(|report| report.constraint).collect::<Vec<_>>(),
        [Some(Constraint::None), Some(Constraint::Memcg)]
    );
    assert_eq!(
        reports.iter().map(|report| report.selected.as_ref().unwrap().pid).collect::<Vec<_>>(),
        [20, 10]
    );
}

/// The caller of printk separates the reports exactly.
#[test]
fn interleaved_reports_are_separated_by_callers() {
    let text = "[    1.000000][    T1] alpha invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0\n\
                [    1.000001][    T2] beta invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0\n\
                [    1.000002][    T2] Out of memory: Killed process 20 (y) total-vm:10kB, anon-rss:7kB\n\
                [    1.000003][    T1] Out of memory: Killed process 10 (x) total-vm:10kB, anon-rss:7kB\n";
    let invokers: Vec<_> = parse(text)
        .iter()
        .map(|report| {
            (
                report.victims[0].pid,
                String::from_utf8_lossy(report.invoked_by.as_deref().unwrap()).into_owned(),
            )
        })
        .collect();
    assert_eq!(invokers, [(20, "beta".to_owned()), (10, "alpha".to_owned())]);
}

/// The line of the first kill is lost. Its header must not be joined to a kill of another day.
#[test]
fn header_does_not_wait_forever() {
    let header = "invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
    let kill = "Out of memory: Killed process 77 (x) total-vm:10kB, anon-rss:7kB";
    let by_boot = parse(&format!("[  100.000000] a {header}\n[ 9000.000000] {kill}\n"));
    let by_date = parse(&format!("Jun 20 12:00:00 h kernel: a {header}\nJun 21 12:00:00 h kernel: {kill}\n"));
    let by_text = parse(&format!("a {header}\n{}{kill}\n", "some other line\n".repeat(70_000)));
    let by_reboot = parse(&format!("a {header}\nLinux version 6.1.0\n{kill}\n"));
    for reports in [by_boot, by_date, by_text, by_reboot] {
        let facts: Vec<_> = reports.iter().map(|r| (r.invoked_by.is_some(), r.victims.len())).collect();
        assert_eq!(facts, [(true, 0), (false, 1)]);
    }
    let near = only(&format!("[  100.000000] a {header}\n[  130.000000] {kill}\n"));
    assert_eq!((near.invoked_by.is_some(), near.victims.len()), (true, 1));
}

#[test]
fn process_that_is_slow_to_die_is_one_victim() {
    let again = "[  100.000000] Out of memory: Kill process 76 (x) score 9 or sacrifice child\n\
                 [  100.000000] Killed process 77 (y) total-vm:10kB, anon-rss:7kB, file-rss:2kB\n";
    let report = only(&again.repeat(5));
    assert_eq!((report.victims.len(), report.kills, report.kill_lines), (1, Some(1), 5));
    // The same pid, when it is used again, is another process, whether early or late.
    assert_eq!(
        pids(&parse(&format!("{again}{}", again.replace("total-vm:10kB", "total-vm:11kB")))),
        [77, 77]
    );
    assert_eq!(pids(&parse(&format!("{again}{}", again.replace("  100.", "90000.")))), [77, 77]);
}

#[test]
fn panics_are_reported() {
    for (line, panic) in [
        ("Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled", true),
        ("Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled", true),
        ("Kernel panic - not syncing: Out of memory and no killable processes...", true),
        ("Kernel panic - not syncing: System is deadlocked on memory", true),
        ("Kernel panic - not syncing: out of memory. panic_on_oom is selected", true),
        ("Kernel panic - not syncing: out of memory(from pagefault). panic_on_oom is selected.", true),
        ("Out of memory and no killable processes...", false),
    ] {
        let report = only(&format!("[    1.000000] {line}\n"));
        assert_eq!((report.panic, report.kills), (panic, Some(0)), "{line}");
    }
    for line in [
        "Kernel panic - not syncing: softlockup: hung tasks",
        "---[ end Kernel panic - not syncing: System is deadlocked on memory ]---",
    ] {
        assert_eq!(parse(line), [], "{line}");
    }
}

#[test]
fn systemd_oomd_is_a_killer() {
    let cgroup = "/user.slice/app.scope";
    let killed = format!(
        "Dec 18 19:34:56 h systemd-oomd[840]: Killed {cgroup} due to memory pressure for /user.slice being 51%\n"
    );
    let count =
        "Dec 18 19:34:56 h systemd[1837]: app.scope: systemd-oomd killed 12 process(es) in this unit.\n";
    let report = only(&format!("{killed}{count}"));
    assert_eq!((report.killer, report.kills), (Killer::SystemdOomd, Some(12)));
    assert_eq!(report.cgroup.as_deref(), Some(cgroup.as_bytes()));
    assert_eq!(report.units, [b"app.scope"[..].into()]);
    // No line has the number of kills.
    assert_eq!(only(&killed).kills, None);
    let marked = killed.replace("Killed", "Marked").replace(" due", " for killing due");
    assert_eq!(only(&format!("{marked}{killed}{count}")).kills, Some(12));
    let some = count.replace("12", "some");
    for text in [format!("{marked}{some}"), format!("{some}{killed}"), some.clone()] {
        let report = only(&text);
        assert_eq!(
            (report.killer, report.kills, report.units.len()),
            (Killer::SystemdOomd, None, 1),
            "{text}"
        );
    }
    // The manager of the system and the one of the user may both report it.
    assert_eq!(only(&format!("{killed}{count}{count}")).kills, Some(12));
}

#[test]
fn earlyoom_is_a_killer() {
    let line = "sending SIGTERM to process 7378 uid 1000 \"a \"b\": x\": oom_score 156, oom_score_adj -5, VmRSS 4962 MiB, cmdline \"x\"";
    let report = only(&format!("Feb 20 10:59:34 h earlyoom[1]: {line}\n"));
    let victim = &report.victims[0];
    assert_eq!((report.killer, victim.pid, victim.uid), (Killer::Earlyoom, 7378, Some(1000)));
    assert_eq!(
        (name(victim).as_str(), victim.rss_bytes, victim.oom_score_adj),
        ("a \"b\": x", Some(4962 << 20), Some(-5))
    );
    let first = only("Feb 20 10:59:34 h earlyoom[1]: Killing process 5345 tail\n");
    assert_eq!(
        (first.killer, first.victims[0].pid, name(&first.victims[0]).as_str()),
        (Killer::Earlyoom, 5345, "tail")
    );
    let harder = line.replace("SIGTERM", "SIGKILL");
    assert_eq!(pids(&parse(&format!("{line}\n{harder}\n"))), [7378], "the same process, killed harder");
}

#[test]
fn units_are_not_further_kills() {
    let unit = |unit: &str| {
        format!(
            "Feb  8 00:40:07 h systemd[1]: {unit}: A process of this unit has been killed by the OOM killer.\n"
        )
    };
    let units = [unit("a.service"), unit("system.slice")].concat();
    let kill = "Feb  8 00:40:06 h kernel: Out of memory: Killed process 77 (x) total-vm:10kB, anon-rss:7kB\n";
    let report = only(&format!("{kill}{units}"));
    assert_eq!((report.kills, report.units.len(), report.witness), (Some(1), 2, Witness::Killer));
    let alone = only(&units);
    assert_eq!((alone.kills, alone.units.len(), alone.witness), (None, 2, Witness::Systemd));
}

#[test]
fn times_of_every_prefix_are_kept() {
    let kill = "Out of memory: Killed process 77 (x) total-vm:10kB, anon-rss:7kB";
    let time = |prefix: &str| only(&format!("{prefix}{kill}\n")).time;
    assert_eq!(time(""), None);
    let boot = time("[  818.356493] ").unwrap();
    assert_eq!((boot.since_boot.unwrap().as_micros(), boot.calendar), (818_356_493, None));
    let both = time("Nov 30 02:53:56 server01 kernel: [  818.356493] ").unwrap();
    assert_eq!(both.since_boot, boot.since_boot);
    assert_eq!(both.text.as_deref(), Some(&b"Nov 30 02:53:56"[..]));
    let calendar = both.calendar.unwrap();
    assert_eq!((calendar.year, calendar.month, calendar.day, calendar.hour), (None, Some(11), 30, 2));
    assert_eq!(calendar.utc_offset_seconds, None);
    let zoned = time("2026-03-18T04:06:54.25+0100 host21 kernel: ").unwrap().calendar.unwrap();
    assert_eq!(
        (zoned.year, zoned.nanosecond, zoned.utc_offset_seconds),
        (Some(2026), 250_000_000, Some(3600))
    );
    let ctime = time("[Di Aug 12 03:54:03 2025] ").unwrap().calendar.unwrap();
    assert_eq!((ctime.year, ctime.month, ctime.second), (Some(2025), Some(8), 3));
    assert_eq!(
        time("1712345678.5 host kernel: ").unwrap().since_epoch.unwrap().as_millis(),
        1_712_345_678_500
    );
    assert_eq!(time("3,7003,192203018400,-;").unwrap().since_boot.unwrap().as_micros(), 192_203_018_400);
}

#[test]
fn trust_follows_from_the_origin() {
    let kill = b"3,1,1,-;Out of memory: Killed process 77 (x) total-vm:10kB";
    for (origin, trust) in
        [(Origin::KernelRing, Trust::High), (Origin::JournalKernel, Trust::High), (Origin::Text, Trust::Low)]
    {
        assert_eq!(parse_all(origin, kill)[0].trust, trust);
    }
}

#[test]
fn ring_buffer_accepts_only_records() {
    let kill = "Out of memory: Killed process 77 (x) total-vm:10kB\n";
    let ring = |text: &str| pids(&parse_all(Origin::KernelRing, text.as_bytes()));
    assert_eq!(ring(&format!("3,1,1,-;{kill}")), [77]);
    assert_eq!(ring(kill), []);
    assert_eq!(ring(&format!("Jun 20 12:47:42 h kernel: {kill}")), []);
}

#[test]
fn messages_without_prefix_must_match_exactly() {
    let mut parser = Parser::new(Origin::JournalKernel);
    let epoch = Some(std::time::Duration::from_secs(1_712_345_678));
    let header = b" a\nb invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
    assert_eq!(parser.feed_message(None, epoch, header).count(), 0);
    let kill = b"Out of memory: Killed process 77 (\xff\n ) total-vm:10kB, anon-rss:7kB";
    assert_eq!(parser.feed_message(None, epoch, kill).count(), 0);
    let report = &parser.flush()[0];
    assert_eq!(report.invoked_by.as_deref(), Some(&b" a\nb"[..]));
    assert_eq!(report.victims[0].name.as_deref(), Some(&b"\xff\n "[..]));
    assert_eq!(report.time.as_ref().unwrap().since_epoch, epoch);
    // The next kill ends the first report.
    parser.feed_message(None, None, b"Out of memory: Killed process 1 (x) total-vm:10kB").for_each(drop);
    let mut ended = parser.feed_message(None, None, b"Out of memory: Killed process 2 (y) total-vm:10kB");
    assert_eq!(ended.next().unwrap().victims[0].pid, 1);
}

#[test]
fn records_of_kmsg_are_neither_cut_nor_joined() {
    let text = "6,1,1,-;usb 1-1: Product: x\n SUBSYSTEM=usb\n DEVICE=Killed process 1 (x)\n\
                3,2,2,-;Killed process 77 (a) b [    1.000000] Killed process 78 (c) total-vm:10kB\n";
    assert_eq!(pids(&parse(text)), [77]);
}

#[test]
fn parser_continues_after_a_flush() {
    let mut parser = Parser::new(Origin::Text);
    let kill = |pid: u32| format!("Out of memory: Killed process {pid} (x) total-vm:10kB, anon-rss:7kB\n");
    assert_eq!(parser.feed(kill(1).as_bytes()).count(), 0);
    assert!(parser.has_open_report());
    assert_eq!(pids(&parser.flush()), [1]);
    assert!(!parser.has_open_report());
    assert_eq!(parser.feed(b"Out of memory: Killed pro").count(), 0);
    assert_eq!(parser.flush(), []);
    assert_eq!(parser.feed(b"cess 2 (y) total-vm:10kB").count(), 0);
    assert_eq!(pids(&parser.finish()), [2]);
}

#[test]
fn nul_bytes_after_a_power_loss_are_skipped() {
    let mut text = vec![0; 100_000];
    text.extend_from_slice(b"Jun 20 12:47:42 h kernel: Out of memory: Killed process 77 (x) total-vm:10kB\n");
    assert_eq!(pids(&parse_all(Origin::Text, &text)), [77]);
}

/// Mail programs wrap at blanks.
#[test]
fn wrapped_kill_line_is_joined() {
    let text = "Out of memory: Killed process 77 (x)\ntotal-vm:10kB, anon-rss:7kB,\nfile-rss:2kB, shmem-rss:1kB,\nUID:5 \
                pgtables:4kB oom_score_adj:-17\n";
    let wrapped = only_victim(text);
    assert_eq!(
        (wrapped.uid, wrapped.file_rss_bytes, wrapped.shmem_rss_bytes),
        (Some(5), Some(2 * KIB), Some(KIB))
    );
    assert_eq!(wrapped.oom_score_adj, Some(-17));
    let header = only("x invoked oom-killer:\ngfp_mask=0xcc0(GFP_KERNEL), order=0\nKilled process 77 (x)\n");
    assert_eq!((header.invoked_by.as_deref(), header.victims.len()), (Some(&b"x"[..]), 1));
}

#[test]
fn cut_path_is_absent() {
    for end in ["...", ">", "…"] {
        let report = only(&format!("Task in /a/b killed as a result of limit of /kubepo{end}\n"));
        assert_eq!((report.constraint, report.cgroup), (Some(Constraint::Memcg), None));
    }
    let line =
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/kubepo";
    assert_eq!(only(line).cgroup, None);
}

/// A name may end like a cut path. The cgroup of the limit is the task's own or one above it.
#[test]
fn path_that_ends_in_dots_is_complete_if_the_task_is_in_it() {
    for (task, limit) in [("/a...", "/a..."), ("/a.../b", "/a..."), ("/x>/y", "/x>")] {
        let report = only(&format!("Task in {task} killed as a result of limit of {limit}\n"));
        assert_eq!(report.cgroup.as_deref(), Some(limit.as_bytes()), "{task}");
    }
    let cut = only("Task in /kubepods/burstable/pod1 killed as a result of limit of /kubepods/bu...\n");
    assert_eq!(cut.cgroup, None);
}

/// /dev/kmsg of kernels 3.5 to 4.9: the first piece has `c`, those behind it `+`.
#[test]
fn lines_that_the_kernel_printed_in_pieces_are_joined() {
    let text = "6,10,1,c;Task in /a/b\n SUBSYSTEM=x\n6,11,2,+; killed as a result of limit of \n6,12,3,+;/a\n\
                3,13,4,-;Memory cgroup out of memory: Kill process 7 (x) score 9 or sacrifice child\n\
                3,14,5,c;Killed process 7 (x) \n3,15,6,+;total-vm:10kB\n12,16,7,+;, anon-rss:99kB\n";
    let header = "4,9,1,-;x invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0\n";
    for origin in [Origin::KernelRing, Origin::Text] {
        let reports = parse_all(origin, format!("{header}{text}").as_bytes());
        assert_eq!((reports.len(), pids(&reports)), (1, vec![7]));
        assert_eq!(reports[0].cgroup.as_deref(), Some(&b"/a"[..]));
        let victim = &reports[0].victims[0];
        // A record of a process does not continue a line of the kernel.
        assert_eq!((victim.total_vm_bytes, victim.anon_rss_bytes), (Some(10 * KIB), None));
    }
    let alone = "3,1,1,+;Killed process 7 (x) total-vm:10kB\n";
    assert_eq!(pids(&parse_all(Origin::KernelRing, alone.as_bytes())), [7]);
}

#[test]
fn colours_are_removed() {
    let text = "\x1b[32m[  818.356493] \x1b[0m\x1b[33mOut of memory: \x1b[0m\x1b[1;31mKilled process 77 (x) total-vm:10kB\x1b[0m";
    let victim = only_victim(text);
    assert_eq!((victim.pid, name(&victim), victim.total_vm_bytes), (77, "x".to_owned(), Some(10 * KIB)));
}

#[test]
fn carriage_returns_are_removed() {
    assert_eq!(only_victim("Killed process 77 (x)\r\n").pid, 77);
    assert_eq!(name(&only_victim("Out of memory: Killed process 77 (x).\r\n")), "x");
}

#[test]
fn empty_message_is_skipped() {
    let mut parser = Parser::new(Origin::JournalKernel);
    assert_eq!(parser.feed_message(None, None, b"").count(), 0);
    assert_eq!(parser.finish(), []);
}
