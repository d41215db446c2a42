//! Replays the seeds and every past crash of each fuzz target, with a limit of memory.
//!
//! An input may allocate as many bytes in total as [`allocated_bytes_max`] says, so work that grows with the square of the input
//! fails here without a clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::System;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cap::Cap;
use fuzz_targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The counts are those of the process, so inputs run one after another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Limit of live bytes. An allocation beyond it ends the test.
const LIVE_BYTES_MAX: usize = 160 << 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// An input of a pool is the compact form of up to 4 MiB.
fn allocated_bytes_max(target: &Target, input: &[u8]) -> usize {
    match target.name {
        "apache" | "mysql" | "phpfpm" => 2 << 30,
        _ => (64 << 20) + 20_000 * input.len(),
    }
}

fn replay(name: &str) {
    let _one = ONE_AT_A_TIME.lock();
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = files(&root().join("fuzz/seeds").join(name));
    assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
    let corpus = target.corpus.map(|corpus| files(&root().join(corpus))).unwrap_or_default();
    let crashes = files(&root().join("fuzz/crashes").join(name));
    ALLOCATOR.set_limit(LIVE_BYTES_MAX).unwrap();
    for path in seeds.iter().chain(&corpus).chain(&crashes) {
        let input = fs::read(path).unwrap();
        // An input that fails is named before it does.
        eprintln!("{}", path.display());
        let before = ALLOCATOR.total_allocated();
        (target.run)(&input);
        let allocated = ALLOCATOR.total_allocated() - before;
        let limit = allocated_bytes_max(target, &input);
        assert!(
            allocated <= limit,
            "{}: {allocated} bytes were allocated, the limit is {limit}",
            path.display()
        );
    }
}

/// Declares a test for each target, and the list of them.
macro_rules! replays {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                replay($name);
            }
        )*
        const REPLAYED: &[&str] = &[$($name),*];
    };
}

replays! {
    seeds_and_crashes_of_apache_pass: "apache",
    seeds_and_crashes_of_encodings_pass: "encodings",
    seeds_and_crashes_of_frames_pass: "frames",
    seeds_and_crashes_of_go_patterns_pass: "go_patterns",
    seeds_and_crashes_of_journal_export_pass: "journal_export",
    seeds_and_crashes_of_kmsg_pass: "kmsg",
    seeds_and_crashes_of_log_state_pass: "log_state",
    seeds_and_crashes_of_messages_pass: "messages",
    seeds_and_crashes_of_mysql_pass: "mysql",
    seeds_and_crashes_of_nodes_pass: "nodes",
    seeds_and_crashes_of_oom_state_pass: "oom_state",
    seeds_and_crashes_of_oom_text_pass: "oom_text",
    seeds_and_crashes_of_parameters_pass: "parameters",
    seeds_and_crashes_of_pcre2_patterns_pass: "pcre2_patterns",
    seeds_and_crashes_of_phpfpm_pass: "phpfpm",
    seeds_and_crashes_of_proc_files_pass: "proc_files",
}

#[test]
fn every_target_is_replayed_and_every_directory_belongs_to_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(REPLAYED.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>(), names);
    let listed = |directory: &str| -> BTreeSet<String> {
        let entries =
            fs::read_dir(root().join("fuzz").join(directory)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(listed("fuzz_targets"), names, "files of targets");
    assert_eq!(listed("seeds"), names, "seeds");
    assert!(listed("crashes").iter().all(|name| names.contains(name) || name == "README"), "crashes");
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    assert!(names.iter().all(|name| manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\""))));
}
