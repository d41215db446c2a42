//! Connections of a server, from the kernel's tables, which everybody may read.
//!
//! A connection to a socket with a path has that path in `/proc/net/unix` on the server's side, and one to a port has
//! that port in `/proc/net/tcp`. Those that wait to be accepted are among them.
//!
//! ```
//! use pool_capacity::sockets::Address;
//!
//! let unix = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
//!     0000000000000000: 00000002 00000000 00010000 0001 01 17421 /run/php/php8.2-fpm.sock\n\
//!     0000000000000000: 00000003 00000000 00000000 0001 03 17500 /run/php/php8.2-fpm.sock\n\
//!     0000000000000000: 00000003 00000000 00000000 0001 03 17499\n";
//! assert_eq!(Address::parse("/run/php/php8.2-fpm.sock").unwrap().connections(unix), 1);
//! ```

/// Where a server is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of a socket.
    Path(String),
    /// A port, at whatever address.
    Port(u16),
}

impl Address {
    /// A path, a port, or an address with a port. Nothing for a path that is not absolute.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Path(text.to_owned()));
        }
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
        port.parse().ok().map(Self::Port)
    }

    /// The tables below `/proc/PID/net` that it is looked for in.
    #[must_use]
    pub fn tables(&self) -> &'static [&'static str] {
        match self {
            Self::Path(_) => &["unix"],
            Self::Port(_) => &["tcp", "tcp6"],
        }
    }

    /// How many connections a table has on the server's side.
    #[must_use]
    pub fn connections(&self, table: &[u8]) -> u64 {
        let lines = table.split(|&byte| byte == b'\n').skip(1);
        let is_ours = |line: &&[u8]| match self {
            Self::Path(path) => is_connected_at(line, path.as_bytes()),
            Self::Port(port) => is_established_on(line, *port),
        };
        lines.filter(is_ours).count() as u64
    }
}

/// The words of a line, and what stands behind the first `count` of them.
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

/// `Num: RefCount Protocol Flags Type St Inode Path`, where `03` is a connected socket.
fn is_connected_at(line: &[u8], path: &[u8]) -> bool {
    let Some(([.., state, _inode], rest)) = words::<7>(line) else { return false };
    state == b"03" && without_var(rest.strip_prefix(b" ").unwrap_or(rest)) == without_var(path)
}

/// `/var/run` is a link to `/run`.
fn without_var(path: &[u8]) -> &[u8] {
    if path.starts_with(b"/var/run/") { &path[4..] } else { path }
}

/// `sl: local_address rem_address st`, where `01` is established.
fn is_established_on(line: &[u8], port: u16) -> bool {
    let Some(([_number, local, _remote, state], _)) = words::<4>(line) else { return false };
    let local_port = local.rsplit(|&byte| byte == b':').next().and_then(|hex| std::str::from_utf8(hex).ok());
    state == b"01" && local_port.is_some_and(|hex| u16::from_str_radix(hex, 16) == Ok(port))
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
        let tcp = b"  sl  local_address rem_address   st tx_queue\n\
                    \x20  0: 0100007F:2328 00000000:0000 0A 00000000:00000000\n\
                    \x20  1: 0100007F:2328 0100007F:D431 01 00000000:00000000\n\
                    \x20  2: 0100007F:D431 0100007F:2328 01 00000000:00000000\n\
                    \x20  3: 0100007F:2328 0100007F:D432 06 00000000:00000000\n\
                    \x20  4: 00000000000000000000000001000000:2328 0:0 01\n";
        assert_eq!(Address::Port(9000).connections(tcp), 2);
        let unix = b"Num RefCount Protocol Flags Type St Inode Path\n\
                     0: 3 0 0 0001 03 1 /run/a b.sock\n0: 3 0 0 0001 03 2 /run/a\n0: 3 0 0 0001 03 3\n0: 3 0\n";
        assert_eq!(Address::Path("/var/run/a b.sock".into()).connections(unix), 1);
        assert_eq!(Address::Path("/run/a".into()).connections(b"\xff"), 0);
    }
}
