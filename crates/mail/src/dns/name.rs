//! Names: what may be asked for, and what may be believed to be the name of a host.

use std::fmt;

use hickory_proto::rr::Name;

/// The name of a host as DNS gave it: letters, digits, `-` and `.`, not empty, without a dot at the end.
///
/// Whatever comes out of DNS was written by whoever owns the zone. Only such a name may go on, into log lines, the
/// headers of the auth server and XCLIENT (CVE-2026-28753).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

/// A name of a host that is none. Holds any bytes; labels are joined with dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName(pub Box<[u8]>);

impl HostName {
    pub(super) fn new(name: &Name) -> Result<Self, InvalidName> {
        // A dot within a label would make two labels of it.
        let valid = !name.is_root()
            && name.iter().flatten().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let bytes = name.iter().collect::<Vec<_>>().join(&b'.');
        match String::from_utf8(bytes) {
            Ok(text) if valid => Ok(Self(text.into())),
            Ok(text) => Err(InvalidName(text.into_bytes().into())),
            Err(error) => Err(InvalidName(error.into_bytes().into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The form in which a name is asked for and remembered: lower case, without a dot at the end.
pub(super) fn folded(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// A name to ask for; `None` if DNS cannot have it.
///
/// Underscores are no part of host names, yet names of containers have them, and an auth server may send those.
pub(super) fn to_ask(host: &str) -> Option<Name> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if host.is_empty() || !host.bytes().all(known) {
        return None;
    }
    Name::from_labels(host.split('.').map(str::as_bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(labels: &[&[u8]]) -> Result<String, Vec<u8>> {
        let name = Name::from_labels(labels.iter().copied()).unwrap();
        HostName::new(&name).map(|name| name.to_string()).map_err(|invalid| invalid.0.into_vec())
    }

    #[test]
    fn only_letters_digits_and_hyphens_make_a_host() {
        assert_eq!(host(&[b"Mail-1", b"Example"]), Ok("Mail-1.Example".into()));
        for label in [&b"a_b"[..], b"a b", b"a\r\nb", b"a\0", b"a\"", b"a%0d", b"a.b", b"\xc3\xa9", b"\xff"] {
            assert_eq!(host(&[label, b"example"]), Err([label, b".example"].concat()));
        }
        assert_eq!(host(&[]), Err(vec![]));
    }

    #[test]
    fn a_name_is_asked_for_only_if_it_can_exist() {
        let longest = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)].join(".");
        for name in ["mail.example", "localhost", "my_store", "1.2.3", &longest] {
            assert_eq!(to_ask(name).map(|name| name.to_ascii()), Some(format!("{name}.")));
        }
        let label = "x".repeat(64);
        for name in
            ["", ".", "a..b", ".a", "a b", "a\\.b", "a\nb", "é", "a@b", "*.a", &label, &format!("{longest}x")]
        {
            assert_eq!(to_ask(name), None, "{name}");
        }
        assert_eq!(folded("Mail.EXAMPLE."), "mail.example");
        assert_eq!(folded("mail.example.."), "mail.example.");
    }
}
