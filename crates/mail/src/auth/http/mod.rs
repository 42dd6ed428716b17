//! The authority that is asked over HTTP: `auth_http`.
//!
//! What is asked and what an answer means is in [`proto::auth_http`]; here are the ways and the times: which of
//! several servers, over which connection, how long, and how often again.
//!
//! Differences from the originals, all on purpose: HTTP/1.1 with connections kept for the next login, several
//! URLs, `https://`, host names resolved again and again, 16 kB of headers, header lines of others that may look
//! as they like, an answer cut short fails at once, and `WAIT` has a pause and an end.

mod body;
mod connection;
mod head;
mod inbox;
mod pool;
mod server;
mod tls;

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::Login;
use proto::auth_http::{Decision, Header, Request, ServerTls, TlsMode, Unusable};
use rustls::RootCertStore;
use tokio::time;

use self::server::Server;
use self::tls::Tls;
use super::{
    Authenticate, Client, Denial, Failure, Notes, Pending, Remark, Resolve, Route, RouteTls, Verdict,
};
use crate::address::Target;
use crate::files::Files;
use crate::settings::auth_http::AuthUrl;
use crate::settings::{AuthHttp, UpstreamTls};

/// Shortest pause before a `WAIT` is followed by the same question (the originals ask again at once, for ever).
pub const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Most answers of `WAIT` to one login. Whoever lets a user confirm a login on a second device needs dozens.
pub const MOST_WAITS: u32 = 100;

/// One or several auth servers.
pub struct HttpAuthority {
    /// At least one.
    servers: Vec<Server>,
    timeout: Duration,
    headers: Vec<(String, String)>,
    resolver: Arc<dyn Resolve>,
}

/// Why no question can be asked, known before the first one.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `auth_http` without a URL.
    #[error("no auth server")]
    NoServer,
    /// The host of an `https://` URL cannot be a name in a certificate.
    #[error("invalid server name \"{0}\" in \"auth_http\"")]
    Name(String),
    /// There is an `https://` URL, but the system trusts nobody.
    #[error("no trusted certificates found on this system, needed for \"https://\" in \"auth_http\"")]
    NoRoots,
    /// The TLS library refuses its own defaults.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl HttpAuthority {
    /// The servers of `settings`; the system's roots are trusted. Host names go to `resolver`.
    ///
    /// Connects to nobody yet. Wants the system's roots from `files` if there is an `https://` URL.
    pub fn new(settings: &AuthHttp, resolver: Arc<dyn Resolve>, files: &Files) -> Result<Self, SetupError> {
        Self::with_roots(settings, resolver, || tls::system_roots(files))
    }

    fn with_roots(
        settings: &AuthHttp,
        resolver: Arc<dyn Resolve>,
        roots: impl FnOnce() -> Result<Arc<RootCertStore>, SetupError>,
    ) -> Result<Self, SetupError> {
        if settings.urls.is_empty() {
            return Err(SetupError::NoServer);
        }
        let is_secure = settings.urls.iter().any(|url| url.tls);
        let tls = is_secure.then(|| tls::config(roots()?)).transpose()?;
        let server = |url: &AuthUrl| {
            let tls = tls.as_ref().filter(|_| url.tls).map(|tls| Tls::new(&url.host, tls)).transpose()?;
            Ok(Server::new(url.clone(), tls))
        };
        Ok(Self {
            servers: settings.urls.iter().map(server).collect::<Result<_, SetupError>>()?,
            timeout: settings.timeout,
            headers: settings.headers.clone(),
            resolver,
        })
    }

    /// Has an ear for these headers of answers, by their names as variables write them.
    pub fn noting<'n>(mut self, headers: impl Iterator<Item = &'n str>) -> Self {
        let noted: Arc<[Box<str>]> = headers.map(Box::from).collect();
        self.servers.iter_mut().for_each(|server| server.noted = Arc::clone(&noted));
        self
    }

    /// Asks until there is an answer other than `WAIT`.
    async fn decide(&self, login: &Login, client: &Client, note: &Notes<'_>) -> Result<Verdict, Failure> {
        let mut login = Cow::Borrowed(login);
        let mut waits = 0;
        loop {
            let (server, heard) = self.ask(&login, client, note).await?;
            match heard.decision {
                Decision::Granted { server, identity, tls } => {
                    let (target, tls) = (target(server), route_tls(tls));
                    return Ok(Verdict::Granted(Route { target, identity, tls, said: heard.said }));
                }
                Decision::Denied { refusal, wait } => return Ok(Verdict::Denied(Denial { refusal, wait })),
                Decision::Unusable(flaw) => return Err(unusable(server, flaw)),
                Decision::Wait(_) if waits == MOST_WAITS => {
                    return Err(Failure::TooManyWaits { server: server.name().to_owned() });
                }
                Decision::Wait(wait) => {
                    waits += 1;
                    time::sleep(wait.wait.max(SHORTEST_WAIT)).await;
                    wait.apply(login.to_mut());
                }
            }
        }
    }

    /// The first answer of any server.
    async fn ask(
        &self,
        login: &Login,
        client: &Client,
        note: &Notes<'_>,
    ) -> Result<(&Server, Heard), Failure> {
        let address = client.addr.host().to_string();
        let request = Request {
            login,
            protocol: client.protocol,
            client: &address,
            client_host: client.host.as_deref(),
            proxied: client.proxied.as_deref(),
            tls: client.tls.as_deref(),
            custom: &self.headers,
        };
        let headers = request.headers();
        let servers = self.in_order();
        let (&last, others) = servers.split_last().expect("there is at least one server");
        for &server in others {
            match self.ask_one(server, &request, &headers, note).await {
                Ok(heard) => return Ok((server, heard)),
                Err(failure) => note(rests(server, &failure)),
            }
        }
        let heard = self.ask_one(last, &request, &headers, note).await?;
        Ok((last, heard))
    }

    /// The servers that do not rest, then those that do: a login fails only when all have failed.
    fn in_order(&self) -> Vec<&Server> {
        let mut servers: Vec<_> = self.servers.iter().collect();
        // A rest may end while they are being sorted.
        servers.sort_by_cached_key(|server| server.is_resting());
        servers
    }

    async fn ask_one(
        &self,
        server: &Server,
        request: &Request<'_>,
        headers: &[Header<'_>],
        note: &Notes<'_>,
    ) -> Result<Heard, Failure> {
        let parsed =
            server.ask(headers, &*self.resolver, self.timeout).await.inspect_err(|_| server.rest())?;
        let lacks_status = parsed.answer.is_status_missing();
        match parsed.answer.decide(request.login, request.protocol) {
            // A web server whose application is down; another one may do better.
            Decision::Unusable(flaw @ Unusable::NoServerOrPort { status: 500.. }) => {
                server.rest();
                Err(unusable(server, flaw))
            }
            decision => {
                if lacks_status && matches!(decision, Decision::Granted { .. }) {
                    note(Remark::NoStatus { server: server.name().to_owned() });
                }
                Ok(Heard { decision, said: parsed.said })
            }
        }
    }
}

/// What an answer means.
struct Heard {
    decision: Decision,
    /// Its headers that were to be noted.
    said: Vec<(Box<str>, Bytes)>,
}

impl Authenticate for HttpAuthority {
    fn authenticate<'a>(
        &'a self,
        login: &'a Login,
        client: &'a Client,
        note: &'a Notes<'a>,
    ) -> Pending<'a, Verdict> {
        Box::pin(async move { self.decide(login, client, note).await.unwrap_or_else(Verdict::Failed) })
    }
}

fn target(server: proto::auth_http::Server) -> Target {
    match server {
        proto::auth_http::Server::Ip(addr) => Target::Ip(addr),
        proto::auth_http::Server::Name(host, port) => Target::Name(host, port),
        proto::auth_http::Server::Unix(path) => Target::Unix(path),
    }
}

fn route_tls(tls: ServerTls) -> RouteTls {
    let mode = tls.mode.map(|mode| match mode {
        TlsMode::Off => UpstreamTls::Off,
        TlsMode::Implicit => UpstreamTls::Implicit,
        TlsMode::Starttls => UpstreamTls::Starttls,
    });
    RouteTls { mode, verify: None, name: tls.name }
}

fn unusable(server: &Server, flaw: Unusable) -> Failure {
    let server = server.name().to_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match flaw {
        Unusable::NoServerOrPort { status } => Failure::NoServerOrPort { server, status },
        Unusable::NoPassword => Failure::NoPassword { server },
        Unusable::InvalidAddress(address) => Failure::InvalidAddress { server, address: text(&address) },
        Unusable::InvalidPort(port) => Failure::InvalidPort { server, port: text(&port) },
        Unusable::InvalidTls(value) => Failure::InvalidTls { server, value: text(&value) },
        Unusable::InvalidName(name) => Failure::InvalidName { server, name: text(&name) },
    }
}

fn rests(server: &Server, failure: &Failure) -> Remark {
    // `Failure::Tls` has its reason in its own words already.
    let reason = failure.source().filter(|_| !matches!(failure, Failure::Tls { .. }));
    let failure = match reason {
        Some(reason) => format!("{failure}: {reason}"),
        None => failure.to_string(),
    };
    Remark::ServerRests { server: server.name().to_owned(), failure }
}

#[cfg(test)]
mod tests;
