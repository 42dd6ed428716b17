//! The private parsers of this module, for their fuzz target only: not there in any other build.

use super::{ciphers, groups};

/// The names of the suites of TLS 1.2 that a cipher list chooses; `None` if it is refused.
pub fn cipher_list(list: &str) -> Option<Vec<&'static str>> {
    let suites = ciphers::tls12(list).ok()?;
    Some(suites.iter().filter_map(|suite| ciphers::openssl_name(suite.suite())).collect())
}

/// The same for the suites of TLS 1.3.
pub fn cipher_suites(list: &str) -> Option<Vec<&'static str>> {
    let suites = ciphers::tls13(list).ok()?;
    Some(suites.iter().filter_map(|suite| ciphers::openssl_name(suite.suite())).collect())
}

/// How many groups a list of curves chooses; `None` if it is refused.
pub fn groups(list: &str) -> Option<usize> {
    groups::groups(list, &mut Vec::new()).ok().map(|groups| groups.len())
}
