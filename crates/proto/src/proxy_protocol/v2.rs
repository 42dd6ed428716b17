//! Version 2: twelve bytes of signature, four of facts about the header, addresses, TLVs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Fault, Header, LONGEST, Parsed, Tlvs, Version};

/// What every header of version 2 begins with. No mail command does.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length of the rest.
const FIXED: usize = 16;

/// The only version of this form, in the upper four bits of its byte.
pub(super) const VERSION: u8 = 2;

/// What the sender does, in the lower four bits of the byte after the signature.
pub(super) mod command {
    /// The sender speaks for itself.
    pub(in super::super) const LOCAL: u8 = 0;
    /// The sender speaks for a client.
    pub(in super::super) const PROXY: u8 = 1;
}

/// Family of addresses (upper four bits) and transport (lower four).
pub(super) mod family {
    /// Not known, or without addresses.
    pub(in super::super) const UNSPEC: u8 = 0x00;
    /// TCP over IPv4.
    pub(in super::super) const TCP4: u8 = 0x11;
    /// TCP over IPv6.
    pub(in super::super) const TCP6: u8 = 0x21;
}

/// Reads a header that begins like the signature, of which there are at most [`LONGEST`] bytes.
pub(super) fn parse(input: &[u8]) -> Parsed {
    let Some(&[what, family, high, low]) = input.get(SIGNATURE.len()..).and_then(<[u8]>::first_chunk) else {
        return Parsed::Incomplete;
    };
    if what >> 4 != VERSION {
        return Parsed::Fault(Fault::UnknownVersion(what >> 4));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Parsed::Fault(Fault::TooLarge);
    }
    let Some(whole) = input.get(..length) else { return Parsed::Incomplete };
    // The specification has the whole block discarded when the sender speaks for itself, whatever the family.
    let family = if what & 0x0f == command::PROXY { family } else { family::UNSPEC };
    match header(whole, family) {
        Ok(header) => Parsed::Done { length, header },
        Err(fault) => Parsed::Fault(fault),
    }
}

fn header(whole: &[u8], family: u8) -> Result<Header, Fault> {
    let (addresses, rest) = match family {
        family::TCP4 => tcp4(&whole[FIXED..])?,
        family::TCP6 => tcp6(&whole[FIXED..])?,
        _ => return Ok(Header { version: Version::V2, addresses: None, tlvs: Tlvs::default() }),
    };
    let tlvs = Tlvs::new(rest);
    if !tlvs.checksum_fits(&whole[..whole.len() - rest.len()]) {
        return Err(Fault::Checksum);
    }
    Ok(Header { version: Version::V2, addresses: Some(addresses), tlvs })
}

fn tcp4(block: &[u8]) -> Result<(Addresses, &[u8]), Fault> {
    let (source, rest) = block.split_first_chunk::<4>().ok_or(Fault::NoRoom)?;
    let (destination, rest) = rest.split_first_chunk::<4>().ok_or(Fault::NoRoom)?;
    with_ports(Ipv4Addr::from(*source), Ipv4Addr::from(*destination), rest)
}

fn tcp6(block: &[u8]) -> Result<(Addresses, &[u8]), Fault> {
    let (source, rest) = block.split_first_chunk::<16>().ok_or(Fault::NoRoom)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Fault::NoRoom)?;
    with_ports(Ipv6Addr::from(*source), Ipv6Addr::from(*destination), rest)
}

fn with_ports<I>(source: I, destination: I, rest: &[u8]) -> Result<(Addresses, &[u8]), Fault>
where
    SocketAddr: From<(I, u16)>,
{
    let (&[a, b, c, d], rest) = rest.split_first_chunk().ok_or(Fault::NoRoom)?;
    let source = SocketAddr::from((source, u16::from_be_bytes([a, b])));
    let destination = SocketAddr::from((destination, u16::from_be_bytes([c, d])));
    Ok((Addresses { source: source.into(), destination: destination.into() }, rest))
}
