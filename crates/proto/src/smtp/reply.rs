//! What we say to SMTP clients. Every reply ends in CRLF; the codes are those of RFC 5321 and RFC 3463.

use bytes::BytesMut;

use super::xclient;
use crate::client::Client;
use crate::line::write;
use crate::{Protocol, Refusal};

/// To a client that speaks before the delayed greeting (`smtp_greeting_delay`); the connection ends with it.
///
/// The delay, and so this reply, is the driver's business.
pub const TOO_EARLY: &[u8] = b"503 5.5.0 Improper use of SMTP command pipelining\r\n";

/// To any line that breaks the grammar or does not fit the state.
pub(super) const INVALID: &[u8] = b"500 5.5.1 Invalid command\r\n";
/// When something of ours, of the authority or of the upstream is broken.
pub(super) const FAILED: &[u8] = b"451 4.3.2 Internal server error\r\n";
/// To a transaction without a login, of a client with too many connections.
pub(super) const LIMITED: &[u8] = Protocol::Smtp.too_many_connections();
/// To a login that is good, of a client with too many connections (RFC 4954, section 6).
pub(super) const LOGIN_LIMITED: &[u8] = b"454 4.7.0 Too many connections\r\n";
/// What goes before a SASL prompt.
pub(super) const PROMPT: &[u8] = b"334 ";
/// What the client gets instead of the upstream's words when it is logged in.
pub(super) const AUTHENTICATED: &[u8] = b"235 2.0.0 OK\r\n";

pub(super) const OK: &[u8] = b"250 2.0.0 OK\r\n";
pub(super) const BYE: &[u8] = b"221 2.0.0 Bye\r\n";
pub(super) const START_TLS: &[u8] = b"220 2.0.0 Start TLS\r\n";
pub(super) const INVALID_ARGUMENT: &[u8] = b"501 5.5.4 Invalid argument\r\n";
pub(super) const BAD_SEQUENCE: &[u8] = b"503 5.5.1 Bad sequence of commands\r\n";
pub(super) const AUTHENTICATION_REQUIRED: &[u8] = b"530 5.7.1 Authentication required\r\n";

/// The code of a refusal that brings none of its own.
const REFUSED: &[u8] = b"535 5.7.0";

pub(super) fn greeting(client: &Client, output: &mut BytesMut) {
    write(output, &[b"220 ", client.settings.server_name.as_bytes(), b" ESMTP ready"]);
}

/// The reply to HELO.
pub(super) fn hello(client: &Client, output: &mut BytesMut) {
    write(output, &[b"250 ", client.settings.server_name.as_bytes()]);
}

/// The reply to EHLO: our name, the configured lines, AUTH unless TLS has to come first, STARTTLS if it may come.
/// A trusted proxy is told what it may say of its client.
pub(super) fn extended_hello(client: &Client, output: &mut BytesMut) {
    let settings = &client.settings;
    let mut last = settings.server_name.as_bytes().to_vec();
    let mut add = |line: Vec<u8>| {
        let before = std::mem::replace(&mut last, line);
        write(output, &[b"250-", &before]);
    };
    settings.capabilities.iter().for_each(|text| add(text.to_vec()));
    let auth = settings
        .mechanisms
        .listed()
        .fold(b"AUTH".to_vec(), |line, name| [&line, name.as_bytes()].join(&b' '));
    if auth != b"AUTH" && !client.must_upgrade() {
        add(auth);
    }
    if client.may_upgrade() {
        add(b"STARTTLS".to_vec());
    }
    if client.trusted() {
        add(xclient::UNDERSTOOD.to_vec());
    }
    write(output, &[b"250 ", &last]);
}

/// A refusal in the authority's words.
pub(super) fn refused(refusal: &Refusal, output: &mut BytesMut) {
    write(output, &[refusal.code.as_deref().unwrap_or(REFUSED), b" ", &refusal.text]);
}
