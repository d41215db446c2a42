//! The server's environment.

/// The server's environment, for `${NAME}`.
#[derive(Clone, Copy)]
pub enum Environment<'a> {
    /// Returns the value of a variable.
    Known(&'a dyn Fn(&[u8]) -> Option<Vec<u8>>),
    /// The environment may not be read, or no server runs.
    Hidden,
}
