//! Addresses by role, so that a client's cannot be taken for an upstream's.

mod prefix;
pub mod written;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use self::prefix::Prefix;

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAddr {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a unix socket, which has no address worth showing.
    Unix,
}

impl ClientAddr {
    /// Address and port, unless it is a unix socket.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Unix => None,
        }
    }

    /// The address, unless it is a unix socket.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix => None,
        }
    }

    /// The address without the port, as `Client-IP` and XCLIENT show it: `192.0.2.1`, `2001:db8::1`, `unix:`.
    pub fn host(&self) -> impl fmt::Display {
        let addr = *self;
        fmt::from_fn(move |f| match addr {
            Self::Tcp(addr) => fmt::Display::fmt(&addr.ip(), f),
            Self::Unix => f.write_str("unix:"),
        })
    }
}

/// Address and port, as Angie's log shows a client: `192.0.2.1:4711`, `[2001:db8::1]:4711`, `unix:`.
impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => fmt::Display::fmt(addr, f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

/// Where a socket can be: bound, or connected to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address and port.
    Tcp(SocketAddr),
    /// The path of a unix stream socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The port, unless it is a unix socket.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(addr) => Some(addr.port()),
            Self::Unix(_) => None,
        }
    }
}

/// `192.0.2.1:143`, `[2001:db8::1]:143`, `unix:/path`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => fmt::Display::fmt(addr, f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A place to connect to that may still need a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address literal.
    Ip(SocketAddr),
    /// A host name and a port.
    Name(String, u16),
    /// The path of a unix stream socket.
    Unix(PathBuf),
}

impl Target {
    /// An address literal or a host name, by what `host` looks like.
    ///
    /// `host` has no brackets: `192.0.2.1`, `2001:db8::1`, `backend.example.org`.
    pub fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(host.to_owned(), port),
        }
    }

    /// The port, unless it is a unix socket.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(addr) => Some(addr.port()),
            Self::Name(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => fmt::Display::fmt(addr, f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
