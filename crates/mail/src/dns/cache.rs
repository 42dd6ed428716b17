//! What look-ups found, until it is too old, and one look-up at a time for each key.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use super::shelf::Shelf;

/// Most answers that are remembered for names, and as many for addresses. One costs a few hundred bytes; a name with all
/// the addresses that are kept of it costs 5 kilobytes.
const MOST: usize = 8192;

/// The shortest time that an answer counts: whoever waited for it gets it, whatever its TTL.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest time that an answer counts, whatever its TTL.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// Answers by key, shared by all threads. An answer past its time is never used.
pub(super) struct Cache<K, V>(Shelf<K, Entry<V>>);

struct Entry<V> {
    /// Held by whoever looks up. If it goes away, the next one in line looks up anew.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Option<Known<V>>>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { turn: tokio::sync::Mutex::default(), known: Mutex::default() }
    }
}

/// What a look-up found, and until when that counts.
#[derive(Debug, Clone)]
pub(super) struct Known<V> {
    pub(super) answer: Result<V, Failure>,
    pub(super) until: Instant,
}

impl<V> Known<V> {
    /// An answer that counts for `lifetime` from now on, within the bounds of the cache.
    pub(super) fn new(answer: Result<V, Failure>, lifetime: Duration) -> Self {
        Self { answer, until: Instant::now() + lifetime.clamp(SHORTEST, LONGEST) }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Self {
        Self(Shelf::new(MOST))
    }

    /// What is known of `key`, or else what `look_up` finds.
    pub(super) async fn find<Q>(&self, key: &Q, look_up: impl AsyncFnOnce() -> Known<V>) -> Known<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let entry = self.0.entry(key);
        if let Some(known) = entry.known() {
            return known;
        }
        let _turn = entry.turn.lock().await;
        if let Some(known) = entry.known() {
            return known;
        }
        let known = look_up().await;
        *entry.lock() = Some(known.clone());
        known
    }
}

impl<V: Clone> Entry<V> {
    fn known(&self) -> Option<Known<V>> {
        self.lock().as_ref().filter(|known| Instant::now() < known.until).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known<V>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    async fn answer(
        cache: &Cache<String, u32>,
        lifetime: Duration,
        asked: &Cell<u32>,
    ) -> Result<u32, Failure> {
        let look_up = async || {
            tokio::task::yield_now().await;
            asked.update(|asked| asked + 1);
            Known::new(Ok(asked.get()), lifetime)
        };
        cache.find("a", look_up).await.answer
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_its_lifetime_and_not_longer() {
        for (ttl, counts) in [(0, 1), (1, 1), (60, 60), (u64::from(u32::MAX), 86400)] {
            let (cache, asked, ttl) = (Cache::new(), Cell::new(0), Duration::from_secs(ttl));
            assert_eq!(answer(&cache, ttl, &asked).await, Ok(1));
            advance(Duration::from_millis(counts * 1000 - 1)).await;
            assert_eq!(answer(&cache, ttl, &asked).await, Ok(1));
            advance(Duration::from_millis(1)).await;
            assert_eq!(answer(&cache, ttl, &asked).await, Ok(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_meanwhile_waits_and_who_gives_up_leaves_his_turn_to_the_next() {
        let (cache, asked) = (Cache::new(), Cell::new(0));
        let lifetime = Duration::ZERO;
        let (first, second) =
            tokio::join!(answer(&cache, lifetime, &asked), answer(&cache, lifetime, &asked));
        assert_eq!((first, second), (Ok(1), Ok(1)));
        advance(SHORTEST).await;
        let never = cache.find("a", std::future::pending);
        let given_up = async { tokio::time::timeout(Duration::from_millis(1), never).await.is_err() };
        assert_eq!(tokio::join!(given_up, answer(&cache, lifetime, &asked)), (true, Ok(2)));
    }
}
