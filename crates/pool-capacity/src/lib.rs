//! Computes how many workers a server is allowed, their memory in the worst case, and whether the machine has it.
//!
//! * [`Files`] is the source of configuration: a [`Tree`] in memory, or [`HostFiles`], the files below a directory.
//!   Parsers use nothing else of the machine.
//! * A [`Reading`] is one read of these files. It has a budget for each [`Limit`] and a deadline, so that no configuration takes
//!   unbounded time or memory. [`BudgetError`] is the reason why a read was stopped.
//! * A [`ServerProcess`] is a running process with the fields that identify a pool's workers. The caller lists them.
//! * [`apache`], [`phpfpm`] and [`mysql`] each read a configuration as the server itself does, and find the server's
//!   processes among the given ones. [`ConfigError`] is an error of a configuration file.
//! * [`sizing`] is the arithmetic: the memory of one worker, of all allowed workers, and the largest limit that fits.
//! * [`trust`] decides which of these processes count as servers, because any user may give a process any name.
//! * [`sockets`] counts connections, which shows how many workers are busy without a request to the server.
//!
//! The crate knows neither agents nor JSON. Every number is the one that the server applies. If it differs from the configured
//! one, there is a warning.

pub mod apache;
mod budget;
mod config_error;
mod files;
mod fnmatch;
pub mod mysql;
pub mod phpfpm;
mod process;
mod reading;
pub mod sizing;
pub mod sockets;
mod text;
pub mod trust;
mod warnings;

pub use budget::{BudgetError, Limit};
pub use config_error::ConfigError;
pub use files::{FileError, FileKind, Files, HostFiles, Tree, TrustedFiles};
pub use process::ServerProcess;
pub use reading::Reading;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
