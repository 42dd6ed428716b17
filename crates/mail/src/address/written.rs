//! Addresses as a configuration writes them: `143`, `*:143`, `[::1]:9143-9145`, `host:80`, `unix:/path`.
//!
//! Only the syntax, and the system's answer where a name must become addresses at once. The originals have one
//! syntax for all directives; what a directive allows beyond it is the directive's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use conf::Names;

use super::Endpoint;

/// The longest path of a unix socket: `sun_path` has 108 bytes, one of them for the NUL.
const MAX_PATH: usize = 107;

/// Why an address is none, in the originals' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a number from 1 to 65535.
    #[error("invalid port")]
    Port,
    /// A range that ends before it begins.
    #[error("invalid port range")]
    PortRange,
    /// Nothing before the port.
    #[error("no host")]
    NoHost,
    /// A host with characters that no host has.
    #[error("invalid host")]
    Host,
    /// A name that does not resolve.
    #[error("host not found")]
    NotFound,
    /// Not an address between the brackets.
    #[error("invalid IPv6 address")]
    Ipv6,
    /// Nothing after `unix:`.
    #[error("no path in the unix domain socket")]
    NoPath,
    /// More than fits into a socket address.
    #[error("too long path in the unix domain socket")]
    PathTooLong,
    /// A request target with spaces or control characters. The originals send them.
    #[error("invalid URI")]
    Uri,
}

/// The address of a `listen` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// Addresses and ports.
    Tcp {
        /// On which addresses.
        host: Host,
        /// On which ports; 0 to 0 where none was written.
        ports: RangeInclusive<u16>,
    },
    /// A unix stream socket.
    Unix(PathBuf),
}

/// Where to listen or to connect, port aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address, possibly a wildcard.
    Ip(IpAddr),
    /// A name, or a form of an address that only the system understands (`127.1`).
    Name(String),
}

impl Listening {
    /// Reads the first argument of `listen`.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some(path) = strip_unix(text) {
            return check_path(path).map(Self::Unix);
        }
        if !text.starts_with('[') {
            if text.contains(['/', '?']) {
                return Err(Malformed::Host);
            }
            if let Some(ports) = only_ports(text)? {
                return Ok(Self::Tcp { host: Host::Ip(Ipv4Addr::UNSPECIFIED.into()), ports });
            }
        }
        let (host, port) = split_port(text)?;
        let ports = port.map_or(Ok(0..=0), port_range)?;
        let host = match host {
            "*" => Host::Ip(Ipv4Addr::UNSPECIFIED.into()),
            _ => Host::parse(host)?,
        };
        Ok(Self::Tcp { host, ports })
    }

    /// The port that tells the protocol: the first one, if any was written.
    pub fn first_port(&self) -> Option<u16> {
        match self {
            Self::Tcp { ports, .. } => Some(*ports.start()).filter(|port| *port != 0),
            Self::Unix(_) => None,
        }
    }

    /// Every address and port, each once; names are looked up with `lookup`.
    pub fn endpoints(
        &self,
        lookup: impl FnOnce(&str) -> io::Result<Vec<IpAddr>>,
    ) -> Result<Vec<Endpoint>, Malformed> {
        let (host, ports) = match self {
            Self::Unix(path) => return Ok(vec![Endpoint::Unix(path.clone())]),
            Self::Tcp { host, ports } => (host, ports),
        };
        let mut addresses = match host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => lookup(name).map_err(|_| Malformed::NotFound)?,
        };
        let mut seen = Vec::new();
        addresses.retain(|ip| {
            !seen.contains(ip) && {
                seen.push(*ip);
                true
            }
        });
        if addresses.is_empty() {
            return Err(Malformed::NotFound);
        }
        let of_port = |port| addresses.iter().map(move |ip| Endpoint::Tcp(SocketAddr::new(*ip, port)));
        Ok(ports.clone().flat_map(of_port).collect())
    }
}

impl Host {
    /// Reads a host that has lost its port; an IPv6 address is in brackets.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(Malformed::Host)?;
            return inner.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| Malformed::Ipv6);
        }
        if text.is_empty() {
            return Err(Malformed::NoHost);
        }
        Ok(text.parse::<Ipv4Addr>().map_or_else(|_| Self::Name(text.to_owned()), |ip| Self::Ip(ip.into())))
    }
}

/// What follows `unix:`, in any case, if that is how `text` begins.
pub fn strip_unix(text: &str) -> Option<&str> {
    let (prefix, path) = text.split_at_checked("unix:".len())?;
    prefix.eq_ignore_ascii_case("unix:").then_some(path)
}

/// A path that fits into a socket address.
pub fn check_path(path: &str) -> Result<PathBuf, Malformed> {
    match path.len() {
        0 => Err(Malformed::NoPath),
        1..=MAX_PATH => Ok(path.into()),
        _ => Err(Malformed::PathTooLong),
    }
}

/// The host, brackets included, and what stands behind the colon, if there is one.
pub fn split_port(text: &str) -> Result<(&str, Option<&str>), Malformed> {
    if !text.starts_with('[') {
        return Ok(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))));
    }
    let end = text.find(']').ok_or(Malformed::Host)?;
    match text.split_at(end + 1) {
        (host, "") => Ok((host, None)),
        (host, rest) => Ok((host, Some(rest.strip_prefix(':').ok_or(Malformed::Host)?))),
    }
}

/// A number from 1 to 65535, digits only.
pub fn parse_port(text: &str) -> Result<u16, Malformed> {
    number(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).ok_or(Malformed::Port)
}

/// The host names of a configuration, which the system knows.
pub fn names() -> Names {
    Names::asking(lookup)
}

fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    system(name).map(usable)
}

/// What the system says of `name` (getaddrinfo(3)): each address once. Waits as long as the system does.
pub fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for addr in (name, 0).to_socket_addrs()? {
        if !found.contains(&addr.ip()) {
            found.push(addr.ip());
        }
    }
    Ok(found)
}

/// Of the addresses `found` those of the families that the machine has, as the originals ask for them; all, if that
/// leaves none.
pub fn usable(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let usable: Vec<IpAddr> = found.iter().copied().filter(|ip| ip.is_ipv4() || has_ipv6()).collect();
    if usable.is_empty() { found } else { usable }
}

/// Whether the machine has an IPv6 address beyond its loopback's (AI_ADDRCONFIG of RFC 3493, section 6.1).
fn has_ipv6() -> bool {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces
        .filter_map(|interface| interface.address?.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::ip))
        .any(|ip| !ip.is_loopback())
}

/// `143` or `9143-9145` as the whole of an address; `None` for what must then be a host.
fn only_ports(text: &str) -> Result<Option<RangeInclusive<u16>>, Malformed> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(_), Some(_)) => port_range(text).map(Some),
        _ => Ok(None),
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, Malformed> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    if last < first { Err(Malformed::PortRange) } else { Ok(first..=last) }
}

/// Decimal digits; as large as can be if they are too many.
fn number(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The endpoints of `text`, with a resolver that knows two names.
    fn listening(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "both" => {
                Ok(vec![IpAddr::from([192, 0, 2, 1]), Ipv6Addr::LOCALHOST.into(), [192, 0, 2, 1].into()])
            }
            "127.1" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            _ => Err(io::Error::other("no such host")),
        };
        let endpoints = Listening::parse(text).and_then(|listening| listening.endpoints(lookup));
        let shown = |endpoints: Vec<Endpoint>| {
            endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        endpoints.map(shown).map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn addresses_of_listen_have_many_forms() {
        for (text, expected) in [
            ("127.0.0.1:143", "127.0.0.1:143"),
            ("*:143", "0.0.0.0:143"),
            ("143", "0.0.0.0:143"),
            ("[::1]:143", "[::1]:143"),
            ("[::]:143", "[::]:143"),
            ("unix:/run/imap", "unix:/run/imap"),
            ("UNIX:relative", "unix:relative"),
            ("9143-9145", "0.0.0.0:9143 0.0.0.0:9144 0.0.0.0:9145"),
            ("127.0.0.1:9143-9144", "127.0.0.1:9143 127.0.0.1:9144"),
            ("[::]:9143-9143", "[::]:9143"),
            ("127.0.0.1", "127.0.0.1:0"),
            ("*", "0.0.0.0:0"),
            ("[::]", "[::]:0"),
            ("both:143", "192.0.2.1:143 [::1]:143"),
            ("both:143-144", "192.0.2.1:143 [::1]:143 192.0.2.1:144 [::1]:144"),
            ("127.1:143", "127.0.0.1:143"),
            ("65535", "0.0.0.0:65535"),
        ] {
            assert_eq!(listening(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_the_words_of_the_originals() {
        for (expected, texts) in [
            (
                "invalid port",
                &[
                    "0",
                    "65536",
                    "99999999999999999999999",
                    "*:0",
                    "*:",
                    "*:x",
                    "127.0.0.1:65536",
                    "::1",
                    "::1:143",
                    "9143-70000",
                    "127.0.0.1:143-",
                    "127.0.0.1:-1",
                    "127.0.0.1:+1",
                    "0-1",
                    "a:1-70000",
                ][..],
            ),
            ("invalid port range", &["9145-9143", "a:2-1"]),
            ("no host", &["", ":143"]),
            ("invalid host", &["[::1:143", "[::1]x", "127.0.0.1:143/x", "host?x", "a/b:1"]),
            ("host not found", &["imap", "9143-", "-1", "256.1.1.1:143", "-"]),
            ("invalid IPv6 address", &["[::zz]:143", "[]:143", "[fe80::1%lo]:143"]),
            ("no path in the unix domain socket", &["unix:", "Unix:"]),
        ] {
            for text in texts {
                assert_eq!(listening(text).unwrap_err(), expected, "{text}");
            }
        }
        let path = "p".repeat(107);
        assert!(listening(&format!("unix:{path}")).is_ok());
        let too_long = listening(&format!("unix:{path}p")).unwrap_err();
        assert_eq!(too_long, "too long path in the unix domain socket");
    }
}
