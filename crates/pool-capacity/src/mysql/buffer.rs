//! Parts of the server's memory.

/// One part of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// The variable that sizes it.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
}
