//! Tests of the plugin against real Zabbix agents, and the vocabulary they are written in.
//!
//! * [`debian`] fetches the agents of both generations from Debian's archive and unpacks them; nothing is installed.
//! * [`RealAgent`] is one of those agents, running in a scratch directory; it is asked for items as a server would ask.
//! * [`ActiveServer`] stands in for a Zabbix server towards an agent's active checks.
//! * [`actors`] makes processes to look at: of any name, size, state and owner.
//! * [`cost`] reads what a process has cost so far: CPU time and resident memory.
//! * [`Limited`] is a memory cgroup in which the kernel kills.
//! * [`LogWriter`] writes a log and has it rotated.
//! * [`bus`] makes a system bus, with stand-ins for systemd and systemd-oomd.
//! * [`zabbix`] is a real Zabbix server with its database and its frontend.
//! * [`fastcgi`] keeps workers of php-fpm busy.
//! * [`browser`] is a real browser without a screen, told what to do over WebDriver.
//! * [`Supervised`] is any other program that runs on beside a test.
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
//! Everything started here ends when its value is dropped, and also when the test's process dies.

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
mod key;
mod limited;
mod log_writer;
mod supervised;
mod wait;
mod wire;

pub use active_server::{ActiveServer, Item, Received};
pub use agent::{AgentBuilder, Generation, PluginSpec, RealAgent, Reply, Stopped, free_port};
pub use error::Error;
pub use key::Key;
pub use limited::Limited;
pub use log_writer::{LogWriter, Rotating};
pub use supervised::Supervised;
pub use wait::wait_until;
