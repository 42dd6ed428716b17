//! ENVELOPE (RFC 3501, section 7.4.2): the header of a message, taken apart.

use super::super::mime;
use super::print::{nstring, string};

/// Adds the envelope of a message with this header.
pub(super) fn write(out: &mut Vec<u8>, header: &[u8]) {
    let from = mime::value(header, "From").unwrap_or_default();
    // A sender that is not named is the author (RFC 3501, section 7.4.2).
    let or_from =
        |name| mime::value(header, name).filter(|value| !value.is_empty()).unwrap_or_else(|| from.clone());
    let or_nobody = |name| mime::value(header, name).unwrap_or_default();
    out.push(b'(');
    for name in ["Date", "Subject"] {
        nstring(out, mime::value(header, name).as_deref());
        out.push(b' ');
    }
    for value in [&from, &or_from("Sender"), &or_from("Reply-To")] {
        address_list(out, value);
    }
    for name in ["To", "Cc", "Bcc"] {
        address_list(out, &or_nobody(name));
    }
    nstring(out, mime::value(header, "In-Reply-To").as_deref());
    out.push(b' ');
    nstring(out, mime::value(header, "Message-ID").as_deref());
    out.push(b')');
}

/// A list of addresses and the space behind it.
fn address_list(out: &mut Vec<u8>, value: &[u8]) {
    let addresses = addresses(value);
    if addresses.is_empty() {
        out.extend_from_slice(b"NIL ");
        return;
    }
    out.push(b'(');
    for address in addresses {
        address.write(out);
    }
    out.extend_from_slice(b") ");
}

/// What stands in a list of addresses.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// One mailbox: `Name <local@host>`.
    Mailbox { name: Option<Vec<u8>>, local: Vec<u8>, host: Option<Vec<u8>> },
    /// The beginning of a group: `Name:`.
    GroupStart(Vec<u8>),
    /// The end of a group: `;`.
    GroupEnd,
}

impl Address {
    fn write(&self, out: &mut Vec<u8>) {
        let (name, local, host) = match self {
            Self::Mailbox { name, local, host } => (name.as_deref(), Some(local.as_slice()), host.as_deref()),
            Self::GroupStart(name) => (None, Some(name.as_slice()), None),
            Self::GroupEnd => (None, None, None),
        };
        out.push(b'(');
        nstring(out, name);
        // The source route, which nobody uses.
        out.extend_from_slice(b" NIL ");
        nstring(out, local);
        out.push(b' ');
        match (host, self) {
            // NIL would make it a group; a lone local part is what the message says.
            (None, Self::Mailbox { .. }) => string(out, b""),
            (host, _) => nstring(out, host),
        }
        out.push(b')');
    }
}

/// The addresses of an unfolded field (RFC 5322, section 3.4). Comments are left out.
fn addresses(value: &[u8]) -> Vec<Address> {
    let mut list = List::default();
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => list.quoted(&mut bytes),
            b'(' => skip_comment(&mut bytes),
            b'<' => list.phrase = Some(std::mem::take(&mut list.text)),
            b'>' => {}
            b',' => list.finish(),
            b':' if list.phrase.is_none() && !list.in_group => list.start_group(),
            b';' if list.in_group => list.end_group(),
            byte => list.text.push(byte),
        }
    }
    list.finish();
    if list.in_group {
        list.end_group();
    }
    list.done
}

#[derive(Default)]
struct List {
    done: Vec<Address>,
    /// What was read since the last separator.
    text: Vec<u8>,
    /// What stood before `<`.
    phrase: Option<Vec<u8>>,
    in_group: bool,
}

impl List {
    fn quoted(&mut self, bytes: &mut impl Iterator<Item = u8>) {
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => return,
                b'\\' => self.text.extend(bytes.next()),
                byte => self.text.push(byte),
            }
        }
    }

    fn finish(&mut self) {
        let text = std::mem::take(&mut self.text);
        let name =
            self.phrase.take().map(|phrase| phrase.trim_ascii().to_vec()).filter(|name| !name.is_empty());
        let address = text.trim_ascii();
        if address.is_empty() && name.is_none() {
            return;
        }
        let (local, host) = match memchr::memrchr(b'@', address) {
            Some(at) => (address[..at].to_vec(), Some(address[at + 1..].to_vec())),
            None => (address.to_vec(), None),
        };
        self.done.push(Address::Mailbox { name, local, host });
    }

    fn start_group(&mut self) {
        let name = std::mem::take(&mut self.text).trim_ascii().to_vec();
        self.done.push(Address::GroupStart(name));
        self.in_group = true;
    }

    fn end_group(&mut self) {
        self.finish();
        self.done.push(Address::GroupEnd);
        self.in_group = false;
    }
}

fn skip_comment(bytes: &mut impl Iterator<Item = u8>) {
    let mut depth = 1_usize;
    while depth > 0 {
        match bytes.next() {
            Some(b'(') => depth += 1,
            Some(b')') => depth -= 1,
            Some(b'\\') => {
                bytes.next();
            }
            Some(_) => {}
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> String {
        let mut out = Vec::new();
        address_list(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (value, expected) in [
            ("", "NIL"),
            (" , ,", "NIL"),
            ("a@b", r#"((NIL NIL "a" "b"))"#),
            ("A B <a@b>, <c@d>", r#"(("A B" NIL "a" "b")(NIL NIL "c" "d"))"#),
            (r#""B, \"A\"" <a@b> (x (y) \) z)"#, r#"(("B, \"A\"" NIL "a" "b"))"#),
            ("alice", r#"((NIL NIL "alice" ""))"#),
            (
                "all: a@b, c@d;, e@f",
                concat!(
                    r#"((NIL NIL "all" NIL)(NIL NIL "a" "b")(NIL NIL "c" "d")"#,
                    r#"(NIL NIL NIL NIL)(NIL NIL "e" "f"))"#
                ),
            ),
            ("nobody:;", r#"((NIL NIL "nobody" NIL)(NIL NIL NIL NIL))"#),
            ("<a@[IPv6:::1]>", r#"((NIL NIL "a" "[IPv6:::1]"))"#),
            (r#"open: "a"#, r#"((NIL NIL "open" NIL)(NIL NIL "a" "")(NIL NIL NIL NIL))"#),
            ("(((", "NIL"),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }

    #[test]
    fn an_envelope_has_ten_fields_and_the_author_as_sender() {
        let mut out = Vec::new();
        write(&mut out, b"subject: a\r\n b\r\nFrom: x@y\r\nMessage-Id: <1>\r\n\r\n");
        let who = r#"((NIL NIL "x" "y"))"#;
        let expected = format!(r#"(NIL "a b" {who} {who} {who} NIL NIL NIL NIL "<1>")"#);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
