//! php-fpm: its pools, and how many workers they are allowed together.
//!
//! A configuration is read as php-fpm 8.2 reads it: [`Config::read`] refuses what the server refuses, with file and line.
//! [`find`] lists the configurations of all versions that are installed side by side; a running master's title names its
//! own ([`Master`]).
//!
//! ```
//! use std::path::Path;
//! use pool_capacity::{Tree, phpfpm::{Config, Environment}};
//!
//! let tree = Tree::new()
//!     .with("/etc/php-fpm.conf", "include=/etc/php-fpm.d/*.conf\n[global]\nprocess.max = 12\n")
//!     .with("/etc/php-fpm.d/www.conf", "[www]\nlisten = 9000\npm = static\npm.max_children = 8\n")
//!     .with("/etc/php-fpm.d/shop.conf", "[shop]\nlisten = 9001\npm = ondemand\npm.max_children = 8\n");
//! let config = Config::read(&tree, Path::new("/etc/php-fpm.conf"), Environment::Known(&|_| None)).unwrap();
//! assert_eq!((config.pools.len(), config.limit()), (2, 12));
//! ```

mod error;
mod glob;
mod ini;
mod processes;
mod reader;

use std::path::{Path, PathBuf};

pub use error::{Error, PoolError};
pub use processes::{Master, masters};

use crate::{FileKind, Files};

/// Where distributions put the configuration: Debian, Red Hat, remi's and Red Hat's collections, Alpine, Arch, php.net.
const PLACES: [&str; 7] = [
    "/etc/php/*/fpm/php-fpm.conf",
    "/etc/php-fpm.conf",
    "/etc/opt/remi/php*/php-fpm.conf",
    "/etc/opt/rh/rh-php*/php-fpm.conf",
    "/etc/php[0-9]*/php-fpm.conf",
    "/etc/php/php-fpm.conf",
    "/usr/local/etc/php-fpm.conf",
];

/// The configurations of all installed versions.
#[must_use]
pub fn find(files: &dyn Files) -> Vec<PathBuf> {
    let found = |place: &&str| glob::glob(files, Path::new(place)).unwrap_or_default();
    let paths = PLACES.iter().flat_map(found);
    paths.filter(|path| files.kind(path) == Some(FileKind::File)).collect()
}

/// Where [`find`] looks, as patterns.
#[must_use]
pub fn places() -> &'static [&'static str] {
    &PLACES
}

/// How a pool starts and ends workers (`pm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// All workers run all the time.
    Static,
    /// Between so many spare ones.
    Dynamic,
    /// None until a request comes.
    Ondemand,
}

impl Manager {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Ondemand => "ondemand",
        }
    }
}

/// A pool that php-fpm would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The section's name.
    pub name: String,
    /// `pm`
    pub manager: Manager,
    /// `pm.max_children`
    pub max_children: u32,
    /// `pm.start_servers`; where it is not written, between the spare ones, as php-fpm sets it. 0 without meaning.
    pub start_servers: u32,
    /// `pm.max_spare_servers`, of a dynamic pool; 0 where it is without meaning.
    pub max_spare_servers: u32,
    /// `user`
    pub user: Option<String>,
    /// `listen`, with the pool's name for `$pool`: the path of a socket, a port, or an address with a port.
    pub listen: String,
}

impl Pool {
    /// Whether no worker ends for being idle: then all may run without any load. Those of a static pool do all the time.
    #[must_use]
    pub fn keeps_idle(&self) -> bool {
        match self.manager {
            Manager::Static => true,
            Manager::Dynamic => self.max_spare_servers >= self.max_children,
            Manager::Ondemand => false,
        }
    }
}

/// What is known of the server's environment, for `${NAME}`.
#[derive(Clone, Copy)]
pub enum Environment<'a> {
    /// The value of each variable that it has.
    Known(&'a dyn Fn(&[u8]) -> Option<Vec<u8>>),
    /// It may not be read, or no server runs.
    Hidden,
}

/// A configuration, with all that it includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The main file.
    pub conf: PathBuf,
    /// In the order of the files.
    pub pools: Vec<Pool>,
    /// `process.max`: no more workers than this in all pools; 0 means no such limit.
    pub process_max: u32,
    /// What is not as it was written, or could not be known.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads a configuration. A variable that the server's environment does not have is empty, as in php-fpm, with a warning.
    ///
    /// # Errors
    ///
    /// [`Error`] where a file cannot be read, php-fpm would not start with it, or something that the limit depends on has a
    /// variable of an environment that is hidden.
    pub fn read(files: &dyn Files, path: &Path, environment: Environment<'_>) -> Result<Self, Error> {
        reader::Reader::new(files, environment).config(path)
    }

    /// The workers that all pools together may have.
    #[must_use]
    pub fn limit(&self) -> u64 {
        let sum = self.written();
        if self.process_max == 0 { sum } else { sum.min(self.process_max.into()) }
    }

    /// The sum of `pm.max_children`.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.max_children)).sum()
    }
}
