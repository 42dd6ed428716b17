//! What no log may hold: every password that a test uses. A [`Proxy`](crate::Proxy) looks for them when it is dropped.
//!
//! Passwords are learned: an [`AuthServer`](crate::AuthServer) sees them in `Auth-Pass`. Where there is no such server a
//! test says them by [`keep`]. Most tests use the password `p`, which cannot be looked for; but then neither can anything
//! else be that stands where a password does, so those [places](PLACES) are looked for, too.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bytes::find;

/// Of those that are learned, shorter ones stand in any text.
const SHORTEST: usize = 6;

/// What stands directly before a password, and `\0u\0p` in base64 with and without its end.
const PLACES: [&[u8]; 6] = [b"PASS ", b"Auth-Pass:", b"LOGIN u ", b"LOGIN {", b"AHUAcA", b"auth=Bearer"];

/// What was learned so far, by all tests of this process.
static KNOWN: Mutex<BTreeSet<Vec<u8>>> = Mutex::new(BTreeSet::new());

fn known() -> MutexGuard<'static, BTreeSet<Vec<u8>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this password stands in no log.
pub fn keep(password: impl AsRef<[u8]>) {
    known().insert(password.as_ref().to_vec());
}

/// Learns the value of `Auth-Pass`, as it is and as it is meant. A password that is the user's name is none.
pub(crate) fn learn(user: &[u8], password: &[u8]) {
    if user != password && password.len() >= SHORTEST {
        keep(password);
        keep(unescaped(password));
    }
}

/// The first secret in a log, or place of one, as text.
pub fn found_in(log: &[u8]) -> Option<String> {
    let known = known();
    let mut all = PLACES.into_iter().chain(known.iter().map(Vec::as_slice));
    all.find(|secret| find(log, secret).is_some()).map(|secret| secret.escape_ascii().to_string())
}

/// `%41` as `A`; anything that is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escape = (byte == b'%').then(|| digit(text.get(at + 1)).zip(digit(text.get(at + 2)))).flatten();
        let value = escape.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_as_it_was_sent_and_as_it_was_meant() {
        learn(b"u", b"quite%20s%2Bcret%zz");
        for log in [&b"x quite s+cret%zz"[..], b"quite%20s%2Bcret%zz\n"] {
            assert!(found_in(log).is_some(), "{}", log.escape_ascii());
        }
        assert_eq!(found_in(b"quite discreet"), None);
    }

    #[test]
    fn where_a_password_stands_nothing_may_stand() {
        assert_eq!(found_in(b"client said \"PASS p\"").as_deref(), Some("PASS "));
        assert_eq!(found_in(b"client said AUTH PLAIN AHUAcA==").as_deref(), Some("AHUAcA"));
    }

    #[test]
    fn names_and_single_letters_are_no_secrets() {
        learn(b"same-name", b"same-name");
        learn(b"u", b"p");
        assert_eq!(found_in(b"login: \"same-name\", p"), None);
    }
}
