//! What we say to POP3 clients. Every reply ends in CRLF.

use bytes::BytesMut;

use crate::client::Client;
use crate::line::write;
use crate::sasl::Mechanisms;
use crate::{Mechanism, Protocol, Refusal};

/// To any line that breaks the grammar or does not fit the state.
pub(super) const INVALID: &[u8] = b"-ERR invalid command\r\n";
/// When something of ours, of the authority or of the upstream is broken.
pub(super) const FAILED: &[u8] = b"-ERR internal server error\r\n";

/// To a login that is good, of a client with too many connections.
pub(super) const LIMITED: &[u8] = Protocol::Pop3.too_many_connections();

/// What goes before a SASL prompt.
pub(super) const PROMPT: &[u8] = b"+ ";

/// The capability that means USER and PASS, which STLS has to precede if it is required.
const USER: &[u8] = b"USER";

/// The greeting, with a challenge if a digest may be made over it (RFC 1939, section 7).
pub(super) fn greeting(client: &Client, output: &mut BytesMut) {
    let mechanisms = client.settings.mechanisms;
    if mechanisms.contains(Mechanism::Apop) || mechanisms.contains(Mechanism::CramMd5) {
        write(output, &[b"+OK POP3 ready ", &client.challenge()]);
    } else {
        write(output, &[b"+OK POP3 ready"]);
    }
}

/// The reply to CAPA in the start state, where STLS is possible if it is configured.
pub(super) fn capabilities(client: &Client, output: &mut BytesMut) {
    if client.must_upgrade() {
        write(output, &[b"+OK Capability list follows"]);
        let capabilities = client.settings.capabilities.iter();
        capabilities.filter(|text| !text.eq_ignore_ascii_case(USER)).for_each(|text| write(output, &[text]));
    } else {
        begin_capabilities(client, output);
    }
    if client.may_upgrade() {
        write(output, &[b"STLS"]);
    }
    write(output, &[b"."]);
}

/// The reply to CAPA behind USER, where STLS is refused and so not listed, as in the originals.
pub(super) fn capabilities_after_user(client: &Client, output: &mut BytesMut) {
    begin_capabilities(client, output);
    write(output, &[b"."]);
}

/// The reply to AUTH without a mechanism.
pub(super) fn mechanisms(client: &Client, output: &mut BytesMut) {
    write(output, &[b"+OK methods supported:"]);
    listed(client.settings.mechanisms).for_each(|name| write(output, &[name.as_bytes()]));
    write(output, &[b"."]);
}

/// A refusal in the authority's words.
pub(super) fn refused(refusal: &Refusal, output: &mut BytesMut) {
    write(output, &[b"-ERR ", &refusal.text]);
}

/// Success that needs no words.
pub(super) fn ok(output: &mut BytesMut) {
    write(output, &[b"+OK"]);
}

fn begin_capabilities(client: &Client, output: &mut BytesMut) {
    write(output, &[b"+OK Capability list follows"]);
    client.settings.capabilities.iter().for_each(|text| write(output, &[text]));
    let mut names = listed(client.settings.mechanisms).peekable();
    // The originals send a bare SASL when there is nothing to list; RFC 2449, section 6.3 does not know that.
    if names.peek().is_some() {
        output.extend_from_slice(b"SASL");
        names.for_each(|name| {
            output.extend_from_slice(b" ");
            output.extend_from_slice(name.as_bytes());
        });
        write(output, &[]);
    }
}

/// There is no setting for LOGIN in POP3: it comes with PLAIN.
fn listed(mechanisms: Mechanisms) -> impl Iterator<Item = &'static str> {
    let plain = mechanisms.contains(Mechanism::Plain);
    if plain { mechanisms.with(Mechanism::Login) } else { mechanisms }.listed()
}
