//! The resolver of the configuration: names to addresses, and clients to names.
//!
//! It asks the servers of `resolver` and nobody else: neither `/etc/hosts` nor search domains count. Without that
//! directive the system's resolver serves (see [`crate::auth::resolve`]), and clients have no names.
//!
//! The rules are those of the originals (which server when, how often, for how long), and these are better: negative
//! answers are remembered shortly, reverse look-ups go on over TCP and follow aliases, a server that fails is followed by
//! the next one at once, and of an answer only that counts which answers the question.

mod cache;
mod client;
mod conf;
mod counters;
mod exchange;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lookup;
mod message;
mod name;
mod resolvers;
mod servers;
pub(crate) mod shelf;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::rr::Name;
use tokio::time::{Instant, timeout_at};

pub use client::{ClientName, Nameless};
pub use conf::{ConfFault, ConfFile, ConfFiles, name_servers};
pub use counters::{Counters, Zones};
pub use failure::Failure;
pub use name::{HostName, InvalidName};
pub use resolvers::Resolvers;

use self::cache::{Cache, Known};
use self::exchange::{Exchange, RESEND};
use self::lookup::{Found, Lifetimes, Missing, look_up};
use self::message::{Datum, Kind};
use self::servers::Servers;
use crate::auth::{Addresses, Pending, Resolve};

/// The directives `resolver` and `resolver_timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The servers that the directive names, host names already resolved.
    pub servers: Vec<SocketAddr>,
    /// `conf[=PATH]`: files with more of them. `127.0.0.1:53` if there are none at all.
    pub conf: Vec<ConfFile>,
    /// `valid=`: counts in place of every TTL.
    pub valid: Option<Duration>,
    /// `ipv4=`: whether names have IPv4 addresses.
    pub ipv4: bool,
    /// `ipv6=`: whether names have IPv6 addresses.
    pub ipv6: bool,
    /// `resolver_timeout`: the longest that a look-up takes. `None`, for 0, waits until a server answers.
    pub timeout: Option<Duration>,
    /// `status_zone=`: where to count.
    pub status_zone: Option<String>,
}

/// Asks DNS. One for all threads, whose sessions share what it knows.
pub struct Resolver {
    exchange: Exchange,
    lifetimes: Lifetimes,
    ipv4: bool,
    ipv6: bool,
    timeout: Option<Duration>,
    names: Cache<String, Arc<Forward>>,
    hosts: Cache<IpAddr, Result<HostName, InvalidName>>,
    rotation: AtomicUsize,
}

/// The addresses of a name.
#[derive(Debug, Clone)]
struct Forward {
    /// At least one.
    addrs: Vec<IpAddr>,
    /// Why those of the other family are not known, if that is so.
    trouble: Option<Failure>,
}

impl Resolver {
    /// A resolver that knows nothing yet, counts in `zones`, and asks the servers that are in `files` now.
    pub fn new(settings: Settings, zones: &Zones, files: &ConfFiles) -> Self {
        let conf = settings.conf.iter().map(|file| files.follow(file)).collect();
        let exchange = Exchange {
            servers: Servers::new(settings.servers, conf),
            counters: zones.zone(settings.status_zone.as_deref()),
            resend: RESEND,
        };
        Self {
            exchange,
            lifetimes: Lifetimes { valid: settings.valid },
            ipv4: settings.ipv4,
            ipv6: settings.ipv6,
            timeout: settings.timeout,
            names: Cache::new(),
            hosts: Cache::new(),
            rotation: AtomicUsize::default(),
        }
    }

    /// The name of the first PTR record of `ip`, not confirmed by anything.
    pub async fn reverse(&self, ip: IpAddr) -> Result<HostName, Nameless> {
        self.exchange.counters.wanted_addr();
        let deadline = self.deadline();
        let look_up = async || self.look_up_host(ip, deadline).await;
        match within(deadline, self.hosts.find(&ip, look_up)).await.and_then(|known| known.answer) {
            Ok(host) => host.map_err(Nameless::Invalid),
            Err(failure) => Err(Nameless::Unresolved(failure)),
        }
    }

    /// The name of a client, if it leads back to its address. Takes up to twice the time of a look-up.
    ///
    /// An IPv4 client of an IPv6 listener is looked up as what it is; the originals ask for a name that nobody has.
    pub async fn client_name(&self, client: IpAddr) -> ClientName {
        let client = client.to_canonical();
        let name = match self.reverse(client).await {
            Ok(name) => name,
            Err(reason) => return ClientName::Nameless(reason),
        };
        let failure = match self.addresses(name.as_str()).await {
            Ok(Known { answer: Ok(found), .. }) if found.has(client) => return ClientName::Confirmed(name),
            Ok(Known { answer: Ok(found), .. }) => found.trouble,
            Ok(Known { answer: Err(failure), .. }) | Err(failure) => Some(failure),
        };
        ClientName::Nameless(match failure {
            Some(failure) => Nameless::NameUnresolved { name, failure },
            None => Nameless::Unconfirmed(name),
        })
    }

    /// The addresses of a name. An error is a look-up that did not end in time.
    async fn addresses(&self, host: &str) -> Result<Known<Arc<Forward>>, Failure> {
        self.exchange.counters.wanted_name();
        let host = name::folded(host);
        let name = name::to_ask(&host).ok_or(Failure::NotFound)?;
        let deadline = self.deadline();
        let look_up = async || self.look_up_addresses(name, deadline).await;
        within(deadline, self.names.find(&host, look_up)).await
    }

    async fn look_up_host(
        &self,
        ip: IpAddr,
        deadline: Option<Instant>,
    ) -> Known<Result<HostName, InvalidName>> {
        let found = self.look_up(Name::from(ip), Kind::Ptr, deadline).await;
        self.ended(match found {
            Ok(Found { data, lifetime }) => match data.first() {
                Some(Datum::Host(name)) => Known::new(Ok(HostName::new(name)), lifetime),
                _ => Known::new(Err(Failure::NotFound), lifetime),
            },
            Err(Missing { failure, lifetime }) => Known::new(Err(failure), lifetime),
        })
    }

    async fn look_up_addresses(&self, name: Name, deadline: Option<Instant>) -> Known<Arc<Forward>> {
        let family = async |wanted: bool, kind| {
            if wanted { Some(self.look_up(name.clone(), kind, deadline).await) } else { None }
        };
        let (ipv4, ipv6) = tokio::join!(family(self.ipv4, Kind::A), family(self.ipv6, Kind::Aaaa));
        self.ended(union([ipv4, ipv6]))
    }

    async fn look_up(&self, name: Name, kind: Kind, deadline: Option<Instant>) -> Result<Found, Missing> {
        // Boxed, since most answers are known already.
        let look_up = Box::pin(look_up(&self.exchange, self.lifetimes, name, kind));
        within(deadline, look_up).await?
    }

    /// Counts a look-up that took questions.
    fn ended<V>(&self, known: Known<V>) -> Known<V> {
        self.exchange.counters.ended(known.answer.as_ref().err().copied());
        known
    }

    fn deadline(&self) -> Option<Instant> {
        self.timeout.map(|timeout| Instant::now() + timeout)
    }

    async fn resolve_name(&self, host: &str) -> io::Result<Addresses> {
        if let Ok(ip) = host.parse() {
            return Ok(Addresses { addrs: vec![ip], ttl: cache::LONGEST });
        }
        let known = self.addresses(host).await?;
        let mut addrs = known.answer?.addrs.clone();
        // Everybody begins elsewhere, so that all addresses get their share (the originals: at a random place).
        let start = self.rotation.fetch_add(1, Ordering::Relaxed) % addrs.len();
        addrs.rotate_left(start);
        Ok(Addresses { addrs, ttl: known.until.saturating_duration_since(Instant::now()) })
    }
}

/// For host names of upstreams and auth servers.
impl Resolve for Resolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>> {
        Box::pin(self.resolve_name(host))
    }
}

impl Forward {
    fn has(&self, client: IpAddr) -> bool {
        self.addrs.iter().any(|addr| addr.to_canonical() == client)
    }
}

async fn within<T>(deadline: Option<Instant>, what: impl Future<Output = T>) -> Result<T, Failure> {
    match deadline {
        Some(deadline) => timeout_at(deadline, what).await.map_err(|_| Failure::TimedOut),
        None => Ok(what.await),
    }
}

/// The addresses of both families, if there are any; else the failure that may pass, if there is one.
fn union(families: [Option<Result<Found, Missing>>; 2]) -> Known<Arc<Forward>> {
    let (mut addrs, mut trouble) = (Vec::new(), None);
    let (mut known, mut nothing) = (Duration::MAX, Duration::MAX);
    for family in families.into_iter().flatten() {
        match family {
            Ok(Found { data, lifetime }) => {
                addrs.extend(data.iter().filter_map(Datum::addr));
                known = known.min(lifetime);
            }
            // Most names have no IPv6 address: that is no reason to ask for the IPv4 address again so soon.
            Err(Missing { failure: Failure::NotFound, lifetime }) => nothing = nothing.min(lifetime),
            Err(Missing { failure, lifetime }) => {
                trouble = Some(failure);
                known = known.min(lifetime);
            }
        }
    }
    if addrs.is_empty() {
        return Known::new(Err(trouble.unwrap_or(Failure::NotFound)), known.min(nothing));
    }
    Known::new(Ok(Arc::new(Forward { addrs, trouble })), known)
}

#[cfg(test)]
mod tests;
