//! The hashes behind the password schemes, a file for each family. [`super::scheme`] chooses between them.
//!
//! Hashing itself is RustCrypto's; here stands what is written in files, checked so far that verifying cannot
//! fail for any reason but a wrong password or a machine without memory.

pub(super) mod argon2;
pub(super) mod cram_md5;
pub(super) mod crypt;
pub(super) mod digest;
pub(super) mod encoding;
mod md5_crypt;
pub(super) mod pbkdf2;

use ::argon2::password_hash::{Error, Result as HashResult};

/// The most memory that a verification may take, bytes: what libsodium calls sensitive.
///
/// As many verifications as there are verifier threads run at a time.
pub(super) const MAX_MEMORY: u64 = 1 << 30;

/// What is wrong with a stored password. Never holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// `{NAME}` that is no scheme, or a suffix that is no encoding.
    #[error("unknown password scheme {{{0}}}")]
    UnknownScheme(String),
    /// DES-crypt: thirteen characters without any prefix.
    #[error("DES-CRYPT password hash, which is too weak to be supported")]
    Des,
    /// Not of the form that the scheme prescribes.
    #[error("malformed password hash")]
    Malformed,
    /// Neither base64 nor hexadecimal where it has to be.
    #[error("password hash that is not properly encoded")]
    Encoding,
    /// Longer or shorter than the scheme's hashes are.
    #[error("password hash of wrong length")]
    Length,
    /// No password at all.
    #[error("no password")]
    Empty,
    /// Verifying would take unreasonable memory or time.
    #[error("password hash that is too costly to verify")]
    TooCostly,
}

/// What came of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is the password.
    Fits,
    /// It is not.
    Differs,
    /// The machine could not say: out of memory.
    Impossible,
}

impl Outcome {
    /// From a comparison.
    pub(super) const fn from_bool(same: bool) -> Self {
        if same { Self::Fits } else { Self::Differs }
    }
}

/// From a verification by one of the hashing libraries.
fn outcome(result: HashResult<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Fits,
        Err(Error::PasswordInvalid) => Outcome::Differs,
        Err(_) => Outcome::Impossible,
    }
}
