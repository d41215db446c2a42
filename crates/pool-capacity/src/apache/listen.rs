//! The addresses of the server, and the URL of mod_status.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::directive::Directive;
use super::words::{next_word, words};

/// An address on which the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address; `None` for all addresses of the machine.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Whether it uses TLS, by the directive or because the port is 443.
    pub tls: bool,
}

impl Listen {
    /// Parses the argument of `Listen`: `80`, `192.0.2.1:80`, `[2001:db8::1]:80 https`. A name instead of an address is not
    /// resolved.
    pub(super) fn parse(arguments: &str) -> Option<Self> {
        let words = words(arguments);
        let (host, port) = match words.first()?.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, words[0].as_str()),
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let address = match host.map(|host| host.trim_matches(['[', ']'])) {
            None | Some("*") => None,
            Some(host) => Some(host.parse().ok()?).filter(|address: &IpAddr| !address.is_unspecified()),
        };
        let tls = words.get(1).map_or(port == 443, |protocol| protocol.eq_ignore_ascii_case("https"));
        Some(Self { address, port, tls })
    }

    /// Returns the loopback addresses that reach it; none if it listens on another address only.
    #[must_use]
    pub fn loopback(&self) -> Vec<SocketAddr> {
        let addresses = match self.address {
            None => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            Some(address) if address.is_loopback() => vec![address],
            Some(_) => vec![],
        };
        addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect()
    }
}

/// A URL at which mod_status answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPage {
    /// The path of its URL.
    pub path: String,
    /// The port of its virtual host; `None` if it belongs to every host.
    pub port: Option<u16>,
}

impl StatusPage {
    /// Returns the page of a `SetHandler` in a `<Location>`.
    pub(super) fn of(directive: &Directive) -> Option<Self> {
        if !next_word(&directive.arguments).0.eq_ignore_ascii_case("server-status") {
            return None;
        }
        let location = directive.place.location.as_deref()?;
        let path = next_word(location.strip_suffix('>').unwrap_or(location)).0;
        let plain = path.starts_with('/')
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*[]".contains(&byte));
        plain.then(|| Self { path, port: directive.place.virtual_host.as_deref().and_then(port_of_host) })
    }
}

/// Returns the port of the first address of `<VirtualHost *:8080 ...>`.
fn port_of_host(arguments: &str) -> Option<u16> {
    let address = next_word(arguments.strip_suffix('>').unwrap_or(arguments)).0;
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |arguments: &str| {
            Listen::parse(arguments).map(|l| (l.address.map(|a| a.to_string()), l.port, l.tls))
        };
        assert_eq!(read("80"), Some((None, 80, false)));
        assert_eq!(read("443"), Some((None, 443, true)));
        assert_eq!(read("0.0.0.0:8080"), Some((None, 8080, false)));
        assert_eq!(read("[::]:443 http"), Some((None, 443, false)));
        assert_eq!(read("127.0.0.1:8443 https"), Some((Some("127.0.0.1".into()), 8443, true)));
        assert_eq!(read("[2001:db8::1]:80"), Some((Some("2001:db8::1".into()), 80, false)));
        assert!(["", "host:80", "80000", "0", "x"].into_iter().all(|wrong| Listen::parse(wrong).is_none()));
        assert_eq!(Listen::parse("192.0.2.1:80").unwrap().loopback(), []);
        assert_eq!(Listen::parse("80").unwrap().loopback().len(), 2);
    }
}
