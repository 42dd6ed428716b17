//! Headers that we send to upstreams.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};

use super::tlv::{checksum, kind};
use super::v2::{SIGNATURE, VERSION, command, family};

/// Both ends of a connection over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

impl Endpoints {
    /// Both ends in one family, which is the client's.
    ///
    /// They differ when the client's address came in a PROXY header. An IPv4 address has a form in IPv6 (RFC 4291,
    /// section 2.5.5.2), so an IPv6 client costs nothing. An IPv6 destination has one in IPv4 only if it is such a form
    /// itself; otherwise both ends are written as IPv6. (The originals mix families in one line, which Dovecot and
    /// Postfix refuse.)
    #[must_use]
    pub fn in_one_family(self) -> Self {
        let Self { source, destination } = self;
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => self,
            (IpAddr::V6(_), IpAddr::V4(_)) => Self { destination: mapped(destination), ..self },
            (IpAddr::V4(_), IpAddr::V6(to)) => match to.to_ipv4_mapped() {
                Some(to) => Self { destination: SocketAddr::from((to, destination.port())), ..self },
                None => Self { source: mapped(source), ..self },
            },
        }
    }
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), addr.port())),
        IpAddr::V6(_) => addr,
    }
}

/// Appends a header of version 1. `None` stands for a client without an address: it came over a unix socket.
pub fn write_v1(endpoints: Option<Endpoints>, output: &mut BytesMut) {
    let Some(Endpoints { source, destination }) = endpoints.map(Endpoints::in_one_family) else {
        output.put_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let family = if source.is_ipv4() { 4 } else { 6 };
    let (from, to) = (source.ip(), destination.ip());
    write!(output, "PROXY TCP{family} {from} {to} {} {}\r\n", source.port(), destination.port())
        .expect("a buffer takes all that is written");
}

/// Appends a header of version 2 with a CRC32C, and no other TLV (as nginx 1.31). `None` as for [`write_v1`].
pub fn write_v2(endpoints: Option<Endpoints>, output: &mut BytesMut) {
    let start = output.len();
    output.put_slice(&SIGNATURE);
    match endpoints.map(Endpoints::in_one_family) {
        Some(endpoints) => put_endpoints(endpoints, output),
        None => put_facts(command::LOCAL, family::UNSPEC, 0, output),
    }
    put_checksum(start, output);
}

fn put_endpoints(Endpoints { source, destination }: Endpoints, output: &mut BytesMut) {
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            put_facts(command::PROXY, family::TCP4, 12, output);
            output.put_slice(&source.octets());
            output.put_slice(&destination.octets());
        }
        (source, destination) => {
            put_facts(command::PROXY, family::TCP6, 36, output);
            output.put_slice(&octets(source));
            output.put_slice(&octets(destination));
        }
    }
    output.put_u16(source.port());
    output.put_u16(destination.port());
}

/// An address of either family as one of IPv6.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A kind, a length, and four bytes.
const CHECKSUM: u16 = 7;

fn put_facts(command: u8, family: u8, addresses: u16, output: &mut BytesMut) {
    output.put_u8(VERSION << 4 | command);
    output.put_u8(family);
    output.put_u16(addresses + CHECKSUM);
}

/// The checksum is that of the header with zeros in its own place.
fn put_checksum(start: usize, output: &mut BytesMut) {
    output.put_u8(kind::CRC32C);
    output.put_u16(4);
    let sum = checksum(&[&output[start..], &[0; 4]]);
    output.put_u32(sum);
}
