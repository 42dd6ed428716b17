//! Base64 (RFC 4648, section 4) with the leniency of the originals, into memory that is wiped.

use ::base64::Engine;
use ::base64::alphabet::STANDARD;
use ::base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ::base64::engine::{DecodePaddingMode, general_purpose};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::Secret;

/// Bytes that are not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid base64 encoding")]
pub struct InvalidBase64;

/// Without padding, which [`decode`] cuts off; bits that are left over may have any value.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes a SASL response.
///
/// The first `=` ends it and whatever follows is ignored, so that padding may be missing and `=` alone is the
/// empty response of RFC 4954. Any other byte outside of the alphabet, and a length that no bytes can have, is an
/// error.
pub fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, InvalidBase64> {
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let mut decoded = Zeroizing::new(vec![0; ::base64::decoded_len_estimate(end)]);
    let length = LENIENT.decode_slice(&text[..end], &mut decoded).map_err(|_| InvalidBase64)?;
    decoded.truncate(length);
    Ok(decoded)
}

/// Encodes a secret with padding.
pub(super) fn encode_secret(bytes: &[u8]) -> Secret {
    Secret::new(general_purpose::STANDARD.encode(bytes).into())
}

/// Encodes with padding.
pub fn encode(bytes: &[u8]) -> Bytes {
    general_purpose::STANDARD.encode(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_originals_accept_is_accepted() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("=", b""),
            ("=!!!", b""),
            ("AHUAcHc=", b"\0u\0pw"),
            ("AHUAcHc", b"\0u\0pw"),
            ("AHUAcHc=!!!", b"\0u\0pw"),
            ("AQ==zzz", b"\x01"),
            ("AR==", b"\x01"),
            ("QUIT", b"\x41\x42\x13"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text.as_bytes()).map(|b| b.to_vec()), Ok(bytes.to_vec()), "{text}");
        }
    }

    #[test]
    fn what_the_originals_refuse_is_refused() {
        for text in
            ["*", "@@", "!!!", "A", "AAAAA", "AHVz_-A=", "\"AHUAcHc=\"", "AHUA cHc=", "AHUA\tcHc=", "AA\0A"]
        {
            assert_eq!(decode(text.as_bytes()).map(|b| b.to_vec()), Err(InvalidBase64), "{text}");
        }
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&bytes)).map(|b| b.to_vec()), Ok(bytes));
    }
}
