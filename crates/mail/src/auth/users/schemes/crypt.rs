//! What crypt(3) verifies: MD5-crypt, SHA-crypt, bcrypt and yescrypt, told apart by their prefix.
//!
//! DES-crypt is refused: it looks at eight characters and is broken in minutes.

use bcrypt::HashParts;
use proto::Secret;
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use subtle::ConstantTimeEq;
use yescrypt::Yescrypt;

use super::md5_crypt::{self, md5_crypt};
use super::{Broken, MAX_MEMORY, Outcome, outcome};

/// bcrypt's cost beyond which a verification outlasts any client's patience (about a minute).
const MAX_BCRYPT_COST: u32 = 20;

/// SHA-crypt's rounds beyond which a verification takes half a minute.
const MAX_SHA_ROUNDS: u64 = 50_000_000;

/// A hash in crypt(3)'s form, checked.
#[derive(Debug)]
pub(crate) struct Crypt {
    kind: Kind,
    /// The whole text, ASCII.
    text: Secret,
    /// Roughly how long a verification takes, nanoseconds.
    cost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Md5,
    Sha,
    Bcrypt,
    Yescrypt,
}

impl Crypt {
    /// Checks the text of a hash.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Broken> {
        let text = std::str::from_utf8(text).map_err(|_| Broken::Malformed)?;
        let (kind, cost) = match text.get(1..).and_then(|rest| rest.split_once('$')) {
            Some(("1", rest)) => (Kind::Md5, md5(rest)?),
            Some(("5", rest)) => (Kind::Sha, sha(rest, 43)?.saturating_mul(400)),
            Some(("6", rest)) => (Kind::Sha, sha(rest, 86)?.saturating_mul(600)),
            Some(("2a" | "2b" | "2y", _)) => (Kind::Bcrypt, bcrypt(text)?),
            Some(("y", rest)) => (Kind::Yescrypt, yescrypt(rest)?),
            _ if looks_like_des(text) => return Err(Broken::Des),
            _ => return Err(Broken::Malformed),
        };
        // The libraries have an idea of their own of what characters a hash may have.
        if !text.starts_with('$') || sha_crypt::PasswordHashRef::new(text).is_err() {
            return Err(Broken::Malformed);
        }
        Ok(Self { kind, text: Secret::from(text.as_bytes()), cost })
    }

    /// Whether `password` is the one that the hash was made of.
    pub(crate) fn verify(&self, password: &[u8]) -> Outcome {
        let Ok(text) = std::str::from_utf8(self.text.expose()) else { return Outcome::Impossible };
        match self.kind {
            Kind::Md5 => verify_md5(password, text),
            Kind::Sha => outcome(ShaCrypt::default().verify_password(password, text)),
            Kind::Bcrypt => bcrypt::verify(password, text).map_or(Outcome::Impossible, Outcome::from_bool),
            Kind::Yescrypt => outcome(Yescrypt::default().verify_password(password, text)),
        }
    }

    /// Roughly how long a verification takes, nanoseconds; good for comparing, no more.
    pub(crate) const fn cost(&self) -> u64 {
        self.cost
    }
}

/// Thirteen characters of crypt's alphabet, or the long form of BSD.
fn looks_like_des(text: &str) -> bool {
    let of_crypt = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
    (text.len() == 13 && of_crypt(text)) || (text.len() == 20 && text.strip_prefix('_').is_some_and(of_crypt))
}

/// `SALT$HASH`.
fn md5(rest: &str) -> Result<u64, Broken> {
    let (salt, hash) = rest.split_once('$').ok_or(Broken::Malformed)?;
    if salt.len() > 8 || hash.len() != md5_crypt::TEXT_LEN {
        return Err(Broken::Length);
    }
    Ok(500_000)
}

fn verify_md5(password: &[u8], text: &str) -> Outcome {
    let Some((salt, hash)) = text.strip_prefix("$1$").and_then(|rest| rest.split_once('$')) else {
        return Outcome::Impossible;
    };
    Outcome::from_bool(md5_crypt(password, salt.as_bytes()).ct_eq(hash.as_bytes()).into())
}

/// `[rounds=N$]SALT$HASH`; the rounds.
fn sha(rest: &str, len: usize) -> Result<u64, Broken> {
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$').ok_or(Broken::Malformed)?;
            (rounds.parse().map_err(|_| Broken::Malformed)?, rest)
        }
        None => (5_000, rest),
    };
    let (_salt, hash) = rest.split_once('$').ok_or(Broken::Malformed)?;
    if hash.len() != len {
        return Err(Broken::Length);
    }
    match rounds {
        0..1_000 => Err(Broken::Malformed),
        1_000..=MAX_SHA_ROUNDS => Ok(rounds),
        _ => Err(Broken::TooCostly),
    }
}

/// The whole text.
fn bcrypt(text: &str) -> Result<u64, Broken> {
    let parts: HashParts = text.parse().map_err(|_| Broken::Malformed)?;
    match parts.get_cost() {
        0..4 => Err(Broken::Malformed),
        cost @ 4..=MAX_BCRYPT_COST => Ok(55_000 << cost),
        _ => Err(Broken::TooCostly),
    }
}

/// `PARAMS$SALT$HASH`.
fn yescrypt(rest: &str) -> Result<u64, Broken> {
    let mut parts = rest.split('$');
    let (Some(params), Some(_salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Broken::Malformed);
    };
    // The library would compare an empty hash with an empty result.
    if hash.len() != 43 {
        return Err(Broken::Length);
    }
    // Flavour, N and r. Nothing writes the parameters behind them, and they cost time without a bound.
    if params.len() > 4 {
        return Err(Broken::TooCostly);
    }
    let params: yescrypt::Params = params.parse().map_err(|_| Broken::Malformed)?;
    let blocks = params.n().saturating_mul(u64::from(params.r()));
    if blocks.saturating_mul(128) > MAX_MEMORY { Err(Broken::TooCostly) } else { Ok(blocks * 230) }
}
