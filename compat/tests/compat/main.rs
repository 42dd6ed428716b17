//! The scenarios: the same against the original and against gatepost. See the crate for how and why.
//!
//! Names such as I12 or H5 are those of the written specification's tables.

mod auth_http;
mod backend;
mod imap;
mod pop3;
mod smtp;

/// Base64 as SASL responses need it (RFC 4648, section 4).
fn base64(bytes: impl AsRef<[u8]>) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.as_ref().chunks(3) {
        let mut number = 0;
        for index in 0..3 {
            number = number << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = ALPHABET[(number >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
