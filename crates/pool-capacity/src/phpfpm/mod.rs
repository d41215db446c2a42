//! php-fpm: its pools, and the limit of workers of each and of all together.
//!
//! A configuration is read as php-fpm 8.2 reads it: [`Config::read`] refuses what the server refuses, with file and line.
//! [`find`] lists the configurations of all installed versions. The title of a running master ([`Master`]) names its own.
//!
//! ```
//! use std::path::Path;
//! use pool_capacity::{Reading, Tree, phpfpm::{Config, Environment}};
//!
//! let tree = Tree::new()
//!     .with("/etc/php-fpm.conf", "include=/etc/php-fpm.d/*.conf\n[global]\nprocess.max = 12\n")
//!     .with("/etc/php-fpm.d/www.conf", "[www]\nlisten = 9000\npm = static\npm.max_children = 8\n")
//!     .with("/etc/php-fpm.d/shop.conf", "[shop]\nlisten = 9001\npm = ondemand\npm.max_children = 8\n");
//! let config = Config::read(&Reading::new(&tree), Path::new("/etc/php-fpm.conf"), Environment::Known(&|_| None)).unwrap();
//! assert_eq!((config.pools.len(), config.limit()), (2, 12));
//! ```

mod config;
mod environment;
mod error;
mod glob;
mod ini;
mod installed;
mod pool;
mod processes;
mod reader;

pub use config::Config;
pub use environment::Environment;
pub use error::{Error, PoolError};
pub use installed::{find, places};
pub use pool::{Manager, Pool};
pub use processes::{Master, is_master, is_title, masters, named_paths};
