//! Two dialects of regular expressions, as Zabbix agent 2 understands them, on the regex crate.
//!
//! An agent compiles patterns of log items with PCRE2 and patterns of process items with Go's `regexp`. This crate reads both
//! syntaxes, refuses what they refuse with their error texts, and matches what they match, in linear time if possible.
//!
//! * [`pcre2::Pattern`] is a pattern in the syntax of PCRE2 10.42. Its [`pcre2::Captures`] are a match with its groups. A
//!   pattern that the regex crate cannot express (look-around, back-references) runs on a backtracking engine with a limit of
//!   steps.
//! * [`pcre2::Searcher`] and [`pcre2::TextSearch`] search a whole buffer of lines for a pattern.
//! * [`go::Pattern`] is a pattern in Go's syntax (RE2).
//! * Each dialect has a `PatternError`, because they report different facts: PCRE2 a position, Go a part of the pattern.
//!
//! ```
//! use regex_dialects::{go, pcre2};
//!
//! let pattern = pcre2::Pattern::new(r"MaxRequestWorkers(?! is)")?;
//! assert!(pattern.is_match(b"AH00161: server reached MaxRequestWorkers setting"));
//! let pattern = go::Pattern::new(br"^/usr/sbin/httpd\s-D")?;
//! assert!(pattern.is_match(b"/usr/sbin/httpd -D FOREGROUND"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ascii;
pub mod go;
pub mod pcre2;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
