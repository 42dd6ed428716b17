//! What the headers of an auth server's answer mean.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::bare::trim_spaces;
use super::server::{Server, ServerTls};
use crate::sasl::has_error_challenge;
use crate::{Credentials, Identity, Login, Method, Protocol, Refusal, Secret};

/// Longest text that goes from an auth server to a client, in bytes; the rest is cut off.
///
/// The originals read no more than this of an answer, so no text of a working auth server is longer.
pub const LONGEST_TEXT: usize = 1024;

/// Longest `Auth-Wait` that is kept; a larger number means this.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The longest of the names that mean something.
const LONGEST_NAME: usize = "auth-server-name".len();

/// The headers of one answer that mean something. Values are never unescaped.
///
/// Of a repeated header the last one counts; only a refusal is not taken back by a later `Auth-Status: OK`.
#[derive(Debug, Default)]
pub struct Answer {
    http_status: u16,
    status: Option<Status>,
    server: Bytes,
    port: Bytes,
    tls: Option<Bytes>,
    name: Option<Bytes>,
    user: Option<Bytes>,
    password: Option<Secret>,
    wait: Duration,
    code: Option<Bytes>,
    challenge: Option<Bytes>,
}

/// The meaning of all `Auth-Status` together.
#[derive(Debug)]
enum Status {
    Ok,
    Wait,
    Refused(Bytes),
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The client may log in.
    Granted {
        /// Where it belongs.
        server: Server,
        /// As whom.
        identity: Identity,
        /// How, with what `Auth-Server-SSL` and `Auth-Server-Name` say. Not in the originals.
        tls: ServerTls,
    },
    /// The client may not.
    Denied {
        /// The words. It may try again exactly if `wait` is not zero.
        refusal: Refusal,
        /// How long to hold them back.
        wait: Duration,
    },
    /// To be asked again, a little later.
    Wait(Wait),
    /// Nothing to act upon.
    Unusable(Unusable),
}

/// An answer of `Auth-Status: WAIT`.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long; zero if the answer does not say.
    pub wait: Duration,
    /// The user's name from now on.
    pub user: Option<Bytes>,
    /// The password from now on.
    pub password: Option<Secret>,
}

impl Wait {
    /// Puts the user and password of the answer, where it has any, into the next question.
    pub fn apply(self, login: &mut Login) {
        if let Some(user) = self.user {
            login.credentials.user = user;
        }
        if let Some(password) = self.password {
            login.credentials.password = password;
        }
    }
}

/// Why an answer that refuses nobody cannot be acted upon. Texts are raw and may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// `Auth-Server` or `Auth-Port` is missing or empty.
    #[error("no server or port")]
    NoServerOrPort {
        /// The HTTP status code, since error pages end up here.
        status: u16,
    },
    /// The upstream needs a password and none is known.
    #[error("no password")]
    NoPassword,
    /// `Auth-Server` is neither an address nor a name nor a unix socket.
    #[error("invalid server address")]
    InvalidAddress(Bytes),
    /// `Auth-Port` is not a port.
    #[error("invalid server port")]
    InvalidPort(Bytes),
    /// `Auth-Server-SSL` is none of `off`, `on` and `starttls`.
    #[error("invalid server ssl")]
    InvalidTls(Bytes),
    /// `Auth-Server-Name` is neither a host name nor an address.
    #[error("invalid server name")]
    InvalidName(Bytes),
}

impl Answer {
    /// Reads the headers of an answer, in their order. Names may be in any letter case.
    ///
    /// The HTTP status code is only kept to be told: as in the originals it decides nothing.
    pub fn new<'a>(http_status: u16, headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut answer = Self { http_status, ..Self::default() };
        for (name, value) in headers {
            let mut lower_case = [0; LONGEST_NAME];
            // A longer name is none of ours.
            if let Some(lower_case) = lower_case.get_mut(..name.len()) {
                lower_case.copy_from_slice(name);
                lower_case.make_ascii_lowercase();
                answer.take(lower_case, trim_spaces(value));
            }
        }
        answer
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"auth-status" => self.take_status(value),
            b"auth-server" => self.server = Bytes::copy_from_slice(value),
            b"auth-port" => self.port = Bytes::copy_from_slice(value),
            b"auth-server-ssl" => self.tls = Some(Bytes::copy_from_slice(value)),
            b"auth-server-name" => self.name = Some(Bytes::copy_from_slice(value)),
            b"auth-user" => self.user = Some(Bytes::copy_from_slice(value)),
            b"auth-pass" => self.password = Some(value.into()),
            b"auth-wait" => self.wait = parse_wait(value).unwrap_or(self.wait),
            b"auth-error-code" => self.code = Some(clean(value)).filter(|code| !code.is_empty()),
            b"auth-error-sasl" => self.challenge = parse_challenge(value),
            _ => {}
        }
    }

    fn take_status(&mut self, value: &[u8]) {
        let status = match value {
            b"OK" => Status::Ok,
            b"WAIT" => Status::Wait,
            text => Status::Refused(clean(text)),
        };
        // As in the originals, `OK` never takes back what another line said.
        match (&self.status, &status) {
            (Some(_), Status::Ok) | (Some(Status::Refused(_)), Status::Wait) => {}
            _ => self.status = Some(status),
        }
    }

    /// Whether the answer has no `Auth-Status`; it counts as success then, and an operator should know.
    pub fn is_status_missing(&self) -> bool {
        self.status.is_none()
    }

    /// What follows for `login`, by the first rule that applies, in the order of the originals.
    pub fn decide(self, login: &Login, protocol: Protocol) -> Decision {
        match self.status {
            Some(Status::Refused(text)) => {
                let challenge = self.challenge.filter(|_| has_error_challenge(login.credentials.method));
                let refusal = Refusal { text, code: self.code, challenge, retry: !self.wait.is_zero() };
                Decision::Denied { refusal, wait: self.wait }
            }
            Some(Status::Wait) => {
                Decision::Wait(Wait { wait: self.wait, user: self.user, password: self.password })
            }
            Some(Status::Ok) | None => {
                self.grant(&login.credentials, protocol).unwrap_or_else(Decision::Unusable)
            }
        }
    }

    fn grant(self, credentials: &Credentials, protocol: Protocol) -> Result<Decision, Unusable> {
        let lacks_port = self.port.is_empty() && Server::needs_port(&self.server);
        if self.server.is_empty() || lacks_port {
            return Err(Unusable::NoServerOrPort { status: self.http_status });
        }
        let password = self.password.or_else(|| reusable_password(credentials));
        if password.is_none() && protocol != Protocol::Smtp {
            return Err(Unusable::NoPassword);
        }
        let server = Server::parse(&self.server, &self.port)?;
        let tls = ServerTls::parse(self.tls.as_deref(), self.name.as_deref())?;
        let user = self.user.unwrap_or_else(|| credentials.user.clone());
        Ok(Decision::Granted { server, identity: Identity { user, password }, tls })
    }
}

/// The client's own password, where an upstream can be given it.
fn reusable_password(credentials: &Credentials) -> Option<Secret> {
    match credentials.method {
        Method::Plain | Method::Xoauth2 | Method::Oauthbearer => Some(credentials.password.clone()),
        Method::Apop | Method::CramMd5 | Method::None => None,
        // The client has none, but an earlier `WAIT` may have brought one.
        Method::External => Some(credentials.password.clone()).filter(|password| !password.is_empty()),
    }
}

/// Decimal seconds; anything else is ignored, as in the originals.
fn parse_wait(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        value.iter().fold(0_u64, |all, byte| all.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// A challenge as it goes out. Part of a base64 text is none, so one that is too long is dropped.
fn parse_challenge(value: &[u8]) -> Option<Bytes> {
    (!value.is_empty() && value.len() <= LONGEST_TEXT).then(|| clean(value))
}

/// A text for a client: whatever an auth server sends, it stays one line of bounded length.
fn clean(text: &[u8]) -> Bytes {
    let is_harmless = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    text.iter().copied().filter(is_harmless).take(LONGEST_TEXT).collect()
}

/// A text for the log: bounded, but raw; the log escapes it.
pub(super) fn excerpt(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&text[..text.len().min(LONGEST_TEXT)])
}

#[cfg(test)]
mod tests;
