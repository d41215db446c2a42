//! The context that the readers of all servers share.

use std::io::Read;

use agent2_plugin::Request;
use pool_capacity::Reading;
use pool_capacity::sockets::{Address, Connections};

use crate::state::PluginState;

/// The plugin's state, the poll, and the host's files with the poll's budget.
pub(super) struct Context<'a> {
    pub(super) plugin: &'a PluginState,
    pub(super) request: &'a Request,
    pub(super) files: Reading<'a>,
}

/// Larger than the connection table of any machine.
const PROC_FILE_BYTES_MAX: u64 = 64 << 20;

impl Context<'_> {
    /// Reads a file of a process of the host; absent if the process has ended or the file may not be read.
    pub(super) fn read_proc(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        let path = self.plugin.host_root().join(format!("proc/{pid}/{name}"));
        let mut content = Vec::new();
        std::fs::File::open(path).ok()?.take(PROC_FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// Returns whether a process runs in a container: in a pid namespace below that of this /proc. The paths that it names are
    /// paths of its own files.
    pub(super) fn is_contained(&self, pid: u32) -> bool {
        let status = self.read_proc(pid, "status").unwrap_or_default();
        let pids = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
        pids.is_some_and(|pids| pids.trim_ascii().contains(&b'\t'))
    }

    /// Counts connections to an address in the network namespace of a process.
    pub(super) fn connections(&self, pid: u32, address: &Address) -> Option<Connections> {
        let count = |table: &&str| Some(address.connections(&self.read_proc(pid, &format!("net/{table}"))?));
        // Without IPv6 there is no such table.
        address.tables().iter().filter_map(count).reduce(|one, other| one + other)
    }
}
