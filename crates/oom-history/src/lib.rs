//! A durable history of out-of-memory kills, merged from every source that a Linux machine has.
//!
//! The nouns:
//!
//! * A [`Collector`] polls the sources of a machine into one [`KillHistory`] and keeps it in a state file.
//! * An [`OomSource`] reports kills: the kernel's ring buffer, the journal, log files, systemd, systemd-oomd.
//!   Its [`SourceStatus`] is a [`SourceState`], the reason if it is not readable, and a [`Remedy`] if there is one.
//! * A [`KillRecord`] is one kill, with each source that reported it. A [`KilledProcess`] is a victim, a [`RunningTask`] a
//!   row of the kernel's table of processes.
//! * A [`BootCount`] has the kills of one boot, as the kernel and each source counted them. [`ServiceKills`] has those of
//!   systemd's services.
//!
//! The parsers and readers of the sources are those of `oom-evidence`.

mod boots;
mod clocks;
mod collector;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod identity;
mod position;
mod readers;
mod record;
mod recorder;
mod saver;
mod services;
mod source;
mod state;
mod state_v1;
mod status;
mod store;

pub use boots::BootCount;
pub use collector::{Access, Collector, Config, OpenError, SourceReport};
pub use history::KillHistory;
pub use record::{KillRecord, KilledProcess, RunningTask, time_text};
pub use services::{CgroupCount, ServiceCount, ServiceKills};
pub use source::OomSource;
pub use status::{Remedy, SourceState, SourceStatus};

pub use state_files::Durability;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
