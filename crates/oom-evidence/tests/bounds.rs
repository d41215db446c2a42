//! Memory stays bounded for any text. The test is alone in its process, because the kernel counts memory by process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use oom_evidence::{Origin, Parser, Report};

/// Returns the peak of this process's resident memory in bytes.
fn peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Feeds `chunk(0)` to `chunk(count - 1)`, and returns the numbers of reports and kills.
fn feed(count: u64, mut chunk: impl FnMut(u64, &mut Vec<u8>)) -> (usize, u64) {
    let mut parser = Parser::new(Origin::Text);
    let (mut reports, mut kills) = (0, 0);
    let mut take = |report: &Report| {
        reports += 1;
        kills += report.kills.unwrap_or(0);
    };
    let mut buffer = Vec::new();
    for n in 0..count {
        buffer.clear();
        chunk(n, &mut buffer);
        parser.feed(&buffer).for_each(|report| take(&report));
    }
    parser.finish().iter().for_each(take);
    (reports, kills)
}

fn add(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
}

const HEAD: &str = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n";
const HEADER: &str = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n";

#[test]
fn memory_is_bounded() {
    let long_name = "n".repeat(5000);
    let before = peak_bytes();

    let line_of_1_gb = feed(1024, |_, buffer| buffer.resize(1 << 20, b'x'));
    let line_of_nuls = feed(1024, |_, buffer| buffer.resize(1 << 20, 0));
    let endless_table = feed(50_000, |n, buffer| {
        add(buffer, if n == 0 { HEAD } else { "" });
        add(
            buffer,
            &format!("[{n:7}]     5 {n:5} 1000000 {n:8}    81920        3             0 {long_name}\n"),
        );
    });
    let endless_group = feed(50_000, |n, buffer| {
        add(
            buffer,
            &format!("Memory cgroup out of memory: Killed process {n} ({long_name}) total-vm:10kB\n"),
        );
        add(
            buffer,
            if n == 0 { "Tasks in /a are going to be killed due to memory.oom.group set\n" } else { "" },
        );
    });
    let headers_only = feed(20_000, |_, buffer| {
        add(buffer, HEADER);
        add(buffer, HEAD);
        add(
            buffer,
            &format!(
                "oom-kill:constraint=CONSTRAINT_MEMCG,cpuset={long_name},oom_memcg=/{long_name},task_memcg=/\n"
            ),
        );
    });
    let storm = feed(200_000, |n, buffer| {
        add(buffer, &format!("Out of memory: Killed process {n} (x) total-vm:10kB\n"));
        add(buffer, &format!("oom_reaper: reaped process {n} (x), now anon-rss:0kB\n"));
    });
    let unfinished = feed(50_000, |n, buffer| add(buffer, &format!("Killed process {n} ({long_name}\n")));

    let grown = peak_bytes() - before;
    assert_eq!((line_of_1_gb, line_of_nuls, endless_table), ((0, 0), (0, 0), (0, 0)));
    assert_eq!((endless_group, headers_only), ((1, 50_000), (20_000, 0)));
    assert_eq!((storm, unfinished), ((200_000, 200_000), (50_000, 50_000)));
    assert!(grown < Parser::MEMORY_MAX, "grew by {grown} bytes");
    println!("grew by {grown} bytes");
}
