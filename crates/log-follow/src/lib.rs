//! Follow log files over rotation and restart: each matching line is delivered once.
//!
//! * A [`LogSource`] names the files: one fixed name with its rotated predecessors, or a directory and a pattern of names.
//! * A [`Pattern`] selects lines, in the syntax of PCRE2. A [`Template`] makes the delivered text of a matching line.
//! * An [`Encoding`] converts the bytes of the files to text.
//! * A [`Query`] combines these with limits. An [`Item`] is a query with the name under which its position is stored.
//! * A [`Poll`] is the time and the deadline of one request.
//! * The [`Follower`] polls items. It keeps one position for each and stores it in a state directory.
//! * A [`PolledValue`] is a value whose position has not moved yet. [`PendingCheckpoint::commit`] moves it after the value was
//!   delivered. If it is dropped, the next poll returns the same lines again.
//!
//! Lines are delivered ([`Follower::lines`]), counted per poll ([`Follower::count`]), or counted since the item's first poll
//! ([`Follower::total`], [`Follower::last`], [`Follower::groups`]). The first two deliver each line to one caller; the last
//! three can be polled by any number of callers.
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
//! let polled = follower.lines(&item, &Poll::within(Duration::from_secs(3)))?;
//! assert_eq!(polled.value.as_deref(), Some("kernel: httpd invoked oom-killer"));
//! polled.pending.commit(); // the value was delivered: the position moves
//!
//! let polled = follower.lines(&item, &Poll::within(Duration::from_secs(3)))?;
//! assert_eq!(polled.value, None);
//! # Ok(())
//! # }
//! ```

mod buffers;
mod change;
mod checkpoint;
mod chunk;
mod clock;
mod encoding;
mod error;
mod file;
mod file_position;
mod fixed_name;
mod follower;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
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
pub use state_files::Durability;
pub use status::{FollowerStatus, Warning};
pub use template::Template;
pub use text::MAX_VALUE_BYTES;
pub use totals::{Group, Groups, Last, LastMatch, Total};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
