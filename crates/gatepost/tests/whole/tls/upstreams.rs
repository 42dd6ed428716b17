//! TLS with upstreams: those that do not begin it get no password, and what they said in clear is heard by nobody.
//!
//! The attacks are those of NO STARTTLS (<https://nostarttls.secvuln.info>), played by a server.

mod attacks;
mod handshakes;

use rig::pki::Root;

/// Directives of a server that wants TLS with its upstreams, in this way.
fn wanting(how: &str, root: &Root) -> String {
    format!(
        "proxy_ssl {how}; proxy_ssl_trusted_certificate {}; proxy_ssl_name {}; proxy_pass_error_message on;",
        root.certificate().display(),
        super::NAME
    )
}
