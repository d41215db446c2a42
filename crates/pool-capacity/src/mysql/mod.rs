//! MySQL and MariaDB: the limit of connections, and the buffers of each.
//!
//! The worst case by the usual formula: the buffers that the server has once (InnoDB's buffer pool and log buffer, the key
//! buffer, Aria's page cache, the query cache), and for each connection its thread's stack and one buffer of each kind
//! (reading, sorting, joining, the binary log's cache). A statement may use several buffers of one kind and a temporary table
//! in memory; most use none. So the result is an upper bound for usual statements, not a guarantee.
//!
//! ```
//! use pool_capacity::{Reading, Tree, mysql::{Config, Flavour, Server}};
//!
//! let tree = Tree::new().with("/etc/my.cnf", "[mysqld]\nmax-connections = 500\nsort_buffer_size = 4M # for reports\n");
//! let server = Server { flavour: Flavour::MySql, major: 8, minor: 0 };
//! let config = Config::read(&Reading::new(&tree), &["/etc/my.cnf".into()], server, &[], 0).unwrap();
//! assert_eq!((config.max_connections, config.max_connections_configured), (500, Some(500)));
//! assert_eq!(config.per_connection_bytes(), (4 << 20) + 1_736_704);
//! ```

mod buffer;
mod config;
mod error;
mod option_file;
mod server;
mod variables;

pub use buffer::Buffer;
pub use config::Config;
pub use error::Error;
pub use server::{Flavour, Server, is_server, is_server_name, named_paths, usual_places};
