//! Base64 and hexadecimal digits, as hashes are written in.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Broken;

/// Base64 with or without its padding: tools differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How the bytes of a hash are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    None,
    /// In base64 (RFC 4648).
    Base64,
    /// In hexadecimal digits.
    Hex,
}

impl Encoding {
    /// The encoding that a scheme's suffix names.
    pub(crate) fn named(suffix: &[u8]) -> Option<Self> {
        if suffix.eq_ignore_ascii_case(b"hex") {
            Some(Self::Hex)
        } else if suffix.eq_ignore_ascii_case(b"b64") || suffix.eq_ignore_ascii_case(b"base64") {
            Some(Self::Base64)
        } else {
            None
        }
    }

    /// The bytes that `text` stands for.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Vec<u8>, Broken> {
        match self {
            Self::None => Ok(text.to_vec()),
            Self::Base64 => base64(text),
            Self::Hex => hex(text),
        }
    }
}

/// Decodes base64.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, Broken> {
    BASE64.decode(text).map_err(|_| Broken::Encoding)
}

/// Decodes hexadecimal digits of either case.
pub(crate) fn hex(text: &[u8]) -> Result<Vec<u8>, Broken> {
    let (pairs, []) = text.as_chunks::<2>() else { return Err(Broken::Encoding) };
    pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect::<Option<_>>()
        .ok_or(Broken::Encoding)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
