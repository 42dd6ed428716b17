//! What can be wrong with TLS settings, in the words of the originals.
//!
//! Where the originals quote OpenSSL's error queue, `(SSL: …)`, there are short words of our own ([`Why`]).

use std::path::PathBuf;

use conf::SystemError;

use super::protocols::Version;
use super::settings::WantedBy;

/// A mistake that makes TLS settings unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// TLS without a certificate. The place of the directive follows: see [`names_a_directive`](Self::names_a_directive).
    #[error("no \"ssl_certificate\" is defined for {0}")]
    NoCertificate(WantedBy),
    /// TLS without a key; likewise.
    #[error("no \"ssl_certificate_key\" is defined for {0}")]
    NoKey(WantedBy),
    /// More certificates than keys; likewise.
    #[error("no \"ssl_certificate_key\" is defined for certificate \"{certificate}\" and {wanted_by}")]
    NoKeyFor {
        /// The last certificate.
        certificate: String,
        /// What needs it.
        wanted_by: WantedBy,
    },
    /// `proxy_ssl_certificate` without a key.
    #[error("no \"proxy_ssl_certificate_key\" is defined for certificate \"{0}\"")]
    NoProxyKey(String),
    /// Only protocols that are not to be had.
    #[error("no usable protocol in \"{0}\": there are TLSv1.2 and TLSv1.3")]
    NoProtocol(&'static str),
    /// A certificate, key or revocation list that cannot be had.
    #[error("cannot load {what} \"{source_name}\": {step} failed (SSL: {why})")]
    Load {
        /// `certificate`, `certificate key` or `CRL`.
        what: &'static str,
        /// The file.
        source_name: String,
        /// The step of the originals that fails.
        step: &'static str,
        /// Why.
        why: Why,
    },
    /// A key where only OpenSSL could find it; holds the value and its kind.
    #[error("cannot load certificate key \"{0}\": loading \"{1}:...\" certificate keys is not supported")]
    KeyElsewhere(String, &'static str),
    /// A value that does not do; holds the step of the originals that fails, the value, and why.
    #[error("{0}(\"{1}\") failed (SSL: {2})")]
    Call(&'static str, String, Why),
    /// An `ssl_conf_command` that does not do.
    #[error("SSL_CONF_cmd(\"{name}\", \"{value}\") failed (SSL: {why})")]
    Command {
        /// The command.
        name: String,
        /// Its value.
        value: String,
        /// Why.
        why: Why,
    },
    /// Commands that do not fit together.
    #[error("SSL_CONF_finish() failed (SSL: {0})")]
    Commands(Why),
    /// Clients are to be verified, but against what?
    #[error("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")]
    NoAuthorities,
    /// Upstreams are to be verified, but the system trusts nobody.
    #[error(
        "no proxy_ssl_trusted_certificate for proxy_ssl_verify, and the system has no trusted certificates"
    )]
    NoRoots,
    /// A name in `for=` that is none.
    #[error("invalid name \"{0}\" in \"ssl_certificate\" directive")]
    Name(String),
    /// A file that cannot be read.
    #[error("open() \"{}\" failed ({reason})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: SystemError,
    },
    /// A ticket key of another length.
    #[error("\"{}\" must be 48 or 80 bytes", .0.display())]
    TicketKeySize(PathBuf),
    /// A pass phrase beyond 511 bytes.
    #[error("too long line in \"{}\"", .0.display())]
    LongPhrase(PathBuf),
    /// Not a session cache.
    #[error("invalid session cache \"{0}\"")]
    Cache(String),
    /// A session cache that would hold next to nothing.
    #[error("session cache \"{0}\" is too small")]
    SmallCache(String),
    /// What nothing above has found; in rustls's words.
    #[error("SSL_CTX_new() failed (SSL: {0})")]
    Library(String),
}

impl Mistake {
    /// Whether the text ends in a directive, and so wants the place of that directive behind it.
    pub const fn names_a_directive(&self) -> bool {
        matches!(self, Self::NoCertificate(_) | Self::NoKey(_) | Self::NoKeyFor { .. })
    }
}

impl From<rustls::Error> for Mistake {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// Why a value or a file does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The system says so.
    #[error("{0}")]
    System(SystemError),
    /// There is no such section in the file.
    #[error("no {0} in PEM form")]
    NoPem(&'static str),
    /// A section that cannot be decoded.
    #[error("bad PEM")]
    BadPem,
    /// A section whose content is not what it says.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A key under a pass phrase, and none is known.
    #[error("the key is encrypted, and there is no ssl_password_file")]
    NoPhrase,
    /// A key under another pass phrase.
    #[error("no pass phrase fits")]
    WrongPhrase,
    /// A key under a cipher that is not to be had.
    #[error("unsupported encryption {0}")]
    Encryption(String),
    /// A key that cannot sign here.
    #[error(
        "unsupported key, there are RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 and P-521, and Ed25519"
    )]
    Key,
    /// The key of another certificate.
    #[error("key values mismatch")]
    Mismatch,
    /// The key of a certificate of another type. The originals notice at the first handshake only.
    #[error("key type mismatch")]
    TypeMismatch,
    /// A cipher list that leaves none.
    #[error("no cipher match, there are {0}")]
    NoCipher(String),
    /// Something in a list that is neither a word nor an operator.
    #[error("invalid command")]
    Syntax,
    /// A group that nobody knows.
    #[error("unknown group \"{group}\", there are {there_are}")]
    UnknownGroup {
        /// The group.
        group: String,
        /// What exists.
        there_are: String,
    },
    /// Only groups that are not to be had.
    #[error("no usable group, there are {0}")]
    NoGroup(String),
    /// A command that is not to be had.
    #[error("unsupported command, there are {0}")]
    UnknownCommand(&'static str),
    /// A value that a command does not know.
    #[error("bad value")]
    BadValue,
    /// The commands leave no protocol to speak.
    #[error("no protocols available")]
    NoProtocol,
    /// A key without its certificate, or the other way round.
    #[error("Certificate and PrivateKey go together")]
    Unpaired,
}

/// Something in TLS settings that looks wrong but does no harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// Old protocols beside usable ones; holds the directive.
    #[error("\"{0}\": {list} cannot be had and will not be spoken", list = listed(.1))]
    OldProtocols(&'static str, Vec<Version>),
    /// Groups that exist but not here, beside usable ones.
    #[error("\"ssl_ecdh_curve\": {0} cannot be had and will not be used")]
    Groups(String),
}

fn listed(versions: &[Version]) -> String {
    versions.iter().map(|version| version.name()).collect::<Vec<_>>().join(", ")
}
