//! Write loadable plugins for Zabbix agent 2 in Rust.
//!
//! The types:
//!
//! * A [`Plugin`] has a name and metrics, which are item keys with descriptions. [`Plugin::run`] is the whole `main`
//!   of the process that an agent starts.
//! * An [`Exporter`] is the trait that you implement: it receives your options and serves polls.
//! * A [`Request`] is one poll of one item: a key, its parameters and a deadline. The result is a [`Reply`] (one string or
//!   no value) or an [`ItemError`].
//! * A [`Node`] is the configuration as the agent sends it. Your options are read from it with serde. An
//!   [`OptionError`] names the option and the line.
//! * `FakeAgent` (feature `fake-agent`) is the agent's side of the socket, for tests.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use agent2_plugin::{Context, Exporter, ItemError, Plugin, Reply, Request};
//!
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "PascalCase", deny_unknown_fields)]
//! struct Options {
//!     greeting: Option<String>,
//! }
//!
//! impl Exporter for Greeter {
//!     type Options = Options;
//!
//!     fn configure(options: Options, _: Context) -> Result<Self, ItemError> {
//!         Ok(Self { greeting: options.greeting.unwrap_or_else(|| "Hello".to_owned()) })
//!     }
//!
//!     fn export(&self, request: &Request) -> Result<Reply, ItemError> {
//!         Ok(format!("{}, {}!", self.greeting, request.parameter(0)).into())
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     Plugin::new("Greeter").metric("greeter.hello", "Greets its first parameter.").run::<Greeter>()
//! }
//! ```
//!
//! In the agent's configuration: `Plugins.Greeter.System.Path=/usr/local/lib/greeter` and optionally
//! `Plugins.Greeter.Greeting=Good morning`.
//!
//! # Failures that it handles
//!
//! An agent goes down with its plugin: 7.0 panics when a plugin exits unexpectedly, 6.0 exits. So nothing that
//! happens in a handler ends the process. A panic is an error of that item alone. If a handler is late,
//! the item gets an error and the thread is replaced. While it hangs, further polls of the same item are rejected. SIGTERM and
//! SIGINT, which reach the whole process group, are ignored. A frame that is too large or unknown is skipped without
//! losing the next frame. `log` records go to the agent's log and never block a handler. Input that would panic the
//! agent, such as a reply beyond 2 GiB or a metric without a full stop in its description, is rejected here.
//!
//! A stack overflow, an allocation that fails, `process::exit` in a handler and the kernel's OOM killer end the process of
//! the handlers. With [`Plugin::supervised`] this is a second process, a worker: its open polls get an error, a new worker
//! starts, and the agent goes on. [`Supervision`] is what a worker knows of its predecessors, and [`WorkerEnd`] the end of
//! the last one.
//!
//! # Agents
//!
//! Every version that loads plugins: 6.0, 6.2, 6.4, 7.0 and later. [`Request::generation`] distinguishes those
//! with different protocols.

mod export;
mod exporter;
#[cfg(feature = "fake-agent")]
mod fake_agent;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod launch;
mod link;
mod logger;
mod message;
mod node;
mod options;
mod outbox;
mod plugin;
mod session;
mod settings;
mod stats;
mod supervision;
mod supervisor;
mod threads;
mod timeout;
mod worker_process;

pub use export::{Delivery, Generation, ItemError, Reply, Request};
pub use exporter::{Context, Exporter};
#[cfg(feature = "fake-agent")]
pub use fake_agent::{ExportResult, FakeAgent, LogLine, Registration};
pub use launch::{LaunchArguments, LaunchMode};
pub use node::{Node, NodeChild, NodeValue};
pub use options::OptionError;
pub use plugin::Plugin;
pub use session::SessionError;
pub use settings::MetricError;
pub use stats::Stats;
pub use supervision::{Supervision, WorkerEnd};
