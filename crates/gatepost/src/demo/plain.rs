//! SASL PLAIN (RFC 4616), the one mechanism of the demo store; IMAP and SMTP use it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::store::{Account, Store};

/// Who logs in with `response`, base64 as it came.
pub(super) fn login(store: &Store, response: &[u8]) -> Result<Arc<Account>, Denied> {
    let message = STANDARD.decode(response).map_err(|_| Denied::Malformed)?;
    let parts: Vec<_> = message.split(|&b| b == 0).collect();
    let [authorised, user, password] = parts[..] else { return Err(Denied::Malformed) };
    // Nobody here may act for somebody else.
    if !authorised.is_empty() && authorised != user {
        return Err(Denied::Wrong);
    }
    store.login(user, password).ok_or(Denied::Wrong)
}

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Not base64, or not three fields.
    Malformed,
    /// No such user, another password, or a wish to be somebody else.
    Wrong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_has_its_answer() {
        let store = Store::new().unwrap();
        for (message, expected) in [
            (&b"\0alice\0wonderland"[..], Ok("alice")),
            (b"alice\0alice\0wonderland", Ok("alice")),
            (b"bob\0alice\0wonderland", Err(Denied::Wrong)),
            (b"\0alice\0", Err(Denied::Wrong)),
            (b"alice\0wonderland", Err(Denied::Malformed)),
            (b"\0alice\0wonder\0land", Err(Denied::Malformed)),
            (b"", Err(Denied::Malformed)),
        ] {
            let answer = login(&store, STANDARD.encode(message).as_bytes()).map(|account| account.name());
            assert_eq!(answer, expected, "{}", message.escape_ascii());
        }
        assert_eq!(login(&store, b"=").err(), Some(Denied::Malformed));
    }
}
