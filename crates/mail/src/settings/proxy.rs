//! The proxy module: how to meet upstreams.

use std::time::Duration;

use conf::{Args, Count, Directive, Fault, Once, Setting, doc};
use proto::proxy_protocol::Version;

use super::PAGE;

/// The shortest reply that must fit: a reply line of SMTP (RFC 5321, section 4.5.3.1.5).
const MIN_BUFFER: u64 = 512;

/// Settings of the upstream side.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `proxy_buffer`: longest reply of an upstream during login, and an upper hint for the relay, bytes.
    pub buffer: usize,
    /// `proxy_timeout`: silence on both sides that ends a proxied session.
    pub timeout: Duration,
    /// `proxy_pass_error_message`: the upstream's own words at a refused login.
    pub pass_error_message: bool,
    /// `proxy_smtp_auth`: AUTH PLAIN towards SMTP upstreams.
    pub smtp_auth: bool,
    /// `xclient`: XCLIENT towards SMTP upstreams.
    pub xclient: bool,
    /// `so_keepalive`: SO_KEEPALIVE on the upstream's socket.
    pub keepalive: bool,
    /// `proxy_protocol`: a PROXY header of this version goes before everything else.
    pub protocol: Option<Version>,
    /// `proxy_imap_id`: ID with the client's address before LOGIN at IMAP upstreams.
    pub imap_id: bool,
    /// `proxy_pop3_xclient`: XCLIENT with the client's address before USER at POP3 upstreams.
    pub pop3_xclient: bool,
    /// `proxy_ssl`: whether, and how, TLS is spoken with upstreams, unless the authority says otherwise for a user.
    pub ssl: UpstreamTls,
}

/// Whether, and how, TLS is spoken with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamTls {
    /// Not at all.
    #[default]
    Off,
    /// From the first byte on.
    Implicit,
    /// By STARTTLS or STLS; without it nothing is said.
    Starttls,
}

/// The proxy module as written.
#[derive(Debug, Default)]
pub struct ProxyBlock {
    buffer: Setting<u64>,
    timeout: Setting<Duration>,
    pass_error_message: Setting<bool>,
    smtp_auth: Setting<bool>,
    xclient: Setting<bool>,
    keepalive: Setting<bool>,
    protocol: Setting<Option<Version>>,
    imap_id: Setting<bool>,
    pop3_xclient: Setting<bool>,
    ssl: Setting<UpstreamTls>,
    idle: Once,
}

/// Directives of the proxy module.
pub const PROXY: &[Directive<ProxyBlock>] = &[
    Directive::accepted(
        "proxy",
        Count::Exactly(1),
        "a mail server always proxies",
        doc("on | off", "", "A leftover of old configurations; it has no effect in the originals either."),
        |b, a| b.idle.check(a, Args::flag),
    ),
    Directive::new(
        "proxy_buffer",
        Count::Exactly(1),
        doc(
            "SIZE",
            "4k",
            "The longest reply of an upstream while logging in, and a hint for how much the relay moves at \
             once. Less than 512 bytes, a line of SMTP, count as 512.",
        ),
        |b, a| b.buffer.set(a, Args::size),
    ),
    Directive::new(
        "proxy_timeout",
        Count::Exactly(1),
        doc(
            "TIME",
            "24h",
            "A proxied session in which neither side has sent anything for so long is closed.",
        ),
        |b, a| b.timeout.set(a, Args::msec),
    ),
    Directive::new(
        "proxy_pass_error_message",
        Count::Exactly(1),
        doc(
            "on | off",
            "off",
            "Whether the client is told the upstream's own words when the upstream refuses the login.",
        ),
        |b, a| b.pass_error_message.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_smtp_auth",
        Count::Exactly(1),
        doc("on | off", "off", "Whether to log in to SMTP upstreams with AUTH PLAIN."),
        |b, a| b.smtp_auth.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_protocol",
        Count::Exactly(1),
        doc(
            "off | on | v1 | v2",
            "off",
            "Whether a PROXY header tells upstreams who the client is, and in which form: `v1`, which is `on`, \
             is a line of text, `v2` is binary. It goes before everything else, TLS too. Only `v2` can tell \
             another gatepost how many proxies there may still be, so that a client is not sent in a circle \
             for ever. `v1` is not in the originals.",
        ),
        |b, a| b.protocol.set(a, proxy_protocol),
    ),
    Directive::new(
        "proxy_imap_id",
        Count::Exactly(1),
        doc(
            "on | off",
            "off",
            "Whether the ID command (RFC 2971) tells IMAP upstreams who the client is, as Dovecot's proxy \
             does: its address and port, those it connected to, how many proxies there may still be, a name \
             of the session, and what a proxy before this one has for them (`x-forward-NAME`). Dovecot believes it if `login_trusted_networks` has this proxy, gatepost if \
             `set_real_ip_from` has. An upstream that refuses it is logged in to all the same. Not in the \
             originals.",
        ),
        |b, a| b.imap_id.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_pop3_xclient",
        Count::Exactly(1),
        doc(
            "on | off",
            "off",
            "Whether the XCLIENT command tells POP3 upstreams who the client is, as Dovecot's proxy does; \
             see `proxy_imap_id`. Not in the originals.",
        ),
        |b, a| b.pop3_xclient.set(a, Args::flag),
    ),
    Directive::new(
        "proxy_ssl",
        Count::Exactly(1),
        doc(
            "off | on | starttls",
            "off",
            "Whether TLS is spoken with upstreams: `on` from the first byte on, `starttls` by STARTTLS or \
             STLS before the login. An upstream that will not is told nothing. The auth server may decide \
             otherwise for a user. Not in the originals' mail proxy.",
        ),
        |b, a| b.ssl.set(a, proxy_ssl),
    ),
    Directive::new(
        "xclient",
        Count::Exactly(1),
        doc(
            "on | off",
            "on",
            "Whether the XCLIENT command tells SMTP upstreams who the client is: ADDR, LOGIN and NAME, and of \
             PORT, PROTO, HELO, DESTADDR, DESTPORT, SESSION and TTL those that the upstream announces.",
        ),
        |b, a| b.xclient.set(a, Args::flag),
    ),
    Directive::new(
        "so_keepalive",
        Count::Exactly(1),
        doc("on | off", "off", "Whether TCP keepalive probes are sent to upstreams."),
        |b, a| b.keepalive.set(a, Args::flag),
    ),
];

fn proxy_protocol(args: &Args<'_>) -> Result<Option<Version>, Fault> {
    let (v1, v2) = (Some(Version::V1), Some(Version::V2));
    args.one_of(&[("off", None), ("on", v1), ("v1", v1), ("v2", v2)])
}

fn proxy_ssl(args: &Args<'_>) -> Result<UpstreamTls, Fault> {
    args.one_of(&[
        ("off", UpstreamTls::Off),
        ("on", UpstreamTls::Implicit),
        ("starttls", UpstreamTls::Starttls),
    ])
}

impl Proxy {
    /// Settles the upstream side of a server.
    pub fn resolve(server: &ProxyBlock, mail: &ProxyBlock) -> Self {
        let buffer = server.buffer.or(&mail.buffer, PAGE).max(MIN_BUFFER);
        Self {
            buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
            timeout: server.timeout.or(&mail.timeout, Duration::from_hours(24)),
            pass_error_message: server.pass_error_message.or(&mail.pass_error_message, false),
            smtp_auth: server.smtp_auth.or(&mail.smtp_auth, false),
            xclient: server.xclient.or(&mail.xclient, true),
            keepalive: server.keepalive.or(&mail.keepalive, false),
            protocol: server.protocol.or(&mail.protocol, None),
            imap_id: server.imap_id.or(&mail.imap_id, false),
            pop3_xclient: server.pop3_xclient.or(&mail.pop3_xclient, false),
            ssl: server.ssl.or(&mail.ssl, UpstreamTls::Off),
        }
    }
}
