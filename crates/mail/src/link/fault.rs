//! What can go wrong in TLS, in the originals' words: those of OpenSSL's error queue, which log watchers know.
//!
//! Where OpenSSL has no such error, or says less, rustls's own words follow.

use std::{fmt, io};

use rustls::{AlertDescription, Error, PeerIncompatible};

use crate::log::Escaped;
use crate::settings::log::Level;
use crate::tls::ClientTls;
use crate::trouble::level_of;

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer closed the connection.
    #[error("peer closed connection in SSL handshake")]
    Closed,
    /// The socket failed. To the originals that is the same, with the system error behind it.
    #[error("peer closed connection in SSL handshake")]
    Io(#[source] io::Error),
    /// The peer sent an alert.
    #[error("SSL_do_handshake() failed (SSL: {})", OpenSsl(&Error::AlertReceived(*.0)))]
    Alert(AlertDescription),
    /// The peer does not speak TLS; it was not told so.
    #[error("SSL_do_handshake() failed (SSL: {0})")]
    NotTls(NotTls),
    /// The peer offered other application protocols than ours (ALPN, RFC 7301).
    #[error("SSL_do_handshake() failed (SSL: {})", OpenSsl(&Error::NoApplicationProtocol))]
    NoAlpn,
    /// Anything else; the peer was sent an alert where TLS has one for it.
    #[error("SSL_do_handshake() failed (SSL: {})", OpenSsl(.0))]
    Tls(#[source] Error),
}

/// What a peer speaks that does not speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTls {
    /// HTTP in the clear.
    Http,
    /// Something else, such as the mail protocol in the clear.
    Other,
}

impl NotTls {
    /// Judges by the first bytes of a connection; `None` if they may be TLS.
    pub(super) fn judge(start: &[u8]) -> Option<Self> {
        // ContentType (RFC 8446, section 5.1): a handshake begins with one of these.
        const ALERT: u8 = 21;
        const HANDSHAKE: u8 = 22;
        // The methods that OpenSSL looks for.
        const METHODS: [&[u8]; 5] = [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"CONNE"];
        match start.first()? {
            &(ALERT | HANDSHAKE) => None,
            _ if METHODS.iter().any(|method| start.starts_with(method)) => Some(Self::Http),
            _ => Some(Self::Other),
        }
    }
}

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "error:0A00009C:SSL routines::http request",
            Self::Other => "error:0A00010B:SSL routines::wrong version number",
        })
    }
}

impl HandshakeError {
    /// How loud to say it of a client: what a client can cause is no news, the rest is (as the originals).
    pub fn level(&self) -> Level {
        match self {
            Self::Closed | Self::Alert(_) | Self::NotTls(_) | Self::NoAlpn => Level::Info,
            Self::Io(error) if level_of(error, Level::Info) == Level::Info => Level::Info,
            Self::Tls(error) if caused_by_peer(error) => Level::Info,
            Self::Io(_) | Self::Tls(_) => Level::Crit,
        }
    }

    /// The system error that belongs to it.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io(error) => error.raw_os_error(),
            _ => None,
        }
    }
}

impl From<Error> for HandshakeError {
    fn from(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Alert(alert),
            Error::NoApplicationProtocol => Self::NoAlpn,
            other => Self::Tls(other),
        }
    }
}

fn caused_by_peer(error: &Error) -> bool {
    matches!(
        error,
        Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::DecryptError
            | Error::PeerIncompatible(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
    )
}

/// A failure of TLS behind an [`io::Error`], after the handshake.
#[derive(Debug, thiserror::Error)]
#[error("SSL: {}", OpenSsl(.0))]
pub struct TlsError(pub(super) Error);

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl TlsError {
    /// The one behind `error`, if it is not the system's.
    pub fn behind(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// An error as OpenSSL's error queue shows it: `error:CODE:library::reason`, then what else is known.
struct OpenSsl<'a>(&'a Error);

impl fmt::Display for OpenSsl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Error::AlertReceived(alert) = self.0 {
            return write_alert(*alert, f);
        }
        if let Some(known) = reason(self.0) {
            write!(f, "{known}")?;
            if !matches!(self.0, Error::InvalidCertificate(_)) {
                return Ok(());
            }
            f.write_str(": ")?;
        }
        if let Some(error) = ClientTls::verify_error(self.0) {
            return write!(f, "{error}");
        }
        // It may quote names of the peer's certificate.
        write!(f, "{}", Escaped(self.0.to_string().replace('"', "'").as_bytes()))
    }
}

/// What OpenSSL calls it.
fn reason(error: &Error) -> Option<&'static str> {
    use PeerIncompatible::{
        NoCipherSuitesInCommon, NoKxGroupsInCommon, NoSignatureSchemesInCommon,
        ServerDoesNotSupportTls12Or13, ServerTlsVersionIsDisabledByOurConfig,
        SignatureAlgorithmsExtensionRequired, SupportedVersionsExtensionRequired, Tls12NotOffered,
        Tls12NotOfferedOrEnabled,
    };
    Some(match error {
        Error::NoApplicationProtocol => "error:0A0000EB:SSL routines::no application protocol",
        Error::DecryptError => "error:0A000119:SSL routines::decryption failed or bad record mac",
        Error::PeerSentOversizedRecord => "error:0A0000C6:SSL routines::packet length too long",
        Error::NoCertificatesPresented => "error:0A0000C7:SSL routines::peer did not return a certificate",
        Error::InvalidCertificate(_) => "error:0A000086:SSL routines::certificate verify failed",
        Error::PeerIncompatible(NoCipherSuitesInCommon) => "error:0A0000C1:SSL routines::no shared cipher",
        Error::PeerIncompatible(NoKxGroupsInCommon) => "error:0A000065:SSL routines::no suitable key share",
        Error::PeerIncompatible(NoSignatureSchemesInCommon) => {
            "error:0A000076:SSL routines::no suitable signature algorithm"
        }
        // Clients of TLS 1.1 and before have no such extension, and are asked for it first.
        Error::PeerIncompatible(
            ServerDoesNotSupportTls12Or13
            | ServerTlsVersionIsDisabledByOurConfig
            | SupportedVersionsExtensionRequired
            | SignatureAlgorithmsExtensionRequired
            | Tls12NotOffered
            | Tls12NotOfferedOrEnabled,
        ) => "error:0A000102:SSL routines::unsupported protocol",
        _ => return None,
    })
}

/// OpenSSL numbers the reasons of alerts from 1000.
fn write_alert(alert: AlertDescription, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let number = u8::from(alert);
    let code = 0x0A00_0000 + 1000 + u32::from(number);
    write!(f, "error:{code:08X}:SSL routines::{}:SSL alert number {number}", alert_reason(alert))
}

/// The names that OpenSSL gives to alerts received.
fn alert_reason(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::UnexpectedMessage => "sslv3 alert unexpected message",
        A::BadRecordMac => "sslv3 alert bad record mac",
        A::DecryptionFailed => "tlsv1 alert decryption failed",
        A::RecordOverflow => "tlsv1 alert record overflow",
        A::DecompressionFailure => "sslv3 alert decompression failure",
        A::HandshakeFailure => "sslv3 alert handshake failure",
        A::NoCertificate => "sslv3 alert no certificate",
        A::BadCertificate => "sslv3 alert bad certificate",
        A::UnsupportedCertificate => "sslv3 alert unsupported certificate",
        A::CertificateRevoked => "sslv3 alert certificate revoked",
        A::CertificateExpired => "sslv3 alert certificate expired",
        A::CertificateUnknown => "sslv3 alert certificate unknown",
        A::IllegalParameter => "sslv3 alert illegal parameter",
        A::UnknownCA => "tlsv1 alert unknown ca",
        A::AccessDenied => "tlsv1 alert access denied",
        A::DecodeError => "tlsv1 alert decode error",
        A::DecryptError => "tlsv1 alert decrypt error",
        A::ExportRestriction => "tlsv1 alert export restriction",
        A::ProtocolVersion => "tlsv1 alert protocol version",
        A::InsufficientSecurity => "tlsv1 alert insufficient security",
        A::InternalError => "tlsv1 alert internal error",
        A::InappropriateFallback => "tlsv1 alert inappropriate fallback",
        A::UserCanceled => "tlsv1 alert user cancelled",
        A::NoRenegotiation => "tlsv1 alert no renegotiation",
        A::MissingExtension => "tlsv13 alert missing extension",
        A::UnsupportedExtension => "tlsv1 unsupported extension",
        A::CertificateUnobtainable => "tlsv1 certificate unobtainable",
        A::UnrecognisedName => "tlsv1 unrecognized name",
        A::BadCertificateStatusResponse => "tlsv1 bad certificate status response",
        A::BadCertificateHashValue => "tlsv1 bad certificate hash value",
        A::UnknownPSKIdentity => "tlsv1 alert unknown psk identity",
        A::CertificateRequired => "tlsv13 alert certificate required",
        A::NoApplicationProtocol => "tlsv1 alert no application protocol",
        _ => "reason(unknown)",
    }
}
