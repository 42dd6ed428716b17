//! XCLIENT (<https://www.postfix.org/XCLIENT_README.html>): what an upstream is told about the client, and what a
//! proxy says of its client to us.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::back::Facts;
use crate::forwarded::{Forwarded, LONGEST_NAME, attribute};
use crate::line::write;

/// The extension, in replies to EHLO.
const KEYWORD: &[u8] = b"XCLIENT";

/// What we understand. A client says HELO and EHLO itself, and logs in itself.
pub(super) const UNDERSTOOD: &[u8] = b"XCLIENT ADDR PORT NAME DESTADDR DESTPORT SESSION TTL FORWARD";

/// The attributes that an upstream has announced for XCLIENT: the text behind the keyword.
#[derive(Debug, Clone)]
pub(super) struct Announced(Bytes);

impl Announced {
    /// Looks for `250-XCLIENT NAME …` in a reply to EHLO.
    pub(super) fn in_reply(reply: &Bytes) -> Option<Self> {
        let keyword_and_text = |line: &'_ [u8]| Some(reply.slice_ref(line.get(4..)?.trim_ascii()));
        let mut extensions = reply.split(|&byte| byte == b'\n').filter_map(keyword_and_text);
        extensions.find_map(|extension| {
            let keyword = extension.get(..KEYWORD.len())?;
            let text = extension.slice(KEYWORD.len()..);
            let ends = text.first().is_none_or(|&byte| byte == b' ');
            (ends && keyword.eq_ignore_ascii_case(KEYWORD)).then_some(Self(text))
        })
    }

    fn has(&self, attribute: &str) -> bool {
        self.0.split(|&byte| byte == b' ').any(|word| word.eq_ignore_ascii_case(attribute.as_bytes()))
    }
}

/// Appends the command: the attributes of the originals in their order, which go out whether announced or not, then
/// those that were announced.
pub(super) fn command(facts: &Facts, announced: Option<&Announced>, output: &mut BytesMut) {
    output.extend_from_slice(b"XCLIENT ADDR=");
    output.extend_from_slice(address(facts.client.map(|client| client.ip())).as_bytes());
    if !facts.identity.user.is_empty() && !facts.auth {
        output.extend_from_slice(b" LOGIN=");
        xtext(&facts.identity.user, output);
    }
    output.extend_from_slice(b" NAME=");
    // Checked names have nothing to encode; a name that was not checked cannot add an attribute or a line.
    xtext(facts.host.as_bytes(), output);
    for (name, value) in further(facts) {
        let Some(value) = value.filter(|_| announced.is_some_and(|it| it.has(name))) else { continue };
        output.extend_from_slice(format!(" {name}=").as_bytes());
        xtext(value.as_ref(), output);
    }
    write(output, &[]);
}

/// What the originals do not send. A unix socket has no address.
fn further(facts: &Facts) -> [(&'static str, Option<Cow<'_, [u8]>>); 8] {
    let text = |text: String| Cow::Owned(text.into_bytes());
    // A longer name than there can be would only make the line too long.
    let helo = Some(&facts.helo).filter(|helo| (1..=LONGEST_NAME).contains(&helo.len()));
    [
        ("PORT", facts.client.map(|client| text(client.port().to_string()))),
        ("PROTO", Some(Cow::Borrowed(if facts.esmtp { b"ESMTP" } else { b"SMTP" }))),
        ("HELO", helo.map(|helo| Cow::Borrowed(&helo[..]))),
        ("DESTADDR", facts.server.map(|server| text(address(Some(server.ip()))))),
        ("DESTPORT", facts.server.map(|server| text(server.port().to_string()))),
        ("SESSION", facts.session.as_deref().map(Cow::Borrowed)),
        ("TTL", facts.ttl.map(|ttl| text(ttl.to_string()))),
        ("FORWARD", facts.fields.forward().map(|fields| Cow::Owned(fields.into()))),
    ]
}

fn address(ip: Option<IpAddr>) -> String {
    match ip {
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => format!("IPV6:{ip}"),
        None => "unix:".to_owned(),
    }
}

/// Takes over what the attributes of a command say. What cannot be read says nothing.
pub(super) fn read(attributes: &[&[u8]], forwarded: &mut Forwarded) {
    for (name, value) in attributes.iter().filter_map(|text| attribute(text)) {
        if let Some(value) = plain(value) {
            forwarded.read_xclient(name, &value);
        }
    }
}

/// What an xtext stands for.
fn plain(xtext: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = xtext.split(|&byte| byte == b'+');
    let mut plain = pieces.next()?.to_vec();
    for piece in pieces {
        let code = str::from_utf8(piece.get(..2)?).ok()?;
        plain.push(u8::from_str_radix(code, 16).ok()?);
        plain.extend_from_slice(&piece[2..]);
    }
    Some(plain)
}

/// xtext (RFC 3461, section 4), where the originals encode 0x7F and all above it too.
fn xtext(text: &[u8], output: &mut BytesMut) {
    for &byte in text {
        match byte {
            0x21..=0x7e if byte != b'+' && byte != b'=' => output.put_u8(byte),
            _ => output.extend_from_slice(format!("+{byte:02X}").as_bytes()),
        }
    }
}
