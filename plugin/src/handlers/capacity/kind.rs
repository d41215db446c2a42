//! The kinds of servers.

/// A server with workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Apache,
    PhpFpm,
    Mysql,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Apache, Self::PhpFpm, Self::Mysql];

    /// The name in the command line and the key.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::PhpFpm => "phpfpm",
            Self::Mysql => "mysql",
        }
    }
}
