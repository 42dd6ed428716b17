//! What a front has learned of a client that wants to log in, and what it is told in return.

use std::fmt;

use bytes::Bytes;

use crate::Secret;

/// How a client proved who it is, as `Auth-Method` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A password in clear: IMAP LOGIN, USER and PASS, SASL PLAIN and LOGIN.
    Plain,
    /// POP3 APOP (RFC 1939, section 7): the password is a digest over the salt.
    Apop,
    /// SASL CRAM-MD5 (RFC 2195): the password is a digest over the salt.
    CramMd5,
    /// SASL EXTERNAL (RFC 4422, appendix A): TLS has already proved it.
    External,
    /// Google's XOAUTH2: the password is a token.
    Xoauth2,
    /// SASL OAUTHBEARER (RFC 7628): the password is a token.
    Oauthbearer,
    /// SMTP without authentication: `smtp_auth none`.
    None,
}

impl Method {
    /// The value of `Auth-Method`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Apop => "apop",
            Self::CramMd5 => "cram-md5",
            Self::External => "external",
            Self::Xoauth2 => "xoauth2",
            Self::Oauthbearer => "oauthbearer",
            Self::None => "none",
        }
    }

    /// Whether the password is a digest, so that the upstream's password has to come from the authority.
    pub const fn is_digest(self) -> bool {
        matches!(self, Self::Apop | Self::CramMd5)
    }
}

/// A mechanism that a client may choose, as capability lists name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// SASL LOGIN (draft-murchison-sasl-login).
    Login,
    /// POP3 APOP; not a SASL mechanism, never listed.
    Apop,
    /// SASL CRAM-MD5 (RFC 2195).
    CramMd5,
    /// SASL EXTERNAL (RFC 4422, appendix A).
    External,
    /// Google's XOAUTH2.
    Xoauth2,
    /// SASL OAUTHBEARER (RFC 7628).
    Oauthbearer,
    /// SMTP transactions without authentication; never listed.
    None,
}

impl Mechanism {
    /// The name as capability replies and log lines show it; clients may use any letter case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Apop => "APOP",
            Self::CramMd5 => "CRAM-MD5",
            Self::External => "EXTERNAL",
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
            Self::None => "NONE",
        }
    }
}

/// The number that makes an APOP or CRAM-MD5 challenge unique.
///
/// Printed as `<R.T@S>`, where S is the server's name (RFC 1939, section 7; the format of the originals).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt {
    /// Unpredictable.
    pub random: u64,
    /// Unix time, seconds.
    pub time: u32,
}

impl Salt {
    /// The challenge of this salt for `server`, angle brackets included.
    pub fn challenge(self, server: &str) -> String {
        format!("<{}.{}@{server}>", self.random, self.time)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// The raw lines of an unauthenticated SMTP transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The MAIL line without its line end: verb and inner spacing as the client sent them.
    pub mail: Bytes,
    /// The RCPT line, likewise.
    pub rcpt: Bytes,
}

/// Who a client says it is, and the proof: the result of any mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// How the password is to be understood.
    pub method: Method,
    /// The user's name; any bytes, possibly none.
    pub user: Bytes,
    /// Password, digest or token; empty for [`Method::External`] and [`Method::None`].
    pub password: Secret,
}

/// A complete set of credentials; the question that every front asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who, and the proof.
    pub credentials: Credentials,
    /// The challenge that the digest was made over; `None` unless the method is a digest.
    pub challenge: Option<Bytes>,
    /// `Auth-Login-Attempt`: 1 for the first of a session.
    pub attempt: u64,
    /// SMTP: the argument of the last HELO or EHLO. Empty before it and in other protocols.
    pub helo: Bytes,
    /// The transaction, when the method is [`Method::None`].
    pub envelope: Option<Envelope>,
}

/// Who to be at the upstream: what is left of a login once the authority has spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name there.
    pub user: Bytes,
    /// The password there; `None` where nobody knows it.
    pub password: Option<Secret>,
}

/// What a front is told about its [`Login`]. Success is not told: the upstream's own words go to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginAnswer {
    /// The authority said no.
    Refused(Refusal),
    /// Something of ours, of the authority or of the upstream broke: the generic failure line, then the end.
    Failed,
    /// The upstream said no, and these are its words (line ends included); then the end.
    Passed(Bytes),
    /// The login is good, but there are too many connections; it may be good again later. Then the end.
    Limited,
}

/// A refusal in the authority's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The text behind `NO`, `-ERR` or the SMTP code. Free of CR, LF and NUL.
    pub text: Bytes,
    /// `Auth-Error-Code`, for SMTP; the default is `535 5.7.0`. Free of CR, LF and NUL.
    pub code: Option<Bytes>,
    /// `Auth-Error-SASL`: the error challenge of XOAUTH2 and OAUTHBEARER, base64 as it goes out.
    pub challenge: Option<Bytes>,
    /// Whether the client may try again; otherwise the connection ends.
    pub retry: bool,
}
