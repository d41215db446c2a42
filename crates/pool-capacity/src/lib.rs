//! How many workers a server is allowed, how much memory that means at the worst, and whether the machine has it.
//!
//! The nouns:
//!
//! * [`Files`] is where configuration comes from: a [`Tree`] in memory, or [`HostFiles`], the files below a directory.
//!   Parsers see nothing else of the machine.
//! * A [`ServerProcess`] is a running process as far as finding a pool's workers needs it. The caller lists them.
//! * [`apache`], [`phpfpm`] and [`mysql`] each read a configuration as the server itself does, and find the server's
//!   processes among those given.
//! * [`sizing`] is the arithmetic: memory of a worker, of all that are allowed, and the largest limit that fits.
//! * [`sockets`] counts connections, which tells how many workers are busy without asking the server.
//!
//! The crate knows neither agents nor JSON. Every number that depends on a rule of the server is the one that the server
//! applies, with a warning in words wherever that is not the one that was written.

pub mod apache;
mod config_error;
mod files;
mod fnmatch;
pub mod mysql;
pub mod phpfpm;
mod process;
pub mod sizing;
pub mod sockets;

pub use config_error::ConfigError;
pub use files::{FileError, FileKind, Files, HostFiles, Tree};
pub use process::ServerProcess;
