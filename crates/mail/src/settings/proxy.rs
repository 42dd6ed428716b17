//! The proxy module: how to meet upstreams.

use std::time::Duration;

/// Settings of the upstream side.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `proxy_buffer`: longest reply of an upstream during login, and an upper hint for the relay, bytes.
    pub buffer: usize,
    /// `proxy_timeout`: silence on both sides that ends a proxied session.
    pub timeout: Duration,
    /// `proxy_pass_error_message`: the upstream's own words at a refused login.
    pub pass_error_message: bool,
    /// `proxy_smtp_auth`: AUTH PLAIN towards SMTP upstreams.
    pub smtp_auth: bool,
    /// `xclient`: XCLIENT towards SMTP upstreams.
    pub xclient: bool,
    /// `so_keepalive`: SO_KEEPALIVE on the upstream's socket.
    pub keepalive: bool,
}
