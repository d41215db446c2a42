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

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
        let mut counter = ConnectionCounter::new([self.clone()], None);
        let table = table.split(|&byte| byte == b'\n');
        let name = self.tables()[0];
        counter.begin(name);
        table.for_each(|line| counter.add(name, line));
        counter.connections(self).unwrap_or_default()
    }
}

/// Counts the connections of many addresses in one pass over each table, line by line: a server may have thousands of pools,
/// and a table may have a million lines.
///
/// ```
/// use pool_capacity::sockets::{Address, ConnectionCounter};
///
/// let [shop, blog] = ["/run/shop.sock", "/run/blog.sock"].map(|path| Address::parse(path).unwrap());
/// let mut counter = ConnectionCounter::new([shop.clone(), blog.clone()], None);
/// assert_eq!(counter.tables(), ["unix"]);
/// assert_eq!(counter.connections(&shop), None);
/// counter.begin("unix");
/// counter.add("unix", b"0000000000000000: 00000003 00000000 00000000 0001 03 17500 /run/shop.sock");
/// assert_eq!(counter.connections(&shop).unwrap().accepted, 1);
/// assert_eq!(counter.connections(&blog).unwrap().accepted, 0);
/// ```
#[derive(Debug)]
pub struct ConnectionCounter {
    paths: HashMap<Vec<u8>, Connections>,
    ports: HashMap<u16, Connections>,
    uid: Option<u32>,
    begun: Vec<&'static str>,
}

impl ConnectionCounter {
    /// A counter for these addresses. On a port only connections count that the account `uid` has accepted, if it is given: any
    /// user may listen on the same port at another loopback address.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = Address>, uid: Option<u32>) -> Self {
        let mut counter = Self { paths: HashMap::new(), ports: HashMap::new(), uid, begun: Vec::new() };
        for address in addresses {
            match address {
                Address::Path(path) => {
                    counter.paths.insert(without_var(path.as_bytes()).to_vec(), Connections::default());
                }
                Address::Port(port) => drop(counter.ports.insert(port, Connections::default())),
            }
        }
        counter
    }

    /// The tables below `/proc/PID/net` that contain connections to the addresses.
    #[must_use]
    pub fn tables(&self) -> Vec<&'static str> {
        let unix = (!self.paths.is_empty()).then_some("unix");
        let tcp = (!self.ports.is_empty()).then_some(["tcp", "tcp6"]);
        unix.into_iter().chain(tcp.into_iter().flatten()).collect()
    }

    /// Begins a table that can be read. Without IPv6 there is no `tcp6`.
    pub fn begin(&mut self, table: &'static str) {
        self.begun.push(table);
    }

    /// Counts the connection in a line of a table. The first line is a heading and counts nothing.
    pub fn add(&mut self, table: &str, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (connections, is_accepted) = if table == "unix" {
            let Some((path, is_accepted)) = unix(line) else { return };
            (self.paths.get_mut(without_var(path)), is_accepted)
        } else {
            let Some(connection) = tcp(line) else { return };
            let is_other = self.uid.is_some_and(|uid| connection.uid != Some(uid));
            if connection.is_accepted && is_other {
                return;
            }
            (self.ports.get_mut(&connection.port), connection.is_accepted)
        };
        if let Some(connections) = connections {
            connections.accepted += u64::from(is_accepted);
            connections.waiting += u64::from(!is_accepted);
        }
    }

    /// Returns the connections to one of the addresses; `None` if no table with them could be read.
    #[must_use]
    pub fn connections(&self, address: &Address) -> Option<Connections> {
        let is_read = address.tables().iter().any(|table| self.begun.contains(table));
        let counted = match address {
            Address::Path(path) => self.paths.get(without_var(path.as_bytes())),
            Address::Port(port) => self.ports.get(port),
        };
        counted.copied().filter(|_| is_read)
    }
}

/// A socket that listens on a TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The account that opened it. In a user namespace too, this is the account of the host.
    pub uid: u32,
    /// Its inode, as in the links `/proc/PID/fd/N`: `socket:[17421]`.
    pub inode: u64,
}

impl Listener {
    /// Parses a line of `/proc/net/tcp` or `/proc/net/tcp6`. Returns the socket if it may get a connection to an address: it
    /// listens on this address or on all addresses.
    #[must_use]
    pub fn in_line(line: &[u8], address: SocketAddr) -> Option<Self> {
        listener(line, address)
    }
}

/// Parses a line with state `0A`, listening.
fn listener(line: &[u8], address: SocketAddr) -> Option<Listener> {
    let ([_number, local, _remote, b"0A", _queues, _timer, _retransmits, uid, _timeout, inode], _) =
        words::<10>(line)?
    else {
        return None;
    };
    let (ip, port) = std::str::from_utf8(local).ok()?.split_once(':')?;
    let ip = ip_address(ip)?;
    // A socket on `::` gets connections to IPv4 addresses as well.
    let is_for_it =
        ip.to_canonical() == address.ip() || (ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4()));
    let number = |word| std::str::from_utf8(word).ok();
    (is_for_it && u16::from_str_radix(port, 16) == Ok(address.port()))
        .then_some(Listener { uid: number(uid)?.parse().ok()?, inode: number(inode)?.parse().ok()? })
}

/// Parses an address in the kernel's form: words of 32 bits in the host's byte order, as hexadecimal numbers.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (place, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(place * 8)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
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

/// Returns the path of a connection, and whether it is accepted. `Num: RefCount Protocol Flags Type St Inode Path`; state `03`
/// is connected and `02` connecting.
fn unix(line: &[u8]) -> Option<(&[u8], bool)> {
    let ([.., state, _inode], rest) = words::<7>(line)?;
    let path = rest.strip_prefix(b" ").unwrap_or(rest);
    (state == b"03" || state == b"02").then_some((path, state == b"03"))
}

/// `/var/run` is a link to `/run`.
fn without_var(path: &[u8]) -> &[u8] {
    if path.starts_with(b"/var/run/") { &path[4..] } else { path }
}

/// A connection to a port of this machine.
struct TcpConnection {
    port: u16,
    is_accepted: bool,
    uid: Option<u32>,
}

/// Parses `sl: local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`; state `01` is established.
fn tcp(line: &[u8]) -> Option<TcpConnection> {
    let ([_number, local, _remote, b"01", _queues, _timer, _retransmits, uid, _timeout, inode], _) =
        words::<10>(line)?
    else {
        return None;
    };
    let hex = std::str::from_utf8(local.rsplit(|&byte| byte == b':').next()?).ok()?;
    let uid = std::str::from_utf8(uid).ok().and_then(|uid| uid.parse().ok());
    Some(TcpConnection { port: u16::from_str_radix(hex, 16).ok()?, is_accepted: inode != b"0", uid })
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
    #[cfg(target_endian = "little")]
    fn sockets_that_may_get_a_connection_are_found() {
        let entry = |local: &str, state: &str, uid: u32, inode: u64| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:>5} 0 {inode} 1\n"
            )
        };
        let tcp = [
            "header\n".to_owned(),
            entry("0100007F:1F90", "0A", 1000, 1),
            entry("00000000:1F90", "0A", 0, 2),
            entry("0200007F:1F90", "0A", 1000, 3),
            entry("0100007F:1F90", "01", 1000, 4),
            entry("0100007F:1F91", "0A", 1000, 5),
        ];
        let tcp6 = [
            "header\n".to_owned(),
            entry("00000000000000000000000001000000:1F90", "0A", 33, 6),
            entry("00000000000000000000000000000000:1F90", "0A", 34, 7),
            entry("0000000000000000FFFF00000100007F:1F90", "0A", 35, 8),
        ];
        let at = |address: &str| {
            let address = address.parse().unwrap();
            let lines = tcp.iter().chain(&tcp6);
            let found = lines.filter_map(|line| Listener::in_line(line.trim_end().as_bytes(), address));
            found.map(|listener| (listener.uid, listener.inode)).collect::<Vec<_>>()
        };
        assert_eq!(at("127.0.0.1:8080"), [(1000, 1), (0, 2), (34, 7), (35, 8)]);
        assert_eq!(at("[::1]:8080"), [(33, 6), (34, 7)]);
        assert_eq!(at("127.0.0.1:80"), []);
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
        let of = |uid| {
            let mut counter = ConnectionCounter::new([Address::Port(9000)], Some(uid));
            counter.begin("tcp");
            tcp.split_inclusive('\n').for_each(|line| counter.add("tcp", line.as_bytes()));
            counter.connections(&Address::Port(9000)).unwrap()
        };
        assert_eq!(of(33), Connections { accepted: 2, waiting: 1 });
        assert_eq!(of(34), Connections { accepted: 0, waiting: 1 });
        let unix = b"Num RefCount Protocol Flags Type St Inode Path\n\
                     0: 3 0 0 0001 03 1 /run/a b.sock\n0: 3 0 0 0001 02 0 /run/a b.sock\n\
                     0: 2 0 10000 0001 01 4 /run/a b.sock\n0: 3 0 0 0001 03 2 /run/a\n0: 3 0 0 0001 03 3\n0: 3 0\n";
        let at = |path: &str| Address::Path(path.into()).connections(unix);
        assert_eq!(at("/var/run/a b.sock"), Connections { accepted: 1, waiting: 1 });
        assert_eq!(Address::Path("/run/a".into()).connections(b"\xff"), Connections::default());
        assert_eq!(at("/run/a") + at("/run/a b.sock"), Connections { accepted: 2, waiting: 1 });
    }
}
