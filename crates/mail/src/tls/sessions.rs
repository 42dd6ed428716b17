//! Session caches, and what keeps sessions from crossing servers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context as Digest, SHA256, SHA256_OUTPUT_LEN};
use rustls::server::StoresServerSessions;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use super::environment::{is_to_come, seconds};
use super::mistake::Mistake;

/// What a session costs beyond its own bytes, roughly.
const OVERHEAD: usize = 256;
/// The smallest shared cache of the originals, bytes: eight pages.
const SMALLEST: usize = 32 * 1024;
/// How many sessions `builtin` holds when no number is given, as in OpenSSL.
const BUILTIN: usize = 20_480;
/// `builtin:0` has no limit in the originals; here it has this one, bytes.
const UNLIMITED: usize = 256 * 1024 * 1024;
/// Longest session id of ours, bytes. What is longer is not looked up.
const MAX_ID: usize = 64;

/// One word of `ssl_session_cache`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheMode {
    /// No session ids.
    Off,
    /// Session ids with nothing behind them.
    None,
    /// A cache of this server's own, for so many sessions; 0 is as many as there may be.
    Builtin(usize),
    /// A cache that all servers share that name it.
    Shared {
        /// The name.
        zone: String,
        /// Bytes.
        size: usize,
    },
}

impl CacheMode {
    /// What a word of the directive says.
    pub fn parse(word: &str) -> Result<Self, Mistake> {
        let invalid = || Mistake::Cache(word.to_owned());
        let number =
            |text: Option<u64>| text.and_then(|number| usize::try_from(number).ok()).ok_or_else(invalid);
        match word {
            "off" => return Ok(Self::Off),
            "none" => return Ok(Self::None),
            "builtin" => return Ok(Self::Builtin(BUILTIN)),
            _ => {}
        }
        if let Some(sessions) = word.strip_prefix("builtin:") {
            return number(conf::value::number(sessions.as_bytes())).map(Self::Builtin);
        }
        let (zone, size) =
            word.strip_prefix("shared:").and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
        let size = number(conf::value::size(size.as_bytes()))?;
        if zone.is_empty() {
            return Err(invalid());
        }
        if size < SMALLEST {
            return Err(Mistake::SmallCache(word.to_owned()));
        }
        Ok(Self::Shared { zone: zone.to_owned(), size })
    }
}

/// The shared caches of a process, by name. They live on when a configuration goes, so that its sessions do.
#[derive(Debug, Default)]
pub struct SessionCaches(Mutex<HashMap<String, Arc<Cache>>>);

impl SessionCaches {
    /// The cache called `zone`; with another size than before it is a new one.
    fn shared(&self, zone: &str, size: usize) -> Arc<Cache> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match caches.get(zone) {
            Some(cache) if cache.limits.bytes == size => Arc::clone(cache),
            _ => {
                let cache = Arc::new(Cache::new(Limits { bytes: size, sessions: usize::MAX }));
                caches.insert(zone.to_owned(), Arc::clone(&cache));
                cache
            }
        }
    }
}

/// Everything about a server that a session must not outlive: a digest of its certificates, the authorities that
/// it names to clients, and what it wants of client certificates.
///
/// Part of the key of every cached session and under the authentication of every ticket (CVE-2025-23419,
/// CVE-2014-3616).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context([u8; SHA256_OUTPUT_LEN]);

impl Context {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self([0; SHA256_OUTPUT_LEN])
    }

    /// With one more thing, of any length; the order counts.
    pub(super) fn with(&self, thing: &[u8]) -> Self {
        let mut digest = Digest::new(&SHA256);
        digest.update(&self.0);
        digest.update(thing);
        let mut next = Self::new();
        next.0.copy_from_slice(digest.finish().as_ref());
        next
    }
}

impl AsRef<[u8]> for Context {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The sessions of one server, as rustls wants them: a view of caches that may be shared.
pub(super) struct Sessions {
    /// Where sessions go, none or more.
    caches: Vec<Arc<Cache>>,
    offered: bool,
    context: Context,
    /// Seconds.
    timeout: u64,
    clock: Arc<dyn TimeProvider>,
}

impl Sessions {
    /// As `modes` say.
    pub(super) fn new(
        modes: &[CacheMode],
        shared: &SessionCaches,
        context: Context,
        timeout: Duration,
        clock: Arc<dyn TimeProvider>,
    ) -> Self {
        let own = |sessions| Arc::new(Cache::new(Limits { bytes: UNLIMITED, sessions }));
        let cache = |mode: &CacheMode| match mode {
            CacheMode::Off | CacheMode::None => None,
            CacheMode::Builtin(0) => Some(own(usize::MAX)),
            CacheMode::Builtin(sessions) => Some(own(*sessions)),
            CacheMode::Shared { zone, size } => Some(shared.shared(zone, *size)),
        };
        let caches = modes.iter().filter_map(cache).collect();
        Self { caches, offered: !modes.contains(&CacheMode::Off), context, timeout: timeout.as_secs(), clock }
    }

    fn key(&self, id: &[u8]) -> Option<Vec<u8>> {
        (id.len() <= MAX_ID).then(|| [self.context.as_ref(), id].concat())
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        let session = Zeroizing::new(session);
        let Some(key) = self.key(&id) else { return false };
        let now = seconds(&*self.clock);
        let life = Life { made: now, timeout: self.timeout };
        let put = |cache: &Arc<Cache>| cache.put(key.clone(), session.clone(), life);
        self.caches.iter().filter(|cache| put(cache)).count() > 0
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(id)?;
        let now = seconds(&*self.clock);
        self.caches.iter().find_map(|cache| cache.get(&key, now))
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(id)?;
        let now = seconds(&*self.clock);
        // Out of all of them, not only the first that has it: a session taken must not be found again.
        let mut found: Vec<_> = self.caches.iter().filter_map(|cache| cache.take(&key, now)).collect();
        found.pop()
    }

    fn can_cache(&self) -> bool {
        self.offered
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("offered", &self.offered)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A bounded store of sessions; when it is full the oldest go.
struct Cache {
    limits: Limits,
    entries: Mutex<Entries>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: usize,
    sessions: usize,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Vec<u8>, Entry>,
    by_age: BTreeMap<u64, Vec<u8>>,
    next: u64,
    bytes: usize,
}

struct Entry {
    session: Zeroizing<Vec<u8>>,
    life: Life,
    number: u64,
}

/// When a session may be taken up, seconds.
#[derive(Debug, Clone, Copy)]
struct Life {
    made: u64,
    timeout: u64,
}

impl Life {
    fn is_over(self, now: u64) -> bool {
        is_to_come(self.made, now) || now.saturating_sub(self.made) > self.timeout
    }
}

impl Cache {
    fn new(limits: Limits) -> Self {
        Self { limits, entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: Vec<u8>, session: Zeroizing<Vec<u8>>, life: Life) -> bool {
        let cost = cost(&key, &session);
        if cost > self.limits.bytes {
            return false;
        }
        let mut entries = self.lock();
        entries.remove(&key);
        while entries.bytes.saturating_add(cost) > self.limits.bytes
            || entries.by_key.len() >= self.limits.sessions.max(1)
            || entries.oldest().is_some_and(|entry| entry.life.is_over(life.made))
        {
            entries.remove_oldest();
        }
        entries.insert(key, session, life);
        true
    }

    fn get(&self, key: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut entries = self.lock();
        if entries.by_key.get(key)?.life.is_over(now) {
            entries.remove(key);
            return None;
        }
        entries.by_key.get(key).map(|entry| entry.session.to_vec())
    }

    fn take(&self, key: &[u8], now: u64) -> Option<Vec<u8>> {
        let entry = self.lock().remove(key)?;
        (!entry.life.is_over(now)).then(|| entry.session.to_vec())
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Entries {
    fn insert(&mut self, key: Vec<u8>, session: Zeroizing<Vec<u8>>, life: Life) {
        let number = self.next;
        self.next += 1;
        self.bytes += cost(&key, &session);
        self.by_age.insert(number, key.clone());
        self.by_key.insert(key, Entry { session, life, number });
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.by_key.remove(key)?;
        self.by_age.remove(&entry.number);
        self.bytes -= cost(key, &entry.session);
        Some(entry)
    }

    fn oldest(&self) -> Option<&Entry> {
        self.by_key.get(self.by_age.values().next()?)
    }

    fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_first() {
            self.remove(&key);
        }
    }
}

/// What a session counts for, bytes; its key is stored twice.
fn cost(key: &[u8], session: &[u8]) -> usize {
    key.len() * 2 + session.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Clock;

    fn sessions(modes: &[&str], shared: &SessionCaches, name: &str, clock: &Clock) -> Sessions {
        let modes: Vec<_> = modes.iter().map(|word| CacheMode::parse(word).expect("a mode")).collect();
        let context = Context::new().with(name.as_bytes());
        Sessions::new(&modes, shared, context, Duration::from_mins(5), Arc::new(clock.clone()))
    }

    #[test]
    fn words_of_the_directive_are_read_as_the_originals_read_them() {
        let shared = |size| Ok(CacheMode::Shared { zone: "z".into(), size });
        let invalid = |word: &str| Err(format!("invalid session cache \"{word}\""));
        let cases = [
            ("off", Ok(CacheMode::Off)),
            ("none", Ok(CacheMode::None)),
            ("builtin", Ok(CacheMode::Builtin(20_480))),
            ("builtin:5", Ok(CacheMode::Builtin(5))),
            ("builtin:x", invalid("builtin:x")),
            ("builtin:", invalid("builtin:")),
            ("shared:z:1m", shared(1 << 20)),
            ("shared:z:32k", shared(32 << 10)),
            ("shared:z:32767", Err("session cache \"shared:z:32767\" is too small".into())),
            ("shared::1m", invalid("shared::1m")),
            ("shared:z", invalid("shared:z")),
            ("shared:z:big", invalid("shared:z:big")),
            ("on", invalid("on")),
        ];
        for (word, expected) in cases {
            assert_eq!(CacheMode::parse(word).map_err(|mistake| mistake.to_string()), expected, "{word}");
        }
    }

    #[test]
    fn sessions_are_found_until_they_are_taken_or_expire() {
        let (clock, caches) = (Clock::default(), SessionCaches::default());
        for modes in [&["builtin"][..], &["shared:z:1m"], &["builtin:0", "shared:z:1m"]] {
            let sessions = sessions(modes, &caches, "a", &clock);
            assert!(sessions.can_cache());
            assert!(sessions.put(b"id".to_vec(), b"one".to_vec()));
            assert!(sessions.put(b"id".to_vec(), b"two".to_vec()));
            assert_eq!(sessions.get(b"id").as_deref(), Some(&b"two"[..]));
            assert_eq!(sessions.take(b"id").as_deref(), Some(&b"two"[..]));
            assert_eq!((sessions.get(b"id"), sessions.take(b"id")), (None, None));
            assert!(sessions.put(b"id".to_vec(), b"three".to_vec()));
            clock.advance(300);
            assert!(sessions.get(b"id").is_some());
            clock.advance(1);
            assert_eq!(sessions.get(b"id"), None);
        }
    }

    #[test]
    fn off_offers_no_ids_and_none_offers_empty_ones() {
        let (clock, caches) = (Clock::default(), SessionCaches::default());
        for (mode, offered) in [("off", false), ("none", true)] {
            let sessions = sessions(&[mode], &caches, "a", &clock);
            assert_eq!(sessions.can_cache(), offered);
            assert!(!sessions.put(b"id".to_vec(), b"s".to_vec()));
            assert_eq!(sessions.get(b"id"), None);
        }
    }

    #[test]
    fn a_shared_cache_outlives_a_configuration_but_not_a_change_of_its_size() {
        let (clock, caches) = (Clock::default(), SessionCaches::default());
        sessions(&["shared:z:1m"], &caches, "a", &clock).put(b"id".to_vec(), b"s".to_vec());
        assert!(sessions(&["shared:z:1m"], &caches, "a", &clock).get(b"id").is_some());
        assert!(sessions(&["shared:y:1m"], &caches, "a", &clock).get(b"id").is_none());
        assert!(sessions(&["shared:z:2m"], &caches, "a", &clock).get(b"id").is_none());
    }

    #[test]
    fn sessions_do_not_cross_to_servers_of_another_kind() {
        let (clock, caches) = (Clock::default(), SessionCaches::default());
        sessions(&["shared:z:1m"], &caches, "a", &clock).put(b"id".to_vec(), b"s".to_vec());
        let other = sessions(&["shared:z:1m"], &caches, "b", &clock);
        assert_eq!((other.get(b"id"), other.take(b"id")), (None, None));
        assert!(sessions(&["shared:z:1m"], &caches, "a", &clock).get(b"id").is_some());
    }

    #[test]
    fn caches_stay_within_their_bounds_and_the_oldest_go_first() {
        let clock = Clock::default();
        let small = sessions(&["builtin:3"], &SessionCaches::default(), "a", &clock);
        for id in 0..5_u8 {
            assert!(small.put(vec![id], vec![0; 100]));
        }
        let found: Vec<_> = (0..5_u8).filter(|id| small.get(&[*id]).is_some()).collect();
        assert_eq!(found, [2, 3, 4]);

        let bytes = sessions(&["shared:z:32k"], &SessionCaches::default(), "a", &clock);
        for id in 0..200_u8 {
            assert!(bytes.put(vec![id], vec![0; 1000]));
        }
        let found = (0..200_u8).filter(|id| bytes.get(&[*id]).is_some()).count();
        assert_eq!(found, 32 * 1024 / (1000 + 2 * 33 + OVERHEAD));
        assert!(!bytes.put(vec![0], vec![0; 40_000]));
        assert_eq!(bytes.caches[0].lock().by_age.len(), found);
    }

    #[test]
    fn expired_sessions_make_room_first() {
        let clock = Clock::default();
        let cache = sessions(&["builtin:100"], &SessionCaches::default(), "a", &clock);
        cache.put(vec![1], vec![]);
        clock.advance(301);
        cache.put(vec![2], vec![]);
        assert_eq!(cache.caches[0].lock().by_key.len(), 1);
    }

    #[test]
    fn a_clock_that_is_put_back_prolongs_no_session() {
        let clock = Clock::default();
        let sessions = sessions(&["builtin"], &SessionCaches::default(), "a", &clock);
        clock.advance(1_000_000);
        assert!([1, 2, 3].iter().all(|id| sessions.put(vec![*id], vec![*id])));
        clock.put_back(1_000_000);
        assert_eq!((sessions.get(&[1]), sessions.take(&[2])), (None, None));
        sessions.put(vec![4], vec![4]);
        assert_eq!(sessions.caches[0].lock().by_key.len(), 1, "they make room");
        assert!(sessions.get(&[4]).is_some());
    }

    #[test]
    fn ids_that_cannot_be_ours_are_not_looked_up() {
        let cache = sessions(&["builtin"], &SessionCaches::default(), "a", &Clock::default());
        assert!(!cache.put(vec![0; 65], vec![]));
        assert_eq!((cache.get(&[0; 65]), cache.take(&[0; 65])), (None, None));
    }

    #[test]
    fn contexts_differ_when_anything_differs() {
        let of = |things: &[&str]| {
            things.iter().fold(Context::new(), |context, thing| context.with(thing.as_bytes()))
        };
        let all = [
            of(&[]),
            of(&[""]),
            of(&["a"]),
            of(&["a", "b"]),
            of(&["b", "a"]),
            of(&["ab"]),
            of(&["a", "", "b"]),
        ];
        for (index, context) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == context), Some(index));
        }
    }
}
