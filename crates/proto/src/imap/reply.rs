//! What we say to IMAP clients, to the byte as the originals say it. Every reply ends in CRLF.

use bytes::BytesMut;

use super::Tag;
use crate::client::Client;
use crate::line::write;

/// The first line of a session.
pub(super) const GREETING: &[u8] = b"* OK IMAP4 ready\r\n";
/// Asks for the bytes of a synchronising literal.
pub(super) const LITERAL_PROMPT: &[u8] = b"+ OK\r\n";
/// When something of ours, of the authority or of the upstream is broken.
pub(super) const FAILED: &[u8] = b"* BAD internal server error\r\n";

/// Success of any command.
pub(super) fn completed(tag: &Tag, output: &mut BytesMut) {
    write(output, &[tag.as_ref(), b" OK completed"]);
}

/// A command that breaks the grammar or does not fit the state.
///
/// If no tag was recognised the reply is an untagged BAD (RFC 9051, section 7.1.3).
pub(super) fn invalid(tag: Option<&Tag>, output: &mut BytesMut) {
    let tag = tag.map_or(&b"*"[..], AsRef::as_ref);
    write(output, &[tag, b" BAD invalid command"]);
}

/// A refusal in the authority's words.
pub(super) fn refused(tag: &Tag, text: &[u8], output: &mut BytesMut) {
    write(output, &[tag.as_ref(), b" NO ", text]);
}

/// A login that is good, of a client with too many connections (RFC 5530, section 3).
pub(super) fn limited(tag: &Tag, output: &mut BytesMut) {
    write(output, &[tag.as_ref(), b" NO [UNAVAILABLE] Too many connections"]);
}

/// Asks for the next SASL response.
pub(super) fn prompt(base64: &[u8], output: &mut BytesMut) {
    write(output, &[b"+ ", base64]);
}

/// The reply to LOGOUT.
pub(super) fn bye(tag: &Tag, output: &mut BytesMut) {
    write(output, &[b"* BYE"]);
    completed(tag, output);
}

/// The reply to ID, which tells nothing of ourselves (RFC 2971, section 3.2).
pub(super) fn id(tag: &Tag, output: &mut BytesMut) {
    write(output, &[b"* ID NIL"]);
    completed(tag, output);
}

/// The reply to CAPABILITY: what was configured, then how to log in.
pub(super) fn capabilities(client: &Client, tag: &Tag, output: &mut BytesMut) {
    output.extend_from_slice(b"* CAPABILITY");
    for text in &client.settings.capabilities {
        output.extend_from_slice(b" ");
        output.extend_from_slice(text);
    }
    if client.must_upgrade() {
        output.extend_from_slice(b" STARTTLS LOGINDISABLED");
    } else {
        for name in client.settings.mechanisms.listed() {
            output.extend_from_slice(b" AUTH=");
            output.extend_from_slice(name.as_bytes());
        }
        if client.may_upgrade() {
            output.extend_from_slice(b" STARTTLS");
        }
    }
    write(output, &[]);
    completed(tag, output);
}
