//! Apache httpd 2.2 and 2.4: reads the configuration as httpd does, and computes the limit of workers.
//!
//! * A [`Build`] has the properties that are compiled into the program: version, paths, built-in modules. It is read from the
//!   program or concluded from the layout of the files.
//! * An [`Invocation`] is how the server is started: build, configuration file, options, environment. A running server's
//!   command line has them; otherwise Debian's `envvars` and Red Hat's `sysconfig` are read.
//! * A [`Pool`] is the limit after all corrections by httpd, with a [`Warning`] for each correction.
//! * [`Running`] are the server's processes. A [`Scoreboard`] has mod_status's counts of their workers.
//!
//! ```
//! use pool_capacity::{Reading, Tree, apache};
//!
//! let tree = Tree::new().with(
//!     "/etc/httpd/conf/httpd.conf",
//!     "ServerRoot /etc/httpd\n\
//!      LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n\
//!      MaxRequestWorkers 300\n",
//! );
//! let reading = Reading::new(&tree);
//! let invocation = apache::Invocation::find(&reading, None, None).unwrap();
//! let pool = apache::read(&reading, &invocation).unwrap();
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
pub use live::{Running, is_server_name, named_paths, parent_of, parents};
pub use mpm::Mpm;
pub use pool::{Pool, read};
pub use status::{Scoreboard, StatusError};
pub use version::Version;
