//! Headers that we send to upstreams.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};

use super::tlv::{OURS, checksum, kind};
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

/// Appends a header of version 2 with a CRC32C, and no other TLV (as nginx 1.31) unless there is a number of `hops` that
/// the client has left, which is for another gatepost. `None` for endpoints as for [`write_v1`].
pub fn write_v2(endpoints: Option<Endpoints>, hops: Option<u8>, output: &mut BytesMut) {
    let start = output.len();
    let mut block = BytesMut::new();
    let (command, family) = match endpoints.map(Endpoints::in_one_family) {
        Some(endpoints) => (command::PROXY, put_addresses(endpoints, &mut block)),
        None => (command::LOCAL, family::UNSPEC),
    };
    // Whoever reads LOCAL skips the block.
    if let (command::PROXY, Some(left)) = (command, hops) {
        put_hops(left, &mut block);
    }
    output.put_slice(&SIGNATURE);
    output.put_u8(VERSION << 4 | command);
    output.put_u8(family);
    output.put_u16(u16::try_from(block.len()).expect("addresses and a short TLV") + CHECKSUM);
    output.put_slice(&block);
    put_checksum(start, output);
}

/// Both ends; returns their family.
fn put_addresses(Endpoints { source, destination }: Endpoints, block: &mut BytesMut) -> u8 {
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            block.put_slice(&source.octets());
            block.put_slice(&destination.octets());
            family::TCP4
        }
        (source, destination) => {
            block.put_slice(&octets(source));
            block.put_slice(&octets(destination));
            family::TCP6
        }
    };
    block.put_u16(source.port());
    block.put_u16(destination.port());
    family
}

/// An address of either family as one of IPv6.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn put_hops(left: u8, block: &mut BytesMut) {
    let value = [OURS, &[left]].concat();
    block.put_u8(kind::HOPS);
    block.put_u16(u16::try_from(value.len()).expect("a short value"));
    block.put_slice(&value);
}

/// The length of a checksum's TLV: a kind, a length, and four bytes.
const CHECKSUM: u16 = 7;

/// The checksum is that of the header with zeros in its own place.
fn put_checksum(start: usize, output: &mut BytesMut) {
    output.put_u8(kind::CRC32C);
    output.put_u16(4);
    let sum = checksum(&[&output[start..], &[0; 4]]);
    output.put_u32(sum);
}
