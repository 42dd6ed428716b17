//! `$1$`: the MD5-crypt of old systems. Weak and fixed at 1000 rounds; still found in files that migrate.
//!
//! The construction has no standard; it is the one of FreeBSD's crypt(3) and of every libc since.

use md5::{Digest, Md5};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Which bytes of the digest make up each group of the text, and how many characters the group has.
const GROUPS: [(&[usize], usize); 6] =
    [(&[0, 6, 12], 4), (&[1, 7, 13], 4), (&[2, 8, 14], 4), (&[3, 9, 15], 4), (&[4, 10, 5], 4), (&[11], 2)];

/// How long the text behind the salt is.
pub(super) const TEXT_LEN: usize = 22;

/// What stands behind the last `$` for `password`; `salt` is at most eight bytes.
pub(super) fn md5_crypt(password: &[u8], salt: &[u8]) -> [u8; TEXT_LEN] {
    let mut digest = stir(password, salt);
    for round in 0..1000 {
        let mut md5 = Md5::new();
        md5.update(if round % 2 == 1 { password } else { &digest });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if round % 2 == 1 { &digest } else { password });
        digest = md5.finalize().into();
    }
    text(&digest)
}

/// The digest that the rounds begin with.
fn stir(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut md5 = Md5::new();
    md5.update(password);
    md5.update(b"$1$");
    md5.update(salt);
    for chunk in password.chunks(inner.len()) {
        md5.update(&inner[..chunk.len()]);
    }
    // A NUL or the first byte of the password for each bit of its length: a quirk of the first implementation.
    let mut len = password.len();
    while len > 0 {
        md5.update(if len % 2 == 1 { &[0] } else { &password[..1] });
        len /= 2;
    }
    md5.finalize().into()
}

/// Six bits a character, lowest first.
fn text(digest: &[u8; 16]) -> [u8; TEXT_LEN] {
    let mut text = [0; TEXT_LEN];
    let mut free = text.iter_mut();
    for (bytes, characters) in GROUPS {
        let mut bits = bytes.iter().fold(0, |bits, &at| bits << 8 | usize::from(digest[at]));
        for character in free.by_ref().take(characters) {
            *character = ALPHABET[bits % 64];
            bits /= 64;
        }
    }
    text
}
