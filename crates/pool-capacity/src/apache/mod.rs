//! Apache httpd 2.2 and 2.4: its configuration, read as httpd reads it, and what limit follows from it.
//!
//! The nouns:
//!
//! * A [`Build`] is what the program itself decides: version, places, the modules that are part of it. It is read from
//!   the program, or concluded from how the files are laid out.
//! * An [`Invocation`] is how the server is started: build, configuration file, options, environment. That of a running
//!   server is its command line; otherwise Debian's `envvars` and Red Hat's `sysconfig` tell.
//! * A [`Pool`] is what the configuration allows after all that httpd corrects, with a [`Warning`] for each correction.
//! * [`Running`] are the server's processes, a [`Scoreboard`] is what its mod_status says of their workers.
//!
//! ```
//! use pool_capacity::{Tree, apache};
//!
//! let tree = Tree::new().with(
//!     "/etc/httpd/conf/httpd.conf",
//!     "ServerRoot /etc/httpd\n\
//!      LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n\
//!      MaxRequestWorkers 300\n",
//! );
//! let invocation = apache::Invocation::find(&tree, None, None).unwrap();
//! let pool = apache::read(&tree, &invocation).unwrap();
//! assert_eq!((pool.mpm, pool.limit, pool.limit_configured), (apache::Mpm::Prefork, 256, Some(300)));
//! assert_eq!(
//!     pool.warnings[0].to_string(),
//!     "MaxRequestWorkers 300 exceeds ServerLimit 256: lowered to 256 (/etc/httpd/conf/httpd.conf, line 3)"
//! );
//! ```

mod build;
mod directive;
mod error;
mod include;
mod invocation;
mod known;
mod limits;
mod listen;
mod live;
mod macros;
mod modules;
mod mpm;
mod pool;
mod reader;
mod shell;
mod source;
mod status;
mod variables;
mod version;
mod words;

pub use build::Build;
pub use error::{ApacheError, Location, Warning};
pub use invocation::Invocation;
pub use listen::{Listen, StatusPage};
pub use live::{Running, parent_of, parents};
pub use mpm::Mpm;
pub use pool::{Pool, read};
pub use status::{Scoreboard, StatusError};
pub use version::Version;
