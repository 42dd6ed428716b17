//! Mail protocols without I/O: POP3, IMAP, SMTP, SASL and the `auth_http` exchange.
//!
//! Nothing here opens a socket, reads a clock, draws a random number or writes a log line: bytes, times and
//! seeds are arguments, and what happened is a return value. That is what makes it possible to test every
//! command in every state, with the input cut at every place.
//!
//! Each protocol has the same four files, so that knowing one is knowing all:
//! `command` (what a client may say), `reply` (what we say), `front` (talks to clients) and `back` (logs in to
//! upstreams). Fronts and backs are [`Dialogue`]s.

mod any;
pub mod auth_http;
pub mod back;
mod client;
pub mod counters;
pub mod dialogue;
pub mod forwarded;
pub mod imap;
pub mod line;
mod line_front;
pub mod login;
pub mod pop3;
pub mod proxy_protocol;
pub mod sasl;
pub mod secret;
pub mod settings;
pub mod smtp;
pub mod violation;

#[cfg(test)]
mod transcript;

pub use any::{Back, Front};
pub use back::{Action, Outcome, Snub};
pub use dialogue::{Dialogue, Want};
pub use forwarded::Forwarded;
pub use login::{Credentials, Envelope, Identity, Login, LoginAnswer, Mechanism, Method, Refusal, Salt};
pub use secret::{Secret, wipe};
pub use settings::Settings;
pub use violation::Violation;

/// The protocols that gatepost speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051), as far as logging in goes.
    Imap,
    /// POP3 (RFC 1939) with CAPA (RFC 2449) and AUTH (RFC 5034).
    Pop3,
    /// SMTP (RFC 5321) with AUTH (RFC 4954).
    Smtp,
}

impl Protocol {
    /// The lower-case word of configuration, ALPN and `Auth-Protocol`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }
}

/// What a client hears inside TLS whose certificate will not do; then the connection ends (as the originals).
impl Protocol {
    /// It has not sent the one that it needs.
    pub const fn certificate_missing(self) -> &'static [u8] {
        match self {
            Self::Imap => b"* BYE No required SSL certificate\r\n",
            Self::Pop3 => b"-ERR No required SSL certificate\r\n",
            Self::Smtp => b"421 4.7.1 No required SSL certificate\r\n",
        }
    }

    /// It has sent one that is not good.
    pub const fn certificate_refused(self) -> &'static [u8] {
        match self {
            Self::Imap => b"* BYE SSL certificate error\r\n",
            Self::Pop3 => b"-ERR SSL certificate error\r\n",
            Self::Smtp => b"421 4.7.1 SSL certificate error\r\n",
        }
    }
}

/// What a client hears instead of a greeting that comes in one connection too many; then the connection ends.
impl Protocol {
    /// UNAVAILABLE is RFC 5530, section 3; SYS/TEMP is RFC 3206, section 4; 421 is RFC 5321, section 3.8.
    pub const fn too_many_connections(self) -> &'static [u8] {
        match self {
            Self::Imap => b"* BYE [UNAVAILABLE] Too many connections\r\n",
            Self::Pop3 => b"-ERR [SYS/TEMP] Too many connections\r\n",
            Self::Smtp => b"421 4.7.0 Too many connections\r\n",
        }
    }
}

/// Whether a plain connection may, or must, be upgraded to TLS (directive `starttls`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Starttls {
    /// STARTTLS is neither offered nor accepted.
    #[default]
    Off,
    /// STARTTLS is offered.
    On,
    /// STARTTLS is required before any command that authenticates.
    Only,
}

/// Limits on what a client may do before it is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest command, line end included, in bytes (`imap_client_buffer` and its siblings).
    pub line: usize,
    /// A session ends with this many malformed commands; 0 acts as 1 (`max_errors`).
    pub errors: u64,
    /// A session ends with the first command beyond this many (`max_commands`).
    pub commands: u64,
}
