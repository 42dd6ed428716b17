//! The imap module.

use bytes::Bytes;
use conf::{Args, Count, Directive, List, Mask, Setting, doc};
use proto::{Mechanism, Settings, Starttls};

use super::front::{self, Written};
use super::{Core, PAGE};

/// The imap module as written.
#[derive(Debug, Default)]
pub struct ImapBlock {
    client_buffer: Setting<u64>,
    capabilities: List<Bytes>,
    auth: Mask<Mechanism>,
}

/// Directives of the imap module.
pub const IMAP: &[Directive<ImapBlock>] = &[
    Directive::new(
        "imap_client_buffer",
        Count::Exactly(1),
        doc(
            "SIZE",
            "4k",
            "The longest command, literals included, that a client may send before it has logged in.",
        ),
        |b, a| b.client_buffer.set(a, Args::size),
    ),
    Directive::new(
        "imap_capabilities",
        Count::AtLeast(1),
        doc(
            "EXTENSION …",
            "IMAP4 IMAP4rev1 UIDPLUS",
            "What CAPABILITY answers before login, beside `AUTH=` and `STARTTLS`: what the upstreams have.",
        ),
        |b, a| {
            front::capabilities(&mut b.capabilities, a);
            Ok(())
        },
    ),
    Directive::new(
        "imap_auth",
        Count::AtLeast(1),
        doc(
            "[plain] [login] [cram-md5] [external] [xoauth2] [oauthbearer]",
            "plain",
            "The mechanisms that clients are offered. PLAIN, LOGIN and the command LOGIN cannot be disabled.",
        ),
        |b, a| b.auth.add(a, MECHANISMS),
    ),
];

const MECHANISMS: &[(&str, Mechanism)] = &[
    ("plain", Mechanism::Plain),
    ("login", Mechanism::Login),
    ("cram-md5", Mechanism::CramMd5),
    ("external", Mechanism::External),
    ("xoauth2", Mechanism::Xoauth2),
    ("oauthbearer", Mechanism::Oauthbearer),
];

/// Settles what a server says to IMAP clients.
pub fn resolve(server: &ImapBlock, mail: &ImapBlock, core: &Core, starttls: Starttls) -> Settings {
    let written = Written {
        line: server.client_buffer.or(&mail.client_buffer, PAGE),
        capabilities: server.capabilities.or(&mail.capabilities),
        mechanisms: server.auth.or(&mail.auth, &[Mechanism::Plain]),
    };
    written.settle(core, starttls, &["IMAP4", "IMAP4rev1", "UIDPLUS"])
}
