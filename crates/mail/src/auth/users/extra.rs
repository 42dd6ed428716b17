//! The extra fields of an entry: where the user's mail is, and as whom to ask for it.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::{Protocol, Secret};

use crate::address::Target;
use crate::auth::RouteTls;
use crate::settings::UpstreamTls;

/// The longest `delay=`, seconds (Dovecot's own bound for delays).
const MAX_DELAY: u16 = 300;

/// Fields that would let in, or send a password, further than the operator thinks if they were ignored.
const REFUSED: &[(&str, &str)] = &[
    ("nopassword", "would let in anybody"),
    ("allow_nets", "is not supported and would not protect"),
    ("allow_real_nets", "is not supported and would not protect"),
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
    tls: Tls,
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
    /// The name of an upstream whose address is given beside it: its certificate is for the name.
    name: Option<Box<str>>,
}

/// `ssl=` and `starttls=` together.
#[derive(Debug, Clone, Copy, Default)]
struct Tls {
    mode: Option<UpstreamTls>,
    /// `yes` or `any-cert`.
    verify: Option<bool>,
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
    /// Without `port=`: 143 for IMAP, 110 for POP3, 25 for SMTP, which is where clear connections are expected; with
    /// `ssl=yes` 993, 995 and 465.
    pub(super) fn target(&self, protocol: Protocol) -> Option<Target> {
        let Upstream { host, port, name: _ } = self.upstream.as_ref()?;
        let implicit = self.tls.mode == Some(UpstreamTls::Implicit);
        let port = port.map_or(default_port(protocol, implicit), NonZero::get);
        Some(match host {
            Host::Ip(ip) => Target::Ip((*ip, port).into()),
            Host::Name(name) => Target::Name(name.to_string(), port),
            Host::Unix(path) => Target::Unix(path.to_path_buf()),
        })
    }

    /// How to speak TLS with the upstream.
    pub(super) fn tls(&self) -> RouteTls {
        let Tls { mode, verify } = self.tls;
        let name = self.upstream.as_ref().and_then(|upstream| upstream.name.as_deref());
        RouteTls { mode, verify, name: name.map(str::to_owned) }
    }

    /// How long to hold back the verdict.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_secs(self.delay.into())
    }
}

const fn default_port(protocol: Protocol, implicit_tls: bool) -> u16 {
    match (protocol, implicit_tls) {
        (Protocol::Imap, false) => 143,
        (Protocol::Imap, true) => 993,
        (Protocol::Pop3, false) => 110,
        (Protocol::Pop3, true) => 995,
        (Protocol::Smtp, false) => 25,
        (Protocol::Smtp, true) => 465,
    }
}

/// Fields as written; the last of a name counts.
#[derive(Default)]
struct Raw<'a> {
    host: Option<Host>,
    hostip: Option<IpAddr>,
    port: Option<NonZero<u16>>,
    ssl: Option<Wanted>,
    starttls: Option<Wanted>,
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
            b"ssl" => self.ssl = Some(parsed("ssl", value, Wanted::parse)?),
            b"starttls" => self.starttls = Some(parsed("starttls", value, Wanted::parse)?),
            b"delay" => self.delay = parsed("delay", value, delay)?,
            b"destuser" => self.destuser = Some(filled("destuser", value)?),
            b"pass" => self.pass = Some(filled("pass", value)?),
            // A flag is set by being there: `nologin=no` is set (as in Dovecot).
            b"nologin" => self.nologin = true,
            _ => return refuse(name),
        }
        Ok(())
    }

    /// As in Dovecot STARTTLS wins where both are wanted, and one `any-cert` is enough. A `starttls=no` alone says
    /// nothing of TLS from the first byte on.
    fn tls(&self) -> Tls {
        let is_wanted = |field: Option<Wanted>| field.filter(|wanted| *wanted != Wanted::No);
        let mode = match (is_wanted(self.ssl), is_wanted(self.starttls)) {
            (_, Some(_)) => UpstreamTls::Starttls,
            (Some(_), None) => UpstreamTls::Implicit,
            (None, None) => {
                return Tls { mode: self.ssl.map(|_| UpstreamTls::Off), verify: None };
            }
        };
        let any_cert = [self.ssl, self.starttls].contains(&Some(Wanted::AnyCert));
        Tls { mode: Some(mode), verify: Some(!any_cert) }
    }

    fn resolve(self) -> Result<Extra, BadField> {
        let tls = self.tls();
        let (host, name) = match (self.hostip, self.host) {
            (Some(ip), Some(Host::Name(name))) => (Some(Host::Ip(ip)), Some(name)),
            (Some(ip), _) => (Some(Host::Ip(ip)), None),
            (None, host) => (host, None),
        };
        if host.is_none() && !self.nologin {
            return Err(BadField::NoHost);
        }
        Ok(Extra {
            upstream: host.map(|host| Upstream { host, port: self.port, name }),
            tls,
            user: self.destuser.map(Box::from),
            password: self.pass.map(Secret::from),
            nologin: self.nologin.then(|| Box::from(self.reason)),
            delay: self.delay,
        })
    }
}

/// The value of `ssl=` and `starttls=`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    No,
    /// With a certificate that is good.
    Yes,
    /// With whatever certificate.
    AnyCert,
}

impl Wanted {
    /// Dovecot's words. It takes any other for `no`, and then sends passwords in clear.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "no" => Some(Self::No),
            "yes" => Some(Self::Yes),
            "any-cert" => Some(Self::AnyCert),
            _ => None,
        }
    }
}

/// Ignores a field that does not concern us, and refuses one that does.
fn refuse(name: &[u8]) -> Result<(), BadField> {
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
    fn tls_is_said_in_dovecots_words() {
        use UpstreamTls::{Implicit, Off, Starttls};
        for (fields, mode, verify) in [
            ("", None, None),
            ("ssl=no", Some(Off), None),
            ("starttls=no", None, None),
            ("ssl=no starttls=no", Some(Off), None),
            ("ssl=yes", Some(Implicit), Some(true)),
            ("ssl=any-cert", Some(Implicit), Some(false)),
            ("ssl=yes starttls=no", Some(Implicit), Some(true)),
            ("starttls=yes", Some(Starttls), Some(true)),
            ("starttls=any-cert", Some(Starttls), Some(false)),
            ("ssl=no starttls=yes", Some(Starttls), Some(true)),
            ("ssl=any-cert starttls=yes", Some(Starttls), Some(false)),
        ] {
            let extra = Extra::parse(format!("host=h {fields}").as_bytes()).unwrap();
            assert_eq!(extra.tls(), RouteTls { mode, verify, name: None }, "{fields}");
        }
    }

    #[test]
    fn tls_from_the_first_byte_has_ports_of_its_own() {
        for (protocol, expected) in
            [(Protocol::Imap, "h:993"), (Protocol::Pop3, "h:995"), (Protocol::Smtp, "h:465")]
        {
            assert_eq!(target("host=h ssl=yes", protocol), expected);
        }
        assert_eq!(target("host=h starttls=yes", Protocol::Imap), "h:143");
        assert_eq!(target("host=h ssl=yes port=143", Protocol::Imap), "h:143");
    }

    #[test]
    fn a_certificate_is_for_the_name_even_if_the_address_is_given() {
        let name = |fields: &str| Extra::parse(fields.as_bytes()).unwrap().tls().name;
        assert_eq!(name("host=be.example hostip=192.0.2.7 ssl=yes").as_deref(), Some("be.example"));
        assert_eq!(name("host=192.0.2.1 hostip=192.0.2.7 ssl=yes"), None);
        assert_eq!(name("host=be.example ssl=yes"), None);
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
            ("host=h ssl=on", "invalid \"ssl=on\""),
            ("host=h starttls=YES", "invalid \"starttls=YES\""),
            ("host=h starttls", "empty \"starttls=\""),
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
            (
                "host=h master=m pass=p",
                "\"master\", which is not supported: \"pass=\" would belong to another user",
            ),
        ] {
            assert_eq!(fault(fields), expected, "{fields}");
        }
    }
}
