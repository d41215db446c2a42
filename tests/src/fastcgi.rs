//! A minimal FastCGI client that keeps a worker of php-fpm busy.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A running request. The worker is free again when this is dropped and its script has ended.
#[expect(missing_debug_implementations, reason = "nothing to see")]
pub struct Request {
    _connection: Box<dyn Write + Send>,
}

const BEGIN: u8 = 1;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;

impl Request {
    /// Starts a script. `address` is the path of a socket, or an address with a port.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no listener.
    pub fn send(address: &str, script: &Path) -> io::Result<Self> {
        let mut connection: Box<dyn Write + Send> = if address.starts_with('/') {
            Box::new(UnixStream::connect(address)?)
        } else {
            Box::new(TcpStream::connect(address)?)
        };
        connection.write_all(&message(script)?)?;
        Ok(Self { _connection: connection })
    }
}

fn message(script: &Path) -> io::Result<Vec<u8>> {
    let script = script.to_string_lossy();
    let mut parameters = Vec::new();
    for (name, value) in
        [("SCRIPT_FILENAME", script.as_ref()), ("REQUEST_METHOD", "GET"), ("QUERY_STRING", "")]
    {
        parameters.push(u8::try_from(name.len()).map_err(io::Error::other)?);
        // A length above 127 takes four bytes.
        let length = u32::try_from(value.len()).map_err(io::Error::other)? | 1 << 31;
        parameters.extend_from_slice(&length.to_be_bytes());
        parameters.extend_from_slice(name.as_bytes());
        parameters.extend_from_slice(value.as_bytes());
    }
    let mut message = Vec::new();
    // The role "responder".
    record(&mut message, BEGIN, &[0, 1, 0, 0, 0, 0, 0, 0])?;
    record(&mut message, PARAMS, &parameters)?;
    record(&mut message, PARAMS, &[])?;
    record(&mut message, STDIN, &[])?;
    Ok(message)
}

/// Version, kind, request 1, length, no padding.
fn record(message: &mut Vec<u8>, kind: u8, content: &[u8]) -> io::Result<()> {
    let [high, low] = u16::try_from(content.len()).map_err(io::Error::other)?.to_be_bytes();
    message.extend_from_slice(&[1, kind, 0, 1, high, low, 0, 0]);
    message.extend_from_slice(content);
    Ok(())
}
