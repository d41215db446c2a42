//! The flavour and release of a server, on which the defaults depend.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::{FileKind, Reading, ServerProcess};

/// The vendor of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// MySQL, including Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A server's flavour and release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// The vendor.
    pub flavour: Flavour,
    /// 10 of 10.11.
    pub major: u32,
    /// 11 of 10.11.
    pub minor: u32,
}

/// The usual paths of the main option file, in the servers' own order.
const PLACES: [&str; 3] = ["/etc/my.cnf", "/etc/mysql/my.cnf", "/usr/local/etc/my.cnf"];

/// Returns the usual paths of the main option file. A server reads all that exist; distributions have one.
#[must_use]
pub fn usual_places() -> &'static [&'static str] {
    &PLACES
}

/// Returns whether a process is a database server.
#[must_use]
pub fn is_server(process: &ServerProcess) -> bool {
    is_server_name(&process.name)
}

/// Returns whether a database server has this name.
#[must_use]
pub fn is_server_name(name: &[u8]) -> bool {
    matches!(name, b"mysqld" | b"mariadbd")
}

/// Returns the absolute paths on a server's command line: its program and its option files.
#[must_use]
pub fn named_paths(process: &ServerProcess) -> Vec<PathBuf> {
    const OPTIONS: [&[u8]; 2] = [b"--defaults-file=", b"--defaults-extra-file="];
    let of_option = |argument: &Vec<u8>| {
        OPTIONS.iter().find_map(|option| argument.strip_prefix(*option).map(<[u8]>::to_vec))
    };
    let program = process.arguments.first().cloned();
    let all = program.into_iter().chain(process.arguments.iter().filter_map(of_option));
    all.map(|path| PathBuf::from(OsString::from_vec(path))).filter(|path| path.is_absolute()).collect()
}

impl Server {
    /// The assumed release if it is unknown.
    pub const UNKNOWN_MYSQL: Self = Self { flavour: Flavour::MySql, major: 8, minor: 0 };
    /// The same for MariaDB.
    pub const UNKNOWN_MARIADB: Self = Self { flavour: Flavour::MariaDb, major: 10, minor: 11 };

    /// Parses the server's own version text: `mysqld Ver 8.0.36 for Linux on x86_64`, `Ver 10.11.6-MariaDB-0+deb12u1`.
    ///
    /// ```
    /// use pool_capacity::mysql::{Flavour, Server};
    ///
    /// let server = Server::named("mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu").unwrap();
    /// assert_eq!((server.flavour, server.major, server.minor), (Flavour::MariaDb, 10, 11));
    /// ```
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let version = &text[text.find("Ver ")? + 4..];
        let flavour = if version.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql };
        let (major, minor) = numbers(version)?;
        Some(Self { flavour, major, minor })
    }

    /// Finds the server by the installed packages and their files. Returns `false` with it if its release is unknown.
    #[must_use]
    pub fn installed(reading: &Reading<'_>) -> (Self, bool) {
        if let Some(server) = of_dpkg(reading) {
            return (server, true);
        }
        if let Some(server) = of_share(reading) {
            return (server, true);
        }
        let maria = [
            "/usr/sbin/mariadbd",
            "/usr/libexec/mariadbd",
            "/etc/mysql/mariadb.cnf",
            "/etc/my.cnf.d/mariadb-server.cnf",
        ];
        let is_maria = maria.iter().any(|path| reading.kind(Path::new(path)) == Some(FileKind::File));
        (if is_maria { Self::UNKNOWN_MARIADB } else { Self::UNKNOWN_MYSQL }, false)
    }

    /// Returns whether it is this release or a later one of this flavour.
    pub(super) fn since(self, flavour: Flavour, major: u32, minor: u32) -> bool {
        self.flavour == flavour && (self.major, self.minor) >= (major, minor)
    }

    /// Returns the groups of option files that it reads, including those with a suffix from the running server's arguments.
    pub(super) fn groups(self, arguments: &[Vec<u8>]) -> Vec<String> {
        let release = format!("{}.{}", self.major, self.minor);
        let mut groups = vec!["mysqld".to_owned(), "server".to_owned(), format!("mysqld-{release}")];
        if self.flavour == Flavour::MariaDb {
            for name in ["mariadb", "mariadbd"] {
                groups.extend([name.to_owned(), format!("{name}-{release}")]);
            }
            groups.extend(["client-server".to_owned(), "galera".to_owned()]);
        }
        let suffix = arguments.iter().find_map(|argument| argument.strip_prefix(b"--defaults-group-suffix="));
        if let Some(suffix) = suffix {
            let suffix = String::from_utf8_lossy(suffix);
            groups.extend(groups.clone().into_iter().map(|group| format!("{group}{suffix}")));
        }
        groups
    }

    /// The number of open files that are not available for connections: the smallest table cache takes two each.
    pub(super) fn files_beside_connections(self) -> u64 {
        if self.since(Flavour::MariaDb, 10, 3) { 30 + 2 * 8 * 200 } else { 10 + 2 * 400 }
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The package database of Debian and Ubuntu.
const DPKG_STATUS: &str = "/var/lib/dpkg/status";

fn of_dpkg(reading: &Reading<'_>) -> Option<Server> {
    let status = reading.peek(Path::new(DPKG_STATUS))?;
    let mut rest = status.as_slice();
    while !rest.is_empty() && reading.step(Path::new(DPKG_STATUS)).is_ok() {
        let end = memchr::memmem::find(rest, b"\n\n").unwrap_or(rest.len());
        let package = String::from_utf8_lossy(&rest[..end]);
        if package.contains("Status: install ok installed")
            && let Some(server) = of_package(&package)
        {
            return Some(server);
        }
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    None
}

fn of_package(package: &str) -> Option<Server> {
    let field = |name: &str| package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let name = field("Package")?;
    let flavour = match name {
        _ if name.starts_with("mariadb-server-core") => Flavour::MariaDb,
        _ if name.starts_with("mysql-server-core") || name == "mysql-community-server-core" => Flavour::MySql,
        _ => return None,
    };
    let version = field("Version")?;
    let (major, minor) = numbers(version.split_once(':').map_or(version, |(_, version)| version))?;
    Some(Server { flavour, major, minor })
}

/// Finds directories with the release in their names: `/usr/share/mysql-8.4`, `/usr/share/doc/mariadb-server-10.3`.
fn of_share(reading: &Reading<'_>) -> Option<Server> {
    let named = |directory: &str, prefix: &str, flavour| {
        let names = reading.peek_list(Path::new(directory))?;
        names.iter().find_map(|name| {
            let (major, minor) = numbers(name.to_str()?.strip_prefix(prefix)?)?;
            Some(Server { flavour, major, minor })
        })
    };
    named("/usr/share", "mysql-", Flavour::MySql)
        .or_else(|| named("/usr/share/doc", "mariadb-server-", Flavour::MariaDb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    #[test]
    fn server_kind_follows_from_packages_and_directories() {
        let dpkg = "Package: mariadb-server-core-10.5\nStatus: deinstall ok config-files\nVersion: 1:10.5.1-1\n\n\
                    Package: mariadb-server-core\nStatus: install ok installed\nVersion: 1:10.11.14-0+deb12u2\n\n";
        let of = |tree: Tree| Server::installed(&Reading::new(&tree));
        let server = |flavour, major, minor| Server { flavour, major, minor };
        assert_eq!(
            of(Tree::new().with("/var/lib/dpkg/status", dpkg)),
            (server(Flavour::MariaDb, 10, 11), true)
        );
        let share = Tree::new().with("/usr/share/mysql-8.4/charsets/README", "");
        assert_eq!(of(share), (server(Flavour::MySql, 8, 4), true));
        let doc = Tree::new().with("/usr/share/doc/mariadb-server-5.5.68/README", "");
        assert_eq!(of(doc), (server(Flavour::MariaDb, 5, 5), true));
        assert_eq!(of(Tree::new().with("/usr/libexec/mariadbd", "")), (Server::UNKNOWN_MARIADB, false));
        assert_eq!(of(Tree::new()), (Server::UNKNOWN_MYSQL, false));
    }

    #[test]
    fn server_kind_follows_from_its_version_text() {
        let server = |text: &str| Server::named(text).map(|s| (s.flavour, s.major, s.minor));
        assert_eq!(server("mysqld  Ver 5.7.44-log for Linux on x86_64"), Some((Flavour::MySql, 5, 7)));
        assert_eq!(
            server("/usr/sbin/mysqld  Ver 8.0.36-28 for Linux (Percona Server)"),
            Some((Flavour::MySql, 8, 0))
        );
        assert_eq!(server("mysqld  Ver 10.5.22-MariaDB for Linux"), Some((Flavour::MariaDb, 10, 5)));
        assert_eq!((server("mysqld: error"), server("Ver x"), server("")), (None, None, None));
    }

    #[test]
    fn groups_have_the_release_and_a_suffix() {
        let groups = Server::UNKNOWN_MARIADB.groups(&[b"--defaults-group-suffix=_2".to_vec()]);
        for group in ["mysqld", "mariadb-10.11", "client-server", "mysqld_2", "mariadbd-10.11_2"] {
            assert!(groups.contains(&group.to_owned()), "{group}");
        }
        assert!(!Server::UNKNOWN_MYSQL.groups(&[]).contains(&"mariadb".to_owned()));
    }
}
