//! The ssl module: TLS with clients. For a later release, except for having none.

use conf::{Args, Count, Directive, Fault, Mistake, Setting, doc};
use proto::Starttls;

/// The ssl module as written.
#[derive(Debug, Default)]
pub struct SslBlock {
    starttls: Setting<Starttls>,
}

const ONE: Count = Count::Exactly(1);

/// What the directives of the module wait for.
const TLS: &str = "TLS with clients";

/// Directives of the ssl module.
pub const SSL: &[Directive<SslBlock>] = &[
    Directive::new(
        "starttls",
        ONE,
        doc(
            "off",
            "off",
            "Whether clients may (`on`) or must (`only`) begin TLS in a plain connection. Not yet: `on` and `only`.",
        ),
        |b, a| b.starttls.set(a, starttls),
    ),
    Directive::not_yet(
        "ssl_certificate",
        ONE,
        TLS,
        doc("FILE | data:PEM", "", "A certificate with its chain."),
    ),
    Directive::not_yet(
        "ssl_certificate_key",
        ONE,
        TLS,
        doc("FILE | data:PEM", "", "The key of a certificate."),
    ),
    Directive::not_yet(
        "ssl_certificate_compression",
        ONE,
        TLS,
        doc("on | off", "off", "Whether certificates are sent compressed (RFC 8879)."),
    ),
    Directive::not_yet(
        "ssl_password_file",
        ONE,
        TLS,
        doc("FILE", "", "Pass phrases of keys, one in a line."),
    ),
    Directive::not_yet(
        "ssl_protocols",
        Count::AtLeast(1),
        TLS,
        doc("[TLSv1.2] [TLSv1.3] …", "TLSv1.2 TLSv1.3", "The versions of TLS that clients may use."),
    ),
    Directive::not_yet(
        "ssl_ciphers",
        ONE,
        TLS,
        doc("LIST", "HIGH:!aNULL:!MD5", "The cipher suites that clients may use, as OpenSSL writes them."),
    ),
    Directive::not_yet(
        "ssl_prefer_server_ciphers",
        ONE,
        TLS,
        doc("on | off", "off", "Whether the server's order of cipher suites decides."),
    ),
    Directive::not_yet(
        "ssl_ecdh_curve",
        ONE,
        TLS,
        doc("LIST | auto", "auto", "The groups of key exchanges."),
    ),
    Directive::not_yet("ssl_dhparam", ONE, TLS, doc("FILE", "", "Parameters of DHE cipher suites.")),
    Directive::not_yet(
        "ssl_session_cache",
        Count::Between(1, 2),
        TLS,
        doc(
            "off | none | [builtin[:SIZE]] [shared:NAME:SIZE]",
            "none",
            "Where sessions are kept for resumption.",
        ),
    ),
    Directive::not_yet(
        "ssl_session_tickets",
        ONE,
        TLS,
        doc("on | off", "on", "Whether sessions are resumed with tickets."),
    ),
    Directive::not_yet("ssl_session_ticket_key", ONE, TLS, doc("FILE", "", "A key for tickets.")),
    Directive::not_yet(
        "ssl_session_timeout",
        ONE,
        TLS,
        doc("TIME", "5m", "How long a session may be resumed."),
    ),
    Directive::not_yet(
        "ssl_verify_client",
        ONE,
        TLS,
        doc("on | off | optional | optional_no_ca", "off", "Whether clients are asked for certificates."),
    ),
    Directive::not_yet(
        "ssl_verify_depth",
        ONE,
        TLS,
        doc("NUMBER", "1", "How long chains of client certificates may be."),
    ),
    Directive::not_yet(
        "ssl_client_certificate",
        ONE,
        TLS,
        doc("FILE", "", "Authorities of client certificates; their names are sent to clients."),
    ),
    Directive::not_yet(
        "ssl_trusted_certificate",
        ONE,
        TLS,
        doc("FILE", "", "Authorities of client certificates; their names are not sent."),
    ),
    Directive::not_yet("ssl_crl", ONE, TLS, doc("FILE", "", "Revoked client certificates.")),
    Directive::not_yet(
        "ssl_conf_command",
        Count::Exactly(2),
        TLS,
        doc("NAME VALUE", "", "A configuration command of OpenSSL."),
    ),
];

fn starttls(args: &Args<'_>) -> Result<Starttls, Fault> {
    match args.one_of(&[("off", Starttls::Off), ("on", Starttls::On), ("only", Starttls::Only)])? {
        Starttls::Off => Ok(Starttls::Off),
        Starttls::On | Starttls::Only => {
            Err(args.fault(Mistake::ParameterNotYet { name: args.name(), parameter: args.first() }))
        }
    }
}

/// Whether, and how, clients of a server may begin TLS.
pub fn resolve(server: &SslBlock, mail: &SslBlock) -> Starttls {
    server.starttls.or(&mail.starttls, Starttls::Off)
}
