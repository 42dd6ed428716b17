//! The extra fields of an entry: where the user's mail is, and as whom to ask for it.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::{Protocol, Secret};

use crate::address::Target;

/// The longest `delay=`, seconds (Dovecot's own bound for delays).
const MAX_DELAY: u16 = 300;

/// Fields that would let in, or send a password, further than the operator thinks if they were ignored.
const REFUSED: &[(&str, &str)] = &[
    ("nopassword", "would let in anybody"),
    ("allow_nets", "is not supported and would not protect"),
    ("allow_real_nets", "is not supported and would not protect"),
    ("ssl", "is not supported: passwords would go out in clear"),
    ("starttls", "is not supported: passwords would go out in clear"),
    ("master", "is not supported: \"pass=\" would belong to another user"),
];

/// What is wrong with an extra field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// A value that means nothing. Values of secret fields never get in here.
    #[error("invalid \"{name}={value}\"")]
    Value {
        /// The field.
        name: &'static str,
        /// Its value, escaped.
        value: String,
    },
    /// A field that must have a value.
    #[error("empty \"{0}=\"")]
    Empty(&'static str),
    /// A field that must not be ignored and cannot be obeyed.
    #[error("\"{name}\", which {reason}")]
    Refused {
        /// The field.
        name: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Nothing says where the user belongs.
    #[error("no \"host=\"")]
    NoHost,
}

/// Extra fields, understood. Those that are not here are ignored, as Dovecot ignores what concerns its own mailboxes.
#[derive(Debug)]
pub(super) struct Extra {
    /// `None` only where `nologin` makes it pointless.
    upstream: Option<Upstream>,
    /// `destuser=`.
    pub(super) user: Option<Box<[u8]>>,
    /// `pass=`.
    pub(super) password: Option<Secret>,
    /// `nologin`, with the words of `reason=` or none.
    pub(super) nologin: Option<Box<[u8]>>,
    /// `delay=`, seconds.
    delay: u16,
}

#[derive(Debug)]
struct Upstream {
    host: Host,
    port: Option<NonZero<u16>>,
}

#[derive(Debug)]
enum Host {
    Ip(IpAddr),
    Name(Box<str>),
    Unix(Box<Path>),
}

impl Extra {
    /// Reads `key=value key2=value2 flag`. `reason=` has spaces in it and therefore goes on to the end.
    pub(super) fn parse(mut rest: &[u8]) -> Result<Self, BadField> {
        let mut raw = Raw::default();
        while !rest.is_empty() {
            if let Some(reason) = rest.strip_prefix(b"reason=") {
                raw.reason = reason;
                break;
            }
            let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
            raw.take(&rest[..end])?;
            rest = rest[end..].trim_ascii_start();
        }
        raw.resolve()
    }

    /// Where the user belongs, for a client that speaks `protocol`.
    ///
    /// Without `port=`: 143 for IMAP, 110 for POP3, 25 for SMTP, which is where clear connections are expected.
    pub(super) fn target(&self, protocol: Protocol) -> Option<Target> {
        let Upstream { host, port } = self.upstream.as_ref()?;
        let port = port.map_or(default_port(protocol), NonZero::get);
        Some(match host {
            Host::Ip(ip) => Target::Ip((*ip, port).into()),
            Host::Name(name) => Target::Name(name.to_string(), port),
            Host::Unix(path) => Target::Unix(path.to_path_buf()),
        })
    }

    /// How long to hold back the verdict.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_secs(self.delay.into())
    }
}

const fn default_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Imap => 143,
        Protocol::Pop3 => 110,
        Protocol::Smtp => 25,
    }
}

/// Fields as written; the last of a name counts.
#[derive(Default)]
struct Raw<'a> {
    host: Option<Host>,
    hostip: Option<IpAddr>,
    port: Option<NonZero<u16>>,
    destuser: Option<&'a [u8]>,
    pass: Option<&'a [u8]>,
    nologin: bool,
    reason: &'a [u8],
    delay: u16,
}

impl<'a> Raw<'a> {
    fn take(&mut self, word: &'a [u8]) -> Result<(), BadField> {
        let (name, value) = match word.iter().position(|&b| b == b'=') {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word, &[][..]),
        };
        match name {
            b"host" => self.host = Some(parsed("host", value, host)?),
            b"hostip" => self.hostip = Some(parsed("hostip", value, ip)?),
            b"port" => self.port = Some(parsed("port", value, |text| text.parse().ok())?),
            b"delay" => self.delay = parsed("delay", value, delay)?,
            b"destuser" => self.destuser = Some(filled("destuser", value)?),
            b"pass" => self.pass = Some(filled("pass", value)?),
            // A flag is set by being there: `nologin=no` is set (as in Dovecot).
            b"nologin" => self.nologin = true,
            _ => return refuse(name, value),
        }
        Ok(())
    }

    fn resolve(self) -> Result<Extra, BadField> {
        let host = self.hostip.map(Host::Ip).or(self.host);
        if host.is_none() && !self.nologin {
            return Err(BadField::NoHost);
        }
        Ok(Extra {
            upstream: host.map(|host| Upstream { host, port: self.port }),
            user: self.destuser.map(Box::from),
            password: self.pass.map(Secret::from),
            nologin: self.nologin.then(|| Box::from(self.reason)),
            delay: self.delay,
        })
    }
}

/// Ignores a field that does not concern us, and refuses one that does.
fn refuse(name: &[u8], value: &[u8]) -> Result<(), BadField> {
    // TLS that is off is what there is.
    if matches!((name, value), (b"ssl" | b"starttls", b"no")) {
        return Ok(());
    }
    match REFUSED.iter().find(|(refused, _)| refused.as_bytes() == name) {
        Some(&(name, reason)) => Err(BadField::Refused { name, reason }),
        None => Ok(()),
    }
}

fn filled<'a>(name: &'static str, value: &'a [u8]) -> Result<&'a [u8], BadField> {
    if value.is_empty() { Err(BadField::Empty(name)) } else { Ok(value) }
}

fn parsed<T>(name: &'static str, value: &[u8], parse: impl FnOnce(&str) -> Option<T>) -> Result<T, BadField> {
    let value = filled(name, value)?;
    std::str::from_utf8(value)
        .ok()
        .and_then(parse)
        .ok_or_else(|| BadField::Value { name, value: value.escape_ascii().to_string() })
}

fn delay(text: &str) -> Option<u16> {
    text.parse().ok().filter(|seconds| *seconds <= MAX_DELAY)
}

/// An address, an IPv6 one with or without its brackets.
fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn host(text: &str) -> Option<Host> {
    if let Some(path) = text.strip_prefix("unix:") {
        return path.starts_with('/').then(|| Host::Unix(PathBuf::from(path).into()));
    }
    ip(text).map(Host::Ip).or_else(|| is_host_name(text).then(|| Host::Name(text.into())))
}

/// A host name (RFC 1123, section 2.1; `_` is in use), whose last label is not a number: `10.0.0` is a broken address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(fields: &str, protocol: Protocol) -> String {
        Extra::parse(fields.as_bytes()).unwrap().target(protocol).unwrap().to_string()
    }

    fn fault(fields: &str) -> String {
        Extra::parse(fields.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn host_takes_every_form_of_address() {
        for (fields, expected) in [
            ("host=192.0.2.1", "192.0.2.1:143"),
            ("host=2001:db8::1", "[2001:db8::1]:143"),
            ("host=[2001:db8::1] port=993", "[2001:db8::1]:993"),
            ("host=backend.example.org port=1143", "backend.example.org:1143"),
            ("host=backend", "backend:143"),
            ("host=unix:/run/imap.sock port=1", "unix:/run/imap.sock"),
            ("host=backend.example.org hostip=192.0.2.7", "192.0.2.7:143"),
            ("host=192.0.2.1 host=192.0.2.2", "192.0.2.2:143"),
            ("  host=192.0.2.1   port=2  ", "192.0.2.1:2"),
        ] {
            assert_eq!(target(fields.trim_start(), Protocol::Imap), expected, "{fields}");
        }
    }

    #[test]
    fn the_protocol_chooses_the_port() {
        assert_eq!(target("host=192.0.2.1", Protocol::Imap), "192.0.2.1:143");
        assert_eq!(target("host=192.0.2.1", Protocol::Pop3), "192.0.2.1:110");
        assert_eq!(target("host=192.0.2.1", Protocol::Smtp), "192.0.2.1:25");
    }

    #[test]
    fn the_rest_is_understood_or_ignored() {
        let extra = Extra::parse(
            b"proxy=y userdb_host=x host=h destuser=joe@example.org pass=secret delay=3 mail_path=~/mail",
        )
        .unwrap();
        assert_eq!(extra.user.as_deref(), Some(&b"joe@example.org"[..]));
        assert_eq!(extra.password.as_ref().map(Secret::expose), Some(&b"secret"[..]));
        assert_eq!(extra.delay(), Duration::from_secs(3));
        assert!(extra.nologin.is_none());
        assert_eq!(extra.target(Protocol::Imap), Some(Target::Name("h".to_owned(), 143)));
    }

    #[test]
    fn nologin_needs_no_host_and_takes_a_reason_with_spaces() {
        let reason = |fields: &[u8]| Extra::parse(fields).unwrap().nologin;
        assert_eq!(reason(b"nologin").as_deref(), Some(&b""[..]));
        assert_eq!(reason(b"nologin=no").as_deref(), Some(&b""[..]));
        assert_eq!(reason(b"nologin reason=Moved: ask us").as_deref(), Some(&b"Moved: ask us"[..]));
        assert_eq!(reason(b"host=h reason=unused"), None);
    }

    #[test]
    fn nonsense_is_a_fault_that_names_the_field() {
        for (fields, expected) in [
            ("", "no \"host=\""),
            ("port=143", "no \"host=\""),
            ("host=", "empty \"host=\""),
            ("host", "empty \"host=\""),
            ("host=10.0.0", "invalid \"host=10.0.0\""),
            ("host=[192.0.2.1]", "invalid \"host=[192.0.2.1]\""),
            ("host=h:143", "invalid \"host=h:143\""),
            ("host=-h", "invalid \"host=-h\""),
            ("host=h\u{e9}", "invalid \"host=h\\xc3\\xa9\""),
            ("host=unix:run", "invalid \"host=unix:run\""),
            ("host=h hostip=h", "invalid \"hostip=h\""),
            ("host=h port=0", "invalid \"port=0\""),
            ("host=h port=65536", "invalid \"port=65536\""),
            ("host=h delay=301", "invalid \"delay=301\""),
            ("host=h delay=-1", "invalid \"delay=-1\""),
            ("host=h destuser=", "empty \"destuser=\""),
            ("host=h pass", "empty \"pass=\""),
        ] {
            assert_eq!(fault(fields), expected, "{fields}");
        }
    }

    #[test]
    fn fields_that_must_not_be_ignored_are_refused() {
        for (fields, expected) in [
            ("host=h nopassword", "\"nopassword\", which would let in anybody"),
            ("host=h nopassword=y", "\"nopassword\", which would let in anybody"),
            ("host=h allow_nets=10.0.0.0/8", "\"allow_nets\", which is not supported and would not protect"),
            ("host=h ssl=yes", "\"ssl\", which is not supported: passwords would go out in clear"),
            ("host=h starttls", "\"starttls\", which is not supported: passwords would go out in clear"),
            (
                "host=h master=m pass=p",
                "\"master\", which is not supported: \"pass=\" would belong to another user",
            ),
        ] {
            assert_eq!(fault(fields), expected, "{fields}");
        }
        assert!(Extra::parse(b"host=h ssl=no starttls=no").is_ok());
    }
}
