//! SASL as all three fronts use it: mechanisms, base64, and the exchange that ends in [`Credentials`].
//!
//! How a front uses it:
//!
//! 1. `AUTH mechanism [initial]` (IMAP: AUTHENTICATE) becomes [`Exchange::start`]. The front itself has dealt with
//!    a missing mechanism, a third argument, and `starttls only`.
//! 2. The result is a [`Turn`]:
//!    - [`Turn::Prompt`]: send the prompt, which is base64 already, behind `+ ` or `334 `, and keep the exchange. The
//!      first argument of the client's next line, whatever the line looks like, goes to [`Exchange::respond`].
//!    - [`Turn::Credentials`]: ask the question. The challenge that belongs to a digest is the front's to add.
//!    - [`Turn::Invalid`]: the exchange is over. Send the protocol's "invalid command" line, log the violation if
//!      there is one, and be back in the start state.
//! 3. A refusal that carries an error challenge, after a method that has one ([`has_error_challenge`]): send the
//!    challenge as a prompt, and look at the first argument of the next line with [`acknowledges`].
//!
//! An exchange is consumed by each line, so nothing of one attempt can be seen by the next. Secrets are decoded
//! into memory that is wiped. Not here: which line is whose, tags, prefixes, counters.

mod base64;
mod oauth;

use bytes::Bytes;

pub use self::base64::{InvalidBase64, decode, encode};
use crate::{Credentials, Mechanism, Method, Secret, Violation};

/// The mechanisms that a listener offers, and so accepts.
///
/// A set: the order of listing is fixed and does not depend on the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// No mechanism at all.
    pub const NONE: Self = Self(0);

    /// Every mechanism in the order in which capability replies list them, as the originals do.
    const ORDER: [Mechanism; 6] = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::External,
        Mechanism::Xoauth2,
        Mechanism::Oauthbearer,
    ];

    /// This set and `mechanism`.
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | 1 << mechanism as u8)
    }

    /// Whether `mechanism` was configured.
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & 1 << mechanism as u8 != 0
    }

    /// The names for capability replies; without APOP and NONE, which are not SASL mechanisms.
    pub fn listed(self) -> impl Iterator<Item = &'static str> {
        Self::ORDER.into_iter().filter(move |mechanism| self.contains(*mechanism)).map(Mechanism::name)
    }

    /// The SASL mechanism called `name`, in any letter case, if a client may use it.
    ///
    /// PLAIN and LOGIN cannot be disabled, as in the originals. All others must have been configured, whether or
    /// not the client sends an initial response.
    fn accepted(self, name: &[u8]) -> Option<Mechanism> {
        Self::ORDER
            .into_iter()
            .find(|mechanism| name.eq_ignore_ascii_case(mechanism.name().as_bytes()))
            .filter(|mechanism| {
                matches!(mechanism, Mechanism::Plain | Mechanism::Login) || self.contains(*mechanism)
            })
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<I: IntoIterator<Item = Mechanism>>(mechanisms: I) -> Self {
        mechanisms.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a line of an exchange leads to.
#[derive(Debug)]
pub enum Turn {
    /// The client is asked for another line.
    Prompt {
        /// What takes that line.
        exchange: Exchange,
        /// What asks for it, base64; possibly empty.
        prompt: Bytes,
    },
    /// The exchange is complete.
    Credentials(Credentials),
    /// The exchange has failed. Without a violation: the mechanism is unknown, disabled, or takes no initial
    /// response, which is not worth a log line.
    Invalid(Option<Violation>),
}

/// An exchange that waits for the client's next line.
#[derive(Debug)]
pub struct Exchange(Awaited);

/// The line that an exchange waits for, with what was learned before it.
#[derive(Debug)]
enum Awaited {
    Plain,
    LoginUser,
    LoginPassword { user: Bytes },
    CramMd5,
    External,
    Xoauth2,
    Oauthbearer,
}

/// Base64 of `Username:`; EXTERNAL has the same prompt.
const USER_PROMPT: &[u8] = b"VXNlcm5hbWU6";
/// Base64 of `Password:`.
const PASSWORD_PROMPT: &[u8] = b"UGFzc3dvcmQ6";
/// Hexadecimal digits of an MD5 digest (RFC 2195, section 2).
const DIGEST_LEN: usize = 32;

impl Exchange {
    /// Begins an exchange: the mechanism's name and the initial response, both as sent.
    ///
    /// `challenge` makes the text of the CRAM-MD5 challenge, angle brackets included.
    pub fn start(
        name: &[u8],
        initial: Option<&[u8]>,
        enabled: Mechanisms,
        challenge: impl FnOnce() -> Bytes,
    ) -> Turn {
        let Some(mechanism) = enabled.accepted(name) else { return Turn::Invalid(None) };
        let (awaited, prompt) = match mechanism {
            Mechanism::Plain => (Awaited::Plain, Bytes::new()),
            Mechanism::Login => (Awaited::LoginUser, Bytes::from_static(USER_PROMPT)),
            Mechanism::External => (Awaited::External, Bytes::from_static(USER_PROMPT)),
            Mechanism::Xoauth2 => (Awaited::Xoauth2, Bytes::new()),
            Mechanism::Oauthbearer => (Awaited::Oauthbearer, Bytes::new()),
            // The server speaks first here, so that there is nothing to respond to yet (RFC 4954, section 4).
            Mechanism::CramMd5 if initial.is_some() => return Turn::Invalid(None),
            Mechanism::CramMd5 => (Awaited::CramMd5, encode(&challenge())),
            Mechanism::Apop | Mechanism::None => return Turn::Invalid(None),
        };
        let exchange = Self(awaited);
        match initial {
            Some(response) => exchange.respond(response),
            None => Turn::Prompt { exchange, prompt },
        }
    }

    /// Takes the first argument of the line that answers a prompt.
    pub fn respond(self, response: &[u8]) -> Turn {
        self.judge(response).unwrap_or_else(|violation| Turn::Invalid(Some(violation)))
    }

    /// The user name, when it is known before the exchange is complete.
    pub fn user(&self) -> Option<&Bytes> {
        match &self.0 {
            Awaited::LoginPassword { user } => Some(user),
            _ => None,
        }
    }

    fn judge(self, response: &[u8]) -> Result<Turn, Violation> {
        let decoded = decode(response).map_err(|_| Violation::InvalidBase64(self.mechanism()))?;
        match self.0 {
            Awaited::Plain => plain(&decoded),
            Awaited::LoginUser => {
                return Ok(Turn::Prompt {
                    exchange: Self(Awaited::LoginPassword { user: Bytes::copy_from_slice(&decoded) }),
                    prompt: Bytes::from_static(PASSWORD_PROMPT),
                });
            }
            Awaited::LoginPassword { user } => {
                Ok(Credentials { method: Method::Plain, user, password: Secret::from(&decoded[..]) })
            }
            Awaited::CramMd5 => cram_md5(&decoded),
            Awaited::External => Ok(credentials(Method::External, &decoded, b"")),
            Awaited::Xoauth2 => oauth::xoauth2(&decoded),
            Awaited::Oauthbearer => oauth::oauthbearer(&decoded),
        }
        .map(Turn::Credentials)
    }

    const fn mechanism(&self) -> Mechanism {
        match &self.0 {
            Awaited::Plain => Mechanism::Plain,
            Awaited::LoginUser | Awaited::LoginPassword { .. } => Mechanism::Login,
            Awaited::CramMd5 => Mechanism::CramMd5,
            Awaited::External => Mechanism::External,
            Awaited::Xoauth2 => Mechanism::Xoauth2,
            Awaited::Oauthbearer => Mechanism::Oauthbearer,
        }
    }
}

/// The initial response of PLAIN for these credentials, base64 (RFC 4616). The user's name must not hold NUL.
pub fn plain_response(user: &[u8], password: &Secret) -> Secret {
    let plain = Secret::new([b"\0", user, b"\0", password.expose()].concat());
    base64::encode_secret(plain.expose())
}

/// Whether a refusal after `method` may carry an error challenge (`Auth-Error-SASL`).
pub const fn has_error_challenge(method: Method) -> bool {
    matches!(method, Method::Xoauth2 | Method::Oauthbearer)
}

/// Whether `response`, the first argument of the line behind an error challenge, acknowledges it.
///
/// XOAUTH2 clients send an empty line; OAUTHBEARER clients send one `^A` (RFC 7628, section 3.2.3), here with all,
/// some or no padding. The originals match a prefix.
pub fn acknowledges(method: Method, response: &[u8]) -> bool {
    match method {
        Method::Xoauth2 => response.is_empty(),
        Method::Oauthbearer => matches!(response, b"AQ==" | b"AQ=" | b"AQ"),
        _ => false,
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616), where both may be empty and the password may contain NUL.
///
/// The authorisation identity is discarded, as in the originals.
fn plain(decoded: &[u8]) -> Result<Credentials, Violation> {
    let login = match split_at(decoded, 0) {
        Some((_, login)) if !login.is_empty() => login,
        _ => return Err(Violation::InvalidLogin(Mechanism::Plain)),
    };
    let (user, password) = split_at(login, 0).ok_or(Violation::InvalidPassword(Mechanism::Plain))?;
    Ok(credentials(Method::Plain, user, password))
}

/// `user SP digest` (RFC 2195). Who knows the password checks the digest; its length is all that counts here.
fn cram_md5(decoded: &[u8]) -> Result<Credentials, Violation> {
    split_at(decoded, b' ')
        .filter(|(_, digest)| digest.len() == DIGEST_LEN)
        .map(|(user, digest)| credentials(Method::CramMd5, user, digest))
        .ok_or(Violation::InvalidHash)
}

fn credentials(method: Method, user: &[u8], password: &[u8]) -> Credentials {
    Credentials { method, user: Bytes::copy_from_slice(user), password: Secret::from(password) }
}

/// What stands before and behind the first `mark`.
fn split_at(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests;
