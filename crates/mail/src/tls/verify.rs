//! Client certificates: asked for in the handshake, judged after it.
//!
//! As in the originals a bad certificate does not fail the handshake: the client is told inside TLS, in the words
//! of its protocol. What must hold in the handshake is that the client has the key of its certificate. A session
//! that is resumed brings its certificates along and they are judged again, so that neither expiry nor a new
//! revocation list can be slept through.

use std::fmt;
use std::sync::Arc;

use proto::auth_http::{Verification, Verify};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::names;
use super::settings::VerifyClient;
use super::signature;
use super::trust::{Purpose, Trust};
use super::verify_error::VerifyError;

/// What a server thinks of client certificates.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) mode: VerifyClient,
    pub(super) trust: Trust,
    pub(super) clock: Arc<dyn TimeProvider>,
}

impl Policy {
    /// Judges what a client has sent, leaf first.
    pub(super) fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> ClientCertificate {
        let Some([leaf, ..]) = chain else {
            return ClientCertificate { mode: self.mode, result: Verified::None, leaf: None };
        };
        let result = match self.check(chain.unwrap_or_default()) {
            Ok(()) => Verified::Success,
            Err(error) => Verified::Failed(error),
        };
        ClientCertificate { mode: self.mode, result, leaf: Some(leaf.clone().into_owned()) }
    }

    fn check(&self, chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
        let now = self.clock.current_time().ok_or(VerifyError::Unspecified)?;
        self.trust.check(chain, Purpose::Client, now)
    }
}

/// A client's certificate, or that there is none, and what is thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    mode: VerifyClient,
    /// The result.
    pub result: Verified,
    /// The client's own certificate.
    pub leaf: Option<CertificateDer<'static>>,
}

/// The result of verifying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It is good.
    Success,
    /// There is none.
    None,
    /// It is not good.
    Failed(VerifyError),
}

impl ClientCertificate {
    /// Why the client must go, if it must.
    pub fn rejection(&self) -> Option<Rejection> {
        match (self.result, self.mode) {
            (Verified::None, VerifyClient::On) => Some(Rejection::Missing),
            (Verified::Failed(error), VerifyClient::OptionalNoCa) if error.is_about_trust() => None,
            (Verified::Failed(error), _) => Some(Rejection::Bad(error)),
            (Verified::None | Verified::Success, _) => None,
        }
    }

    /// What an auth server is told; the certificate itself only if `with_pem`.
    pub fn verification(&self, with_pem: bool) -> Verification {
        let result = match self.result {
            Verified::Success => Verify::Success,
            Verified::None => Verify::None,
            Verified::Failed(error) => Verify::Failed(error.text().into()),
        };
        Verification {
            result,
            certificate: self.leaf.as_ref().map(|leaf| names::certificate_facts(leaf, with_pem)),
        }
    }
}

/// Why a client must go; shown as the log line of the originals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It has no certificate.
    Missing,
    /// Its certificate is not good.
    Bad(VerifyError),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("client sent no required SSL certificate"),
            Self::Bad(error) => write!(f, "client SSL certificate verify error: ({error})"),
        }
    }
}

/// Asks for a certificate and takes any of which the client has the key.
#[derive(Debug)]
pub(super) struct AskForCertificate {
    /// The subjects of authorities that the client may choose a certificate by.
    pub(super) hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Policy::judge does it, once the client can be told.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::of_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::of_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes()
    }
}
