//! The directives of the originals' `ssl_*` and `proxy_ssl_*` tables as plain values.
//!
//! Nothing is read or checked here; the names of the fields are those of the directives.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use proto::{Protocol, Secret};

use super::protocols::Version;
use super::sessions::CacheMode;

/// What a server with `listen … ssl` or `starttls` has been told.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The protocol inside, and so the only name in ALPN that will do.
    pub protocol: Protocol,
    /// Which directive makes TLS necessary; messages name it.
    pub wanted_by: WantedBy,
    /// `ssl_certificate`, in the order written.
    pub certificates: Vec<CertificateSetting>,
    /// `ssl_certificate_key`; the i-th belongs to the i-th certificate.
    pub keys: Vec<Source>,
    /// The phrases of `ssl_password_file`, tried in turn for each key. `None`: there is no such file.
    pub passphrases: Option<Vec<Secret>>,
    /// `ssl_certificate_compression` (RFC 8879).
    pub certificate_compression: bool,
    /// `ssl_protocols`.
    pub protocols: Vec<Version>,
    /// `ssl_ciphers`: a list in OpenSSL's syntax, for TLS 1.2 only.
    pub ciphers: String,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: bool,
    /// `ssl_ecdh_curve`: a list in OpenSSL's syntax, or `auto`.
    pub ecdh_curve: String,
    /// `ssl_dhparam`: checked, without effect. There is no finite-field key exchange here.
    pub dhparam: Option<PathBuf>,
    /// `ssl_session_cache`.
    pub session_cache: Vec<CacheMode>,
    /// `ssl_session_tickets`.
    pub session_tickets: bool,
    /// `ssl_session_ticket_key`: the first encrypts, all decrypt. None: random keys from the keyring.
    pub session_ticket_keys: Vec<PathBuf>,
    /// `ssl_session_timeout`: how long sessions can be resumed.
    pub session_timeout: Duration,
    /// `ssl_verify_client`.
    pub verify_client: VerifyClient,
    /// `ssl_verify_depth`: how many intermediate authorities there may be.
    pub verify_depth: usize,
    /// `ssl_client_certificate`: authorities that are trusted and named to clients.
    pub client_certificate: Option<PathBuf>,
    /// `ssl_trusted_certificate`: authorities that are trusted but not named.
    pub trusted_certificate: Option<PathBuf>,
    /// `ssl_crl`: revocation lists for every level of the chain.
    pub crl: Option<PathBuf>,
    /// `ssl_conf_command`, in the order written; they come last and so win.
    pub conf_commands: Vec<ConfCommand>,
}

impl ServerSettings {
    /// A server that has been told nothing yet: the defaults of the originals.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            wanted_by: WantedBy::Listen,
            certificates: Vec::new(),
            keys: Vec::new(),
            passphrases: None,
            certificate_compression: false,
            protocols: Version::DEFAULT.to_vec(),
            ciphers: "HIGH:!aNULL:!MD5".into(),
            prefer_server_ciphers: false,
            ecdh_curve: "auto".into(),
            dhparam: None,
            session_cache: vec![CacheMode::None],
            session_tickets: true,
            session_ticket_keys: Vec::new(),
            session_timeout: Duration::from_mins(5),
            verify_client: VerifyClient::Off,
            verify_depth: 1,
            client_certificate: None,
            trusted_certificate: None,
            crl: None,
            conf_commands: Vec::new(),
        }
    }
}

/// What a server has been told about TLS with upstreams.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `proxy_ssl_protocols`.
    pub protocols: Vec<Version>,
    /// `proxy_ssl_ciphers`: a list in OpenSSL's syntax, for TLS 1.2 only.
    pub ciphers: String,
    /// `proxy_ssl_verify`.
    pub verify: bool,
    /// `proxy_ssl_verify_depth`: how many intermediate authorities there may be.
    pub verify_depth: usize,
    /// `proxy_ssl_trusted_certificate`; the system's roots when there is none.
    pub trusted_certificate: Option<PathBuf>,
    /// `proxy_ssl_crl`.
    pub crl: Option<PathBuf>,
    /// `proxy_ssl_name`: the name that upstreams have to prove, instead of the one that they were called by.
    pub name: Option<String>,
    /// `proxy_ssl_server_name`: whether the name goes out in clear (SNI, RFC 6066).
    pub server_name: bool,
    /// `proxy_ssl_certificate`.
    pub certificate: Option<Source>,
    /// `proxy_ssl_certificate_key`.
    pub key: Option<Source>,
    /// The phrases of `proxy_ssl_password_file`.
    pub passphrases: Option<Vec<Secret>>,
    /// `proxy_ssl_session_reuse`.
    pub session_reuse: bool,
}

impl Default for ClientSettings {
    /// As in the originals' stream proxy, but that upstreams are verified.
    fn default() -> Self {
        Self {
            protocols: Version::DEFAULT.to_vec(),
            ciphers: "DEFAULT".into(),
            verify: true,
            verify_depth: 1,
            trusted_certificate: None,
            crl: None,
            name: None,
            server_name: false,
            certificate: None,
            key: None,
            passphrases: None,
            session_reuse: true,
        }
    }
}

/// One `ssl_certificate`.
#[derive(Debug, Clone)]
pub struct CertificateSetting {
    /// Where the chain is, leaf first.
    pub source: Source,
    /// `for=`: the names that it is for, also as `*.example.org`. None: those in the certificate.
    pub names: Vec<String>,
}

impl CertificateSetting {
    /// A certificate for the names that are in it.
    pub fn new(source: Source) -> Self {
        Self { source, names: Vec::new() }
    }
}

/// Where a certificate or key is.
#[derive(Clone)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// `data:`: in the configuration itself.
    Data(Secret),
    /// `engine:NAME:ID`, which is not to be had; holds all of it.
    Engine(String),
    /// `store:URI`, which is not to be had; holds all of it.
    Store(String),
}

impl Source {
    /// What `ssl_certificate` says: a file, whose full path `path` works out, or `data:`.
    pub fn certificate(value: &str, path: impl FnOnce(&str) -> PathBuf) -> Self {
        match value.strip_prefix("data:") {
            Some(data) => Self::Data(data.as_bytes().into()),
            None => Self::File(path(value)),
        }
    }

    /// What `ssl_certificate_key` says: likewise, and the two kinds that only OpenSSL has.
    pub fn key(value: &str, path: impl FnOnce(&str) -> PathBuf) -> Self {
        if value.starts_with("engine:") {
            Self::Engine(value.into())
        } else if value.starts_with("store:") {
            Self::Store(value.into())
        } else {
            Self::certificate(value, path)
        }
    }
}

/// As messages name it. What is in the configuration itself may be a key and is not shown.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Data(_) => f.write_str("data:..."),
            Self::Engine(value) | Self::Store(value) => f.write_str(value),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// `ssl_verify_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyClient {
    /// Clients are not asked for certificates.
    #[default]
    Off,
    /// Only clients with a good certificate are served.
    On,
    /// A certificate, if there is one, must be good.
    Optional,
    /// A certificate, if there is one, need not come from a trusted authority but must be good otherwise.
    OptionalNoCa,
}

/// The directive that makes a certificate necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBy {
    /// A `listen` with `ssl`.
    Listen,
    /// `starttls`, and no `listen` with `ssl`.
    Starttls,
}

impl fmt::Display for WantedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listen => "the \"listen ... ssl\" directive",
            Self::Starttls => "the \"starttls\" directive",
        })
    }
}

/// One `ssl_conf_command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfCommand {
    /// The command; letter case does not matter.
    pub name: String,
    /// Its value; where it is a file, the full path.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_files_unless_a_prefix_says_otherwise() {
        let show = |source: Source| source.to_string();
        let path = |name: &str| PathBuf::from("/etc/gatepost").join(name);
        assert_eq!(show(Source::key("a.pem", path)), "/etc/gatepost/a.pem");
        assert_eq!(show(Source::key("data:-----BEGIN", path)), "data:...");
        assert_eq!(show(Source::key("engine:pkcs11:id", path)), "engine:pkcs11:id");
        assert_eq!(show(Source::key("store:file:x", path)), "store:file:x");
        assert_eq!(show(Source::certificate("store:x", path)), "/etc/gatepost/store:x");
        assert_eq!(format!("{:?}", Source::key("data:secret", path)), "Source(data:...)");
    }
}
