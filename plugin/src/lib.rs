//! OomWatch: items about processes and memory for Zabbix agent 2.
//!
//! The main types:
//!
//! * A [`Key`] is one item key of the table [`KEYS`]: its parameters, the fields of its value, and its handler.
//!   The table is the one source for the registration with the agent, for parameter checks, `--help` and the key
//!   reference.
//! * [`OomWatch`] is the exporter: the configuration, the shared walk over `/proc` and the CPU sampler.
//! * [`command_line`] runs the commands: `get`, `top`, `explain`, `check`, `--help`, `--version`.
//!
//! ```
//! let proc_mem = oomwatch::find_key("oomwatch.proc.mem").unwrap();
//! assert_eq!(proc_mem.mirrors, Some("proc.mem"));
//! ```

mod check;
mod cli;
mod config;
mod deadline;
mod deferred;
mod error_text;
mod explain;
mod exporter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handlers;
mod json;
mod key_text;
mod keys;
mod logs;
mod memory_trend;
mod mysql_version;
mod oom;
mod parameters;
mod purpose;
mod reference;
mod remedies;
mod report;
mod state;
mod text;

pub use cli::command_line;
pub use config::Options;
pub use exporter::{OomWatch, plugin};
pub use keys::{Field, KEYS, Key, Returns, find_key};
pub use parameters::Parameter;
pub use reference::key_reference;
