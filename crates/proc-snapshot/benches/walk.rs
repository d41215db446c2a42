//! CPU time of a walk, compared with the procfs crate and a bare loop that opens and reads the same files.
//!
//! `cargo bench -p proc-snapshot [-- PROCESSES]` starts that many sleeping processes (default 2,000), measures CPU
//! time of this process, the median of several rounds, and ends them. The rounds of the variants alternate, so that
//! noise of the machine affects all of them.

#![expect(clippy::print_stdout, reason = "the benchmark prints its results")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{Needs, ProcRoot, Selector, SharedWalk};

const ROUNDS: usize = 15;

struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(count: usize) -> Self {
        let start = |_| Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn();
        Self((0..count).map_while(|number| start(number).ok()).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock.now().map(Duration::from).unwrap_or_default()
}

fn pids() -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// Opens and reads files without parsing them.
fn bare(files: &[&str]) -> usize {
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut bytes = 0;
    for pid in pids() {
        for file in files {
            let Ok(mut file) = fs::File::open(format!("/proc/{pid}/{file}")) else { continue };
            bytes += file.read(&mut buffer).unwrap_or(0);
        }
    }
    bytes
}

fn ours(root: &Arc<ProcRoot>, needs: Needs) -> usize {
    let walks = SharedWalk::new(Arc::clone(root), Duration::ZERO);
    let deadline = Instant::now() + Duration::from_secs(60);
    let snapshot = walks.snapshot(needs, deadline).expect("a walk");
    snapshot.count(&Selector::default(), deadline).expect("a count")
}

fn procfs_crate(cmdline: bool, status: bool) -> usize {
    let processes = procfs::process::all_processes().expect("/proc").flatten();
    let read = processes.filter(|process| {
        process.stat().is_ok()
            && (!cmdline || process.cmdline().is_ok())
            && (!status || process.status().is_ok())
    });
    read.count()
}

type Competitor<'a> = (&'a str, Box<dyn Fn() -> usize + 'a>);

fn compare(title: &str, competitors: &[Competitor<'_>]) {
    let mut times = vec![Vec::new(); competitors.len()];
    for _ in 0..ROUNDS {
        for ((_, work), times) in competitors.iter().zip(&mut times) {
            let began = cpu_time();
            std::hint::black_box(work());
            times.push(cpu_time().saturating_sub(began));
        }
    }
    println!("{title}");
    let mut first = None;
    for ((name, _), times) in competitors.iter().zip(&mut times) {
        times.sort_unstable();
        let median = times[ROUNDS / 2].as_secs_f64() * 1000.0;
        let base = *first.get_or_insert(median);
        println!("  {name:<14} {median:8.2} ms   {:.2}", median / base);
    }
}

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2000);
    let sleepers = Sleepers::start(count);
    println!("{} sleeping processes, CPU time of one walk, median of {ROUNDS}", sleepers.0.len());
    let root = Arc::new(ProcRoot::open(Path::new("/")).expect("/proc"));
    let cases: [(&str, &[&str], Needs); 3] = [
        ("stat", &["stat"], Needs::empty()),
        ("stat, cmdline", &["stat", "cmdline"], Needs::CMDLINE),
        ("stat, cmdline, status", &["stat", "cmdline", "status"], Needs::CMDLINE.union(Needs::STATUS)),
    ];
    for (title, files, needs) in cases {
        let root = &root;
        compare(
            title,
            &[
                ("bare loop", Box::new(move || bare(files))),
                ("this crate", Box::new(move || ours(root, needs))),
                (
                    "procfs crate",
                    Box::new(move || {
                        procfs_crate(needs.contains(Needs::CMDLINE), needs.contains(Needs::STATUS))
                    }),
                ),
            ],
        );
    }
}
