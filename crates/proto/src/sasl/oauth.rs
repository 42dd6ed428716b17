//! The bearer token mechanisms: XOAUTH2 and OAUTHBEARER (RFC 7628), read exactly as Angie reads them.
//!
//! Only the user and the token are taken out. Whether the token is good is the authority's business.

use bytes::Bytes;

use super::{credentials, split_at};
use crate::{Credentials, Mechanism, Method, Secret, Violation};

/// What separates the fields of both mechanisms.
const SEPARATOR: u8 = 0x01;
/// What stands before a token, in any letter case.
const BEARER: &[u8] = b"auth=Bearer ";

/// `user=U ^A auth=Bearer T ^A ^A`, where either may be empty and T may contain `^A`.
pub(super) fn xoauth2(decoded: &[u8]) -> Result<Credentials, Violation> {
    let (head, rest) = split_at(decoded, SEPARATOR).unwrap_or((decoded, b""));
    let user = after(head, b"user=").ok_or(Violation::InvalidLogin(Mechanism::Xoauth2))?;
    let token = after(rest, BEARER)
        .and_then(|token| token.strip_suffix(&[SEPARATOR, SEPARATOR]))
        .ok_or(Violation::InvalidToken(Mechanism::Xoauth2))?;
    Ok(credentials(Method::Xoauth2, user, token))
}

/// `flag,a=U,^A key=value ^A … auth=Bearer T ^A ^A` (RFC 7628, section 3.1).
///
/// A message without `a=` is refused although the RFC allows it: the authority needs a user.
pub(super) fn oauthbearer(decoded: &[u8]) -> Result<Credentials, Violation> {
    let invalid_login = Violation::InvalidLogin(Mechanism::Oauthbearer);
    let Some((user, rest)) = gs2_user(decoded) else { return Err(invalid_login) };
    let token = bearer(rest).ok_or(Violation::InvalidToken(Mechanism::Oauthbearer))?;
    let user = unescape(user).ok_or(invalid_login)?;
    Ok(Credentials { method: Method::Oauthbearer, user, password: Secret::from(token) })
}

/// The first field `a=U,` behind the first comma of the GS2 header, and all that follows it.
fn gs2_user(decoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = memchr::memchr(SEPARATOR, decoded).unwrap_or(decoded.len());
    let mut start = memchr::memchr(b',', &decoded[..header])? + 1;
    loop {
        let length = memchr::memchr(b',', &decoded[start..header])?;
        let end = start + length;
        match after(&decoded[start..end], b"a=") {
            Some(user) if !user.is_empty() => return Some((user, &decoded[end + 1..])),
            _ => start = end + 1,
        }
    }
}

/// The token of the first field that has one. A field ends with `^A`, so that what follows the last is none.
fn bearer(rest: &[u8]) -> Option<&[u8]> {
    let end = memchr::memrchr(SEPARATOR, rest)?;
    rest[..end]
        .split(|byte| *byte == SEPARATOR)
        .filter_map(|field| after(field, BEARER))
        .find(|token| !token.is_empty())
}

/// Undoes `=2C` and `=3D`, the only escapes of a saslname (RFC 5801, section 4).
fn unescape(user: &[u8]) -> Option<Bytes> {
    let mut pieces = user.split(|byte| *byte == b'=');
    let mut plain = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        let (code, tail) = piece.split_at_checked(2)?;
        plain.push(match code {
            b"2C" | b"2c" => b',',
            b"3D" | b"3d" => b'=',
            _ => return None,
        });
        plain.extend_from_slice(tail);
    }
    Some(plain.into())
}

/// What follows `prefix`, which may be in any letter case.
fn after<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}
