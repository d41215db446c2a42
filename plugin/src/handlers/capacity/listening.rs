//! Whether a server itself listens at an address of this machine.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::time::Instant;

use pool_capacity::ServerProcess;
use pool_capacity::sockets::Listener;

/// Longer than any line of a connection table.
const LINE_BYTES_MAX: u64 = 4096;
/// More descriptors than any server has.
const DESCRIPTORS_MAX: usize = 65_536;

/// The sockets of a server's main process.
pub(super) struct ServerSockets {
    uid: Option<u32>,
    /// The inodes of its sockets; absent if this user may not see them.
    inodes: Option<HashSet<u64>>,
    /// The tables are read until this time. Any user may open many sockets.
    deadline: Instant,
}

impl ServerSockets {
    pub(super) fn of(server: &ServerProcess, deadline: Instant) -> Self {
        Self { uid: server.uid, inodes: inodes(server.pid), deadline }
    }

    /// Returns whether every socket that may get a connection to the address is the server's. Without the right to see its
    /// descriptors, the socket must belong to root or to the server's account. The tables are those of this process, whose
    /// connection it would be: the server may run in another network namespace.
    pub(super) fn listen_at(&self, address: SocketAddr) -> bool {
        let mut found = false;
        for table in ["tcp", "tcp6"] {
            // Without IPv6 there is no such table.
            let Ok(file) = File::open(format!("/proc/self/net/{table}")) else { continue };
            match self.all_are_own(BufReader::new(file), address) {
                Some(is_found) => found |= is_found,
                None => return false,
            }
        }
        found
    }

    /// Returns whether a table has a socket for the address. `None` if another account has one, or if the table could not be read
    /// to its end in time.
    fn all_are_own(&self, mut table: impl BufRead, address: SocketAddr) -> Option<bool> {
        let (mut found, mut line) = (false, Vec::new());
        while (&mut table).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()? > 0 {
            if Instant::now() >= self.deadline {
                return None;
            }
            if let Some(listener) = Listener::in_line(line.trim_ascii_end(), address) {
                if !self.has(listener) {
                    return None;
                }
                found = true;
            }
            line.clear();
        }
        Some(found)
    }

    fn has(&self, listener: Listener) -> bool {
        match &self.inodes {
            Some(inodes) => inodes.contains(&listener.inode),
            None => listener.uid == 0 || Some(listener.uid) == self.uid,
        }
    }
}

fn inodes(pid: u32) -> Option<HashSet<u64>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.take(DESCRIPTORS_MAX);
    let links = descriptors.map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let numbers = links.map(|link| link?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
    Some(numbers.flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    fn in_20_seconds() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn sockets(uid: u32, inodes: Option<&[u64]>) -> ServerSockets {
        let inodes = inodes.map(|inodes| inodes.iter().copied().collect());
        ServerSockets { uid: Some(uid), inodes, deadline: in_20_seconds() }
    }

    #[test]
    fn socket_is_the_servers_by_its_descriptor_or_by_its_account() {
        let user = Listener { uid: 1000, inode: 7 };
        assert!(sockets(0, Some(&[6, 7])).has(user) && !sockets(1000, Some(&[6])).has(user));
        assert!(!sockets(0, None).has(user) && !sockets(33, None).has(user) && sockets(1000, None).has(user));
        assert!(sockets(33, None).has(Listener { uid: 0, inode: 7 }));
    }

    #[test]
    fn address_is_only_one_at_which_the_server_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = ServerProcess { pid: std::process::id(), ..ServerProcess::default() };
        assert!(ServerSockets::of(&own, in_20_seconds()).listen_at(address));
        let init = ServerProcess { pid: 1, ..ServerProcess::default() };
        assert!(
            !ServerSockets { inodes: Some(HashSet::new()), ..ServerSockets::of(&init, in_20_seconds()) }
                .listen_at(address)
        );
        assert!(!ServerSockets::of(&own, Instant::now()).listen_at(address));
        drop(listener);
        assert!(!ServerSockets::of(&own, in_20_seconds()).listen_at(address));
    }
}
