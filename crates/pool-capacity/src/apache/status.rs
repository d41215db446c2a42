//! The running server's counts of its workers, from mod_status.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::pool::Pool;

/// Room for a scoreboard of 200,000 slots and the rest of the page.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// The counts of mod_status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoreboard {
    /// Workers with a request.
    pub busy: u64,
    /// Idle workers.
    pub idle: u64,
    /// Slots of the scoreboard: `ServerLimit` at the server's start, times `ThreadsPerChild`.
    pub slots: u64,
}

/// The reason why there is no scoreboard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The configuration has no `SetHandler server-status` in a `<Location>`, or mod_status is not loaded.
    #[error("mod_status is not configured")]
    NotConfigured,
    /// The server itself listens on no loopback address without TLS; no other address is requested.
    #[error(
        "the server itself listens on no loopback address without TLS, at which mod_status could be asked"
    )]
    NoAddress,
    /// There was no connection, or no answer in time.
    #[error("mod_status at http://{address}{path} does not answer: {reason}")]
    NoAnswer {
        /// The address.
        address: SocketAddr,
        /// The path.
        path: String,
        /// The error.
        reason: io::Error,
    },
    /// The answer is not from mod_status. Its text is not kept: any page may stand there.
    #[error("http://{address}{path} is not a page of mod_status: HTTP status {}", status.map_or("unknown".to_owned(), |code| code.to_string()))]
    OtherAnswer {
        /// The address.
        address: SocketAddr,
        /// The path.
        path: String,
        /// The status code of the answer, if it is one of HTTP.
        status: Option<u16>,
    },
}

impl StatusError {
    /// Returns whether the deadline passed before an answer, as with a server whose workers are all busy.
    #[must_use]
    pub fn is_late(&self) -> bool {
        let late = [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock];
        matches!(self, Self::NoAnswer { reason, .. } if late.contains(&reason.kind()))
    }
}

impl Scoreboard {
    /// Requests the page from the server of a configuration, until `deadline`. Only loopback addresses are used at which
    /// `is_server` confirms that the server itself listens, before the connection and again before the request. Redirects are not
    /// followed.
    ///
    /// The answer needs one worker: a server at its limit may not answer.
    ///
    /// # Errors
    ///
    /// Returns [`StatusError`] if there is no address or no scoreboard in the answer. Of several addresses the last error is
    /// returned.
    pub fn ask(
        pool: &Pool,
        is_server: &dyn Fn(SocketAddr) -> bool,
        deadline: Instant,
    ) -> Result<Self, StatusError> {
        let page = pool.status.first().ok_or(StatusError::NotConfigured)?;
        let reachable = pool.listen.iter().filter(|listen| !listen.tls);
        let served = reachable.filter(|listen| page.port.is_none_or(|port| port == listen.port));
        let mut last = StatusError::NoAddress;
        for address in served.flat_map(super::Listen::loopback).filter(|address| is_server(*address)) {
            match Self::ask_at(address, &page.path, is_server, deadline) {
                Ok(scoreboard) => return Ok(scoreboard),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn ask_at(
        address: SocketAddr,
        path: &str,
        is_server: &dyn Fn(SocketAddr) -> bool,
        deadline: Instant,
    ) -> Result<Self, StatusError> {
        let no_answer = |reason| StatusError::NoAnswer { address, path: path.to_owned(), reason };
        let stream = connect(address, deadline).map_err(no_answer)?;
        if !is_server(address) {
            return Err(StatusError::NoAddress);
        }
        let answer = get(stream, path, deadline).map_err(no_answer)?;
        let text = String::from_utf8_lossy(&answer);
        let other = || StatusError::OtherAnswer { address, path: path.to_owned(), status: status(&text) };
        Self::parse(&text).ok_or_else(other)
    }

    /// Parses a complete HTTP answer.
    fn parse(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if status(head)? != 200 {
            return None;
        }
        // Version 2.0 called workers servers.
        let value = |names: [&str; 2]| {
            let of = |line: &str| names.iter().find_map(|name| line.strip_prefix(name)?.trim().parse().ok());
            body.lines().find_map(of)
        };
        let slots = body.lines().find_map(|line| line.strip_prefix("Scoreboard:"))?.trim().len();
        Some(Self {
            busy: value(["BusyWorkers:", "BusyServers:"])?,
            idle: value(["IdleWorkers:", "IdleServers:"])?,
            slots: slots as u64,
        })
    }
}

/// Returns the code in `HTTP/1.1 200 OK`.
fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()
}

fn connect(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, left(deadline)?)
}

fn get(mut stream: TcpStream, path: &str, deadline: Instant) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!("GET {path}?auto HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    while (answer.len() as u64) < ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => break,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(answer)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn scoreboards_are_read() {
        let answer = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nTotal Accesses: 3\nBusyWorkers: 2\nIdleWorkers: 48\nScoreboard: _W..";
        assert_eq!(Scoreboard::parse(answer), Some(Scoreboard { busy: 2, idle: 48, slots: 4 }));
        let old = "HTTP/1.1 200 OK\r\n\r\nBusyServers: 1\nIdleServers: 4\nScoreboard: W____...\n";
        assert_eq!(Scoreboard::parse(old), Some(Scoreboard { busy: 1, idle: 4, slots: 8 }));
        for wrong in [
            "",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            &answer.replace("200", "403"),
        ] {
            assert_eq!(Scoreboard::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn error_contains_the_status_code_and_nothing_of_the_answer() {
        let error = |answer: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let deadline = Instant::now() + Duration::from_secs(20);
            let error = Scoreboard::ask_at(address, "/server-status", &|_| true, deadline).unwrap_err();
            server.join().unwrap();
            error.to_string().replace(&address.to_string(), "ADDRESS")
        };
        let text = |status: &str| {
            format!("http://ADDRESS/server-status is not a page of mod_status: HTTP status {status}")
        };
        assert_eq!(error("HTTP/1.1 302 Secret\r\nLocation: http://127.0.0.1:1/\r\n\r\nsecret"), text("302"));
        assert_eq!(error("HTTP/1.1 <script> x\r\n\r\n"), text("unknown"));
        assert_eq!(error("220 secret ESMTP\r\n"), text("unknown"));
    }

    #[test]
    fn nothing_is_sent_to_an_address_where_the_server_does_not_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let error = Scoreboard::ask_at(address, "/server-status", &|_| false, deadline).unwrap_err();
        assert!(matches!(error, StatusError::NoAddress), "{error}");
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        assert_eq!(request, b"");
    }

    #[test]
    fn server_that_never_responds_costs_no_more_than_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let drip = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let deadline = Instant::now() + Duration::from_millis(300);
        let error = Scoreboard::ask_at(address, "/server-status", &|_| true, deadline).unwrap_err();
        assert!(matches!(error, StatusError::NoAnswer { .. }), "{error}");
        drip.join().unwrap();
    }
}
