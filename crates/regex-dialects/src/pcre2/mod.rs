//! Patterns in the syntax of PCRE2, as Zabbix compiles it.
//!
//! A text becomes a tree (`parser` and its siblings, `ast`), which is written again for the regex crate or for fancy-regex
//! (`emit`). `required` finds texts for a fast search before the pattern runs.

mod ast;
mod brackets;
mod class;
mod emit;
mod error;
mod escapes;
mod groups;
mod parser;
mod pattern;
mod references;
mod required;
mod search;
mod sequence;

pub use error::PatternError;
pub use pattern::{Captures, Pattern, Searcher, Verdict};
pub use search::TextSearch;
