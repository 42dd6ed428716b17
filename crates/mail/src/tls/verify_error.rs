//! Results of verifying a certificate, with the numbers and texts that OpenSSL 3 has for them.

use std::fmt;

/// Why a certificate is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// Something that has no number of its own.
    Unspecified,
    /// A trusted certificate is not the end of its chain, and the end is missing.
    NoIssuer,
    /// No revocation list for a certificate of the chain.
    NoCrl,
    /// A signature in the chain is wrong.
    Signature,
    /// A revocation list's signature is wrong.
    CrlSignature,
    /// Too early.
    NotYetValid,
    /// Too late.
    Expired,
    /// A revocation list from the future.
    CrlNotYetValid,
    /// A revocation list from the past.
    CrlExpired,
    /// It vouches for itself only.
    SelfSigned,
    /// The end of its chain vouches for itself only.
    SelfSignedInChain,
    /// Nobody knows who issued the end of its chain.
    NoLocalIssuer,
    /// Nobody knows who issued it, and there is no more than it.
    NoChain,
    /// Taken back by its authority.
    Revoked,
    /// An authority issued through more authorities than it may.
    PathLength,
    /// Meant for something else; also the last that OpenSSL says of an issuer that is no authority.
    Purpose,
    /// An extension that must be understood and is not.
    CriticalExtension,
    /// A revocation list by an authority that may not issue any.
    CrlSigner,
    /// An extension that cannot be read.
    Extension,
    /// A name that an authority may not vouch for.
    PermittedNames,
    /// Another name than expected.
    HostName,
    /// Another address than expected.
    Address,
    /// A signature made with a method too weak, or unknown.
    WeakDigest,
    /// A key of a kind that is not supported.
    Key,
}

impl VerifyError {
    /// The number.
    pub const fn code(self) -> u8 {
        self.both().0
    }

    /// The text.
    pub const fn text(self) -> &'static str {
        self.both().1
    }

    /// Whether the only thing wrong is that nobody trusted vouches for it; `optional_no_ca` puts up with that.
    pub const fn is_about_trust(self) -> bool {
        matches!(self, Self::SelfSigned | Self::SelfSignedInChain | Self::NoLocalIssuer | Self::NoChain)
    }

    const fn both(self) -> (u8, &'static str) {
        match self {
            Self::Unspecified => (1, "unspecified certificate verification error"),
            Self::NoIssuer => (2, "unable to get issuer certificate"),
            Self::NoCrl => (3, "unable to get certificate CRL"),
            Self::Signature => (7, "certificate signature failure"),
            Self::CrlSignature => (8, "CRL signature failure"),
            Self::NotYetValid => (9, "certificate is not yet valid"),
            Self::Expired => (10, "certificate has expired"),
            Self::CrlNotYetValid => (11, "CRL is not yet valid"),
            Self::CrlExpired => (12, "CRL has expired"),
            Self::SelfSigned => (18, "self-signed certificate"),
            Self::SelfSignedInChain => (19, "self-signed certificate in certificate chain"),
            Self::NoLocalIssuer => (20, "unable to get local issuer certificate"),
            Self::NoChain => (21, "unable to verify the first certificate"),
            Self::Revoked => (23, "certificate revoked"),
            Self::PathLength => (25, "path length constraint exceeded"),
            Self::Purpose => (26, "unsuitable certificate purpose"),
            Self::CriticalExtension => (34, "unhandled critical extension"),
            Self::CrlSigner => (35, "key usage does not include CRL signing"),
            Self::Extension => (41, "invalid or inconsistent certificate extension"),
            Self::PermittedNames => (47, "permitted subtree violation"),
            Self::HostName => (62, "hostname mismatch"),
            Self::Address => (64, "IP address mismatch"),
            Self::WeakDigest => (68, "CA signature digest algorithm too weak"),
            Self::Key => (6, "unable to decode issuer public key"),
        }
    }
}

/// As log lines show it: `18:self-signed certificate`.
impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.code(), self.text())
    }
}

impl std::error::Error for VerifyError {}

impl From<webpki::Error> for VerifyError {
    /// As good as webpki tells reasons apart. [`webpki::Error::UnknownIssuer`] has several answers; who knows the
    /// chain finds the right one.
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYetValid,
            E::CertRevoked | E::CertDistrusted => Self::Revoked,
            E::UnknownRevocationStatus => Self::NoCrl,
            E::CrlExpired { .. } => Self::CrlExpired,
            E::InvalidCrlSignatureForPublicKey => Self::CrlSignature,
            E::IssuerNotCrlSigner => Self::CrlSigner,
            E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => Self::Signature,
            // What OpenSSL says last of a chain that is too long; the originals show the last that it says.
            E::UnknownIssuer | E::MaximumPathDepthExceeded => Self::NoLocalIssuer,
            E::PathLenConstraintViolated => Self::PathLength,
            E::EndEntityUsedAsCa
            | E::RequiredEkuNotFoundContext(_)
            | E::EmptyEkuExtension
            | E::CaUsedAsEndEntity => Self::Purpose,
            E::UnsupportedCriticalExtension => Self::CriticalExtension,
            E::ExtensionValueInvalid | E::MalformedExtensions => Self::Extension,
            E::NameConstraintViolation | E::MalformedNameConstraint => Self::PermittedNames,
            E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedCrlSignatureAlgorithmContext(_) => {
                Self::WeakDigest
            }
            E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::Key,
            _ => Self::Unspecified,
        }
    }
}
