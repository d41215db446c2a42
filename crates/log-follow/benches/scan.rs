//! The speed of reading logs, each number beside its peer in the same run.
//!
//! `cargo bench -p log-follow` writes a log of 1 GB (`LOG_FOLLOW_BENCH_MB` for another size) into the temporary directory.
//! `scan FILE PATTERN` is one poll as a whole process, for a comparison with `rg -j1 -c PATTERN FILE`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use log_follow::{Follower, Item, LogSource, Poll, Query, Settings, Start};

const ROUNDS: usize = 7;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [file, pattern] = args.as_slice() {
        return count_once(file, pattern);
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("messages");
    let mb = std::env::var("LOG_FOLLOW_BENCH_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(1024);
    write_log(&log, mb << 20);
    let bytes = fs::metadata(&log).expect("the log").len();
    println!("log of {bytes} bytes, best of {ROUNDS} runs, everything in the page cache");
    whole_processes(&log);
    one_poll(&log);
    many_items(&log, bytes);
    idle_files(dir.path());
}

/// Lines as a busy machine writes them: 1 in 10,000 contains `oom-killer`, and so does the last one.
fn write_log(path: &Path, size: u64) {
    let mut out = BufWriter::new(File::create(path).expect("a log"));
    let (mut written, mut n) = (0_u64, 0_u64);
    while written < size {
        n += 1;
        let what = match n % 10_000 {
            0 => "kernel: httpd invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0",
            r if r % 7 == 0 => "httpd[2211]: 10.20.30.40 - - \"GET /index.html HTTP/1.1\" 200 5120",
            r if r % 3 == 0 => "sshd[4711]: Accepted publickey for root from 192.0.2.17 port 50022 ssh2",
            _ => "systemd[1]: Started Session 4242 of user www-data; nothing of interest happened here",
        };
        let line = format!("Nov 23 21:{:02}:{:02} web01 {what} id={n}\n", n / 60 % 60, n % 60);
        written += line.len() as u64;
        out.write_all(line.as_bytes()).expect("space for the log");
    }
    out.write_all(b"Nov 23 22:00:00 web01 kernel: invoked oom-killer: last line\n")
        .expect("space for the log");
}

fn best(mut run: impl FnMut() -> Duration) -> f64 {
    (0..ROUNDS).map(|_| run()).min().unwrap_or_default().as_secs_f64()
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn item(log: &Path, name: &str, pattern: &str) -> Item {
    let query = Query::new(LogSource::file(log)).pattern(pattern.parse().expect("a pattern"));
    Item::new(name, query.max_lines_per_sec(100_000_000.try_into().expect("not zero")))
}

fn poll_now() -> Poll {
    Poll::within(Duration::from_secs(600))
}

fn count_once(file: &str, pattern: &str) {
    let follower = Follower::open(Settings::in_memory());
    let total = follower.total(&item(Path::new(file), "count", pattern), &poll_now()).expect("a count");
    println!("{}", total.lines);
}

fn whole_processes(log: &Path) {
    let ours = std::env::current_exe().expect("this program");
    let log = log.to_str().expect("a name in UTF-8");
    for pattern in ["oom-killer", "MaxClients", r"invoked oom-killer: gfp_mask=0x[0-9a-f]+", r"port \d+ ssh1"]
    {
        let run = |program: &std::ffi::OsStr, args: &[&str]| {
            best(|| timed(|| drop(Command::new(program).args(args).output().expect("the program runs"))))
        };
        let own = run(ours.as_os_str(), &[log, pattern]);
        print!("process, {pattern:?}: {own:.3} s");
        for (name, args) in [("rg", vec!["-j1", "-c", pattern, log]), ("grep", vec!["-cE", pattern, log])] {
            if Command::new(name).arg("--version").output().is_ok() {
                let peer = run(name.as_ref(), &args);
                print!("; {name} {peer:.3} s, ratio {:.2}", own / peer);
            }
        }
        println!();
    }
}

fn one_poll(log: &Path) {
    let start = Instant::now();
    let follower = Follower::open(Settings::in_memory());
    let value =
        follower.lines(&item(log, "last line", "oom-killer: last line"), &poll_now()).expect("a value").value;
    println!(
        "line at the end, one poll: {:.3} s, {:?}",
        start.elapsed().as_secs_f64(),
        value.map(|v| v.len())
    );
}

/// Measures one round of polls of `n` items after the whole log was appended at once.
fn many_items(log: &Path, bytes: u64) {
    const WORDS: [&str; 10] = [
        "oom-killer",
        "MaxClients",
        "segfault",
        "I/O error",
        "panic",
        "Call Trace",
        "denied",
        "refused",
        "timed out",
        "No space",
    ];
    let mut one = 0.0;
    for n in [1, 10, 100] {
        let items: Vec<Item> = (0..n)
            .map(|i| match WORDS.get(i) {
                Some(word) => item(log, &format!("item {i}"), word),
                None => item(log, &format!("item {i}"), &format!("worker {i} failed")),
            })
            .collect();
        let round = |follower: &Follower| {
            timed(|| {
                for item in &items {
                    follower.total(item, &poll_now()).expect("a count");
                }
            })
        };
        let seconds = best(|| {
            let follower = Follower::open(Settings::in_memory());
            let aside = log.with_extension("aside");
            fs::rename(log, &aside).expect("a rename");
            // All items were polled before the log grows: they have seen a small one.
            fs::copy(&aside, log)
                .map(|_| ())
                .and_then(|()| File::options().write(true).open(log)?.set_len(1 << 20))
                .expect("a log");
            round(&follower);
            fs::rename(&aside, log).expect("a rename");
            round(&follower)
        });
        one = if n == 1 { seconds } else { one };
        println!(
            "{n} items on one file, {bytes} bytes appended: {seconds:.3} s, {:.2} times one item",
            seconds / one
        );
    }
}

fn idle_files(dir: &Path) {
    for n in [1_000, 10_000] {
        let items: Vec<Item> = (0..n)
            .map(|i| {
                let path = dir.join(format!("idle{i}"));
                fs::write(&path, "a line\n").expect("a file");
                let query = Query::new(LogSource::file(path)).start(Start::Skip);
                Item::new(&format!("idle {i}"), query)
            })
            .collect();
        let follower = Follower::open(Settings::in_memory());
        let round = || {
            for item in &items {
                let delivery = follower.lines(item, &poll_now()).expect("an answer");
                assert_eq!(delivery.value, None);
                delivery.pending.commit();
            }
        };
        round();
        let seconds = best(|| timed(round));
        let stats = best(|| timed(|| (0..n).for_each(|i| drop(fs::metadata(dir.join(format!("idle{i}")))))));
        let each = seconds / f64::from(n) * 1e6;
        println!(
            "{n} idle files, one poll of each: {seconds:.4} s, {each:.2} us a poll; stat alone {stats:.4} s"
        );
    }
}
