//! `{SCRAM-SHA-256}`, `{SCRAM-SHA-1}` (RFC 5802, RFC 7677) and `{PBKDF2}`, against a password in clear.
//!
//! Passwords are taken as the bytes that the client sent: no SASLprep, as in Dovecot.

use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac_array;
use proto::Secret;
use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest;
use subtle::ConstantTimeEq;

use super::encoding::{base64, hex};
use super::{Broken, Outcome};

/// Rounds beyond which a verification takes half a minute.
const MAX_ROUNDS: u32 = 50_000_000;

/// A key derived by PBKDF2 (RFC 8018), or a hash of it.
#[derive(Debug)]
pub(crate) struct Pbkdf2 {
    kind: Kind,
    rounds: u32,
    salt: Box<[u8]>,
    expected: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SCRAM's StoredKey with SHA-1.
    ScramSha1,
    /// SCRAM's StoredKey with SHA-256.
    ScramSha256,
    /// The key itself, with SHA-1, as Dovecot has it.
    Plain,
}

impl Kind {
    const fn len(self) -> usize {
        match self {
            Self::ScramSha1 | Self::Plain => 20,
            Self::ScramSha256 => 32,
        }
    }
}

impl Pbkdf2 {
    /// Checks `ROUNDS,SALT,STOREDKEY,SERVERKEY` for SHA-1.
    pub(crate) fn scram_sha1(text: &[u8]) -> Result<Self, Broken> {
        Self::scram(Kind::ScramSha1, text)
    }

    /// Checks `ROUNDS,SALT,STOREDKEY,SERVERKEY` for SHA-256.
    pub(crate) fn scram_sha256(text: &[u8]) -> Result<Self, Broken> {
        Self::scram(Kind::ScramSha256, text)
    }

    fn scram(kind: Kind, text: &[u8]) -> Result<Self, Broken> {
        let [count, salt, stored, server] = parts(text, b',')?;
        if base64(server)?.len() != kind.len() {
            return Err(Broken::Length);
        }
        Self::new(kind, count, base64(salt)?, base64(stored)?)
    }

    /// Checks Dovecot's `$1$SALT$ROUNDS$HEX`; the salt is the text itself.
    pub(crate) fn plain(text: &[u8]) -> Result<Self, Broken> {
        let rest = text.strip_prefix(b"$1$").ok_or(Broken::Malformed)?;
        let [salt, count, key] = parts(rest, b'$')?;
        Self::new(Kind::Plain, count, salt.to_vec(), hex(key)?)
    }

    fn new(kind: Kind, count: &[u8], salt: Vec<u8>, expected: Vec<u8>) -> Result<Self, Broken> {
        let expected = Secret::new(expected);
        if expected.expose().len() != kind.len() {
            return Err(Broken::Length);
        }
        let rounds = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok());
        match rounds {
            None | Some(0) => Err(Broken::Malformed),
            Some(rounds @ 1..=MAX_ROUNDS) => Ok(Self { kind, rounds, salt: salt.into(), expected }),
            Some(_) => Err(Broken::TooCostly),
        }
    }

    /// Whether `password` leads to the key.
    pub(crate) fn verify(&self, password: &[u8]) -> Outcome {
        let expected = self.expected.expose();
        let same = match self.kind {
            Kind::Plain => self.sha1_key(password).ct_eq(expected),
            Kind::ScramSha1 => {
                let key: Hmac<Sha1> = keyed(&self.sha1_key(password));
                stored_key::<Sha1>(key).as_slice().ct_eq(expected)
            }
            Kind::ScramSha256 => {
                let key = pbkdf2_hmac_array::<Sha256, 32>(password, &self.salt, self.rounds);
                stored_key::<Sha256>(keyed::<Hmac<Sha256>>(&key)).as_slice().ct_eq(expected)
            }
        };
        Outcome::from_bool(same.into())
    }

    fn sha1_key(&self, password: &[u8]) -> [u8; 20] {
        pbkdf2_hmac_array::<Sha1, 20>(password, &self.salt, self.rounds)
    }

    /// Roughly how long a verification takes, nanoseconds; good for comparing, no more.
    pub(crate) const fn cost(&self) -> u64 {
        self.rounds as u64 * 500
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// `H(HMAC(SaltedPassword, "Client Key"))` (RFC 5802, section 3).
fn stored_key<D: Digest>(mut key: impl Mac) -> sha2::digest::Output<D> {
    key.update(b"Client Key");
    D::digest(key.finalize().into_bytes())
}

/// Exactly `N` parts.
fn parts<const N: usize>(text: &[u8], separator: u8) -> Result<[&[u8]; N], Broken> {
    let parts: Vec<&[u8]> = text.split(|&b| b == separator).collect();
    parts.try_into().map_err(|_| Broken::Malformed)
}
