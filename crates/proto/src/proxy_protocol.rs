//! The PROXY header: what a load balancer says of a connection before the first byte of the client.
//!
//! Source: the PROXY protocol, versions 1 and 2 (haproxy's `doc/proxy-protocol.txt`), read as leniently as the originals
//! do. Unlike theirs, a header may arrive in pieces. Nothing is believed here: whether the sender may speak for others
//! is for the caller to know, and so is the time that a header may take.

mod tlv;
mod v1;
mod v2;
mod write;

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

pub use tlv::{Ssl, Tlv, Tlvs};
pub use write::{Endpoints, write_v1, write_v2};

use crate::auth_http::Proxied;

/// The longest header, in bytes (as the originals, which look at no more).
///
/// The specification stops version 1 at 107 bytes; the originals never did, so longer lines are in use.
pub const LONGEST: usize = 4096;

/// How far the header at the beginning of the input has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Its end is not there yet. Never with [`LONGEST`] bytes or more.
    Incomplete,
    /// It is complete.
    Done {
        /// How many bytes of the input it is.
        length: usize,
        /// What it says.
        header: Header,
    },
    /// It is none, or one that cannot be used.
    Fault(Fault),
}

/// Reads the header at the beginning of `input`.
///
/// What cannot become a header is a fault at once, so that a client that speaks something else is not waited for.
pub fn parse(input: &[u8]) -> Parsed {
    let input = &input[..input.len().min(LONGEST)];
    if begins(input, &v2::SIGNATURE) { v2::parse(input) } else { v1::parse(input) }
}

/// Do `input` and `start` agree as far as both go?
fn begins(input: &[u8], start: &[u8]) -> bool {
    input.iter().zip(start).all(|(a, b)| a == b)
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The form in which it came.
    pub version: Version,
    /// Who is connected to whom; `None` if the sender does not know, speaks for itself (a health check), or proxies
    /// something without addresses.
    pub addresses: Option<Addresses>,
    /// Version 2: further facts. Empty without addresses.
    pub tlvs: Tlvs,
}

/// The form of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Both ends of the connection that the sender accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: Party,
    /// Where it connected to.
    pub destination: Party,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The address as the header wrote it. Version 1 lets anything through that is made of `0-9 a-f A-F . :`, even
    /// nothing; version 2 is formatted normally.
    pub text: String,
    /// The address, if the text is one.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl Party {
    /// Address and port, if the address is one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.ip.map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl From<SocketAddr> for Party {
    fn from(addr: SocketAddr) -> Self {
        Self { text: addr.ip().to_string(), ip: Some(addr.ip()), port: addr.port() }
    }
}

/// For the `Proxy-Protocol-*` headers.
impl From<&Addresses> for Proxied {
    fn from(addresses: &Addresses) -> Self {
        Self {
            source: addresses.source.text.clone(),
            source_port: addresses.source.port,
            destination: addresses.destination.text.clone(),
            destination_port: addresses.destination.port,
        }
    }
}

/// Why a header cannot be used. The connection is closed without a byte. Texts as in the originals' log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither version. Holds what came, up to the first CR or LF; at most [`LONGEST`] bytes, and any bytes. Of a client
    /// that speaks mail at once it is the first word only: a password may follow (the originals log the line).
    #[error("broken header: \"{}\"", .0.escape_ascii())]
    Broken(Bytes),
    /// The signature of version 2, and then another version.
    #[error("unknown PROXY protocol version: {0}")]
    UnknownVersion(u8),
    /// Version 2 that announces more than [`LONGEST`] bytes.
    #[error("header is too large")]
    TooLarge,
    /// Version 2 without room for the addresses of its family. The originals log nothing here.
    #[error("no room for addresses in header")]
    NoRoom,
    /// Version 2 with a CRC32C that is not its own. The originals do not look at it.
    #[error("wrong checksum in header")]
    Checksum,
}

impl Fault {
    /// A header that ended with `input` because the client went away (in the originals: the text of what there was).
    pub fn ended(input: &[u8]) -> Self {
        let input = &input[..input.len().min(LONGEST)];
        let is_meant = input.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"PROXY"));
        let end = if is_meant {
            memchr::memchr2(b'\r', b'\n', input)
        } else {
            memchr::memchr3(b'\r', b'\n', b' ', input)
        };
        Self::Broken(Bytes::copy_from_slice(&input[..end.unwrap_or(input.len())]))
    }
}

#[cfg(test)]
mod tests;
