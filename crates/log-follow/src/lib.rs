//! Follow log files over rotation: bytes in, matching lines out, each of them once.
//!
//! The nouns, and how they relate:
//!
//! * A [`LogSource`] says which files: one fixed name with its rotated predecessors, or a directory and a pattern for names.
//! * A [`Pattern`] says which lines, in the syntax of PCRE2; a [`Template`] says what to make of a matching line.
//! * An [`Encoding`] says how the bytes of the files become text.
//! * A [`Query`] is all of that with its limits, and an [`Item`] is a query under the name by which its position is kept.
//! * The [`Follower`] answers items. It keeps one position for each, and writes it into a state directory.
//! * A [`PolledValue`] is an answer whose position has not moved yet: [`PendingCheckpoint::commit`] moves it, after the answer has
//!   been handed on; to drop it leaves the position where it was, and the next poll gives the same lines again.
//!
//! Lines are delivered ([`Follower::lines`]), counted for a period ([`Follower::count`]), or counted since the item was
//! first asked for ([`Follower::total`], [`Follower::last`], [`Follower::groups`]). The last three can be asked by anyone
//! any number of times, the first two tell each line to one asker.
//!
//! ```
//! use log_follow::{Poll, Follower, Item, Query, Settings, LogSource};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let log = dir.path().join("messages");
//! std::fs::write(&log, "kernel: httpd invoked oom-killer\nsshd: hello\n")?;
//!
//! let follower = Follower::open(Settings::new(dir.path().join("state")));
//! let query = Query::new(LogSource::file(&log)).pattern("oom-killer".parse()?);
//! let item = Item::new("log[messages,oom-killer]", query);
//!
//! let delivery = follower.lines(&item, &Poll::within(Duration::from_secs(3)))?;
//! assert_eq!(delivery.value.as_deref(), Some("kernel: httpd invoked oom-killer"));
//! delivery.pending.commit(); // the answer arrived: the position moves
//!
//! let delivery = follower.lines(&item, &Poll::within(Duration::from_secs(3)))?;
//! assert_eq!(delivery.value, None);
//! # Ok(())
//! # }
//! ```

mod buffers;
mod checkpoint;
mod chunk;
mod clock;
mod encoding;
mod error;
mod file;
mod file_position;
mod fixed_name;
mod follower;
mod listing;
mod name_pattern;
mod plan;
mod planner;
mod poll;
mod query;
mod reader;
mod record;
mod rotation;
mod scan;
mod settings;
mod share;
mod sink;
mod source;
mod status;
mod step;
mod store;
mod template;
mod text;
mod totals;
mod value;

pub use encoding::{Encoding, UnknownEncoding};
pub use error::Error;
pub use follower::{Follower, PendingCheckpoint, PolledValue};
pub use poll::Poll;
pub use query::{Item, Query, Rotation, Start};
pub use regex_dialects::pcre2::{Captures, Pattern, PatternError};
pub use settings::Settings;
pub use source::{AllowPath, LogSource, LogSourceError};
pub use status::{FollowerStatus, Persistence, Warning};
pub use template::Template;
pub use totals::{Group, Groups, Last, LastMatch, Total};
pub use value::MAX_VALUE_BYTES;
