//! Tests of the plugin against real Zabbix agents, and the harness for them.
//!
//! * [`debian`] fetches the agents of both generations from Debian's archive and unpacks them; nothing is installed.
//! * [`RealAgent`] is one of those agents in a scratch directory. It is polled as a server polls it.
//! * [`ActiveServer`] replaces a Zabbix server for an agent's active checks.
//! * [`actors`] starts processes of any name, size, state and owner.
//! * [`cost`] reads the cost of a process: CPU time and resident memory.
//! * [`Limited`] is a memory cgroup with a limit, for real OOM kills.
//! * [`LogWriter`] writes and rotates a log.
//! * [`kill_workers`] kills the plugin's worker while logs are followed.
//! * [`bus`] starts a system bus with replacements for systemd and systemd-oomd.
//! * [`zabbix`] is a real Zabbix server with its database and its frontend.
//! * [`fastcgi`] keeps workers of php-fpm busy.
//! * [`browser`] is a real headless browser, controlled over WebDriver.
//! * [`Supervised`] is any other program that runs beside a test.
//! * [`Key`] writes item keys with their parameters quoted.
//!
//! ```no_run
//! use oomwatch_tests::{Generation, Key, RealAgent, Reply};
//!
//! let agent = RealAgent::builder(Generation::V7_0).start()?;
//! let key = Key::new("proc.num").param("kthreadd");
//! assert_eq!(agent.get(key)?, Reply::Value("1".into()));
//! # Ok::<(), oomwatch_tests::Error>(())
//! ```
//!
//! Everything started here ends when its value is dropped, and when the test's process dies.

pub mod actors;
pub mod binaries;
pub mod browser;
pub mod bus;
pub mod cost;
pub mod debian;
pub mod fastcgi;
pub mod zabbix;

mod active_server;
mod agent;
mod error;
mod generation;
mod key;
mod limited;
mod log_writer;
mod supervised;
mod wait;
mod wire;
mod worker_kills;

pub use active_server::{ActiveServer, Item, Received};
pub use agent::{AgentBuilder, PluginSpec, RealAgent, Reply, Stopped, free_port};
pub use error::Error;
pub use generation::Generation;
pub use key::Key;
pub use limited::Limited;
pub use log_writer::{LogWriter, Rotating};
pub use supervised::Supervised;
pub use wait::wait_until;
pub use worker_kills::{KillReport, kill_workers};
