//! Read out-of-memory kills from kernel text, whatever the kernel and whatever the log's prefix.
//!
//! The nouns:
//!
//! * A [`Parser`] takes bytes, in pieces of any size, and hands out reports as they are complete. It does no input and
//!   no output, knows no clock and holds bounded memory.
//! * A [`Report`] is one event: who asked for memory, which limit was hit, who was killed, by whom, and the table of
//!   processes. What its text does not say is absent.
//! * A [`Victim`] is a killed process, a [`Task`] a row of the table, a [`Selection`] the process that was chosen (which
//!   before 5.1 need not be the one that was killed).
//! * [`Time`] is what the lines say of when: seconds since boot, a date with or without year and zone, or both. To make
//!   an instant of it is up to the caller.
//! * An [`Origin`] is where the bytes come from, a [`Trust`] what follows from it: any local user can write such lines
//!   into syslog, but not into the kernel's ring buffer.
//! * A [`KmsgRecord`] is one record of /dev/kmsg, for readers of it. The parser takes such records as they are, too.
//! * Of a running machine, a [`KernelRing`] reads /dev/kmsg, a [`Journal`] the kernel's messages in systemd's journal,
//!   and [`oom_kills`] the kernel's own count; [`Memory`] is what is left, [`candidates`] who would be killed next, and
//!   [`Cgroups`] the memory cgroups with a limit or with kills, and a [`CgroupLimit`] the one that a process is under. They
//!   alone open files and start programs, and never wait without limit.
//!
//! ```
//! use oom_evidence::{Constraint, Origin, Parser};
//!
//! let mut parser = Parser::new(Origin::KernelRing);
//! let lines: [&[u8]; 3] = [
//!     b"4,901,14222821,-;tail invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0\n",
//!     b"6,998,14243406,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
//!         oom_memcg=/system.slice/hog.service,task_memcg=/system.slice/hog.service,task=tail,pid=515,uid=0\n",
//!     b"3,999,14244633,-;Memory cgroup out of memory: Killed process 515 (tail) total-vm:33408kB, anon-rss:30336kB\n",
//! ];
//! for line in lines {
//!     assert_eq!(parser.feed(line).count(), 0);
//! }
//! let reports = parser.finish();
//! assert_eq!(reports[0].invoked_by.as_deref(), Some(&b"tail"[..]));
//! assert_eq!(reports[0].constraint, Some(Constraint::Memcg));
//! assert_eq!(reports[0].cgroup.as_deref(), Some(&b"/system.slice/hog.service"[..]));
//! assert_eq!(reports[0].victims[0].uid, Some(0));
//! ```
//!
//! # What it rests on
//!
//! `Killed process` is the one line that the kernel always prints. The header (`invoked oom-killer`) and the constraint
//! (`oom-kill:constraint=`) are limited to ten in five seconds, so in a storm most kills have neither: a kill without a
//! header is a report of its own. A header without a kill is a report without victims. `already exiting` is no kill, a
//! pid printed twice no second victim, and what systemd says of a unit no kill beside the kernel's.
//!
//! A message counts only where it stands directly behind a prefix that is known and, where the line names its writer,
//! where the writer is the kernel (or systemd-oomd, earlyoom, systemd for their own words). So access logs, mail and
//! shell histories that quote the kernel give no report.

mod assembly;
mod clean;
mod export_format;
mod finder;
mod kernel;
mod kmsg;
mod line_context;
mod live;
mod open_report;
mod parser;
mod prefix;
mod recent_kill;
mod report;
mod scan;
mod table;
mod time;
mod trust;
mod userspace;
mod wrapped;
mod writer;

pub use export_format::JournalEntry;
pub use kmsg::{KmsgError, KmsgRecord};
pub use live::{Candidate, Cgroup, CgroupError, CgroupVersion, Cgroups, Memory, Pressure, candidates};
pub use live::{CgroupKills, CgroupLimit, HiddenCgroup};
pub use live::{Journal, JournalError, JournalRead, KernelRing, LiveError, RingError, RingStats, oom_kills};
pub use live::{Link, News, OomdKill, Service, ServiceKill, ServiceQuery, Services, Systemd};
pub use parser::{Feed, Parser, parse_all};
pub use report::{Constraint, Killer, Reaped, Report, Selection, Task, Victim, Witness};
pub use time::{Calendar, Time};
pub use trust::{Origin, Trust};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
