//! TLS with upstreams. The originals' mail proxies have none; names and meaning are those of their stream proxies.

use std::path::PathBuf;

use conf::{Args, Count, Directive, Fault, Mask, Setting, Word, doc};
use proto::Secret;
use rustls::pki_types::ServerName;

use super::ssl::{certificate_source, depth, key_source, passphrases, versions};
use crate::tls::{ClientSettings, Source, Version};

/// TLS with upstreams as written. A file that is `None` was written as an empty name: there shall be none.
#[derive(Debug, Default)]
pub struct ProxySslBlock {
    verify: Setting<bool>,
    verify_depth: Setting<usize>,
    trusted_certificate: Setting<Option<PathBuf>>,
    crl: Setting<Option<PathBuf>>,
    name: Setting<String>,
    server_name: Setting<bool>,
    protocols: Mask<Version>,
    ciphers: Setting<String>,
    certificate: Setting<Option<Source>>,
    key: Setting<Option<Source>>,
    passphrases: Setting<Vec<Secret>>,
    session_reuse: Setting<bool>,
}

const ONE: Count = Count::Exactly(1);

/// Directives about TLS with upstreams, beside `proxy_ssl` itself.
pub const PROXY_SSL: &[Directive<ProxySslBlock>] = &[
    Directive::new(
        "proxy_ssl_verify",
        ONE,
        doc(
            "on | off",
            "on",
            "Whether an upstream has to prove by its certificate that it is the one that was meant. Without that \
             anybody in between can take its place. `off` is the default of the originals' other proxies.",
        ),
        |b, a| b.verify.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_ssl_verify_depth",
        ONE,
        doc("NUMBER", "1", "How many intermediate authorities an upstream's certificate may have."),
        |b, a| b.verify_depth.set(a, depth),
    ),
    Directive::new(
        "proxy_ssl_trusted_certificate",
        ONE,
        doc(
            "FILE",
            "the system's",
            "Authorities of upstreams' certificates. An empty name means those that the system trusts.",
        ),
        |b, a| b.trusted_certificate.set(a, |a| unless_empty(a, |a| Ok(a.path_in_directory()))),
    ),
    Directive::new(
        "proxy_ssl_crl",
        ONE,
        doc("FILE", "", "Revoked certificates of upstreams and their authorities. An empty name means none."),
        |b, a| b.crl.set(a, |a| unless_empty(a, |a| Ok(a.path_in_directory()))),
    ),
    Directive::new(
        "proxy_ssl_name",
        ONE,
        doc(
            "NAME",
            "the upstream's",
            "The host name or address that an upstream's certificate has to be for, if it is not the one that \
             the upstream is called by.",
        ),
        |b, a| b.name.set(a, name),
    ),
    Directive::new(
        "proxy_ssl_server_name",
        ONE,
        doc("on | off", "off", "Whether upstreams are told which name is meant (SNI, RFC 6066)."),
        |b, a| b.server_name.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_ssl_protocols",
        Count::AtLeast(1),
        doc(
            "[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]",
            "TLSv1.2 TLSv1.3",
            "The versions of TLS to speak with upstreams, as in `ssl_protocols`.",
        ),
        |b, a| b.protocols.add(a, &versions()),
    ),
    Directive::new(
        "proxy_ssl_ciphers",
        ONE,
        doc("LIST", "DEFAULT", "The cipher suites of TLS 1.2 to offer to upstreams, as in `ssl_ciphers`."),
        |b, a| b.ciphers.set(a, Args::string),
    ),
    Directive::new(
        "proxy_ssl_certificate",
        ONE,
        doc(
            "FILE | data:PEM",
            "",
            "The certificate, with its chain, to show to upstreams that ask for one. An empty name means none.",
        ),
        |b, a| b.certificate.set(a, |a| unless_empty(a, certificate_source)),
    ),
    Directive::new(
        "proxy_ssl_certificate_key",
        ONE,
        doc("FILE | data:PEM", "", "The key of `proxy_ssl_certificate`. An empty name means none."),
        |b, a| b.key.set(a, |a| unless_empty(a, key_source)),
    ),
    Directive::new(
        "proxy_ssl_password_file",
        ONE,
        doc("FILE", "", "Pass phrases of `proxy_ssl_certificate_key`, one in a line."),
        |b, a| b.passphrases.set(a, passphrases),
    ),
    Directive::new(
        "proxy_ssl_session_reuse",
        ONE,
        doc("on | off", "on", "Whether sessions with upstreams are resumed."),
        |b, a| b.session_reuse.set(a, Args::flag),
    ),
];

/// What no certificate can be for.
#[derive(Debug, thiserror::Error)]
#[error("invalid name \"{0}\" in \"proxy_ssl_name\" directive")]
struct InvalidName(Word);

fn name(args: &Args<'_>) -> Result<String, Fault> {
    let name = args.string()?;
    match ServerName::try_from(name.as_str()) {
        Ok(_) => Ok(name),
        Err(_) => Err(Fault::own(InvalidName(args.first()), args.at())),
    }
}

/// As the originals' proxies have it, an empty value undoes what is inherited.
fn unless_empty<'a, T>(
    args: &Args<'a>,
    parse: impl FnOnce(&Args<'a>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    if args.first().as_bytes().is_empty() { Ok(None) } else { parse(args).map(Some) }
}

/// TLS with the upstreams of a server.
pub fn resolve(server: &ProxySslBlock, mail: &ProxySslBlock) -> ClientSettings {
    let default = ClientSettings::default();
    ClientSettings {
        protocols: server.protocols.or(&mail.protocols, &default.protocols),
        ciphers: server.ciphers.or(&mail.ciphers, default.ciphers),
        verify: server.verify.or(&mail.verify, default.verify),
        verify_depth: server.verify_depth.or(&mail.verify_depth, default.verify_depth),
        trusted_certificate: server.trusted_certificate.or(&mail.trusted_certificate, None),
        crl: server.crl.or(&mail.crl, None),
        name: server.name.inherit(&mail.name).value().cloned(),
        server_name: server.server_name.or(&mail.server_name, default.server_name),
        certificate: server.certificate.or(&mail.certificate, None),
        key: server.key.or(&mail.key, None),
        passphrases: server.passphrases.inherit(&mail.passphrases).value().cloned(),
        session_reuse: server.session_reuse.or(&mail.session_reuse, default.session_reuse),
    }
}
