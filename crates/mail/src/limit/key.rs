//! Keys of `limit_conn_zone`: text and variables, and what they are worth for one client.

use std::fmt;

use bytes::Bytes;

use crate::address::{ClientAddr, Prefix};

/// What connections are counted by, as written: `$remote_addr`, `$remote_addr$remote_user`, `$auth_http_domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    written: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    RemoteAddr,
    RemoteNet,
    RemoteUser,
    /// A header of the auth server's answer, by the name that it has behind `$auth_http_`.
    AuthHttp(String),
}

/// Why a key is none, in the originals' words.
#[derive(Debug, thiserror::Error)]
pub enum KeyMistake {
    /// A variable that nobody knows, or that no key may have.
    #[error("unknown \"{0}\" variable")]
    Unknown(String),
    /// A `$` without a name behind it.
    #[error("invalid variable name in \"{0}\"")]
    Name(String),
}

/// What is known of a client when its connection is counted.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where it comes from, as far as it is believed.
    pub addr: ClientAddr,
    /// Who it is, by the authority's word; empty before the login.
    pub user: &'a [u8],
    /// What the authority has said beside.
    pub said: &'a [(Box<str>, Bytes)],
}

/// What a key is worth for a client: the same for two that are counted together.
pub type Value = Vec<u8>;

impl Key {
    /// Reads text with variables: `$name` or `${name}`.
    pub fn parse(written: &str) -> Result<Self, KeyMistake> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some((text, behind)) = rest.split_once('$') {
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            let (name, after) = split_name(behind).ok_or_else(|| KeyMistake::Name(written.to_owned()))?;
            parts.push(Part::variable(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { written: written.to_owned(), parts })
    }

    /// Whether it takes a login to know what it is worth.
    pub fn needs_login(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::RemoteUser | Part::AuthHttp(_)))
    }

    /// The headers of an auth server's answer that it is made of.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::AuthHttp(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What it is worth for a client; `None` if that is nothing, so that the client is not counted.
    pub fn value(&self, facts: &Facts<'_>) -> Option<Value> {
        let mut value = Value::new();
        if let [part] = self.parts.as_slice() {
            part.write(facts, &mut value);
            return Some(value).filter(|value| !value.is_empty());
        }
        let mut is_empty = true;
        for part in &self.parts {
            let start = value.len();
            part.write(facts, &mut value);
            let length = value.len() - start;
            is_empty &= length == 0;
            // Where one ends and the next begins, a client cannot choose: 10.0.0.1 and 23u are not 10.0.0.12 and 3u.
            value.extend_from_slice(&length.to_le_bytes());
        }
        (!is_empty).then_some(value)
    }
}

/// As written.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Part {
    fn variable(name: &str) -> Result<Self, KeyMistake> {
        match name {
            // The originals have two, of which one needs less room. Here both do.
            "remote_addr" | "binary_remote_addr" => Ok(Self::RemoteAddr),
            "remote_net" => Ok(Self::RemoteNet),
            "remote_user" => Ok(Self::RemoteUser),
            // A secret is no key.
            "auth_http_auth_pass" => Err(KeyMistake::Unknown(name.to_owned())),
            _ => match name.strip_prefix("auth_http_") {
                Some(header) if !header.is_empty() => Ok(Self::AuthHttp(header.to_ascii_lowercase())),
                _ => Err(KeyMistake::Unknown(name.to_owned())),
            },
        }
    }

    /// Nothing for a client over a unix socket, which has no address.
    fn write(&self, facts: &Facts<'_>, value: &mut Value) {
        match self {
            Self::Text(text) => value.extend_from_slice(text.as_bytes()),
            Self::RemoteAddr => match facts.addr.ip().map(|ip| ip.to_canonical()) {
                Some(std::net::IpAddr::V4(ip)) => value.extend_from_slice(&ip.octets()),
                Some(std::net::IpAddr::V6(ip)) => value.extend_from_slice(&ip.octets()),
                None => {}
            },
            Self::RemoteNet => {
                value.extend(facts.addr.ip().into_iter().flat_map(|ip| Prefix::of(ip).bytes()));
            }
            Self::RemoteUser => value.extend_from_slice(facts.user),
            Self::AuthHttp(name) => {
                let said = facts.said.iter().rfind(|(header, _)| **header == **name);
                value.extend(said.into_iter().flat_map(|(_, text)| text.iter()));
            }
        }
    }
}

/// The name of a variable and what is behind it; `text` begins behind the `$`.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, rest) = if let Some(braced) = text.strip_prefix('{') {
        braced.split_once('}')?
    } else {
        text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()))
    };
    (!name.is_empty()).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str, addr: &str, user: &str) -> Option<Value> {
        let said = [(Box::from("domain"), Bytes::from_static(b"example.org"))];
        let addr = ClientAddr::Tcp((addr.parse::<std::net::IpAddr>().unwrap(), 4711).into());
        Key::parse(key).unwrap().value(&Facts { addr, user: user.as_bytes(), said: &said })
    }

    #[test]
    fn an_address_is_one_whatever_the_port_and_the_notation() {
        for key in ["$remote_addr", "$binary_remote_addr", "${remote_addr}"] {
            assert_eq!(value(key, "192.0.2.1", ""), Some(vec![192, 0, 2, 1]));
            assert_eq!(value(key, "::ffff:192.0.2.1", ""), Some(vec![192, 0, 2, 1]));
            assert_eq!(value(key, "::1", "").map(|value| value.len()), Some(16));
        }
        assert_eq!(value("$remote_net", "192.0.2.1", ""), value("$remote_net", "192.0.2.200", ""));
        assert_ne!(value("$remote_net", "192.0.2.1", ""), value("$remote_net", "192.0.3.1", ""));
    }

    #[test]
    fn what_is_worth_nothing_is_not_counted() {
        assert_eq!(value("$remote_user", "::1", ""), None);
        assert_eq!(value("$auth_http_realm", "::1", "u"), None);
        assert_eq!(value("$remote_user$auth_http_realm", "::1", ""), None);
        assert!(value("$remote_user$auth_http_domain", "::1", "").is_some());
        let unix = Facts { addr: ClientAddr::Unix, user: b"", said: &[] };
        assert_eq!(Key::parse("$remote_addr").unwrap().value(&unix), None);
        assert!(Key::parse("all").unwrap().value(&unix).is_some());
    }

    #[test]
    fn parts_cannot_be_moved_from_one_to_the_next() {
        let key = "$remote_user$auth_http_domain";
        let together = |user: &'static [u8], domain: &'static [u8]| {
            let said = [(Box::from("domain"), Bytes::from_static(domain))];
            Key::parse(key).unwrap().value(&Facts { addr: ClientAddr::Unix, user, said: &said })
        };
        assert_eq!(together(b"ab", b"c"), together(b"ab", b"c"));
        assert_ne!(together(b"ab", b"c"), together(b"a", b"bc"));
    }

    #[test]
    fn variables_are_named_and_known_or_the_key_is_a_mistake() {
        let mistake = |key: &str| Key::parse(key).map_err(|mistake| mistake.to_string()).err();
        for key in ["", "text", "$remote_addr-$remote_user", "${auth_http_x}y", "$auth_http_X"] {
            assert_eq!(mistake(key), None, "{key}");
        }
        for (key, expected) in [
            ("$", "invalid variable name in \"$\""),
            ("a$-b", "invalid variable name in \"a$-b\""),
            ("${remote_addr", "invalid variable name in \"${remote_addr\""),
            ("$request_uri", "unknown \"request_uri\" variable"),
            ("$auth_http_", "unknown \"auth_http_\" variable"),
            ("$auth_http_auth_pass", "unknown \"auth_http_auth_pass\" variable"),
        ] {
            assert_eq!(mistake(key).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_who_has_logged_in_has_a_name_or_headers() {
        let needs = |key: &str| Key::parse(key).unwrap().needs_login();
        assert!(!needs("$remote_addr") && !needs("all"));
        assert!(needs("$remote_addr$remote_user") && needs("$auth_http_domain"));
        let key = Key::parse("$auth_http_a$remote_user$auth_http_B").unwrap();
        assert_eq!(key.headers().collect::<Vec<_>>(), ["a", "b"]);
    }
}
