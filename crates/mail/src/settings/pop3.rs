//! The pop3 module.

use bytes::Bytes;
use conf::{Args, Count, Directive, List, Mask, Setting, doc};
use proto::{Mechanism, Settings, Starttls};

use super::front::{self, Written};
use super::{Core, PAGE};

/// The pop3 module as written.
#[derive(Debug, Default)]
pub struct Pop3Block {
    client_buffer: Setting<u64>,
    capabilities: List<Bytes>,
    auth: Mask<Mechanism>,
}

/// Directives of the pop3 module.
pub const POP3: &[Directive<Pop3Block>] = &[
    Directive::new(
        "pop3_client_buffer",
        Count::Exactly(1),
        doc(
            "SIZE",
            "4k",
            "The longest command that a client may send before it has logged in. Not in the originals, \
             which have 128 bytes for it.",
        ),
        |b, a| b.client_buffer.set(a, Args::size),
    ),
    Directive::new(
        "pop3_capabilities",
        Count::AtLeast(1),
        doc(
            "EXTENSION …",
            "TOP USER UIDL",
            "What CAPA answers before login, beside `SASL` and `STLS`: what the upstreams have.",
        ),
        |b, a| {
            front::capabilities(&mut b.capabilities, a);
            Ok(())
        },
    ),
    Directive::new(
        "pop3_auth",
        Count::AtLeast(1),
        doc(
            "[plain] [apop] [cram-md5] [external] [xoauth2] [oauthbearer]",
            "plain",
            "How clients may log in. `plain` stands for USER and PASS, AUTH PLAIN and AUTH LOGIN, which \
             cannot be disabled.",
        ),
        |b, a| b.auth.add(a, MECHANISMS),
    ),
];

const MECHANISMS: &[(&str, Mechanism)] = &[
    ("plain", Mechanism::Plain),
    ("apop", Mechanism::Apop),
    ("cram-md5", Mechanism::CramMd5),
    ("external", Mechanism::External),
    ("xoauth2", Mechanism::Xoauth2),
    ("oauthbearer", Mechanism::Oauthbearer),
];

/// Settles what a server says to POP3 clients.
pub fn resolve(server: &Pop3Block, mail: &Pop3Block, core: &Core, starttls: Starttls) -> Settings {
    let mut mechanisms = server.auth.or(&mail.auth, &[Mechanism::Plain]);
    // There is no word for LOGIN: it comes with PLAIN.
    if mechanisms.contains(&Mechanism::Plain) {
        mechanisms.push(Mechanism::Login);
    }
    let written = Written {
        line: server.client_buffer.or(&mail.client_buffer, PAGE),
        capabilities: server.capabilities.or(&mail.capabilities),
        mechanisms,
    };
    written.settle(core, starttls, &["TOP", "USER", "UIDL"])
}

/// What a server says to POP3 clients that may be told reasons in brackets: where there are such, CAPA has to say so
/// (RFC 2449, section 6.4). The originals have none, and do not.
pub fn with_response_codes(mut settings: Settings) -> Settings {
    const NAME: &[u8] = b"RESP-CODES";
    if !settings.capabilities.iter().any(|text| text.eq_ignore_ascii_case(NAME)) {
        settings.capabilities.push(Bytes::from_static(NAME));
    }
    settings
}
