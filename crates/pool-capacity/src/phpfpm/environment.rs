//! The server's environment.

/// What is known of the server's environment, for `${NAME}`.
#[derive(Clone, Copy)]
pub enum Environment<'a> {
    /// The value of each variable that it has.
    Known(&'a dyn Fn(&[u8]) -> Option<Vec<u8>>),
    /// It may not be read, or no server runs.
    Hidden,
}
