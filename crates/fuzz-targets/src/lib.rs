//! Bodies of the fuzz targets.
//!
//! Each target is one function that takes any bytes and panics if a property does not hold. `fuzz/` calls it with inputs that
//! libFuzzer invents (`cargo xtask fuzz`); `tests/replay.rs` calls it with the files of `fuzz/seeds` and `fuzz/crashes`.
//!
//! Parsers that are not public are reached through the module `fuzzing` of their crate, which exists only with the feature of
//! the same name.

mod oom;
mod patterns;
mod pools;
mod processes;
mod text;

pub use agent2_plugin::fuzzing::{frames, messages, nodes};
pub use log_follow::fuzzing::state_file as log_state;
pub use oom::{journal_export, kmsg, oom_text};
pub use oom_history::fuzzing::state_file as oom_state;
pub use oomwatch::fuzzing::parameters;
pub use patterns::{go_patterns, pcre2_patterns};
pub use pools::{apache, mysql, phpfpm};
pub use processes::proc_files;
pub use text::encodings;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its directories and of its file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Checks the properties for one input.
    pub run: fn(&[u8]),
    /// Limit of an input that libFuzzer invents.
    pub input_bytes_max: usize,
    /// A directory of files that serve as further seeds, below the root of the repository.
    pub corpus: Option<&'static str>,
}

impl Target {
    const fn new(name: &'static str, input_bytes_max: usize, run: fn(&[u8])) -> Self {
        Self { name, run, input_bytes_max, corpus: None }
    }

    const fn with_corpus(self, corpus: &'static str) -> Self {
        Self { corpus: Some(corpus), ..self }
    }
}

/// All targets, ordered by name.
pub const TARGETS: &[Target] = &[
    Target::new("apache", 4096, apache),
    Target::new("encodings", 4096, encodings),
    Target::new("frames", 4096, frames),
    Target::new("go_patterns", 256, go_patterns),
    Target::new("journal_export", 4096, journal_export),
    Target::new("kmsg", 4096, kmsg),
    Target::new("log_state", 4096, log_state),
    Target::new("messages", 4096, messages),
    Target::new("mysql", 4096, mysql),
    Target::new("nodes", 4096, nodes),
    Target::new("oom_state", 16_384, oom_state).with_corpus("crates/oom-history/tests/data"),
    Target::new("oom_text", 16_384, oom_text).with_corpus("crates/oom-evidence/tests/corpus"),
    Target::new("parameters", 1024, parameters),
    Target::new("pcre2_patterns", 256, pcre2_patterns),
    Target::new("phpfpm", 4096, phpfpm),
    Target::new("proc_files", 4096, proc_files),
];
