//! Read out-of-memory kills from kernel text, for every kernel and every prefix of a log.
//!
//! The nouns:
//!
//! * A [`Parser`] takes bytes in pieces of any size and returns reports when they are complete. It does no input or
//!   output, has no clock and holds bounded memory.
//! * A [`Report`] is one event: which process requested memory, which limit was hit, which processes were killed, by which
//!   killer, and the table of processes. What its text does not contain is absent.
//! * A [`Victim`] is a killed process, a [`Task`] a row of the table, a [`Selection`] the process that the kernel chose
//!   (before 5.1 it may have killed another one).
//! * [`Time`] is the time of a line: seconds since boot, a date with or without year and zone, or both. The caller
//!   converts it to a timestamp.
//! * An [`Origin`] is where the bytes come from. The [`Trust`] of a report follows from it: any local user can write such
//!   lines into syslog, but not into the kernel's ring buffer.
//! * A [`KmsgRecord`] is one record of `/dev/kmsg`. The parser also takes such records as they are.
//! * A [`KernelRing`] reads `/dev/kmsg` of a running machine, and a [`KernelLog`] reads it without pause, in a thread. A
//!   [`Journal`] has the kernel's messages in systemd's journal, and [`Systemd`] follows systemd and systemd-oomd over
//!   D-Bus. Only these open files and start programs. No call waits without a deadline.
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
//! # Design
//!
//! `Killed process` is the one line that the kernel always prints. The kernel limits the header (`invoked oom-killer`) and
//! the constraint (`oom-kill:constraint=`) to ten in five seconds, so in a storm most kills have neither.
//!
//! * A kill without a header is a report of its own. A header without a kill is a report without victims.
//! * `already exiting` is not a kill, and a pid that is printed twice is one victim.
//! * A message of systemd about a unit is not a further kill if the kernel reported the kill as well.
//!
//! A message counts only directly after a known prefix. If the line names its writer, it must be the kernel (or
//! systemd-oomd, earlyoom, systemd for their own messages). So access logs, mail and shell histories that quote the kernel
//! give no report.

mod assembly;
mod clean;
mod export_format;
mod finder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
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
pub use live::{
    Journal, JournalError, JournalRead, KernelLog, KernelLogRead, KernelRing, RingError, RingStats,
};
pub use live::{Link, News, OomdKill, Service, ServiceKill, ServiceQuery, Services, Systemd};
pub use live::{REASON_CHARS_MAX, describe_io_error, is_out_of_descriptors, short_path, short_reason};
pub use parser::{Feed, Parser, parse_all};
pub use report::{Constraint, Killer, Reaped, Report, Selection, Task, Victim, Witness};
pub use time::{Calendar, Time};
pub use trust::{Origin, Trust};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
