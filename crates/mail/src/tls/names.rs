//! Certificates, versions and cipher suites in the words of OpenSSL, as auth servers get to hear them.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::auth_http::{Certificate, Tls, Verification};
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};
use x509_parser::asn1_rs::{Any, Oid, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::ciphers;
use super::oids::NAMES;
use super::protocols::Version;
use super::x509;

/// How long a line of PEM is, characters (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// What an auth server is told of a connection, beside the name that the client asked for.
pub fn facts(version: ProtocolVersion, suite: CipherSuite, verification: Option<Verification>) -> Tls {
    Tls {
        protocol: protocol_name(version).into(),
        cipher: cipher_name(suite).into(),
        server_name: None,
        verification,
    }
}

/// `TLSv1.3`.
pub const fn protocol_name(version: ProtocolVersion) -> &'static str {
    match Version::of(version) {
        Some(version) => version.name(),
        None => "unknown",
    }
}

/// `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-GCM-SHA256`.
pub fn cipher_name(suite: CipherSuite) -> &'static str {
    ciphers::openssl_name(suite).unwrap_or("(NONE)")
}

/// What an auth server is told of a client's certificate; the certificate itself only if `with_pem`.
///
/// One that cannot be read has empty names, but still a fingerprint.
pub fn certificate_facts(certificate: &CertificateDer<'_>, with_pem: bool) -> Certificate {
    let parsed = x509::parse(certificate);
    let name = |name: Option<&X509Name<'_>>| name.map(rfc2253).unwrap_or_default();
    Certificate {
        subject: name(parsed.as_ref().map(|parsed| parsed.subject())),
        issuer: name(parsed.as_ref().map(|parsed| parsed.issuer())),
        serial: parsed.map(|parsed| serial(parsed.tbs_certificate.raw_serial())).unwrap_or_default(),
        fingerprint: fingerprint(certificate),
        pem: with_pem.then(|| pem(certificate)),
    }
}

/// SHA-1 over the certificate, lower-case hexadecimal. A name for it, not a proof.
fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref() {
        push_hex(&mut text, *byte);
    }
    text.make_ascii_lowercase();
    text
}

/// The certificate in PEM form, with its final newline.
pub(super) fn pem(certificate: &[u8]) -> String {
    let base64 = STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(PEM_LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A serial number, the content of a DER INTEGER, in upper-case hexadecimal.
fn serial(content: &[u8]) -> String {
    let negative = content.first().is_some_and(|first| first & 0x80 != 0);
    let magnitude = if negative { negated(content) } else { content.to_vec() };
    let start = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    let mut text = String::from(if negative { "-" } else { "" });
    if start == magnitude.len() {
        text.push_str("00");
    }
    for byte in &magnitude[start..] {
        push_hex(&mut text, *byte);
    }
    text
}

/// The two's complement of a number, most significant byte first.
fn negated(number: &[u8]) -> Vec<u8> {
    let mut negated: Vec<u8> = number.iter().map(|byte| !byte).collect();
    for byte in negated.iter_mut().rev() {
        let (sum, overflow) = byte.overflowing_add(1);
        *byte = sum;
        if !overflow {
            break;
        }
    }
    negated
}

/// A name as `openssl x509 -nameopt RFC2253` prints it: last part first, everything but printable ASCII escaped.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        let mut values: Vec<_> = part.iter().collect();
        values.reverse();
        for (within, value) in values.into_iter().enumerate() {
            match (index, within) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                (_, _) => text.push('+'),
            }
            push_attribute(&mut text, value);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let known = name_of(attribute.attr_type());
    match known {
        Some(name) => text.push_str(name),
        None => text.push_str(&attribute.attr_type().to_id_string()),
    }
    text.push('=');
    match known.and_then(|_| characters(attribute.attr_value())) {
        Some(characters) => push_escaped(text, &characters),
        None => push_dump(text, attribute.attr_value()),
    }
}

/// OpenSSL's short name of an attribute.
fn name_of(oid: &Oid<'_>) -> Option<&'static str> {
    let text = oid.to_id_string();
    NAMES.iter().find(|(known, _)| *known == text).map(|(_, name)| *name)
}

/// The UTF-8 of a string, byte by byte, or `None` if `value` is no string or one that cannot be read.
fn characters(value: &Any<'_>) -> Option<Vec<u8>> {
    match value.tag() {
        // Not checked: OpenSSL prints the bytes that are there.
        Tag::Utf8String => Some(value.data.to_vec()),
        // Taken for Latin-1, even T.61, again as OpenSSL does.
        Tag::NumericString
        | Tag::PrintableString
        | Tag::T61String
        | Tag::Ia5String
        | Tag::UtcTime
        | Tag::GeneralizedTime
        | Tag::VisibleString => {
            Some(value.data.iter().copied().map(char::from).collect::<String>().into_bytes())
        }
        Tag::BmpString => wide::<2>(value.data),
        Tag::UniversalString => wide::<4>(value.data),
        _ => None,
    }
}

/// Characters of `N` bytes each.
fn wide<const N: usize>(data: &[u8]) -> Option<Vec<u8>> {
    let (units, rest) = data.as_chunks::<N>();
    if !rest.is_empty() {
        return None;
    }
    let number = |unit: &[u8; N]| unit.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let text: Option<String> = units.iter().map(|unit| char::from_u32(number(unit))).collect();
    text.map(String::into_bytes)
}

/// A string with what RFC 2253, section 2.4, and OpenSSL escape.
fn push_escaped(text: &mut String, bytes: &[u8]) {
    let last = bytes.len().saturating_sub(1);
    for (index, byte) in bytes.iter().enumerate() {
        let special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b' ' => index == 0 || index == last,
            // Only as the first of several: OpenSSL takes a single character for the last one.
            b'#' => index == 0 && last > 0,
            _ => false,
        };
        match byte {
            _ if special => text.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => {
                text.push('\\');
                push_hex(text, *byte);
            }
        }
    }
}

/// `#` and the whole value in DER.
fn push_dump(text: &mut String, value: &Any<'_>) {
    text.push('#');
    for byte in value.to_der_vec().unwrap_or_default() {
        push_hex(text, byte);
    }
}

fn push_hex(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::openssl;

    /// What `openssl x509` prints of a certificate.
    fn by_openssl(pem: &str) -> Certificate {
        let what = ["-subject", "-issuer", "-serial", "-fingerprint", "-sha1"];
        let arguments = [&["x509", "-noout", "-nameopt", "RFC2253"][..], &what].concat();
        let text = String::from_utf8(openssl::run(&arguments, pem.as_bytes())).expect("text");
        let mut values = text.lines().map(|line| line.split_once('=').expect("a value").1.to_owned());
        let mut next = || values.next().expect("four lines");
        Certificate {
            subject: next(),
            issuer: next(),
            serial: next(),
            fingerprint: next().replace(':', "").to_lowercase(),
            pem: Some(pem.to_owned()),
        }
    }

    fn check(certificate: &[u8]) {
        let expected = by_openssl(&pem(certificate));
        assert_eq!(certificate_facts(&CertificateDer::from(certificate), true), expected);
    }

    #[test]
    fn names_are_printed_as_openssl_prints_them() {
        for subject in [
            "/C=DE/ST=Some-State/L=Köln/O=Ex ample, Inc/OU=a+b/CN=good/emailAddress=a@b.example",
            "/CN= leading and trailing ",
            "/CN=#hash",
            "/CN=#",
            "/CN=a#b",
            "/CN=  ",
            "/CN=quo\"te<>;=\\\\back",
            "/DC=org/DC=example/UID=u1/CN=Ünïcode ☃ 😀",
            "/CN=multi+OU=valued+O=part/C=DE",
            "/1.2.3.4.5.6=odd/CN=x",
            "/serialNumber=5/GN=g/SN=s/title=t/street=x y/postalCode=1/dnQualifier=q/pseudonym=p",
            "/jurisdictionC=DE/businessCategory=b/organizationIdentifier=o",
            "/CN=tab\there",
        ] {
            check(&openssl::self_signed(subject));
        }
    }

    #[test]
    fn strings_of_all_kinds_are_printed_as_openssl_prints_them() {
        // The subject's one attribute, its value as tag, length and content.
        let values: [&[u8]; 10] = [
            b"\x0c\x03a\xc3\xbc",
            b"\x13\x02a*",
            b"\x14\x02a\xfc",
            b"\x16\x03a@\x00",
            b"\x1e\x04\x00a\x26\x03",
            b"\x1c\x08\x00\x00\x00a\x00\x01\xf6\x00",
            b"\x12\x0212",
            b"\x30\x03\x02\x01\x05",
            b"\x03\x02\x00\x80",
            b"\x0c\x00",
        ];
        for value in values {
            check(&openssl::with_subject_value(value));
        }
    }

    #[test]
    fn serial_numbers_are_upper_case_hexadecimal() {
        let cases: [(&[u8], &str); 6] = [
            (&[0x00], "00"),
            (&[0x01], "01"),
            (&[0x00, 0xff], "FF"),
            (&[0x0a, 0xbc], "0ABC"),
            (&[0xff], "-01"),
            (&[0x80, 0x00], "-8000"),
        ];
        for (content, expected) in cases {
            assert_eq!(serial(content), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_has_a_fingerprint_only() {
        let facts = certificate_facts(&CertificateDer::from(&b"abc"[..]), false);
        assert_eq!(facts.fingerprint, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!((facts.subject, facts.issuer, facts.serial, facts.pem), Default::default());
    }

    #[test]
    fn connections_are_told_in_openssl_s_words() {
        let facts = facts(ProtocolVersion::TLSv1_2, CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, None);
        assert_eq!((&*facts.protocol, &*facts.cipher), ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"));
        assert_eq!(protocol_name(ProtocolVersion::TLSv1_3), "TLSv1.3");
        assert_eq!(cipher_name(CipherSuite::TLS13_AES_256_GCM_SHA384), "TLS_AES_256_GCM_SHA384");
    }
}
