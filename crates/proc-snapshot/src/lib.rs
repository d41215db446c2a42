//! One walk over `/proc`, shared by many questions about processes.
//!
//! The nouns, from the outside in:
//!
//! * [`ProcRoot`] is an open `/proc` directory with the machine's page size and clock ticks.
//! * [`SharedWalk`] makes walks over it and hands out [`Snapshot`]s; requests that come close together share one walk.
//! * A [`Snapshot`] holds one [`Process`] per process directory, in the directory's order. What was read for all of
//!   them is said by [`Needs`]; the rest is read when it is first asked for.
//! * A [`Selector`] picks processes by name, owner, command line ([`GoPattern`]) and state, as the built-in keys of
//!   Zabbix agent 2 do.
//! * The answers: [`Snapshot::count`] (proc.num), [`Snapshot::memory`] (proc.mem), [`Snapshot::process_details`],
//!   [`Snapshot::thread_details`] and [`Snapshot::name_summaries`] (proc.get), [`Snapshot::top`], and
//!   [`CpuSampler`] (proc.cpu.util and the ranking by CPU).
//! * [`Visibility`] says whether what was seen is all there is.

mod cpu;
mod details;
mod error;
mod go_regexp;
mod memory;
mod root;
mod sampler;
mod select;
mod shared;
mod smaps;
mod snapshot;
mod stat;
mod status;
mod text;
mod top;
mod tracker;
mod users;
mod visibility;

pub use cpu::{CpuQuery, CpuRanking, CpuType, CpuWindow};
pub use details::{NameSummary, ProcessDetails, ThreadDetails};
pub use error::ProcError;
pub use go_regexp::{GoPattern, PatternError, PatternErrorKind};
pub use memory::{MemSummary, MemType};
pub use root::{MachineFacts, ProcRoot};
pub use sampler::{CpuSampler, SamplerStats};
pub use select::{Selector, StateFilter};
pub use shared::{SharedWalk, WalkStats};
pub use smaps::Smaps;
pub use snapshot::{Needs, Process, Snapshot};
pub use status::Status;
pub use top::{NameTotal, TopBy};
pub use users::Users;
pub use visibility::Visibility;
