//! The headers of a request to an auth server.

use std::borrow::Cow;
use std::fmt;

use crate::{Envelope, Login, Method, Protocol};

/// All that an auth server is told about a login.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who wants to log in.
    pub login: &'a Login,
    /// What the client speaks.
    pub protocol: Protocol,
    /// The client's address without port: `192.0.2.1`, `2001:db8::1`, `unix:`.
    pub client: &'a str,
    /// SMTP: the client's name in DNS, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`. `None` in other protocols.
    pub client_host: Option<&'a str>,
    /// What a PROXY header said of the connection, if one with addresses came.
    pub proxied: Option<&'a Proxied>,
    /// Facts about TLS with the client, if it is active.
    pub tls: Option<&'a Tls>,
    /// `auth_http_header`: sent last, in this order.
    pub custom: &'a [(String, String)],
}

/// The addresses in a PROXY header, as the header wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// The source address.
    pub source: String,
    /// The source port.
    pub source_port: u16,
    /// The destination address.
    pub destination: String,
    /// The destination port.
    pub destination_port: u16,
}

/// What is known of the client's TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The version: `TLSv1.3`.
    pub protocol: String,
    /// The cipher suite: `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The name that the client asked for (SNI, RFC 6066), if it did. The originals do not look at it.
    pub server_name: Option<String>,
    /// What became of the client's certificate; `None` with `ssl_verify_client off`.
    pub verification: Option<Verification>,
}

/// The client's certificate and what is thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The result.
    pub result: Verify,
    /// The certificate, if the client sent one.
    pub certificate: Option<Certificate>,
}

/// The result of verifying a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// It is good.
    Success,
    /// There is none.
    None,
    /// It is not good, for this reason.
    Failed(String),
}

/// What an auth server is told of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject in RFC 2253 order.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The serial number, upper-case hexadecimal.
    pub serial: String,
    /// SHA-1 over the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// The certificate itself with its final newline, if `auth_http_pass_client_cert` is on.
    pub pem: Option<String>,
}

/// One header line to send.
///
/// Passwords and keys are among the values: they are lent until the line is written, and never printed.
pub struct Header<'a> {
    name: &'a str,
    value: Cow<'a, [u8]>,
    encoding: Encoding,
}

/// What becomes of the bytes of a value.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    /// The auth server unescapes it: user, password, certificate.
    ///
    /// As the originals, and 0x7F too: they send it raw, but RFC 9110 (section 5.5) does not allow it.
    Escaped,
    /// The auth server takes it as it is.
    ///
    /// The originals send control bytes in it raw. Ours cannot: a client chooses some of these values, and none
    /// of its bytes may end the line or upset an HTTP parser. What a header cannot hold becomes `%XX`; `%`
    /// itself and 8-bit bytes stay as they are.
    Raw,
}

impl Encoding {
    /// Whether `byte` goes out as `%XX`.
    fn is_special(self, byte: u8) -> bool {
        match self {
            Self::Escaped => byte <= b' ' || byte == b'%' || byte == 0x7f,
            Self::Raw => byte < b' ' || byte == 0x7f,
        }
    }
}

impl Header<'_> {
    /// How many bytes [`write`](Self::write) appends.
    pub fn written_len(&self) -> usize {
        let specials = self.value.iter().filter(|&&byte| self.encoding.is_special(byte)).count();
        self.name.len() + self.value.len() + 2 * specials + ": \r\n".len()
    }

    /// Appends the line and its end: the name in the letter case of the originals, a space even before an empty
    /// value, and no byte below 0x20 and no 0x7F in the value.
    ///
    /// A vector that has to move for it leaves a copy of its secrets behind; see [`written_len`](Self::written_len).
    pub fn write(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(self.name.as_bytes());
        head.extend_from_slice(b": ");
        for piece in self.value.split_inclusive(|&byte| self.encoding.is_special(byte)) {
            match piece {
                [plain @ .., last] if self.encoding.is_special(*last) => {
                    head.extend_from_slice(plain);
                    head.extend_from_slice(&percent(*last));
                }
                plain => head.extend_from_slice(plain),
            }
        }
        head.extend_from_slice(b"\r\n");
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// The header lines behind `Host`, in order.
    pub fn headers(&self) -> Vec<Header<'a>> {
        let mut lines = Lines(Vec::with_capacity(16));
        lines.login(self.login);
        lines.raw("Auth-Protocol", self.protocol.name());
        lines.number("Auth-Login-Attempt", self.login.attempt);
        lines.raw("Client-IP", self.client);
        if let Some(host) = self.client_host {
            lines.raw("Client-Host", host);
        }
        if let Some(proxied) = self.proxied {
            lines.proxied(proxied);
        }
        if let Some(envelope) = &self.login.envelope
            && self.login.credentials.method == Method::None
        {
            lines.envelope(&self.login.helo, envelope);
        }
        if let Some(tls) = self.tls {
            lines.tls(tls);
        }
        for (name, value) in self.custom {
            lines.raw(name, value);
        }
        lines.0
    }
}

/// The lines so far.
struct Lines<'a>(Vec<Header<'a>>);

impl<'a> Lines<'a> {
    fn login(&mut self, login: &'a Login) {
        let credentials = &login.credentials;
        self.raw("Auth-Method", credentials.method.name());
        self.escaped("Auth-User", &credentials.user);
        self.escaped("Auth-Pass", credentials.password.expose());
        if let Some(challenge) = &login.challenge
            && credentials.method.is_digest()
        {
            self.raw("Auth-Salt", challenge);
        }
    }

    fn proxied(&mut self, proxied: &'a Proxied) {
        self.raw("Proxy-Protocol-Addr", &proxied.source);
        self.number("Proxy-Protocol-Port", proxied.source_port);
        self.raw("Proxy-Protocol-Server-Addr", &proxied.destination);
        self.number("Proxy-Protocol-Server-Port", proxied.destination_port);
    }

    fn envelope(&mut self, helo: &'a [u8], envelope: &'a Envelope) {
        self.raw("Auth-SMTP-Helo", helo);
        self.raw("Auth-SMTP-From", &envelope.mail);
        self.raw("Auth-SMTP-To", &envelope.rcpt);
    }

    fn tls(&mut self, tls: &'a Tls) {
        self.raw("Auth-SSL", "on");
        self.raw("Auth-SSL-Protocol", &tls.protocol);
        self.raw("Auth-SSL-Cipher", &tls.cipher);
        if let Some(name) = &tls.server_name {
            self.raw("Auth-SSL-Server-Name", name);
        }
        let Some(verification) = &tls.verification else { return };
        match &verification.result {
            Verify::Success => self.raw("Auth-SSL-Verify", "SUCCESS"),
            Verify::None => self.raw("Auth-SSL-Verify", "NONE"),
            Verify::Failed(reason) => {
                let value = format!("FAILED:{reason}").into_bytes();
                self.push("Auth-SSL-Verify", value.into(), Encoding::Raw);
            }
        }
        if let Some(certificate) = &verification.certificate {
            self.certificate(certificate);
        }
    }

    fn certificate(&mut self, certificate: &'a Certificate) {
        self.raw("Auth-SSL-Subject", &certificate.subject);
        self.raw("Auth-SSL-Issuer", &certificate.issuer);
        self.raw("Auth-SSL-Serial", &certificate.serial);
        self.raw("Auth-SSL-Fingerprint", &certificate.fingerprint);
        if let Some(pem) = &certificate.pem {
            self.escaped("Auth-SSL-Cert", pem.as_bytes());
        }
    }

    fn escaped(&mut self, name: &'a str, value: &'a [u8]) {
        self.push(name, value.into(), Encoding::Escaped);
    }

    fn raw<V: AsRef<[u8]> + ?Sized>(&mut self, name: &'a str, value: &'a V) {
        self.push(name, value.as_ref().into(), Encoding::Raw);
    }

    fn number(&mut self, name: &'a str, value: impl Into<u64>) {
        self.push(name, value.into().to_string().into_bytes().into(), Encoding::Raw);
    }

    fn push(&mut self, name: &'a str, value: Cow<'a, [u8]>, encoding: Encoding) {
        self.0.push(Header { name, value, encoding });
    }
}

fn percent(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transcript::login;

    fn request(login: &Login) -> Request<'_> {
        Request {
            login,
            protocol: Protocol::Imap,
            client: "127.0.0.1",
            client_host: None,
            proxied: None,
            tls: None,
            custom: &[],
        }
    }

    /// A line without its end, bytes as Latin-1. It is exactly as long as it was said to be.
    fn line(header: &Header<'_>) -> String {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(bytes.len(), header.written_len(), "{header:?}");
        let line = bytes.strip_suffix(b"\r\n").expect("a line end");
        line.iter().copied().map(char::from).collect()
    }

    /// The lines as they go over the wire.
    fn lines(request: &Request<'_>) -> Vec<String> {
        request.headers().iter().map(line).collect()
    }

    #[test]
    fn a_plain_login_is_told_as_the_originals_tell_it() {
        let login = login(Method::Plain, b"user", b"pa ss");
        let custom = [("X-Key".to_owned(), "abc".to_owned()), ("X-Empty".to_owned(), String::new())];
        let request = Request { custom: &custom, ..request(&login) };
        assert_eq!(
            lines(&request),
            [
                "Auth-Method: plain",
                "Auth-User: user",
                "Auth-Pass: pa%20ss",
                "Auth-Protocol: imap",
                "Auth-Login-Attempt: 1",
                "Client-IP: 127.0.0.1",
                "X-Key: abc",
                "X-Empty: ",
            ]
        );
    }

    #[test]
    fn a_digest_comes_with_its_salt_and_other_methods_without() {
        let mut login = login(Method::CramMd5, "u", "0123");
        assert_eq!(lines(&request(&login))[3], "Auth-Salt: <1.2@mx.example>");
        login.credentials.method = Method::Plain;
        assert_eq!(lines(&request(&login))[3], "Auth-Protocol: imap");
    }

    #[test]
    fn users_and_passwords_are_escaped() {
        for (raw, escaped) in [
            (&b""[..], ""),
            (b"us er%", "us%20er%25"),
            (b"pa+ss\r\n", "pa+ss%0D%0A"),
            (b"a\0\x1f!=&/\"", "a%00%1F!=&/\""),
            (b"\x7f\x80\xff", "%7F\u{80}\u{ff}"),
            (b"u\tv", "u%09v"),
        ] {
            let login = login(Method::Plain, b"", raw);
            assert_eq!(lines(&request(&login))[2], format!("Auth-Pass: {escaped}"));
        }
    }

    #[test]
    fn an_smtp_transaction_is_told_raw_but_cannot_break_a_header() {
        let mut login = login(Method::None, b"", b"");
        login.helo = Bytes::from_static(b"\xff\0\x01%");
        login.envelope = Some(Envelope {
            mail: Bytes::from_static(b"MAIL FROM:<a\x7f@x>   SIZE=10"),
            rcpt: Bytes::from_static(b"RCPT TO:<b@x>\r\nAuth-User: root"),
        });
        let request =
            Request { protocol: Protocol::Smtp, client_host: Some("[UNAVAILABLE]"), ..request(&login) };
        assert_eq!(
            lines(&request),
            [
                "Auth-Method: none",
                "Auth-User: ",
                "Auth-Pass: ",
                "Auth-Protocol: smtp",
                "Auth-Login-Attempt: 1",
                "Client-IP: 127.0.0.1",
                "Client-Host: [UNAVAILABLE]",
                "Auth-SMTP-Helo: \u{ff}%00%01%",
                "Auth-SMTP-From: MAIL FROM:<a%7F@x>   SIZE=10",
                "Auth-SMTP-To: RCPT TO:<b@x>%0D%0AAuth-User: root",
            ]
        );
    }

    #[test]
    fn proxy_and_tls_facts_stand_between_the_client_and_the_custom_headers() {
        let login = login(Method::External, b"u", b"");
        let proxied = Proxied {
            source: "192.0.2.1".into(),
            source_port: 123,
            destination: "192.0.2.2".into(),
            destination_port: 5678,
        };
        let tls = Tls {
            protocol: "TLSv1.3".into(),
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            server_name: Some("mail.example\r\nX: y".into()),
            verification: Some(Verification {
                result: Verify::Success,
                certificate: Some(Certificate {
                    subject: "CN=good,O=Ex ample\\, Inc".into(),
                    issuer: "CN=bad\r\nX: y".into(),
                    serial: "1704".into(),
                    fingerprint: "c6ad".into(),
                    pem: Some("-----BEGIN CERTIFICATE-----\n".into()),
                }),
            }),
        };
        let custom = [("X-Key".to_owned(), "a".to_owned())];
        let request =
            Request { proxied: Some(&proxied), tls: Some(&tls), custom: &custom, ..request(&login) };
        assert_eq!(
            lines(&request)[5..],
            [
                "Client-IP: 127.0.0.1",
                "Proxy-Protocol-Addr: 192.0.2.1",
                "Proxy-Protocol-Port: 123",
                "Proxy-Protocol-Server-Addr: 192.0.2.2",
                "Proxy-Protocol-Server-Port: 5678",
                "Auth-SSL: on",
                "Auth-SSL-Protocol: TLSv1.3",
                "Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384",
                "Auth-SSL-Server-Name: mail.example%0D%0AX: y",
                "Auth-SSL-Verify: SUCCESS",
                "Auth-SSL-Subject: CN=good,O=Ex ample\\, Inc",
                "Auth-SSL-Issuer: CN=bad%0D%0AX: y",
                "Auth-SSL-Serial: 1704",
                "Auth-SSL-Fingerprint: c6ad",
                "Auth-SSL-Cert: -----BEGIN%20CERTIFICATE-----%0A",
                "X-Key: a",
            ]
        );
    }

    #[test]
    fn a_certificate_is_only_mentioned_where_it_is_looked_at() {
        let login = login(Method::Plain, b"u", b"p");
        let with = |verification| {
            let tls = Tls { protocol: "TLSv1.2".into(), cipher: "X".into(), server_name: None, verification };
            lines(&Request { tls: Some(&tls), ..request(&login) })[9..].to_vec()
        };
        let outcome = |result| Some(Verification { result, certificate: None });
        assert!(with(None).is_empty());
        assert_eq!(with(outcome(Verify::None)), ["Auth-SSL-Verify: NONE"]);
        assert_eq!(
            with(outcome(Verify::Failed("self-signed".into()))),
            ["Auth-SSL-Verify: FAILED:self-signed"]
        );
    }

    #[test]
    fn whatever_a_client_sends_no_header_holds_a_control_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let mut login = login(Method::None, b"", &all);
        login.credentials.user = all.clone().into();
        login.helo = all.clone().into();
        login.envelope = Some(Envelope { mail: all.clone().into(), rcpt: all.into() });
        let request = request(&login);
        assert_eq!(request.headers().len(), 9);
        for header in request.headers() {
            assert!(line(&header).bytes().all(|b| b >= b' ' && b != 0x7f), "{header:?}");
        }
    }

    #[test]
    fn no_value_is_shown_when_a_header_is_printed() {
        let login = login(Method::Plain, b"u", b"hunter2");
        assert!(!format!("{:?}", request(&login).headers()).contains("hunter2"));
        assert!(!format!("{:?}", request(&login)).contains("hunter2"));
    }
}
