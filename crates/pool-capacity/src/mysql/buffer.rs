//! Parts of the server's memory.

/// A buffer of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// The variable with its size.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
}
