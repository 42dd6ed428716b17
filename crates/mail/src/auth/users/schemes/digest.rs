//! `{SHA256}`, `{SSHA}` and their kin: one hash over password and salt. Not slow, so not safe if the file leaks.

use md5::Md5;
use proto::Secret;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{Broken, Outcome};

/// Which hash a digest is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1 (RFC 3174).
    Sha1,
    /// SHA-256 (RFC 6234).
    Sha256,
    /// SHA-512 (RFC 6234).
    Sha512,
}

impl Hash {
    /// The length of a digest, bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The hash of `password` followed by `salt` equals `expected`.
    fn fits(self, password: &[u8], salt: &[u8], expected: &[u8]) -> Outcome {
        let same = match self {
            Self::Md5 => same::<Md5>(password, salt, expected),
            Self::Sha1 => same::<Sha1>(password, salt, expected),
            Self::Sha256 => same::<Sha256>(password, salt, expected),
            Self::Sha512 => same::<Sha512>(password, salt, expected),
        };
        Outcome::from_bool(same)
    }
}

fn same<D: sha2::Digest>(password: &[u8], salt: &[u8], expected: &[u8]) -> bool {
    D::new().chain_update(password).chain_update(salt).finalize().as_slice().ct_eq(expected).into()
}

/// A digest with the salt behind it, as the file stores it.
#[derive(Debug)]
pub(crate) struct Digest {
    hash: Hash,
    bytes: Secret,
}

impl Digest {
    /// Takes a digest without salt.
    pub(crate) fn plain(hash: Hash, bytes: Secret) -> Result<Self, Broken> {
        if bytes.expose().len() == hash.len() { Ok(Self { hash, bytes }) } else { Err(Broken::Length) }
    }

    /// Takes a digest and the salt behind it.
    pub(crate) fn salted(hash: Hash, bytes: Secret) -> Result<Self, Broken> {
        if bytes.expose().len() > hash.len() { Ok(Self { hash, bytes }) } else { Err(Broken::Length) }
    }

    /// Whether `password` is the one that the digest was made of.
    pub(crate) fn verify(&self, password: &[u8]) -> Outcome {
        let (expected, salt) = self.bytes.expose().split_at(self.hash.len());
        self.hash.fits(password, salt, expected)
    }
}
