//! `auth_user_file`: an authority that is a file of users in Dovecot's passwd-file format.
//!
//! [`UsersFile`] is the file, checked when it is loaded; [`Users`] answers logins from it. Slow hashes are
//! verified by a [`Pool`] of threads, never on the thread that serves sessions.

mod extra;
mod file;
mod pool;
mod scheme;
mod schemes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::{Identity, Login, Method, Protocol, Refusal, Secret};

use super::{Authenticate, Client, Denial, Failure, Notes, Pending, Route, Verdict};
use file::Entry;
use scheme::Stored;
use schemes::Outcome;

pub use extra::BadField;
pub use file::{Fault, Flaw, LoadError, UsersFile, Warning};
pub use pool::{Pool, Stopped};
pub use schemes::Broken;

/// Said to a wrong password and to an unknown user alike (RFC 4954, section 6).
const REFUSED: (&str, &str) = ("Authentication failed.", "535 5.7.8");

/// Said to a user who may not log in, once the password was right (RFC 5248's registry, X.7.13).
const DISABLED: (&str, &str) = ("Account disabled.", "525 5.7.13");

/// Answers logins from a [`UsersFile`].
///
/// A refusal is always final for the session, and nothing in it, words or time, tells an unknown user from a
/// wrong password: where the file is the last authority, an unknown user's password is verified against the
/// dearest hash of the file, and held back as long as the longest `delay=`. That hides users as far as entries
/// are alike; a file that mixes fast and slow schemes still tells its fast ones apart.
#[derive(Debug)]
pub struct Users {
    file: Arc<UsersFile>,
    pool: Arc<Pool>,
    fallback: bool,
}

impl Users {
    /// With `fallback`, users that are not in the file get [`Verdict::Unknown`] at once: another authority is
    /// asked next. Without it they are refused like wrong passwords.
    pub const fn new(file: Arc<UsersFile>, pool: Arc<Pool>, fallback: bool) -> Self {
        Self { file, pool, fallback }
    }

    async fn decide(&self, login: &Login, protocol: Protocol) -> Verdict {
        let number = self.file.find(&login.credentials.user);
        if number.is_none() && self.fallback {
            return Verdict::Unknown;
        }
        let entry = number.and_then(|number| self.file.entry(number));
        let outcome = self.prove(login, number).await;
        let delay = entry.map_or(self.file.longest_delay(), |entry| entry.extra.delay());
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        match (entry, outcome) {
            (Some(entry), Outcome::Fits) => self.admit(entry, login, protocol),
            (Some(entry), Outcome::Impossible) => self.failed(entry, "the password could not be verified"),
            _ => denied(REFUSED.0, REFUSED.1),
        }
    }

    /// Whether the login proves that it is the user of the entry; without one, costs as much and proves nothing.
    async fn prove(&self, login: &Login, number: Option<usize>) -> Outcome {
        let credentials = &login.credentials;
        match credentials.method {
            Method::Plain => self.verify(number, &credentials.password).await,
            Method::Apop => self.check_digest(login, number, Stored::answers_apop),
            Method::CramMd5 => self.check_digest(login, number, Stored::answers_cram_md5),
            // Nothing in the file could prove these.
            Method::External | Method::Xoauth2 | Method::Oauthbearer | Method::None => Outcome::Differs,
        }
    }

    /// Verifies a password: where verifying is quick in place, otherwise in the pool.
    async fn verify(&self, number: Option<usize>, password: &Secret) -> Outcome {
        let own = number.filter(|number| !matches!(self.stored(*number), Some(Stored::Locked)));
        let Some(number) = own.or(self.file.dearest()) else { return Outcome::Differs };
        let outcome = if self.stored(number).is_some_and(Stored::is_slow) {
            let (file, password) = (Arc::clone(&self.file), password.clone());
            let verified = self.pool.run(move || verify(&file, number, &password)).await;
            verified.unwrap_or(Outcome::Impossible)
        } else {
            verify(&self.file, number, password)
        };
        if own.is_some() { outcome } else { Outcome::Differs }
    }

    /// Checks the digest of APOP or CRAM-MD5; always against something.
    fn check_digest(
        &self,
        login: &Login,
        number: Option<usize>,
        answers: fn(&Stored, &[u8], &[u8]) -> bool,
    ) -> Outcome {
        let stored = number.and_then(|number| self.stored(number)).unwrap_or(&Stored::Locked);
        let digest = login.credentials.password.expose();
        match &login.challenge {
            Some(challenge) => Outcome::from_bool(answers(stored, challenge, digest)),
            None => Outcome::Differs,
        }
    }

    fn stored(&self, number: usize) -> Option<&Stored> {
        self.file.entry(number).map(|entry| &entry.password)
    }

    /// The way on for a user whose password was right.
    fn admit(&self, entry: &Entry, login: &Login, protocol: Protocol) -> Verdict {
        let extra = &entry.extra;
        if let Some(reason) = &extra.nologin {
            let text = if reason.is_empty() { DISABLED.0.as_bytes() } else { reason };
            return denied(Bytes::copy_from_slice(text), DISABLED.1);
        }
        let Some(target) = extra.target(protocol) else { return self.failed(entry, "no \"host=\"") };
        let password = upstream_password(entry, login);
        // SMTP upstreams may be content with XCLIENT; the others need a password (as with auth_http).
        if password.is_none() && protocol != Protocol::Smtp {
            return self.failed(entry, "no \"pass=\", and only a digest of the password is known");
        }
        let user = match &extra.user {
            Some(user) => Bytes::copy_from_slice(user),
            None => login.credentials.user.clone(),
        };
        let identity = Identity { user, password };
        Verdict::Granted(Route { target, identity, tls: extra.tls(), said: Vec::new() })
    }

    fn failed(&self, entry: &Entry, reason: &str) -> Verdict {
        let reason = format!("{reason} in line {}", entry.line);
        Verdict::Failed(Failure::UsersFile { file: self.file.name().to_owned(), reason })
    }
}

impl Authenticate for Users {
    fn authenticate<'a>(
        &'a self,
        login: &'a Login,
        client: &'a Client,
        _note: &'a Notes<'a>,
    ) -> Pending<'a, Verdict> {
        Box::pin(self.decide(login, client.protocol))
    }
}

fn verify(file: &UsersFile, number: usize, password: &Secret) -> Outcome {
    file.entry(number).map_or(Outcome::Impossible, |entry| entry.password.verify(password.expose()))
}

/// `pass=`, or the client's own password, or the one in clear behind a digest.
fn upstream_password(entry: &Entry, login: &Login) -> Option<Secret> {
    let known = match login.credentials.method {
        Method::Plain => Some(&login.credentials.password),
        _ => entry.password.clear(),
    };
    entry.extra.password.as_ref().or(known).cloned()
}

fn denied(text: impl Into<Bytes>, code: &'static str) -> Verdict {
    let refusal = Refusal {
        text: text.into(),
        code: Some(Bytes::from_static(code.as_bytes())),
        challenge: None,
        retry: false,
    };
    Verdict::Denied(Denial { refusal, wait: Duration::ZERO })
}

#[cfg(test)]
mod tests;
