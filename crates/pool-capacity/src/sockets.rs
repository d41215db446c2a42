//! Connections of a server, from the kernel's tables, which every user may read.
//!
//! A connection to a unix socket has the socket's path in `/proc/net/unix` on the server's side, and one to a port has that
//! port in `/proc/net/tcp`. A connection that no worker has accepted is listed as well: no process has a file for it, so its
//! state is "connecting" or its inode is 0.
//!
//! ```
//! use pool_capacity::sockets::Address;
//!
//! let unix = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
//!     0000000000000000: 00000002 00000000 00010000 0001 01 17421 /run/php/php8.2-fpm.sock\n\
//!     0000000000000000: 00000003 00000000 00000000 0001 03 17500 /run/php/php8.2-fpm.sock\n\
//!     0000000000000000: 00000003 00000000 00000000 0001 03 17499\n";
//! let connections = Address::parse("/run/php/php8.2-fpm.sock").unwrap().connections(unix);
//! assert_eq!((connections.accepted, connections.waiting), (1, 0));
//! ```

/// Connections of a server, on its side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections that a process has accepted.
    pub accepted: u64,
    /// Connections that are not accepted yet.
    pub waiting: u64,
}

impl std::ops::Add for Connections {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { accepted: self.accepted + other.accepted, waiting: self.waiting + other.waiting }
    }
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of a socket.
    Path(String),
    /// A port at any address.
    Port(u16),
}

impl Address {
    /// Parses a path, a port, or an address with a port. `None` for a path that is not absolute.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Path(text.to_owned()));
        }
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
        port.parse().ok().map(Self::Port)
    }

    /// The tables below `/proc/PID/net` that contain its connections.
    #[must_use]
    pub fn tables(&self) -> &'static [&'static str] {
        match self {
            Self::Path(_) => &["unix"],
            Self::Port(_) => &["tcp", "tcp6"],
        }
    }

    /// Counts the connections in a table on the server's side.
    #[must_use]
    pub fn connections(&self, table: &[u8]) -> Connections {
        let mut connections = Connections::default();
        for line in table.split(|&byte| byte == b'\n').skip(1) {
            let is_accepted = match self {
                Self::Path(path) => unix(line, path.as_bytes()),
                Self::Port(port) => tcp(line, *port),
            };
            connections.accepted += u64::from(is_accepted == Some(true));
            connections.waiting += u64::from(is_accepted == Some(false));
        }
        connections
    }
}

/// Splits off the first `count` words of a line.
fn words<const COUNT: usize>(mut line: &[u8]) -> Option<([&[u8]; COUNT], &[u8])> {
    let mut words = [&b""[..]; COUNT];
    for word in &mut words {
        line = line.trim_ascii_start();
        let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        (*word, line) = line.split_at(end);
        if word.is_empty() {
            return None;
        }
    }
    Some((words, line))
}

/// Returns whether a connection to the path is accepted. `Num: RefCount Protocol Flags Type St Inode Path`; state `03` is
/// connected and `02` connecting.
fn unix(line: &[u8], path: &[u8]) -> Option<bool> {
    let ([.., state, _inode], rest) = words::<7>(line)?;
    let is_ours = without_var(rest.strip_prefix(b" ").unwrap_or(rest)) == without_var(path);
    (is_ours && (state == b"03" || state == b"02")).then_some(state == b"03")
}

/// `/var/run` is a link to `/run`.
fn without_var(path: &[u8]) -> &[u8] {
    if path.starts_with(b"/var/run/") { &path[4..] } else { path }
}

/// Returns whether a connection to the port is accepted. `sl: local_address rem_address st tx:rx tr:when retrnsmt uid timeout
/// inode`; state `01` is established.
fn tcp(line: &[u8], port: u16) -> Option<bool> {
    let ([_number, local, _remote, state, .., inode], _) = words::<10>(line)?;
    let hex = std::str::from_utf8(local.rsplit(|&byte| byte == b':').next()?).ok()?;
    let is_ours = state == b"01" && u16::from_str_radix(hex, 16) == Ok(port);
    is_ours.then_some(inode != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_and_ports() {
        assert_eq!(Address::parse("/run/x.sock"), Some(Address::Path("/run/x.sock".into())));
        for port in ["9000", "127.0.0.1:9000", "[::1]:9000", "*:9000"] {
            assert_eq!(Address::parse(port), Some(Address::Port(9000)), "{port}");
        }
        assert_eq!(
            [Address::parse("x.sock"), Address::parse(""), Address::parse("1:99999")],
            [None, None, None]
        );
    }

    #[test]
    fn only_the_servers_side_of_connections_counts() {
        let rest = "00000000:00000000 00:00000000 00000000 33 0";
        let tcp = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 0100007F:2328 00000000:0000 0A {rest} 10 1\n\
             \x20  1: 0100007F:2328 0100007F:D431 01 {rest} 11 1\n\
             \x20  2: 0100007F:D431 0100007F:2328 01 {rest} 12 1\n\
             \x20  3: 0100007F:2328 0100007F:D432 06 {rest} 0 3\n\
             \x20  4: 0100007F:2328 0100007F:D433 01 {rest} 0 1\n\
             \x20  5: 00000000000000000000000001000000:2328 0:0 01 {rest} 13\n\
             \x20  6: 0100007F:2328 0100007F:D434 01\n"
        );
        assert_eq!(Address::Port(9000).connections(tcp.as_bytes()), Connections { accepted: 2, waiting: 1 });
        let unix = b"Num RefCount Protocol Flags Type St Inode Path\n\
                     0: 3 0 0 0001 03 1 /run/a b.sock\n0: 3 0 0 0001 02 0 /run/a b.sock\n\
                     0: 2 0 10000 0001 01 4 /run/a b.sock\n0: 3 0 0 0001 03 2 /run/a\n0: 3 0 0 0001 03 3\n0: 3 0\n";
        let at = |path: &str| Address::Path(path.into()).connections(unix);
        assert_eq!(at("/var/run/a b.sock"), Connections { accepted: 1, waiting: 1 });
        assert_eq!(Address::Path("/run/a".into()).connections(b"\xff"), Connections::default());
        assert_eq!(at("/run/a") + at("/run/a b.sock"), Connections { accepted: 2, waiting: 1 });
    }
}
