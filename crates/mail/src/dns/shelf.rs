//! Entries by key, of which there are never more than a fixed number.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Holds an entry per key for as long as there is room. Shared by all threads.
///
/// When it is full, the eighth that was not wanted for longest goes, so that making room costs little per key even
/// when each key is a new one. Whoever has an entry in hand keeps it.
pub(crate) struct Shelf<K, E> {
    places: Mutex<HashMap<K, Place<E>>>,
    room: usize,
}

/// An entry and when it was wanted last.
struct Place<E> {
    entry: Arc<E>,
    used: Instant,
}

impl<K: Eq + Hash, E: Default> Shelf<K, E> {
    /// Room for that many entries.
    pub(crate) fn new(room: usize) -> Self {
        Self { places: Mutex::default(), room }
    }

    /// The entry of `key`, which is a new one if there was none.
    pub(crate) fn entry<Q>(&self, key: &Q) -> Arc<E>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(key) {
            place.used = Instant::now();
            return Arc::clone(&place.entry);
        }
        if places.len() >= self.room {
            forget_oldest(&mut places);
        }
        let entry = Arc::<E>::default();
        places.insert(key.to_owned(), Place { entry: Arc::clone(&entry), used: Instant::now() });
        entry
    }
}

fn forget_oldest<K, E>(places: &mut HashMap<K, Place<E>>) {
    let mut used: Vec<Instant> = places.values().map(|place| place.used).collect();
    if used.is_empty() {
        return;
    }
    let eighth = used.len() / 8;
    let (_, newest_to_go, _) = used.select_nth_unstable(eighth);
    places.retain(|_, place| place.used > *newest_to_go);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_were_not_wanted_for_longest_make_room() {
        let shelf = Shelf::<u32, ()>::new(64);
        for key in 0..64 {
            shelf.entry(&key);
            advance(Duration::from_millis(1)).await;
        }
        shelf.entry(&0);
        shelf.entry(&64);
        let places = shelf.places.lock().unwrap();
        assert_eq!(places.len(), 56);
        for (key, kept) in [(0, true), (1, false), (9, false), (10, true), (63, true), (64, true)] {
            assert_eq!(places.contains_key(&key), kept, "{key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_keys_at_the_same_moment_do_not_outgrow_the_room() {
        let shelf = Shelf::<u32, ()>::new(8);
        let mine = shelf.entry(&0);
        for key in 1..1000 {
            shelf.entry(&key);
            assert!(shelf.places.lock().unwrap().len() <= 8);
        }
        assert_eq!(Arc::strong_count(&mine), 1, "only its holder has it");
    }
}
