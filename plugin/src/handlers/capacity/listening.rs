//! Whether a server itself listens at an address of this machine.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;

use pool_capacity::ServerProcess;
use pool_capacity::sockets::Listener;

/// Larger than the connection table of any machine.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// More descriptors than any server has.
const DESCRIPTORS_MAX: usize = 65_536;

/// The sockets of a server's main process.
pub(super) struct ServerSockets {
    uid: Option<u32>,
    /// The inodes of its sockets; absent if this user may not see them.
    inodes: Option<HashSet<u64>>,
}

impl ServerSockets {
    pub(super) fn of(server: &ServerProcess) -> Self {
        Self { uid: server.uid, inodes: inodes(server.pid) }
    }

    /// Returns whether every socket that may get a connection to the address is the server's. Without the right to see its
    /// descriptors, the socket must belong to root or to the server's account. The tables are those of this process, whose
    /// connection it would be: the server may run in another network namespace.
    pub(super) fn listen_at(&self, address: SocketAddr) -> bool {
        let [tcp, tcp6] = ["tcp", "tcp6"].map(table);
        let listeners = Listener::at(address, &tcp, &tcp6);
        !listeners.is_empty() && listeners.iter().all(|listener| self.has(*listener))
    }

    fn has(&self, listener: Listener) -> bool {
        match &self.inodes {
            Some(inodes) => inodes.contains(&listener.inode),
            None => listener.uid == 0 || Some(listener.uid) == self.uid,
        }
    }
}

fn table(name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    if let Ok(file) = File::open(format!("/proc/self/net/{name}")) {
        // What was read before an error is complete lines and the start of one, which does not parse.
        let _ = file.take(TABLE_BYTES_MAX).read_to_end(&mut content);
    }
    content
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

    use super::*;

    fn sockets(uid: u32, inodes: Option<&[u64]>) -> ServerSockets {
        ServerSockets { uid: Some(uid), inodes: inodes.map(|inodes| inodes.iter().copied().collect()) }
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
        assert!(ServerSockets::of(&own).listen_at(address));
        let init = ServerProcess { pid: 1, ..ServerProcess::default() };
        assert!(
            !ServerSockets { inodes: Some(HashSet::new()), ..ServerSockets::of(&init) }.listen_at(address)
        );
        drop(listener);
        assert!(!ServerSockets::of(&own).listen_at(address));
    }
}
