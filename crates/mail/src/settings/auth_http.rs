//! The auth_http module: which auth servers to ask, and how.

use std::time::Duration;

use conf::{Args, Count, Directive, Fault, List, Setting, Word, doc};

use crate::address::Target;
use crate::address::written::{self, Host, Malformed};

/// How to ask an auth server.
#[derive(Debug, Clone)]
pub struct AuthHttp {
    /// Tried in order.
    pub urls: Vec<AuthUrl>,
    /// `auth_http_timeout`: from connect to complete answer.
    pub timeout: Duration,
    /// `auth_http_header`: appended to every request.
    pub headers: Vec<(String, String)>,
    /// `auth_http_pass_client_cert`.
    pub pass_client_cert: bool,
}

/// One URL of `auth_http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthUrl {
    /// `https://`.
    pub tls: bool,
    /// Where to connect.
    pub target: Target,
    /// The value of `Host`: the host as written, without port, IPv6 with brackets; `localhost` for unix sockets.
    pub host: String,
    /// The request target: `/`, `/path?query`, or `?query` (no slash is added).
    pub uri: String,
}

/// The auth_http module as written.
#[derive(Debug, Default)]
pub struct AuthHttpBlock {
    urls: Setting<Vec<AuthUrl>>,
    timeout: Setting<Duration>,
    headers: List<(String, String)>,
    pass_client_cert: Setting<bool>,
}

/// Directives of the auth_http module.
pub const AUTH_HTTP: &[Directive<AuthHttpBlock>] = &[
    Directive::new(
        "auth_http",
        Count::AtLeast(1),
        doc(
            "URL …",
            "",
            "The auth server: `[http://]HOST[:PORT][/URI]`, `https://HOST[:PORT][/URI]` or \
             `unix:/PATH[:/URI]`. Several are tried in order. Names are resolved when they are needed, and \
             again when they may have changed. The last `auth_http` of a context wins. `https` and several \
             URLs are not in the originals.",
        ),
        |b, a| b.urls.replace(a, urls),
    ),
    Directive::new(
        "auth_http_timeout",
        Count::Exactly(1),
        doc("TIME", "60s", "How long an auth server may take, from connecting to the complete answer."),
        |b, a| b.timeout.set(a, Args::msec),
    ),
    Directive::new(
        "auth_http_header",
        Count::Exactly(2),
        doc(
            "NAME VALUE",
            "",
            "A header for every request. The directive may be repeated; a server that has any does not use \
             those of `mail`.",
        ),
        header,
    ),
    Directive::new(
        "auth_http_pass_client_cert",
        Count::Exactly(1),
        doc("on | off", "off", "Whether the auth server is told the client's certificate."),
        |b, a| b.pass_client_cert.set(a, Args::flag),
    ),
];

/// What is wrong with an auth server or a header for it.
#[derive(Debug, thiserror::Error)]
enum AuthHttpMistake {
    #[error("{malformed} in auth_http \"{url}\"")]
    Url { malformed: Malformed, url: String },
    #[error("invalid header \"{0}\" in \"auth_http_header\" directive")]
    Header(Word),
}

/// `auth_http_header`. What cannot stand in a header is refused; the originals send it as it is.
fn header(block: &mut AuthHttpBlock, args: &Args<'_>) -> Result<(), Fault> {
    let [name, value] = args.words() else { return Err(args.invalid_value()) };
    let invalid = |word: &Word| Fault::own(AuthHttpMistake::Header(word.clone()), args.at());
    if !is_header_name(name.as_bytes()) {
        return Err(invalid(name));
    }
    if !is_header_value(value.as_bytes()) {
        return Err(invalid(value));
    }
    block.headers.push((args.text(name)?.to_owned(), args.text(value)?.to_owned()));
    Ok(())
}

/// A token (RFC 9110, section 5.1).
fn is_header_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token)
}

/// Anything but control bytes, of which a tab is none here (RFC 9110, section 5.5).
fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

fn urls(args: &Args<'_>) -> Result<Vec<AuthUrl>, Fault> {
    let url = |word: &Word| {
        let (url, tls) = strip_scheme(args.text(word)?);
        let bad_url =
            |malformed| Fault::own(AuthHttpMistake::Url { malformed, url: url.to_owned() }, args.at());
        AuthUrl::parse(url, tls).map_err(bad_url)
    };
    args.words().iter().map(url).collect()
}

/// Schemes are known in lower case only; without one it is http.
fn strip_scheme(url: &str) -> (&str, bool) {
    match url.strip_prefix("https://") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("http://").unwrap_or(url), false),
    }
}

impl AuthUrl {
    fn parse(url: &str, tls: bool) -> Result<Self, Malformed> {
        if let Some(rest) = written::strip_unix(url) {
            let (path, uri) = rest.split_once(':').unwrap_or((rest, ""));
            let target = Target::Unix(written::check_path(path)?);
            return Ok(Self { tls, target, host: "localhost".to_owned(), uri: parse_uri(uri)? });
        }
        let end = url.find(['/', '?']).unwrap_or(url.len());
        let (authority, uri) = url.split_at(end);
        let (host, port) = written::split_port(authority)?;
        let port = match port {
            Some(port) => written::parse_port(port)?,
            None if tls => 443,
            None => 80,
        };
        let target = match Host::parse(host)? {
            Host::Ip(ip) => Target::Ip((ip, port).into()),
            Host::Name(name) if is_name(&name) => Target::Name(name, port),
            Host::Name(_) => return Err(Malformed::Host),
        };
        Ok(Self { tls, target, host: host.to_owned(), uri: parse_uri(uri)? })
    }
}

/// A request target as written; `/` if there is none.
fn parse_uri(uri: &str) -> Result<String, Malformed> {
    match uri {
        "" => Ok("/".to_owned()),
        _ if uri.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii()) => Ok(uri.to_owned()),
        _ => Err(Malformed::Uri),
    }
}

/// Letters, digits, dots, dashes and underscores: what resolvers may be asked.
fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

impl AuthHttp {
    /// How a server asks, if it is to ask anyone.
    pub fn resolve(server: &AuthHttpBlock, mail: &AuthHttpBlock) -> Option<Self> {
        Some(Self {
            urls: server.urls.inherit(&mail.urls).value()?.clone(),
            timeout: server.timeout.or(&mail.timeout, Duration::from_mins(1)),
            headers: server.headers.or(&mail.headers).to_vec(),
            pass_client_cert: server.pass_client_cert.or(&mail.pass_client_cert, false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<String, String> {
        let (url, tls) = strip_scheme(text);
        let shown = |url: AuthUrl| format!("{} {} {} {}", url.tls, url.target, url.host, url.uri);
        AuthUrl::parse(url, tls).map(shown).map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn urls_of_auth_servers_have_many_forms() {
        for (text, expected) in [
            ("localhost:9000/cgi-bin/nginxauth.cgi", "false localhost:9000 localhost /cgi-bin/nginxauth.cgi"),
            ("http://auth", "false auth:80 auth /"),
            ("https://auth", "true auth:443 auth /"),
            ("https://auth:8443/x?y", "true auth:8443 auth /x?y"),
            ("192.0.2.1", "false 192.0.2.1:80 192.0.2.1 /"),
            ("192.0.2.1:8080?x", "false 192.0.2.1:8080 192.0.2.1 ?x"),
            ("[::1]:8080/a", "false [::1]:8080 [::1] /a"),
            ("http://[::1]", "false [::1]:80 [::1] /"),
            ("unix:/run/auth", "false unix:/run/auth localhost /"),
            ("unix:/run/auth:", "false unix:/run/auth localhost /"),
            ("http://unix:/run/auth:/uri?q", "false unix:/run/auth localhost /uri?q"),
            ("host/a:b", "false host:80 host /a:b"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_header_has_a_token_for_a_name_and_a_value_without_control_bytes() {
        for name in ["X-Key", "x_1", "!#$%&'*+-.^_`|~"] {
            assert!(is_header_name(name.as_bytes()), "{name:?}");
        }
        for name in ["", "X:", "X Key", "X\n", "(x)", "x\u{e9}"] {
            assert!(!is_header_name(name.as_bytes()), "{name:?}");
        }
        for value in ["", " a\tb ", "\u{e9}", "a:b"] {
            assert!(is_header_value(value.as_bytes()), "{value:?}");
        }
        for value in ["a\r\nX: y", "a\n", "\0", "\u{7f}"] {
            assert!(!is_header_value(value.as_bytes()), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_in_the_words_of_the_originals() {
        for (expected, texts) in [
            (
                "invalid port",
                &["HTTP://auth/", "ftp://auth", "::1", "auth:", "auth:0", "auth:65536", "auth:80-81"][..],
            ),
            ("no host", &["", "http://", ":80", "/uri", "?x"]),
            ("invalid host", &["[::1", "[::1]x", "user@host", "a b", "a,b"]),
            ("invalid IPv6 address", &["[::g]"]),
            ("no path in the unix domain socket", &["unix:", "unix::/uri"]),
            ("invalid URI", &["host/a b", "host/a\nb", "unix:/p:/a b"]),
        ] {
            for text in texts {
                assert_eq!(url(text).unwrap_err(), expected, "{text}");
            }
        }
    }
}
