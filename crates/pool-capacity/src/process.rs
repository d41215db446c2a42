//! A running process, as far as finding the workers of a pool needs it.

/// A running process. Names and arguments are bytes: the kernel lets any byte but NUL into them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its number.
    pub pid: u32,
    /// The number of its parent.
    pub ppid: u32,
    /// What the kernel calls it (`comm`, at most 15 bytes).
    pub name: Vec<u8>,
    /// Its arguments, the program's name among them; none where they could not be read or there are none.
    pub arguments: Vec<Vec<u8>>,
    /// How many threads it has.
    pub threads: u32,
    /// Its owner, where known.
    pub uid: Option<u32>,
}
