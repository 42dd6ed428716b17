//! Signatures: those of handshakes, always checked, and those of certificates outside webpki's reach.
//!
//! rustls verifies handshakes with certificates that webpki can read. That leaves out certificates of version 1,
//! which is what `openssl x509 -req` has made for client certificates for decades. Here the key is taken out of
//! the certificate first; what else is wrong with it is for others to say, after the handshake.

use std::sync::LazyLock;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;
use x509_parser::x509::AlgorithmIdentifier;

use super::x509;

/// What can be verified.
pub(super) fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> =
        LazyLock::new(|| aws_lc_rs::default_provider().signature_verification_algorithms);
    &ALGORITHMS
}

/// Schemes that peers may sign handshakes with.
pub(super) fn schemes() -> Vec<SignatureScheme> {
    algorithms().supported_schemes()
}

/// That whoever made this TLS 1.2 handshake has the key of `certificate`.
pub(super) fn of_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = algorithms();
    let Some(parsed) = x509::parse(certificate) else {
        return verify_tls12_signature(message, certificate, signed, algorithms);
    };
    let (_, candidates) = (algorithms.mapping.iter())
        .find(|(scheme, _)| *scheme == signed.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // In TLS 1.2 the scheme does not say which curve: any that has the digest will do (RFC 8422, section 5.10).
    if verifies(x509::public_key(&parsed), candidates.iter().copied(), message, signed.signature()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// The same for TLS 1.3.
pub(super) fn of_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(parsed) = x509::parse(certificate) else {
        return verify_tls13_signature(message, certificate, signed, algorithms());
    };
    let key = SubjectPublicKeyInfoDer::from(x509::public_key(&parsed));
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms())
}

/// Whether `signature` over `message` was made by the key `public_key` with `algorithm`, as in certificates.
pub(super) fn is_by(
    public_key: &[u8],
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let wanted = algorithm.algorithm.as_bytes();
    let candidates = algorithms().all.iter().copied().filter(|candidate| {
        // An AlgorithmIdentifier without its own tag: the OID's tag and length, the OID, parameters.
        candidate.signature_alg_id().as_ref().get(2..2 + wanted.len()) == Some(wanted)
    });
    verifies(public_key, candidates, message, signature)
}

fn verifies<'a>(
    public_key: &[u8],
    mut candidates: impl Iterator<Item = &'a dyn rustls::pki_types::SignatureVerificationAlgorithm>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = SubjectPublicKeyInfoDer::from(public_key);
    let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
    candidates.any(|algorithm| key.verify_signature(algorithm, message, signature).is_ok())
}
