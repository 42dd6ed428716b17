//! The ssl module: TLS with clients.
//!
//! Only what was written, with its paths made whole. Files are looked into when TLS is made ([`crate::tls`]), except
//! password files, which the originals read at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conf::{Args, Fault, List, Mask, Position, Setting};
use proto::{Protocol, Secret, Starttls};
use zeroize::Zeroizing;

use super::zone::Sizes;
use crate::tls::{
    self, CacheMode, CertificateSetting, ConfCommand, Mistake, ServerSettings, Source, VerifyClient, Version,
    WantedBy,
};

mod table;

pub use table::SSL;

/// TLS with the clients of a server.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// What TLS is made from.
    pub settings: ServerSettings,
    /// The directive that makes TLS necessary. Messages about missing certificates end in this place.
    pub at: Position,
}

impl TlsSettings {
    /// What the configuration check says of `mistake`, which making TLS of these settings has found.
    pub fn fault(&self, mistake: Mistake) -> Fault {
        if mistake.names_a_directive() {
            Fault::own(mistake, &self.at)
        } else {
            Fault::nowhere(conf::Mistake::own(mistake))
        }
    }
}

/// The ssl module as written.
#[derive(Debug, Default)]
pub struct SslBlock {
    starttls: Setting<Starttls>,
    certificates: List<CertificateSetting>,
    keys: List<Source>,
    passphrases: Setting<Vec<Secret>>,
    certificate_compression: Setting<bool>,
    protocols: Mask<Version>,
    ciphers: Setting<String>,
    prefer_server_ciphers: Setting<bool>,
    ecdh_curve: Setting<String>,
    dhparam: Setting<PathBuf>,
    session_cache: Setting<Vec<CacheMode>>,
    session_tickets: Setting<bool>,
    session_ticket_keys: List<PathBuf>,
    session_timeout: Setting<Duration>,
    verify_client: Setting<VerifyClient>,
    verify_depth: Setting<usize>,
    client_certificate: Setting<PathBuf>,
    trusted_certificate: Setting<PathBuf>,
    crl: Setting<PathBuf>,
    conf_commands: List<ConfCommand>,
    /// Those that all servers have declared so far.
    zones: Sizes,
}

impl SslBlock {
    /// Nothing written yet, in a configuration that has declared `zones`.
    pub(super) fn new(zones: Sizes) -> Self {
        Self { zones, ..Self::default() }
    }
}

fn starttls(args: &Args<'_>) -> Result<Starttls, Fault> {
    args.one_of(&[("off", Starttls::Off), ("on", Starttls::On), ("only", Starttls::Only)])
}

/// `ssl_certificate SOURCE [for=NAME[,NAME]]`
fn certificate(args: &Args<'_>) -> Result<CertificateSetting, Fault> {
    let mut certificate = CertificateSetting::new(certificate_source(args)?);
    if let Some(word) = args.words().get(1) {
        let names = args.text(word)?.strip_prefix("for=").filter(|names| !names.is_empty());
        let names = names.ok_or_else(|| args.fault(conf::Mistake::InvalidParameter(word.clone())))?;
        certificate.names = names.split(',').map(str::to_owned).collect();
        for name in &certificate.names {
            tls::name_pattern(name).map_err(|mistake| Fault::own(mistake, args.at()))?;
        }
    }
    Ok(certificate)
}

/// A file, or `data:`.
pub(super) fn certificate_source(args: &Args<'_>) -> Result<Source, Fault> {
    let word = args.first();
    Ok(Source::certificate(args.text(&word)?, |_| args.path_in_directory()))
}

/// A file, `data:`, or what only OpenSSL knows.
pub(super) fn key_source(args: &Args<'_>) -> Result<Source, Fault> {
    let word = args.first();
    Ok(Source::key(args.text(&word)?, |_| args.path_in_directory()))
}

/// The phrases of a password file, which is read at once.
pub(super) fn passphrases(args: &Args<'_>) -> Result<Vec<Secret>, Fault> {
    let path = args.path_in_directory();
    let text = Zeroizing::new(args.read(&path)?);
    tls::passphrases(&path, &text).map_err(|mistake| Fault::own(mistake, args.at()))
}

/// The words of `ssl_protocols` and `proxy_ssl_protocols`.
pub(super) fn versions() -> [(&'static str, Version); 6] {
    Version::ALL.map(|version| (version.name(), version))
}

/// How many intermediate authorities there may be.
pub(super) fn depth(args: &Args<'_>) -> Result<usize, Fault> {
    args.number().map(|depth| usize::try_from(depth).unwrap_or(usize::MAX))
}

fn verify_client(args: &Args<'_>) -> Result<VerifyClient, Fault> {
    args.one_of(&[
        ("off", VerifyClient::Off),
        ("on", VerifyClient::On),
        ("optional", VerifyClient::Optional),
        ("optional_no_ca", VerifyClient::OptionalNoCa),
    ])
}

/// `ssl_session_cache`. What one declares stays declared, even if a later one in the same context replaces it.
fn session_cache(block: &mut SslBlock, args: &Args<'_>) -> Result<(), Fault> {
    let SslBlock { session_cache, zones, .. } = block;
    session_cache.replace(args, |args| {
        let mode = |word| {
            let mode = CacheMode::parse(args.text(word)?).map_err(|m| Fault::own(m, args.at()))?;
            if let CacheMode::Shared { zone, size } = &mode {
                zones.declare(zone, *size).map_err(|conflict| Fault::own(conflict, args.at()))?;
            }
            Ok(mode)
        };
        args.words().iter().map(mode).collect()
    })
}

/// `ssl_conf_command NAME VALUE`
fn conf_command(args: &Args<'_>) -> Result<ConfCommand, Fault> {
    let [name, value] = args.words() else { return Err(args.invalid_value()) };
    let (name, mut value) = (args.text(name)?.to_owned(), args.text(value)?.to_owned());
    if takes_a_file(&name) {
        let path = args.in_directory(Path::new(&value));
        value = path.to_string_lossy().into_owned();
    }
    Ok(ConfCommand { name, value })
}

/// Whether the value of a command of OpenSSL is a file or a directory (SSL_CONF_cmd(3)).
fn takes_a_file(command: &str) -> bool {
    let command = command.to_ascii_lowercase();
    matches!(command.as_str(), "certificate" | "privatekey" | "dhparameters")
        || command.ends_with("file")
        || command.ends_with("path")
}

/// Whether, and how, clients of a server may begin TLS.
pub fn starttls_of(server: &SslBlock, mail: &SslBlock) -> Starttls {
    server.starttls.or(&mail.starttls, Starttls::Off)
}

/// TLS with the clients of a server, if it has any use for it. `listen` is where its last `listen … ssl` stands.
pub fn resolve(
    server: &SslBlock,
    mail: &SslBlock,
    protocol: Protocol,
    listen: Option<&Position>,
) -> Option<TlsSettings> {
    let starttls = || server.starttls.inherit(&mail.starttls).at();
    let (wanted_by, at) = match listen {
        Some(at) => (WantedBy::Listen, at),
        None if starttls_of(server, mail) == Starttls::Off => return None,
        None => (WantedBy::Starttls, starttls()?),
    };
    let settings = ServerSettings { wanted_by, ..settle(server, mail, ServerSettings::new(protocol)) };
    Some(TlsSettings { settings, at: at.clone() })
}

/// What the server says, else `mail`, else `default`.
fn settle(server: &SslBlock, mail: &SslBlock, default: ServerSettings) -> ServerSettings {
    let path = |own: &Setting<PathBuf>, outer: &Setting<PathBuf>| own.inherit(outer).value().cloned();
    ServerSettings {
        certificates: server.certificates.or(&mail.certificates).to_vec(),
        keys: server.keys.or(&mail.keys).to_vec(),
        passphrases: server.passphrases.inherit(&mail.passphrases).value().cloned(),
        certificate_compression: server
            .certificate_compression
            .or(&mail.certificate_compression, default.certificate_compression),
        protocols: server.protocols.or(&mail.protocols, &default.protocols),
        ciphers: server.ciphers.or(&mail.ciphers, default.ciphers),
        prefer_server_ciphers: server
            .prefer_server_ciphers
            .or(&mail.prefer_server_ciphers, default.prefer_server_ciphers),
        ecdh_curve: server.ecdh_curve.or(&mail.ecdh_curve, default.ecdh_curve),
        dhparam: path(&server.dhparam, &mail.dhparam),
        session_cache: server.session_cache.or(&mail.session_cache, default.session_cache),
        session_tickets: server.session_tickets.or(&mail.session_tickets, default.session_tickets),
        session_ticket_keys: server.session_ticket_keys.or(&mail.session_ticket_keys).to_vec(),
        session_timeout: server.session_timeout.or(&mail.session_timeout, default.session_timeout),
        verify_client: server.verify_client.or(&mail.verify_client, default.verify_client),
        verify_depth: server.verify_depth.or(&mail.verify_depth, default.verify_depth),
        client_certificate: path(&server.client_certificate, &mail.client_certificate),
        trusted_certificate: path(&server.trusted_certificate, &mail.trusted_certificate),
        crl: path(&server.crl, &mail.crl),
        conf_commands: server.conf_commands.or(&mail.conf_commands).to_vec(),
        protocol: default.protocol,
        wanted_by: default.wanted_by,
    }
}
