//! The smtp module.

use std::time::Duration;

use bytes::Bytes;
use conf::{Args, Count, Directive, List, Mask, Setting, doc};
use proto::{Mechanism, Settings, Starttls};

use super::front::{self, Written};
use super::{Core, PAGE};

/// The smtp module as written.
#[derive(Debug, Default)]
pub struct SmtpBlock {
    client_buffer: Setting<u64>,
    greeting_delay: Setting<Duration>,
    capabilities: List<Bytes>,
    auth: Mask<Mechanism>,
}

/// Directives of the smtp module.
pub const SMTP: &[Directive<SmtpBlock>] = &[
    Directive::new("smtp_client_buffer", Count::Exactly(1), doc("SIZE", "4k", "The longest command that a client may send before it has logged in."), |b, a| b.client_buffer.set(a, Args::size)),
    Directive::new("smtp_greeting_delay", Count::Exactly(1), doc("TIME", "0", "How long the greeting is held back. A client that does not wait for it is rejected."), |b, a| b.greeting_delay.set(a, Args::msec)),
    Directive::new("smtp_capabilities", Count::AtLeast(1), doc("EXTENSION …", "", "What EHLO answers before login, a line each, beside `AUTH` and `STARTTLS`: what the upstreams have. Quote
extensions with parameters: `\"SIZE 10485760\"`."), |b, a| {
        front::capabilities(&mut b.capabilities, a);
        Ok(())
    }),
    Directive::new("smtp_auth", Count::AtLeast(1), doc("[plain] [login] [cram-md5] [external] [none] [xoauth2] [oauthbearer]", "plain login", "The mechanisms that clients are offered. PLAIN and LOGIN cannot be disabled. With `none` clients need not log
in: the auth server is asked with the first recipient."), |b, a| b.auth.add(a, MECHANISMS)),
];

const MECHANISMS: &[(&str, Mechanism)] = &[
    ("plain", Mechanism::Plain),
    ("login", Mechanism::Login),
    ("cram-md5", Mechanism::CramMd5),
    ("external", Mechanism::External),
    ("none", Mechanism::None),
    ("xoauth2", Mechanism::Xoauth2),
    ("oauthbearer", Mechanism::Oauthbearer),
];

/// Settles what a server says to SMTP clients.
pub fn resolve(server: &SmtpBlock, mail: &SmtpBlock, core: &Core, starttls: Starttls) -> Settings {
    let written = Written {
        line: server.client_buffer.or(&mail.client_buffer, PAGE),
        capabilities: server.capabilities.or(&mail.capabilities),
        mechanisms: server.auth.or(&mail.auth, &[Mechanism::Plain, Mechanism::Login]),
    };
    written.settle(core, starttls, &[])
}

/// How long a server holds its greeting back.
pub fn greeting_delay(server: &SmtpBlock, mail: &SmtpBlock) -> Duration {
    server.greeting_delay.or(&mail.greeting_delay, Duration::ZERO)
}
