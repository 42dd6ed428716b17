//! The `auth_http` module.

use std::time::Duration;

use crate::address::Target;

/// How to ask an auth server.
#[derive(Debug, Clone)]
pub struct AuthHttp {
    /// Tried in order.
    pub urls: Vec<AuthUrl>,
    /// `auth_http_timeout`: from connect to complete answer.
    pub timeout: Duration,
    /// `auth_http_header`: appended to every request.
    pub headers: Vec<(String, String)>,
    /// `auth_http_pass_client_cert`.
    pub pass_client_cert: bool,
}

/// One URL of `auth_http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthUrl {
    /// `https://`.
    pub tls: bool,
    /// Where to connect.
    pub target: Target,
    /// The value of `Host`: the host as written, without port, IPv6 with brackets; `localhost` for unix sockets.
    pub host: String,
    /// The request target: `/`, `/path?query`, or `?query` (no slash is added).
    pub uri: String,
}
