//! Names to addresses: the system's resolver, and a memory of its answers that all threads share.

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::{Addresses, Pending, Resolve};
use crate::dns::shelf::Shelf;

/// How long an answer of the system's resolver is believed. It does not tell the TTL of the records.
pub const SYSTEM_TTL: Duration = Duration::from_secs(30);

/// Longest time that anybody waits for a name.
pub const LOOKUP_TIME: Duration = Duration::from_secs(30);

/// Longest time that anybody waits for news of a name whose old addresses are still known.
pub const REFRESH_TIME: Duration = Duration::from_secs(2);

/// How long old addresses serve on while no new ones can be had.
pub const STALE_TIME: Duration = Duration::from_hours(1);

/// How long a name is left alone after a failure (RFC 9520, section 3.2, wants a second at least).
pub const FAILURE_TIME: Duration = Duration::from_secs(1);

/// Most names that are remembered.
pub const MOST_NAMES: usize = 1024;

/// getaddrinfo(3), which knows `/etc/hosts` as well. Each question occupies a thread of tokio's blocking pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>> {
        Box::pin(async move {
            let mut addrs: Vec<IpAddr> = Vec::new();
            for addr in lookup_host((host, 0)).await? {
                if !addrs.contains(&addr.ip()) {
                    addrs.push(addr.ip());
                }
            }
            if addrs.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
            }
            Ok(Addresses { addrs, ttl: SYSTEM_TTL })
        })
    }
}

/// Remembers what another resolver said, until its TTL has passed.
///
/// A name is asked for once at a time, however many want it. If there is no news of it, its old addresses are
/// used for [`STALE_TIME`] more, so that a DNS server may be away for a while.
///
/// Costs less than a kilobyte per name, and at most [`MOST_NAMES`] names.
pub struct CachedResolver<R> {
    inner: R,
    names: Shelf<String, Entry>,
}

/// What is known of one name.
#[derive(Default)]
struct Entry {
    /// Held by whoever asks the inner resolver.
    refresh: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    found: Option<Found>,
    failed: Option<Failed>,
}

struct Found {
    addresses: Addresses,
    at: Instant,
}

struct Failed {
    kind: io::ErrorKind,
    reason: String,
    at: Instant,
}

impl<R: Resolve> CachedResolver<R> {
    /// Remembers the answers of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, names: Shelf::new(MOST_NAMES) }
    }

    async fn look_up(&self, host: &str) -> io::Result<Addresses> {
        let entry = self.names.entry(host);
        if let Some(answer) = entry.known().settled() {
            return answer;
        }
        let old = entry.known().stale();
        let patience = if old.is_some() { REFRESH_TIME } else { LOOKUP_TIME };
        match (timeout(patience, self.refresh(host, &entry)).await, old) {
            (Ok(Ok(news)), _) => Ok(news),
            (_, Some(old)) => Ok(old),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn refresh(&self, host: &str, entry: &Entry) -> io::Result<Addresses> {
        let _turn = entry.refresh.lock().await;
        if let Some(answer) = entry.known().settled() {
            return answer;
        }
        let answer = self.inner.resolve(host).await;
        entry.known().learn(&answer);
        answer
    }
}

impl<R: Resolve> Resolve for CachedResolver<R> {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>> {
        Box::pin(self.look_up(host))
    }
}

impl Entry {
    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

impl Known {
    /// An answer that needs no question.
    fn settled(&self) -> Option<io::Result<Addresses>> {
        if let Some(found) = self.found.as_ref().filter(|found| found.at.elapsed() < found.addresses.ttl) {
            return Some(Ok(found.addresses.clone()));
        }
        let failed = self.failed.as_ref().filter(|failed| failed.at.elapsed() < FAILURE_TIME)?;
        Some(self.stale().ok_or_else(|| io::Error::new(failed.kind, failed.reason.clone())))
    }

    /// Addresses past their TTL, for want of better ones.
    fn stale(&self) -> Option<Addresses> {
        let found = self.found.as_ref()?;
        (found.at.elapsed() < found.addresses.ttl.saturating_add(STALE_TIME)).then(|| found.addresses.clone())
    }

    fn learn(&mut self, answer: &io::Result<Addresses>) {
        let at = Instant::now();
        match answer {
            Ok(addresses) => {
                *self = Self { found: Some(Found { addresses: addresses.clone(), at }), failed: None }
            }
            Err(error) => self.failed = Some(Failed { kind: error.kind(), reason: error.to_string(), at }),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    const TTL: Duration = Duration::from_secs(5);

    /// Says `answer`, and counts how often.
    #[derive(Default)]
    struct Scripted {
        answer: Mutex<Answer>,
        asked: AtomicUsize,
    }

    #[derive(Clone, Copy, Default)]
    enum Answer {
        #[default]
        Nothing,
        Address(u8),
        Silence,
    }

    impl Scripted {
        fn says(&self, answer: Answer) {
            *lock(&self.answer) = answer;
        }
    }

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Addresses>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = *lock(&self.answer);
            Box::pin(async move {
                tokio::task::yield_now().await;
                match answer {
                    Answer::Nothing => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                    Answer::Address(last) => {
                        Ok(Addresses { addrs: vec![[192, 0, 2, last].into()], ttl: TTL })
                    }
                    Answer::Silence => std::future::pending().await,
                }
            })
        }
    }

    fn cache(answer: Answer) -> CachedResolver<Scripted> {
        let cache = CachedResolver::new(Scripted::default());
        cache.inner.says(answer);
        cache
    }

    /// The last number of the address, or the error; and how often the inner resolver was asked.
    async fn resolved(cache: &CachedResolver<Scripted>) -> (Result<u8, io::ErrorKind>, usize) {
        let last = |addr: &IpAddr| match addr {
            IpAddr::V4(addr) => addr.octets()[3],
            IpAddr::V6(_) => panic!("not what was said"),
        };
        let answer = cache.resolve("name").await.map(|found| last(&found.addrs[0]));
        (answer.map_err(|error| error.kind()), cache.inner.asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_until_its_ttl_has_passed() {
        let cache = cache(Answer::Address(1));
        assert_eq!(resolved(&cache).await, (Ok(1), 1));
        cache.inner.says(Answer::Address(2));
        advance(TTL / 2).await;
        assert_eq!(resolved(&cache).await, (Ok(1), 1));
        advance(TTL / 2).await;
        assert_eq!(resolved(&cache).await, (Ok(2), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn old_addresses_serve_on_for_a_while() {
        let cache = cache(Answer::Address(1));
        assert_eq!(resolved(&cache).await, (Ok(1), 1));
        cache.inner.says(Answer::Nothing);
        advance(TTL).await;
        assert_eq!(resolved(&cache).await, (Ok(1), 2));
        assert_eq!(resolved(&cache).await, (Ok(1), 2), "a failure is not followed by another at once");
        advance(FAILURE_TIME).await;
        assert_eq!(resolved(&cache).await, (Ok(1), 3));
        advance(STALE_TIME).await;
        assert_eq!(resolved(&cache).await, (Err(io::ErrorKind::NotFound), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_resolver_delays_those_with_old_addresses_a_little_and_others_not_for_ever() {
        let cache = cache(Answer::Address(1));
        assert_eq!(resolved(&cache).await, (Ok(1), 1));
        cache.inner.says(Answer::Silence);
        advance(TTL).await;
        let start = Instant::now();
        assert_eq!(resolved(&cache).await, (Ok(1), 2));
        assert_eq!(start.elapsed().as_secs(), REFRESH_TIME.as_secs());
        advance(STALE_TIME).await;
        let start = Instant::now();
        assert_eq!(resolved(&cache).await, (Err(io::ErrorKind::TimedOut), 3));
        assert_eq!(start.elapsed().as_secs(), LOOKUP_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_shortly() {
        let cache = cache(Answer::Nothing);
        assert_eq!(resolved(&cache).await, (Err(io::ErrorKind::NotFound), 1));
        cache.inner.says(Answer::Address(1));
        assert_eq!(resolved(&cache).await, (Err(io::ErrorKind::NotFound), 1));
        advance(FAILURE_TIME).await;
        assert_eq!(resolved(&cache).await, (Ok(1), 2));
    }

    #[tokio::test]
    async fn many_who_want_a_name_at_once_make_one_question() {
        let cache = cache(Answer::Address(1));
        let (a, b, c) = tokio::join!(resolved(&cache), resolved(&cache), resolved(&cache));
        assert_eq!([a.0, b.0, c.0], [Ok(1); 3]);
        assert_eq!(cache.inner.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_system_knows_its_own_addresses() {
        let found = SystemResolver.resolve("127.0.0.1").await.expect("an address");
        assert_eq!(found, Addresses { addrs: vec![[127, 0, 0, 1].into()], ttl: SYSTEM_TTL });
    }
}
