//! A pool of workers.

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
