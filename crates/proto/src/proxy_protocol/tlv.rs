//! The TLVs of version 2: facts that a sender may add. A kind of one byte, a length of two, a value.
//!
//! Reading stops where a length points beyond the end; what came before counts (the originals do not look at all).

use crate::auth_http::{Tls, Verification, Verify};
use crc::{CRC_32_ISCSI, Crc};

/// CRC32C, with the polynomial of Castagnoli (RFC 9260, appendix A).
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The longest unique id, in bytes.
const LONGEST_ID: usize = 128;

/// Kinds of TLVs, and those within the one about TLS.
pub(super) mod kind {
    pub(in super::super) const ALPN: u8 = 0x01;
    pub(in super::super) const AUTHORITY: u8 = 0x02;
    pub(in super::super) const CRC32C: u8 = 0x03;
    pub(in super::super) const UNIQUE_ID: u8 = 0x05;
    pub(in super::super) const SSL: u8 = 0x20;
    pub(in super::super) const SSL_VERSION: u8 = 0x21;
    pub(in super::super) const SSL_CN: u8 = 0x22;
    pub(in super::super) const SSL_CIPHER: u8 = 0x23;
    /// Of those for anybody's own use (0xE0 to 0xEF). Others may use it too, so the value says whose it is.
    pub(in super::super) const HOPS: u8 = 0xe7;
}

/// What the value of a TLV about hops begins with.
pub(super) const OURS: &[u8] = b"gatepost";

/// All TLVs of a header, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tlvs(Box<[u8]>);

/// One TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tlv<'a> {
    /// The application protocol that TLS agreed on.
    Alpn(&'a [u8]),
    /// The host name that the client asked for in TLS (SNI).
    Authority(&'a [u8]),
    /// The sender's name of the connection, at most 128 bytes.
    UniqueId(&'a [u8]),
    /// What the sender knows of the client's TLS.
    Ssl(Ssl<'a>),
    /// How many proxies the client may still pass, says another gatepost.
    Hops(u8),
    /// Anything else.
    Other {
        /// Its kind.
        kind: u8,
        /// Its value.
        value: &'a [u8],
    },
}

/// Facts about the TLS that the sender ended. Texts are the sender's, and any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Did the client connect over TLS?
    pub active: bool,
    /// Did the client present a certificate, on this connection or when the TLS session that it resumed began?
    pub certificate: bool,
    /// Did it present one, and was that one verified?
    pub verified: bool,
    /// The version of TLS: `TLSv1.3`.
    pub version: Option<&'a [u8]>,
    /// The common name of the certificate's subject.
    pub common_name: Option<&'a [u8]>,
    /// The cipher suite.
    pub cipher: Option<&'a [u8]>,
}

/// For the `Auth-SSL-*` headers. The sender tells whether there was a good certificate, but not which.
impl From<&Ssl<'_>> for Tls {
    fn from(ssl: &Ssl<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let result = match (ssl.certificate, ssl.verified) {
            (false, _) => Verify::None,
            (true, true) => Verify::Success,
            (true, false) => Verify::Failed("not verified".to_owned()),
        };
        let verification = Some(Verification { result, certificate: None });
        Self { protocol: text(ssl.version), cipher: text(ssl.cipher), server_name: None, verification }
    }
}

impl Tlvs {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Each TLV.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'_>> {
        Raw(&self.0).map(Tlv::from)
    }

    /// What the sender knows of the client's TLS.
    pub fn ssl(&self) -> Option<Ssl<'_>> {
        self.iter().find_map(|tlv| if let Tlv::Ssl(ssl) = tlv { Some(ssl) } else { None })
    }

    /// How many proxies the client may still pass.
    pub fn hops(&self) -> Option<u8> {
        self.iter().find_map(|tlv| if let Tlv::Hops(left) = tlv { Some(left) } else { None })
    }

    /// Is the checksum that of all of the header, itself counted as zeros? Yes if there is none.
    pub(super) fn checksum_fits(&self, before: &[u8]) -> bool {
        let mut rest = Raw(&self.0);
        let Some((_, value)) = rest.find(|(kind, _)| *kind == kind::CRC32C) else { return true };
        let Some(expected) = value.try_into().ok().map(u32::from_be_bytes) else { return false };
        let after = rest.0;
        let until = &self.0[..self.0.len() - after.len() - value.len()];
        checksum(&[before, until, &[0; 4], after]) == expected
    }
}

impl<'a> From<(u8, &'a [u8])> for Tlv<'a> {
    fn from((kind, value): (u8, &'a [u8])) -> Self {
        match kind {
            kind::ALPN => Self::Alpn(value),
            kind::AUTHORITY => Self::Authority(value),
            kind::UNIQUE_ID if value.len() <= LONGEST_ID => Self::UniqueId(value),
            kind::SSL => Ssl::parse(value).map_or(Self::Other { kind, value }, Self::Ssl),
            kind::HOPS => match value.strip_prefix(OURS) {
                Some([left]) => Self::Hops(*left),
                _ => Self::Other { kind, value },
            },
            _ => Self::Other { kind, value },
        }
    }
}

impl<'a> Ssl<'a> {
    /// One byte of flags, four that are zero if the certificate was verified, and TLVs of their own.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (&[flags, verify @ ..], facts) = value.split_first_chunk::<5>()?;
        let fact = |wanted| Raw(facts).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let certificate = flags & (Self::CERT_CONN | Self::CERT_SESS) != 0;
        Some(Self {
            active: flags & Self::SSL != 0,
            certificate,
            // Zero stands there without a certificate as well.
            verified: certificate && verify == [0; 4],
            version: fact(kind::SSL_VERSION),
            common_name: fact(kind::SSL_CN),
            cipher: fact(kind::SSL_CIPHER),
        })
    }

    const SSL: u8 = 0x01;
    const CERT_CONN: u8 = 0x02;
    const CERT_SESS: u8 = 0x04;
}

/// Kinds and values that are still to be read.
struct Raw<'a>(&'a [u8]);

impl<'a> Iterator for Raw<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, high, low], rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        self.0 = rest;
        Some((kind, value))
    }
}

/// The CRC32C of `parts`, one after the other.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}
