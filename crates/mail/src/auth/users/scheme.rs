//! A password as the users file stores it: `{SCHEME}text`.

use proto::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::schemes::argon2::Argon2;
use super::schemes::cram_md5::Contexts;
use super::schemes::crypt::Crypt;
use super::schemes::digest::{Digest, Hash};
use super::schemes::encoding::{Encoding, hex};
use super::schemes::pbkdf2::Pbkdf2;
use super::schemes::{Broken, Outcome};

/// A stored password, checked and ready to be verified.
#[derive(Debug)]
pub(super) enum Stored {
    /// The password itself.
    Clear(Secret),
    /// One hash over it.
    Digest(Digest),
    /// What CRAM-MD5 needs of it.
    CramMd5(Contexts),
    /// A key derived from it.
    Pbkdf2(Pbkdf2),
    /// In crypt(3)'s form.
    Crypt(Crypt),
    /// Argon2.
    Argon2(Argon2),
    /// `*` or `!`: no password fits (passwd(5)).
    Locked,
}

impl Stored {
    /// Checks the password field of an entry.
    pub(super) fn parse(field: &[u8]) -> Result<Self, Broken> {
        if field.is_empty() {
            return Err(Broken::Empty);
        }
        match scheme_of(field) {
            Some((name, text)) => Self::of_scheme(name, text),
            None => Self::without_scheme(field),
        }
    }

    /// Dovecot's default for such files is CRYPT; `[34]` behind a hash says MD5 (libpam-pwdfile).
    fn without_scheme(field: &[u8]) -> Result<Self, Broken> {
        match field {
            [b'*' | b'!', ..] => Ok(Self::Locked),
            [b'$', ..] => Crypt::parse(field).map(Self::Crypt),
            [digest @ .., b'[', b'3', b'4', b']'] => Self::of_scheme(b"PLAIN-MD5", digest),
            [hash @ .., b'[', b'1', b'3', b']'] => Crypt::parse(hash).map(Self::Crypt),
            _ => Crypt::parse(field).map(Self::Crypt),
        }
    }

    fn of_scheme(full_name: &[u8], text: &[u8]) -> Result<Self, Broken> {
        let unknown = || Broken::UnknownScheme(full_name.escape_ascii().to_string());
        let (name, suffix) = match full_name.iter().position(|&b| b == b'.') {
            Some(dot) => (&full_name[..dot], Some(&full_name[dot + 1..])),
            None => (full_name, None),
        };
        let encoding = suffix.map(|suffix| Encoding::named(suffix).ok_or_else(unknown)).transpose()?;
        let written = Written { text, encoding };
        match name.to_ascii_uppercase().as_slice() {
            b"PLAIN" | b"CLEAR" | b"CLEARTEXT" => written.text().and_then(clear),
            b"MD5" if !text.starts_with(b"$1$") => written.digest(Hash::Md5),
            b"CRYPT" | b"MD5" | b"MD5-CRYPT" | b"SHA256-CRYPT" | b"SHA512-CRYPT" | b"BLF-CRYPT" => {
                crypt(&written)
            }
            b"DES-CRYPT" => Err(Broken::Des),
            b"PLAIN-MD5" | b"LDAP-MD5" => written.digest(Hash::Md5),
            b"SHA" | b"SHA1" => written.digest(Hash::Sha1),
            b"SHA256" => written.digest(Hash::Sha256),
            b"SHA512" => written.digest(Hash::Sha512),
            b"SMD5" => written.salted(Hash::Md5),
            b"SSHA" => written.salted(Hash::Sha1),
            b"SSHA256" => written.salted(Hash::Sha256),
            b"SSHA512" => written.salted(Hash::Sha512),
            b"CRAM-MD5" | b"HMAC-MD5" => {
                written.sized(Contexts::LEN).and_then(Contexts::new).map(Self::CramMd5)
            }
            b"SCRAM-SHA-1" => Pbkdf2::scram_sha1(written.text()?.expose()).map(Self::Pbkdf2),
            b"SCRAM-SHA-256" => Pbkdf2::scram_sha256(written.text()?.expose()).map(Self::Pbkdf2),
            b"PBKDF2" => Pbkdf2::plain(written.text()?.expose()).map(Self::Pbkdf2),
            b"ARGON2" | b"ARGON2I" | b"ARGON2ID" => Argon2::parse(written.text()?.expose()).map(Self::Argon2),
            _ => Err(unknown()),
        }
    }

    /// Whether `password` is the stored one.
    ///
    /// Takes as long as the scheme wants it to: do not call it on a serving thread if [`Self::is_slow`].
    pub(super) fn verify(&self, password: &[u8]) -> Outcome {
        match self.compare(password) {
            // No password has a NUL in it (RFC 4616, section 2), but HMAC takes one at the end for padding.
            Outcome::Fits if password.contains(&0) => Outcome::Differs,
            outcome => outcome,
        }
    }

    fn compare(&self, password: &[u8]) -> Outcome {
        match self {
            Self::Clear(clear) => Outcome::from_bool(same(clear.expose(), password)),
            Self::Digest(digest) => digest.verify(password),
            Self::CramMd5(contexts) => Outcome::from_bool(contexts.fit(password)),
            Self::Pbkdf2(key) => key.verify(password),
            Self::Crypt(crypt) => crypt.verify(password),
            Self::Argon2(argon2) => argon2.verify(password),
            Self::Locked => Outcome::Differs,
        }
    }

    /// Whether `digest` answers `challenge` in CRAM-MD5 (RFC 2195).
    ///
    /// A password that cannot tell costs the same and fits nothing.
    pub(super) fn answers_cram_md5(&self, challenge: &[u8], digest: &[u8]) -> bool {
        let answer = match self {
            Self::CramMd5(contexts) => contexts.answer(challenge),
            _ => Contexts::of(self.clear_or_nothing()).answer(challenge),
        };
        is_hex_of(digest, &answer) & matches!(self, Self::Clear(_) | Self::CramMd5(_))
    }

    /// Whether `digest` answers `challenge` in APOP (RFC 1939, section 7).
    ///
    /// A password that cannot tell costs the same and fits nothing.
    pub(super) fn answers_apop(&self, challenge: &[u8], digest: &[u8]) -> bool {
        let answer = md5::Md5::new().chain_update(challenge).chain_update(self.clear_or_nothing()).finalize();
        is_hex_of(digest, &answer) & matches!(self, Self::Clear(_))
    }

    /// The password in clear, where the file has it.
    pub(super) const fn clear(&self) -> Option<&Secret> {
        match self {
            Self::Clear(clear) => Some(clear),
            _ => None,
        }
    }

    fn clear_or_nothing(&self) -> &[u8] {
        self.clear().map_or(&[], Secret::expose)
    }

    /// Roughly how long [`Self::verify`] takes, nanoseconds; good for comparing, no more.
    pub(super) const fn cost(&self) -> u64 {
        match self {
            Self::Clear(_) | Self::Digest(_) | Self::CramMd5(_) => 1_000,
            Self::Pbkdf2(key) => key.cost(),
            Self::Crypt(crypt) => crypt.cost(),
            Self::Argon2(argon2) => argon2.cost(),
            Self::Locked => 0,
        }
    }

    /// Whether verifying is meant to be slow.
    pub(super) const fn is_slow(&self) -> bool {
        matches!(self, Self::Pbkdf2(_) | Self::Crypt(_) | Self::Argon2(_))
    }
}

/// `{NAME}text`, taken apart.
fn scheme_of(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = field.strip_prefix(b"{")?;
    let end = rest.iter().position(|&b| b == b'}')?;
    Some((&rest[..end], &rest[end + 1..]))
}

fn clear(password: Secret) -> Result<Stored, Broken> {
    if password.is_empty() { Err(Broken::Empty) } else { Ok(Stored::Clear(password)) }
}

/// Any hash of crypt(3): as in libc, the prefix decides and not the name of the scheme.
fn crypt(written: &Written<'_>) -> Result<Stored, Broken> {
    let text = written.text()?;
    match text.expose() {
        [] => Err(Broken::Empty),
        [b'*' | b'!', ..] => Ok(Stored::Locked),
        hash => Crypt::parse(hash).map(Stored::Crypt),
    }
}

/// Compares in a time that tells neither where two passwords differ nor how long the stored one is.
fn same(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).as_slice().ct_eq(Sha256::digest(b).as_slice()).into()
}

fn is_hex_of(text: &[u8], digest: &[u8]) -> bool {
    hex(text).is_ok_and(|bytes| bytes.as_slice().ct_eq(digest).into())
}

/// The text of a hash and the encoding that the scheme's suffix names.
struct Written<'a> {
    text: &'a [u8],
    encoding: Option<Encoding>,
}

impl Written<'_> {
    /// For schemes that are text themselves.
    fn text(&self) -> Result<Secret, Broken> {
        self.encoding.unwrap_or(Encoding::None).decode(self.text).map(Secret::new)
    }

    /// For schemes of `len` bytes: without a suffix the length tells hexadecimal from base64 (as in Dovecot).
    fn sized(&self, len: usize) -> Result<Secret, Broken> {
        let guess = if self.text.len() == len * 2 { Encoding::Hex } else { Encoding::Base64 };
        self.encoding.unwrap_or(guess).decode(self.text).map(Secret::new)
    }

    fn digest(&self, hash: Hash) -> Result<Stored, Broken> {
        self.sized(hash.len()).and_then(|bytes| Digest::plain(hash, bytes)).map(Stored::Digest)
    }

    fn salted(&self, hash: Hash) -> Result<Stored, Broken> {
        let bytes = self.encoding.unwrap_or(Encoding::Base64).decode(self.text).map(Secret::new)?;
        Digest::salted(hash, bytes).map(Stored::Digest)
    }
}

#[cfg(test)]
mod tests;
