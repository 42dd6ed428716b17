//! The authority: who may log in, and where each of them belongs.

pub mod chain;
pub mod http;
pub mod resolve;
pub mod users;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use proto::auth_http::{Proxied, Tls};
use proto::{Identity, Login, Protocol, Refusal};

use crate::address::{ClientAddr, Target};
use crate::log::Escaped;
use crate::settings::UpstreamTls;

/// What is known of a client before it says anything about itself.
#[derive(Debug, Clone)]
pub struct Client {
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// Where it comes from.
    pub addr: ClientAddr,
    /// SMTP: its name in DNS, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`. `None` in other protocols.
    pub host: Option<String>,
    /// The addresses in its PROXY header, as they stood there.
    pub proxied: Option<Proxied>,
    /// Its TLS, with us or with a balancer that may speak for it.
    pub tls: Option<Tls>,
}

impl Client {
    /// A client of whom nothing is known yet.
    pub const fn new(protocol: Protocol, addr: ClientAddr) -> Self {
        Self { protocol, addr, host: None, proxied: None, tls: None }
    }
}

/// A future of a [`Verdict`] or a resolved name, boxed so that its trait can be an object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever decides about logins.
///
/// Dropping the future gives the request up; an implementation must leave nothing behind then.
pub trait Authenticate: Send + Sync {
    /// Decides about `login`. `note` is called for what an operator should know although it is no failure.
    fn authenticate<'a>(
        &'a self,
        login: &'a Login,
        client: &'a Client,
        note: &'a Notes<'a>,
    ) -> Pending<'a, Verdict>;
}

/// Takes the [`Remark`]s of an authority to the log of the session.
pub type Notes<'n> = dyn Fn(Remark) + Send + Sync + 'n;

/// What an operator should know of an answer that was not a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The answer has no `Auth-Status`, which counts as success (as in the originals).
    NoStatus {
        /// The authority's name.
        server: String,
    },
    /// One of several auth servers failed; the next one is tried.
    ServerRests {
        /// The authority's name.
        server: String,
        /// What was wrong with it.
        failure: String,
    },
}

/// What the authority says of a login.
#[derive(Debug)]
pub enum Verdict {
    /// Let in.
    Granted(Route),
    /// Kept out; said to the client after `wait`.
    Denied(Denial),
    /// This authority has never heard of the user; the next one may have.
    Unknown,
    /// No verdict could be had.
    Failed(Failure),
}

/// Where a client goes, and as whom.
#[derive(Debug, Clone)]
pub struct Route {
    /// The upstream, still to be resolved if it is a name.
    pub target: Target,
    /// Who to be there.
    pub identity: Identity,
    /// How to speak TLS with it, as far as the authority says.
    pub tls: RouteTls,
    /// What else the authority says that the configuration has an ear for: names as variables write them, and values.
    pub said: Vec<(Box<str>, Bytes)>,
}

/// What an authority says of TLS with the upstream of a user. Nothing said leaves it to the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTls {
    /// Whether, and how, TLS is spoken: `proxy_ssl` for this user.
    pub mode: Option<UpstreamTls>,
    /// Whether the upstream's certificate is verified: `proxy_ssl_verify` for this user.
    pub verify: Option<bool>,
    /// The name, or address, that the certificate has to be for: `proxy_ssl_name` for this user.
    pub name: Option<String>,
}

/// A refusal and when to say it.
#[derive(Debug, Clone)]
pub struct Denial {
    /// The words.
    pub refusal: Refusal,
    /// How long to hold them back; the client may try again only if this is not zero (`Auth-Wait`).
    pub wait: Duration,
}

/// Why there is no verdict. `server` is the authority's name as the originals log it: `127.0.0.1:9000`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `auth_http_timeout` passed.
    #[error("auth http server {server} timed out")]
    TimedOut {
        /// The authority's name.
        server: String,
    },
    /// No connection.
    #[error("connect() to {server} failed")]
    Connect {
        /// The authority's name.
        server: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The name of the authority does not resolve.
    #[error("auth http server {server} could not be resolved")]
    Resolve {
        /// The authority's name.
        server: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// The connection broke in the middle.
    #[error("recv() failed")]
    Broken {
        /// The authority's name.
        server: String,
        /// The system's reason.
        source: io::Error,
    },
    /// TLS with the authority failed.
    #[error("TLS handshake with auth http server {server} failed: {source}")]
    Tls {
        /// The authority's name.
        server: String,
        /// rustls's reason.
        source: io::Error,
    },
    /// The connection ended before the answer was complete.
    #[error("auth http server {server} closed connection prematurely")]
    Closed {
        /// The authority's name.
        server: String,
    },
    /// More than 16 kB of headers.
    #[error("auth http server {server} sent too large response")]
    TooLarge {
        /// The authority's name.
        server: String,
    },
    /// A status line that is none.
    #[error("auth http server {server} sent invalid response")]
    InvalidResponse {
        /// The authority's name.
        server: String,
    },
    /// A header that is none.
    #[error("auth http server {server} sent invalid header in response")]
    InvalidHeader {
        /// The authority's name.
        server: String,
    },
    /// Success without `Auth-Server` or `Auth-Port`.
    #[error("auth http server {server} did not send server or port{}", StatusSuffix(*.status))]
    NoServerOrPort {
        /// The authority's name.
        server: String,
        /// The HTTP status code, where it was not 200: an error page tells nothing else.
        status: u16,
    },
    /// Success without a password for the upstream, and nobody else knows one.
    #[error("auth http server {server} did not send password")]
    NoPassword {
        /// The authority's name.
        server: String,
    },
    /// `Auth-Server` is neither an address nor a name nor a unix socket.
    #[error("auth http server {server} sent invalid server address:\"{}\"", Escaped(.address.as_bytes()))]
    InvalidAddress {
        /// The authority's name.
        server: String,
        /// What it sent.
        address: String,
    },
    /// `Auth-Port` is not a port.
    #[error("auth http server {server} sent invalid server port:\"{}\"", Escaped(.port.as_bytes()))]
    InvalidPort {
        /// The authority's name.
        server: String,
        /// What it sent.
        port: String,
    },
    /// `Auth-Server-SSL` is none of its values.
    #[error("auth http server {server} sent invalid server ssl:\"{}\"", Escaped(.value.as_bytes()))]
    InvalidTls {
        /// The authority's name.
        server: String,
        /// What it sent.
        value: String,
    },
    /// `Auth-Server-Name` is neither a name nor an address.
    #[error("auth http server {server} sent invalid server name:\"{}\"", Escaped(.name.as_bytes()))]
    InvalidName {
        /// The authority's name.
        server: String,
        /// What it sent.
        name: String,
    },
    /// `WAIT` more often than anyone can mean.
    #[error("auth http server {server} answered WAIT too many times")]
    TooManyWaits {
        /// The authority's name.
        server: String,
    },
    /// The entry of a user in the users file cannot be used.
    #[error("users file {file}: {reason}")]
    UsersFile {
        /// The file.
        file: String,
        /// What is wrong, without anything secret.
        reason: String,
    },
}

/// ` (status 404)`, or nothing for the statuses that a working authority answers with.
struct StatusSuffix(u16);

impl std::fmt::Display for StatusSuffix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 | 200 | 204 => Ok(()),
            code => write!(f, " (HTTP status {code})"),
        }
    }
}

/// Turns names into addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, best first, and how long they may be believed.
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>>;
}

/// Addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// At least one.
    pub addrs: Vec<std::net::IpAddr>,
    /// How long to believe them.
    pub ttl: Duration,
}
