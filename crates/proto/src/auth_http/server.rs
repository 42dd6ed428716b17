//! The place that `Auth-Server` and `Auth-Port` name, and how to speak TLS with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::Unusable;
use super::answer::excerpt;

/// Where an auth server sends a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// An address and port.
    Ip(SocketAddr),
    /// A host name, still to be resolved, and a port. The originals refuse names.
    Name(String, u16),
    /// The path of a unix stream socket. The originals refuse it.
    Unix(PathBuf),
}

/// What an auth server says of TLS with the upstream. Nothing said leaves it to the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// `Auth-Server-SSL`: whether, and how, TLS is spoken.
    pub mode: Option<TlsMode>,
    /// `Auth-Server-Name`: the name, or address, that the upstream's certificate has to be for.
    pub name: Option<String>,
}

/// Whether, and how, TLS is spoken with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// `off`
    Off,
    /// `on`: from the first byte on.
    Implicit,
    /// `starttls`: by STARTTLS or STLS.
    Starttls,
}

impl ServerTls {
    /// Reads the two headers. Whoever sends one means something by it, so an empty one is no less invalid.
    pub(super) fn parse(mode: Option<&[u8]>, name: Option<&[u8]>) -> Result<Self, Unusable> {
        let parse_mode = |value| TlsMode::parse(value).ok_or_else(|| Unusable::InvalidTls(excerpt(value)));
        let parse_name = |value| parse_name(value).ok_or_else(|| Unusable::InvalidName(excerpt(value)));
        Ok(Self { mode: mode.map(parse_mode).transpose()?, name: name.map(parse_name).transpose()? })
    }
}

impl TlsMode {
    fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"off" => Some(Self::Off),
            b"on" => Some(Self::Implicit),
            b"starttls" => Some(Self::Starttls),
            _ => None,
        }
    }
}

/// What a certificate can be for: a host name or an address.
fn parse_name(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok()?;
    (text.parse::<IpAddr>().is_ok() || is_host_name(text)).then(|| text.to_owned())
}

impl Server {
    /// Reads the two headers; the address is looked at first, as in the originals.
    pub(super) fn parse(server: &[u8], port: &[u8]) -> Result<Self, Unusable> {
        let text = str::from_utf8(server).map_err(|_| Unusable::InvalidAddress(excerpt(server)))?;
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path).ok_or_else(|| Unusable::InvalidAddress(excerpt(server)));
        }
        let host = Host::parse(text).ok_or_else(|| Unusable::InvalidAddress(excerpt(server)))?;
        let port = parse_port(port).ok_or_else(|| Unusable::InvalidPort(excerpt(port)))?;
        Ok(match host {
            Host::Ip(ip) => Self::Ip(SocketAddr::new(ip, port)),
            Host::Name(name) => Self::Name(name.to_owned(), port),
        })
    }

    /// Whether `server` is complete without a port.
    pub(super) fn needs_port(server: &[u8]) -> bool {
        !server.starts_with(b"unix:")
    }
}

/// `Auth-Server` as far as TCP goes.
enum Host<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

impl<'a> Host<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(ip) = parse_ipv4(text) {
            return Some(Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Some(Self::Ip(ip.into()));
        }
        is_host_name(text).then_some(Self::Name(text))
    }
}

/// Four decimal numbers. As the originals: leading zeros and empty numbers are fine, all ones are not.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut numbers = text.split('.');
    for octet in &mut octets {
        *octet = parse_octet(numbers.next()?)?;
    }
    (numbers.next().is_none() && octets != [255; 4]).then(|| octets.into())
}

fn parse_octet(digits: &str) -> Option<u8> {
    digits.bytes().try_fold(0_u8, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// RFC 1123, section 2.1, and underscores, which occur inside private networks.
///
/// A name that ends in a number is none: it would be a misspelt address (`127.0.1`), and resolvers disagree
/// about those.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// An absolute path that fits into a socket address (`sun_path` has 108 bytes, one of them for the NUL).
fn unix(path: &str) -> Option<Server> {
    let usable = path.starts_with('/') && path.len() <= 107 && !path.contains('\0');
    usable.then(|| Server::Unix(path.into()))
}

/// 1 to 65535, digits only.
fn parse_port(text: &[u8]) -> Option<u16> {
    let all_digits = text.iter().all(u8::is_ascii_digit);
    let port = str::from_utf8(text).ok()?.parse().ok()?;
    (all_digits && port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(server: &str, port: &str) -> Result<String, Unusable> {
        Server::parse(server.as_bytes(), port.as_bytes()).map(|server| match server {
            Server::Ip(addr) => format!("ip {addr}"),
            Server::Name(name, port) => format!("name {name} {port}"),
            Server::Unix(path) => format!("unix {}", path.display()),
        })
    }

    #[test]
    fn addresses_names_and_sockets_are_told_apart() {
        let long = format!("{}.de", ["a"; 125].join("."));
        for (server, meaning) in [
            ("192.0.2.1", "ip 192.0.2.1:143"),
            ("127.000.0.01", "ip 127.0.0.1:143"),
            ("127.0.0.", "ip 127.0.0.0:143"),
            ("::1", "ip [::1]:143"),
            ("::ffff:127.0.0.1", "ip [::ffff:127.0.0.1]:143"),
            ("localhost", "name localhost 143"),
            ("be-1.my_net.example.", "name be-1.my_net.example. 143"),
            ("1.example", "name 1.example 143"),
            (&long, &format!("name {long} 143")),
            ("unix:/run/imap", "unix /run/imap"),
        ] {
            assert_eq!(parse(server, "143").as_deref(), Ok(meaning));
        }
    }

    #[test]
    fn anything_else_is_an_invalid_address() {
        let label = "a".repeat(64);
        let name = format!("{}.de", ["a"; 126].join("."));
        let path = format!("unix:/{}", "a".repeat(107));
        for server in [
            "255.255.255.255",
            "256.0.0.1",
            "127.0.1",
            "1.2.3.4.5",
            "0x7f.0.0.1",
            "12345678901234567890.0.0.1",
            "127.0.0.1:143",
            "127.0.0.1 x",
            "[::1]",
            "fe80::1%lo",
            "a..b",
            ".",
            ".a",
            "a b",
            "a/b",
            "böse",
            "unix:",
            "unix:run",
            "unix:/a\0b",
            &label,
            &name,
            &path,
        ] {
            let address = Unusable::InvalidAddress(server.as_bytes().to_vec().into());
            assert_eq!(parse(server, "143"), Err(address));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_an_invalid_address() {
        assert!(matches!(Server::parse(b"\xff", b"1"), Err(Unusable::InvalidAddress(_))));
        assert!(matches!(Server::parse(b"unix:/\xff", b""), Err(Unusable::InvalidAddress(_))));
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        for good in ["1", "0143", "65535"] {
            assert!(parse("::1", good).is_ok(), "{good}");
        }
        for bad in ["0", "65536", "14x", "+143", "-1", " 143", "99999999999999999999"] {
            assert_eq!(parse("::1", bad), Err(Unusable::InvalidPort(bad.as_bytes().to_vec().into())));
        }
    }

    #[test]
    fn tls_with_an_upstream_is_off_on_or_begins_with_starttls() {
        let tls = |mode: &[u8], name: &str| ServerTls::parse(Some(mode), Some(name.as_bytes()));
        for (value, mode) in
            [("off", TlsMode::Off), ("on", TlsMode::Implicit), ("starttls", TlsMode::Starttls)]
        {
            let expected = ServerTls { mode: Some(mode), name: Some("be.example".into()) };
            assert_eq!(tls(value.as_bytes(), "be.example"), Ok(expected));
        }
        assert_eq!(ServerTls::parse(None, None), Ok(ServerTls::default()));
        for bad in [&b""[..], b"ON", b"yes", b"on off", b"\xff"] {
            assert_eq!(tls(bad, "be.example"), Err(Unusable::InvalidTls(bad.to_vec().into())));
        }
        for bad in ["", "be example", "*.example", "[::1]", "10.0.0", "a..b"] {
            assert_eq!(tls(b"on", bad), Err(Unusable::InvalidName(bad.as_bytes().to_vec().into())));
        }
        for good in ["192.0.2.1", "2001:db8::1", "be-1.my_net"] {
            assert_eq!(tls(b"on", good).unwrap().name.as_deref(), Some(good));
        }
    }

    #[test]
    fn the_address_is_complained_about_before_the_port() {
        assert!(matches!(parse("[::1]", "x"), Err(Unusable::InvalidAddress(_))));
    }
}
