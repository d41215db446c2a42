//! How the bytes of a file become text.

/// An encoding by the name that iconv and Zabbix use, in any case; the empty name means UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoding(());

/// No encoding of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown encoding \"{0}\".")]
pub struct UnknownEncoding(pub String);

impl Encoding {
    /// Looks a name up.
    ///
    /// # Errors
    ///
    /// When there is no encoding of that name.
    pub fn named(name: &str) -> Result<Self, UnknownEncoding> {
        Err(UnknownEncoding(name.into()))
    }
}
