//! A running process, with the fields that identify the workers of a pool.

/// A running process. Names and arguments are bytes: the kernel allows any byte except NUL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its process id.
    pub pid: u32,
    /// Its parent's process id.
    pub ppid: u32,
    /// The kernel's name for it (`comm`, at most 15 bytes).
    pub name: Vec<u8>,
    /// Its arguments with the program's name; empty if they could not be read or there are none.
    pub arguments: Vec<Vec<u8>>,
    /// The number of its threads.
    pub threads: u32,
    /// Its owner, if known.
    pub uid: Option<u32>,
}
