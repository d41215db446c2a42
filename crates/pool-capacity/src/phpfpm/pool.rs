//! A pool of workers.

/// How a pool starts and ends workers (`pm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// All workers run all the time.
    Static,
    /// Between the spare limits.
    Dynamic,
    /// Started at a request.
    Ondemand,
}

impl Manager {
    /// The configured word.
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
    /// `pm.start_servers`; if it is not configured, a number between the spare limits, as php-fpm sets it. 0 if it has no
    /// effect.
    pub start_servers: u32,
    /// `pm.max_spare_servers` of a dynamic pool; 0 if it has no effect.
    pub max_spare_servers: u32,
    /// `user`
    pub user: Option<String>,
    /// `listen`, with the pool's name for `$pool`: the path of a socket, a port, or an address with a port.
    pub listen: String,
}

impl Pool {
    /// Returns whether php-fpm never ends an idle worker of this pool: then all workers may run without load, as in a static
    /// pool.
    #[must_use]
    pub fn keeps_idle(&self) -> bool {
        match self.manager {
            Manager::Static => true,
            Manager::Dynamic => self.max_spare_servers >= self.max_children,
            Manager::Ondemand => false,
        }
    }
}
