//! Patterns in Go's syntax (RE2), as the built-in process keys of Zabbix agent 2 compile them.
//!
//! Go's `regexp` package and the regex crate both come from RE2 and both match in linear time, but the same text can have
//! another meaning: in Go `\d` and `\w` contain ASCII only, `\s` has no vertical tab, `&&` in a class is two ampersands, and
//! `\<` is a literal. So a pattern is parsed by Go's rules and written again with every class and option spelled out. A
//! pattern that Go refuses is refused with Go's error text.

mod brackets;
mod class;
mod counts;
mod error;
mod escapes;
mod parser;
mod pattern;
mod piece;

pub use error::{PatternError, PatternErrorKind};
pub use pattern::Pattern;
