//! `{ARGON2I}` and `{ARGON2ID}` (RFC 9106), in the PHC string format.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params, PasswordVerifier as _};
use proto::Secret;

use super::{Broken, MAX_MEMORY, Outcome, outcome};

/// Passes over the memory beyond which a verification outlasts any client's patience.
const MAX_PASSES: u32 = 64;

/// An Argon2 hash, checked.
#[derive(Debug)]
pub(crate) struct Argon2 {
    /// The whole text, ASCII.
    text: Secret,
    /// Roughly how long a verification takes, nanoseconds.
    cost: u64,
}

impl Argon2 {
    /// Checks the text of a hash.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Broken> {
        let text = std::str::from_utf8(text).map_err(|_| Broken::Malformed)?;
        let hash = PasswordHash::new(text).map_err(|_| Broken::Malformed)?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| Broken::Malformed)?;
        // A hash without `v=` is of a draft of Argon2 that nothing makes any more; Argon2d leaks by its timing.
        if algorithm == Algorithm::Argon2d || hash.version != Some(argon2::Version::V0x13.into()) {
            return Err(Broken::Malformed);
        }
        if hash.salt.is_none_or(|salt| salt.len() < argon2::MIN_SALT_LEN) || hash.hash.is_none() {
            return Err(Broken::Length);
        }
        let params = Params::try_from(&hash).map_err(|_| Broken::Malformed)?;
        if u64::from(params.m_cost()) * 1024 > MAX_MEMORY || params.t_cost() > MAX_PASSES {
            return Err(Broken::TooCostly);
        }
        let cost = u64::from(params.m_cost()) * u64::from(params.t_cost()) * 1_000;
        Ok(Self { text: Secret::from(text.as_bytes()), cost })
    }

    /// Whether `password` is the one that the hash was made of.
    pub(crate) fn verify(&self, password: &[u8]) -> Outcome {
        let Ok(text) = std::str::from_utf8(self.text.expose()) else { return Outcome::Impossible };
        outcome(argon2::Argon2::default().verify_password(password, text))
    }

    /// Roughly how long a verification takes, nanoseconds; good for comparing, no more.
    pub(crate) const fn cost(&self) -> u64 {
        self.cost
    }
}
