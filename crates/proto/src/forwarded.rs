//! A client as one proxy describes it to the next: the fields of IMAP ID and of XCLIENT, as Dovecot's proxy has them
//! (<https://doc.dovecot.org/2.3/configuration_manual/forwarding_parameters>).
//!
//! Fields that are missing, or cannot be read, say nothing; they are no errors. Whom to believe is not decided here.

mod fields;

use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use bytes::Bytes;

pub use fields::Fields;

use crate::line::write;

/// How many proxies a client may pass in all, where nobody says otherwise (as Dovecot).
pub const MOST_HOPS: u8 = 5;

/// The longest session name that is passed on, bytes (as Dovecot).
const LONGEST_SESSION: usize = 64;

/// The longest host name, bytes (RFC 5321, section 4.5.3.1.2).
pub(crate) const LONGEST_NAME: usize = 255;

/// The tag of the ID command; the client's own is for LOGIN.
pub(crate) const ID_TAG: &[u8] = b"ID";

/// What is said of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Where it comes from.
    pub client: Place,
    /// Where it has connected to.
    pub server: Place,
    /// How many proxies it may still pass.
    pub ttl: Option<u8>,
    /// A name of the session, the same at all proxies. Printable ASCII without spaces, quotes and backslashes.
    pub session: Option<Bytes>,
    /// SMTP: its host name, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
    pub name: Option<String>,
    /// What upstreams want to know beside; nothing of it means anything to us.
    pub fields: Fields,
}

/// What is said of a client, if anything is: most clients are no proxies, and of them this takes no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearsay(Option<Box<Forwarded>>);

impl Hearsay {
    /// Whether nothing is said.
    pub const fn is_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl From<Forwarded> for Hearsay {
    fn from(forwarded: Forwarded) -> Self {
        Self((forwarded != Forwarded::default()).then(|| Box::new(forwarded)))
    }
}

impl Deref for Hearsay {
    type Target = Forwarded;

    fn deref(&self) -> &Forwarded {
        static NOTHING: LazyLock<Forwarded> = LazyLock::new(Forwarded::default);
        self.0.as_deref().unwrap_or_else(|| &NOTHING)
    }
}

impl DerefMut for Hearsay {
    fn deref_mut(&mut self) -> &mut Forwarded {
        self.0.get_or_insert_default()
    }
}

/// An address and a port, as far as they were said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

impl Place {
    /// Both as one, with port 0 where none was said; `None` without an address.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.ip.map(|ip| SocketAddr::new(ip, self.port.unwrap_or(0)))
    }
}

impl From<Option<SocketAddr>> for Place {
    fn from(addr: Option<SocketAddr>) -> Self {
        Self { ip: addr.map(|addr| addr.ip().to_canonical()), port: addr.map(|addr| addr.port()) }
    }
}

impl Forwarded {
    /// What the next proxy is to be told of how many more there may be; `None`: there must be no next one.
    ///
    /// Every proxy takes one off, and refuses a client that has none left, so that proxies cannot loop (as Dovecot).
    pub fn next_ttl(&self) -> Option<u8> {
        self.ttl.unwrap_or(MOST_HOPS).checked_sub(1).filter(|left| *left > 0)
    }

    /// The ID command with these fields (RFC 2971, section 3.1), line end included.
    pub fn id(&self) -> Bytes {
        let fields = [
            ("x-originating-ip", self.client.ip.map(|ip| ip.to_string())),
            ("x-originating-port", self.client.port.map(|port| port.to_string())),
            ("x-connected-ip", self.server.ip.map(|ip| ip.to_string())),
            ("x-connected-port", self.server.port.map(|port| port.to_string())),
            ("x-proxy-ttl", self.ttl.map(|ttl| ttl.to_string())),
            ("x-session-id", self.session_text()),
        ];
        let own = fields.into_iter().filter_map(|(name, value)| Some(pair(name, &value?)));
        let fields: Vec<String> =
            own.chain(self.fields.id().map(|(name, value)| pair(&name, value))).collect();
        line(&[ID_TAG, b" ID (", fields.join(" ").as_bytes(), b")"])
    }

    /// The XCLIENT command of POP3 with these fields, line end included.
    pub fn xclient(&self) -> Bytes {
        let fields = [
            ("ADDR", self.client.ip.map(|ip| ip.to_string())),
            ("PORT", self.client.port.map(|port| port.to_string())),
            ("SESSION", self.session_text()),
            ("TTL", self.ttl.map(|ttl| ttl.to_string())),
            ("FORWARD", self.fields.forward().map(|fields| String::from_utf8_lossy(&fields).into_owned())),
        ];
        let attribute = |(name, value): (&str, Option<String>)| Some(format!(" {name}={}", value?));
        let attributes: String = fields.into_iter().filter_map(attribute).collect();
        line(&[b"XCLIENT", attributes.as_bytes()])
    }

    /// Reads a field of ID, its name in any letter case.
    pub(crate) fn read_id(&mut self, name: &[u8], value: &[u8]) {
        match name.to_ascii_lowercase().as_slice() {
            b"x-originating-ip" => update(&mut self.client.ip, ip(value)),
            b"x-originating-port" => update(&mut self.client.port, number(value)),
            b"x-connected-ip" => update(&mut self.server.ip, ip(value)),
            b"x-connected-port" => update(&mut self.server.port, number(value)),
            b"x-proxy-ttl" => self.read_ttl(value),
            b"x-session-id" | b"x-session-ext-id" => update(&mut self.session, session(value)),
            _ => self.fields.read_id(name, value),
        }
    }

    /// Reads an attribute of XCLIENT, its name in any letter case.
    pub(crate) fn read_xclient(&mut self, name: &[u8], value: &[u8]) {
        match name.to_ascii_uppercase().as_slice() {
            b"ADDR" => update(&mut self.client.ip, ip(value)),
            b"PORT" => update(&mut self.client.port, number(value)),
            b"SESSION" => update(&mut self.session, session(value)),
            b"TTL" => self.read_ttl(value),
            b"NAME" => update(&mut self.name, host_name(value)),
            b"DESTADDR" => update(&mut self.server.ip, ip(value)),
            b"DESTPORT" => update(&mut self.server.port, number(value)),
            b"FORWARD" => self.fields.read_forward(value),
            _ => {}
        }
    }

    /// Nobody can give a client more hops than it has.
    fn read_ttl(&mut self, value: &[u8]) {
        let most = self.ttl.unwrap_or(MOST_HOPS);
        let said = number(value).map(|ttl: u64| u8::try_from(ttl).unwrap_or(u8::MAX).min(most));
        update(&mut self.ttl, said);
    }

    fn session_text(&self) -> Option<String> {
        let session = session(self.session.as_ref()?)?;
        Some(String::from_utf8_lossy(&session).into_owned())
    }
}

/// Two quoted strings (RFC 3501, section 4.3).
fn pair(name: &str, value: &str) -> String {
    format!("\"{name}\" \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The two sides of an attribute, `NAME=value`.
pub(crate) fn attribute(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', text)?;
    Some((&text[..equals], &text[equals + 1..]))
}

/// What cannot be read says nothing.
fn update<T>(field: &mut Option<T>, said: Option<T>) {
    *field = said.or_else(|| field.take());
}

/// An address as text; `IPV6:`, which XCLIENT has before those of IPv6 in SMTP, may be there.
fn ip(value: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(value).ok()?;
    let tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPV6:"));
    let address: IpAddr = if tagged { &text[5..] } else { text }.parse().ok()?;
    Some(address.to_canonical())
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// A session's name, if it can be said in every protocol.
fn session(value: &[u8]) -> Option<Bytes> {
    let sayable = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let good = (1..=LONGEST_SESSION).contains(&value.len()) && value.iter().all(sayable);
    good.then(|| Bytes::copy_from_slice(value))
}

/// A host name, of which no more is asked than of one in DNS, or one of the words for none.
fn host_name(value: &[u8]) -> Option<String> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let good = matches!(value, b"[UNAVAILABLE]" | b"[TEMPUNAVAIL]")
        || (1..=LONGEST_NAME).contains(&value.len()) && value.iter().all(is_name);
    good.then(|| String::from_utf8_lossy(value).into_owned())
}

fn line(pieces: &[&[u8]]) -> Bytes {
    let mut line = bytes::BytesMut::new();
    write(&mut line, pieces);
    line.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Forwarded {
        Forwarded {
            client: Some(SocketAddr::from(([192, 0, 2, 1], 4711))).into(),
            server: Some("[2001:db8::1]:143".parse().unwrap()).into(),
            ttl: Some(4),
            session: Some(Bytes::from_static(b"0123abcd")),
            name: None,
            fields: Fields::default(),
        }
    }

    fn say(read: &mut Forwarded, text: &str) {
        if let Some((name, value)) = attribute(text.as_bytes()) {
            read.read_xclient(name, value);
        }
    }

    #[test]
    fn a_host_name_is_one_of_dns_or_none() {
        for (said, name) in [
            ("mail-1.example", Some("mail-1.example")),
            ("[UNAVAILABLE]", Some("[UNAVAILABLE]")),
            ("[TEMPUNAVAIL]", Some("[TEMPUNAVAIL]")),
            ("[unavailable]", None),
            ("under_score", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(host_name(said.as_bytes()).as_deref(), name);
        }
        assert_eq!(host_name(&[b'x'; 256]), None);
    }

    #[test]
    fn all_that_is_known_is_said() {
        let id = concat!(
            "ID ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"4711\" ",
            "\"x-connected-ip\" \"2001:db8::1\" \"x-connected-port\" \"143\" ",
            "\"x-proxy-ttl\" \"4\" \"x-session-id\" \"0123abcd\")\r\n",
        );
        assert_eq!(all().id(), id);
        assert_eq!(all().xclient(), "XCLIENT ADDR=192.0.2.1 PORT=4711 SESSION=0123abcd TTL=4\r\n");
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let unix = Forwarded { ttl: Some(4), ..Forwarded::default() };
        assert_eq!(unix.id(), "ID ID (\"x-proxy-ttl\" \"4\")\r\n");
        assert_eq!(unix.xclient(), "XCLIENT TTL=4\r\n");
    }

    #[test]
    fn what_one_says_the_other_reads() {
        let mut read = Forwarded::default();
        for (name, value) in [
            ("X-Originating-IP", "192.0.2.1"),
            ("x-originating-port", "4711"),
            ("x-connected-ip", "2001:db8::1"),
            ("x-connected-port", "143"),
            ("x-proxy-ttl", "4"),
            ("x-session-id", "0123abcd"),
            ("name", "mutt"),
        ] {
            read.read_id(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(read, all());
        let mut read = Forwarded::default();
        for attribute in
            ["ADDR=192.0.2.1", "port=4711", "SESSION=0123abcd", "TTL=4", "FORWARD=eA==", "LOGIN=u", "x"]
        {
            say(&mut read, attribute);
        }
        assert_eq!(read, Forwarded { server: Place::default(), ..all() });
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let before = all();
        let mut read = before.clone();
        for attribute in [
            "ADDR=",
            "ADDR=unix:",
            "ADDR=192.0.2.1:4",
            "ADDR=é",
            "PORT=",
            "PORT=-1",
            "PORT=65536",
            "PORT=+1",
            "TTL=",
            "TTL=x",
            "SESSION=",
            "SESSION=\"",
            "SESSION=a\\",
            "SESSION=\u{7f}",
            "=",
            "",
        ] {
            say(&mut read, attribute);
        }
        say(&mut read, &format!("SESSION={}", "x".repeat(65)));
        assert_eq!(read, before);
    }

    #[test]
    fn addresses_of_ipv6_may_have_a_tag_and_mapped_ones_are_ipv4() {
        for (text, address) in [
            ("IPV6:2001:db8::1", "2001:db8::1"),
            ("ipv6:2001:db8::1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(ip(text.as_bytes()), address.parse().ok(), "{text}");
        }
    }

    #[test]
    fn hops_only_get_fewer_and_end() {
        let left = |ttl| Forwarded { ttl, ..Forwarded::default() }.next_ttl();
        assert_eq!(
            [None, Some(5), Some(2), Some(1), Some(0)].map(left),
            [Some(4), Some(4), Some(1), None, None]
        );
        let mut read = Forwarded::default();
        for (said, ttl) in [("99999999999", 5), ("3", 3), ("4", 3), ("0", 0), ("99999999999999999999999", 0)]
        {
            say(&mut read, &format!("TTL={said}"));
            assert_eq!(read.ttl, Some(ttl), "{said}");
        }
    }

    #[test]
    fn a_session_name_that_cannot_be_said_is_not() {
        let mut forwarded = all();
        forwarded.session = Some(Bytes::from_static(b"a\"\r\nb"));
        forwarded.client = Place::default();
        assert_eq!(forwarded.xclient(), "XCLIENT TTL=4\r\n");
    }
}
