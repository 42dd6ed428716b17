//! What is asked of a certificate beyond what rustls asks.

use rustls::DistinguishedName;
use rustls::pki_types::UnixTime;
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::time::ASN1Time;

use super::verify_error::VerifyError;

/// The tag of a version.
const VERSION: u8 = 0xa0;

/// Reads `der`, all of it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// The public key, as a SubjectPublicKeyInfo.
pub(super) fn public_key<'a>(certificate: &X509Certificate<'a>) -> &'a [u8] {
    certificate.tbs_certificate.subject_pki.raw
}

/// The subject, as TLS names authorities.
pub(super) fn subject(certificate: &X509Certificate<'_>) -> DistinguishedName {
    // What x509-parser has is the whole SEQUENCE, rustls wants what is in it.
    let subject = certificate.subject().as_raw();
    let content = first_value(subject).map_or(&[][..], |(_, content, _)| content);
    DistinguishedName::in_sequence(content)
}

/// The kind of a public key: its algorithm and the parameters of it, which name the curve.
pub(super) fn key_kind(public_key: &[u8]) -> Option<Vec<u8>> {
    let (_, key) = SubjectPublicKeyInfo::from_der(public_key).ok()?;
    let mut kind = key.algorithm.algorithm.as_bytes().to_vec();
    kind.extend(key.algorithm.parameters.iter().flat_map(|parameters| parameters.data));
    Some(kind)
}

/// Whether the algorithm of the signature is the same inside and outside of what is signed, to the byte (RFC 5280,
/// section 4.1.1.2). The one outside is not protected, so nothing may differ.
pub(super) fn names_one_algorithm(der: &[u8]) -> bool {
    algorithms(der).is_some_and(|(inside, outside)| inside == outside)
}

fn algorithms(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, certificate, _) = first_value(der)?;
    let (_, signed, behind) = first_value(certificate)?;
    let (outside, _, _) = first_value(behind)?;
    let (_, _, mut rest) = first_value(signed)?;
    // That was the version, unless it is 1, which is not written; then it was the serial number.
    if signed.first() == Some(&VERSION) {
        (_, _, rest) = first_value(rest)?;
    }
    let (inside, _, _) = first_value(rest)?;
    Some((inside, outside))
}

/// The first DER value in `bytes` with its tag and length, its content, and what is behind it.
pub(super) fn first_value(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (behind, value) = Any::from_der(bytes).ok()?;
    Some((bytes.get(..bytes.len() - behind.len())?, value.data, behind))
}

/// Whether subject and issuer are the same.
pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// The identifier of its own key (RFC 5280, section 4.2.1.2).
pub(super) fn subject_key_id<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// The identifier of its issuer's key (RFC 5280, section 4.2.1.1).
pub(super) fn authority_key_id<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}

/// When a certificate or a revocation list can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        Self::between(certificate.validity().not_before, Some(certificate.validity().not_after))
    }

    /// From `not_before` to `not_after`, if there is an end.
    pub(super) fn between(not_before: ASN1Time, not_after: Option<ASN1Time>) -> Self {
        Self {
            not_before: not_before.timestamp(),
            not_after: not_after.map_or(i64::MAX, |time| time.timestamp()),
        }
    }

    /// When it begins, seconds since 1970.
    pub(super) const fn begin(self) -> i64 {
        self.not_before
    }

    /// Whether `now` is before, within or behind.
    pub(super) fn at(self, now: UnixTime) -> Age {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < self.not_before {
            Age::Future
        } else if now > self.not_after {
            Age::Past
        } else {
            Age::Present
        }
    }

    /// That a certificate can be used at `now`.
    pub(super) fn check(self, now: UnixTime) -> Result<(), VerifyError> {
        match self.at(now) {
            Age::Future => Err(VerifyError::NotYetValid),
            Age::Present => Ok(()),
            Age::Past => Err(VerifyError::Expired),
        }
    }
}

/// Where a moment lies in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Before it.
    Future,
    /// Within it, first and last second included.
    Present,
    /// Behind it.
    Past,
}
