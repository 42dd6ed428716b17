//! One auth server: how to reach it, its idle connections, and whether it rests.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use proto::Secret;
use proto::auth_http::Header;
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::connection::{Broken, Cause, Connection, Next};
use super::head::{Flaw, Parsed};
use super::pool::Pool;
use super::tls::Tls;
use crate::address::{Endpoint, Target};
use crate::auth::{Failure, Resolve};
use crate::link::Link;
use crate::settings::auth_http::AuthUrl;

/// How long a server is passed over once it failed, while there are others.
pub(super) const REST: Duration = Duration::from_secs(10);

/// Keeps the arithmetic of deadlines away from its limits; nobody waits a year for an answer.
const LONGEST_LIMIT: Duration = Duration::from_hours(365 * 24);

/// RFC 9110, section 15.5.9: what a server says on a connection that was idle for too long for it.
const REQUEST_TIMEOUT: u16 = 408;

/// The blank line behind the headers.
const END: &[u8] = b"\r\n";

/// One URL of `auth_http`.
pub(super) struct Server {
    target: Target,
    name: String,
    /// The first two lines of every request.
    start: String,
    tls: Option<Tls>,
    /// Headers of answers that are kept, by their names as variables write them.
    pub(super) noted: Arc<[Box<str>]>,
    pool: Arc<Pool>,
    rest: Rest,
}

impl Server {
    /// The server at `url`, secured by `tls`.
    pub(super) fn new(url: AuthUrl, tls: Option<Tls>) -> Self {
        let name = url.target.to_string();
        let start = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", url.uri, url.host);
        let (noted, pool, rest) = (Arc::default(), Arc::default(), Rest::default());
        Self { target: url.target, name, start, tls, noted, pool, rest }
    }

    /// As the originals log it: `127.0.0.1:9000`, `unix:/path`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it failed a short time ago.
    pub(super) fn is_resting(&self) -> bool {
        self.rest.is_on()
    }

    /// Passes it over for a while.
    pub(super) fn rest(&self) {
        self.rest.begin();
    }

    /// Asks, and waits no longer than `limit` from the first attempt to connect to the end of the answer's head.
    pub(super) async fn ask(
        &self,
        headers: &[Header<'_>],
        resolver: &dyn Resolve,
        limit: Duration,
    ) -> Result<Parsed, Failure> {
        let deadline = Instant::now() + limit.min(LONGEST_LIMIT);
        match timeout_at(deadline, self.ask_patiently(headers, resolver, deadline)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut { server: self.name.clone() }),
        }
    }

    /// An idle connection may have been closed by the server before the request came there. Then nothing of an
    /// answer comes back, and a new connection is worth one more try.
    async fn ask_patiently(
        &self,
        headers: &[Header<'_>],
        resolver: &dyn Resolve,
        deadline: Instant,
    ) -> Result<Parsed, Failure> {
        if let Some(connection) = self.pool.take() {
            match self.ask_over(connection, headers).await {
                Ok(parsed) if parsed.status == REQUEST_TIMEOUT => {}
                Err(Broken::Silent(_)) => {}
                result => return result.map_err(|broken| self.failure(broken)),
            }
        }
        let connection = Box::pin(self.connect(resolver, deadline)).await?;
        self.ask_over(connection, headers).await.map_err(|broken| self.failure(broken))
    }

    async fn ask_over(&self, mut connection: Connection, headers: &[Header<'_>]) -> Result<Parsed, Broken> {
        let reply = connection.exchange(self.request(headers), &self.noted).await?;
        match reply.next {
            Next::Ready => self.pool.put(connection),
            Next::After(body) => self.keep(connection, body),
            Next::Never => {}
        }
        Ok(reply.parsed)
    }

    /// Has the connection ready for the next request, without keeping the client waiting for it.
    fn keep(&self, connection: Connection, body: Body) {
        let pool = Arc::downgrade(&self.pool);
        tokio::spawn(async move {
            if let Some(connection) = connection.settle(body).await
                && let Some(pool) = pool.upgrade()
            {
                pool.put(connection);
            }
        });
    }

    /// The head of a request. It holds the password, so it is written once, where it will not move.
    fn request(&self, headers: &[Header<'_>]) -> Secret {
        let lines: usize = headers.iter().map(Header::written_len).sum();
        let mut request = Vec::with_capacity(self.start.len() + lines + END.len());
        request.extend_from_slice(self.start.as_bytes());
        for header in headers {
            header.write(&mut request);
        }
        request.extend_from_slice(END);
        Secret::new(request)
    }

    async fn connect(&self, resolver: &dyn Resolve, deadline: Instant) -> Result<Connection, Failure> {
        let mut link = match &self.target {
            Target::Ip(addr) => self.connect_any(&[*addr], deadline).await?,
            Target::Unix(path) => self.connect_unix(path).await?,
            Target::Name(host, port) => {
                let found = resolver.resolve(host).await.map_err(|source| self.unresolved(source))?;
                let addrs: Vec<_> = found.addrs.iter().map(|&ip| SocketAddr::new(ip, *port)).collect();
                self.connect_any(&addrs, deadline).await?
            }
        };
        if let Some(tls) = &self.tls {
            let secured = tls.secure(&mut link).await;
            secured.map_err(|source| Failure::Tls { server: self.name.clone(), source })?;
        }
        Ok(Connection::new(link))
    }

    /// Tries the addresses in turn. Each gets an even share of the time left, so that one that swallows
    /// packets does not use up that of the others.
    async fn connect_any(&self, addrs: &[SocketAddr], deadline: Instant) -> Result<Link, Failure> {
        let mut failure = self.unresolved(io::ErrorKind::NotFound.into());
        for (&addr, left) in addrs.iter().zip((1..=addrs.len()).rev()) {
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
            let connected = timeout_at(now + share, Link::connect(&Endpoint::Tcp(addr))).await;
            match connected.unwrap_or_else(|_| Err(Errno::ETIMEDOUT.into())) {
                Ok(link) => return Ok(link),
                Err(source) => failure = unconnected(&addr, source),
            }
        }
        Err(failure)
    }

    async fn connect_unix(&self, path: &Path) -> Result<Link, Failure> {
        let connected = Link::connect(&Endpoint::Unix(path.into())).await;
        connected.map_err(|source| unconnected(&self.name, source))
    }

    fn unresolved(&self, source: io::Error) -> Failure {
        Failure::Resolve { server: self.name.clone(), source }
    }

    /// What is told of an exchange that brought no answer.
    fn failure(&self, broken: Broken) -> Failure {
        let server = self.name.clone();
        match broken {
            Broken::TooLarge => Failure::TooLarge { server },
            Broken::Flawed(Flaw::Response) => Failure::InvalidResponse { server },
            Broken::Flawed(Flaw::Header) => Failure::InvalidHeader { server },
            Broken::Flawed(Flaw::Unfinished) => Failure::Closed { server },
            Broken::Silent(cause) | Broken::Short(cause) => match cause {
                Cause::Closed => Failure::Closed { server },
                Cause::Io(source) => Failure::Broken { server, source },
            },
        }
    }

    /// The idle connections, for tests.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.pool.len()
    }
}

fn unconnected(server: &dyn ToString, source: io::Error) -> Failure {
    Failure::Connect { server: server.to_string(), source }
}

/// A pause after a failure, seen by all threads.
struct Rest {
    born: Instant,
    /// Milliseconds from `born`; 0 if there was none.
    until: AtomicU64,
}

impl Default for Rest {
    fn default() -> Self {
        Self { born: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Rest {
    fn begin(&self) {
        self.until.store(millis(self.born.elapsed() + REST), Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && millis(self.born.elapsed()) < until
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
