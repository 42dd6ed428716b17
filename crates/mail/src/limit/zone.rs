//! Zones: how many connections each key has, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use status::limit_conn::LimitConn;

use super::key::{Facts, Key};

/// What a key costs beyond its own bytes: its place in the map, its allocation, and the room that the map keeps free.
const OVERHEAD: usize = 96;

/// What a zone is, by its `limit_conn_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSettings {
    /// Its name.
    pub name: String,
    /// What it counts by.
    pub key: Key,
    /// How much memory it may take, bytes.
    pub size: usize,
}

/// The zones of a process, by name. They outlive configurations: what is counted stays counted.
#[derive(Debug, Default)]
pub struct Zones(Mutex<BTreeMap<String, Arc<Zone>>>);

impl Zones {
    /// The zone of `settings`. With another key or size than before it is a new one; connections that the old one has
    /// counted stay with that.
    pub fn zone(&self, settings: &ZoneSettings) -> Arc<Zone> {
        let mut zones = self.lock();
        match zones.get(&settings.name) {
            Some(zone) if zone.settings == *settings => Arc::clone(zone),
            _ => {
                let zone = Arc::new(Zone::new(settings.clone()));
                zones.insert(settings.name.clone(), Arc::clone(&zone));
                zone
            }
        }
    }

    /// All zones at this moment, by name.
    pub fn snapshot(&self) -> BTreeMap<String, LimitConn> {
        self.lock().iter().map(|(name, zone)| (name.clone(), zone.snapshot())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Zone>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of every key that has any.
#[derive(Debug)]
pub struct Zone {
    settings: ZoneSettings,
    counts: Mutex<Counts>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counts {
    by_key: HashMap<Arc<[u8]>, u32>,
    /// What the keys cost.
    bytes: usize,
}

/// What has become of connections, for the status.
#[derive(Debug, Default)]
struct Counters {
    passed: AtomicU64,
    skipped: AtomicU64,
    rejected: AtomicU64,
    exhausted: AtomicU64,
    rejected_dry_run: AtomicU64,
    exhausted_dry_run: AtomicU64,
}

/// A connection that is counted, until this is dropped.
#[derive(Debug)]
pub struct Hold {
    zone: Arc<Zone>,
    key: Arc<[u8]>,
}

/// Why a connection cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Its key has as many as it may have.
    Connections,
    /// There is no room for another key. Fails closed, as the originals: a flood from many addresses must not switch
    /// the limit off, and no count that is in use can go to make room.
    Memory,
}

impl Zone {
    fn new(settings: ZoneSettings) -> Self {
        Self { settings, counts: Mutex::default(), counters: Counters::default() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it counts by.
    pub fn key(&self) -> &Key {
        &self.settings.key
    }

    /// Counts a connection, unless its key is worth nothing or there are `most` already. In a `dry_run` the caller
    /// lets it through all the same.
    pub fn count(
        self: &Arc<Self>,
        facts: &Facts<'_>,
        most: u32,
        dry_run: bool,
    ) -> Result<Option<Hold>, Excess> {
        let Some(value) = self.settings.key.value(facts) else {
            add(&self.counters.skipped);
            return Ok(None);
        };
        let taken = self.lock().take(&value, most, self.settings.size);
        self.tally(taken.as_ref().err(), dry_run);
        taken.map(|key| Some(Hold { zone: Arc::clone(self), key }))
    }

    fn tally(&self, excess: Option<&Excess>, dry_run: bool) {
        let counters = &self.counters;
        add(match (excess, dry_run) {
            (None, _) => &counters.passed,
            (Some(Excess::Connections), false) => &counters.rejected,
            (Some(Excess::Memory), false) => &counters.exhausted,
            (Some(Excess::Connections), true) => &counters.rejected_dry_run,
            (Some(Excess::Memory), true) => &counters.exhausted_dry_run,
        });
    }

    /// What it has counted so far.
    pub fn snapshot(&self) -> LimitConn {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LimitConn {
            passed: read(&self.counters.passed),
            skipped: read(&self.counters.skipped),
            rejected: read(&self.counters.rejected),
            exhausted: read(&self.counters.exhausted),
            rejected_dry_run: read(&self.counters.rejected_dry_run),
            exhausted_dry_run: read(&self.counters.exhausted_dry_run),
            keys: self.lock().by_key.len() as u64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// One more for `value`, unless it has `most` or all keys together would cost more than `size`.
    fn take(&mut self, value: &[u8], most: u32, size: usize) -> Result<Arc<[u8]>, Excess> {
        if let Some((key, _)) = self.by_key.get_key_value(value) {
            let key = Arc::clone(key);
            let count = self.by_key.get_mut(value).expect("it has just been found");
            if *count >= most {
                return Err(Excess::Connections);
            }
            *count += 1;
            return Ok(key);
        }
        if most == 0 {
            return Err(Excess::Connections);
        }
        let bytes = self.bytes.saturating_add(cost(value));
        if bytes > size {
            return Err(Excess::Memory);
        }
        let key: Arc<[u8]> = value.into();
        self.by_key.insert(Arc::clone(&key), 1);
        self.bytes = bytes;
        Ok(key)
    }

    fn give_back(&mut self, key: &[u8]) {
        let Some(count) = self.by_key.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            self.by_key.remove(key);
            self.bytes -= cost(key);
            // A flood that is over leaves no memory behind.
            if self.by_key.len() < self.by_key.capacity() / 8 {
                self.by_key.shrink_to(self.by_key.len() * 2);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.zone.lock().give_back(&self.key);
    }
}

const fn cost(key: &[u8]) -> usize {
    key.len() + OVERHEAD
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ClientAddr;

    fn settings(key: &str, size: usize) -> ZoneSettings {
        ZoneSettings { name: "z".to_owned(), key: Key::parse(key).unwrap(), size }
    }

    /// One more connection of `user`.
    fn count(zone: &Arc<Zone>, user: &str, most: u32) -> Result<Option<Hold>, Excess> {
        zone.count(&Facts { addr: ClientAddr::Unix, user: user.as_bytes(), said: &[] }, most, false)
    }

    #[test]
    fn a_key_has_as_many_connections_as_it_may_and_again_when_some_have_gone() {
        let zone = Zones::default().zone(&settings("$remote_user", 4096));
        let held: Vec<_> = (0..3).map(|_| count(&zone, "u", 3).unwrap().unwrap()).collect();
        assert_eq!(count(&zone, "u", 3).unwrap_err(), Excess::Connections);
        let other = count(&zone, "v", 3).unwrap();
        assert!(other.is_some() && count(&zone, "", 3).unwrap().is_none());
        assert_eq!(count(&zone, "w", 0).unwrap_err(), Excess::Connections);
        drop(held);
        assert!(count(&zone, "u", 3).unwrap().is_some());
        let expected = LimitConn { passed: 5, skipped: 1, rejected: 2, keys: 1, ..LimitConn::default() };
        assert_eq!(zone.snapshot(), expected);
    }

    #[test]
    fn a_full_zone_takes_no_new_key_and_loses_none() {
        let zone = Zones::default().zone(&settings("$remote_user", 2 * (OVERHEAD + 1)));
        let held: Vec<_> = ["a", "b"].map(|user| count(&zone, user, 9).unwrap()).into();
        assert_eq!(count(&zone, "c", 9).unwrap_err(), Excess::Memory);
        assert!(count(&zone, "a", 9).unwrap().is_some(), "who is there already may have more");
        drop(held);
        assert!(count(&zone, "c", 9).unwrap().is_some());
        assert_eq!((zone.snapshot().exhausted, zone.snapshot().keys), (1, 0));
    }

    #[test]
    fn memory_is_given_back_when_a_flood_is_over() {
        let zone = Zones::default().zone(&settings("$remote_user", 1 << 20));
        let held: Vec<_> = (0..5000).map(|n| count(&zone, &n.to_string(), 1).unwrap()).collect();
        assert!(zone.lock().by_key.capacity() >= held.len());
        drop(held);
        let counts = zone.lock();
        assert!(counts.by_key.capacity() < 100 && counts.bytes == 0, "{}", counts.by_key.capacity());
    }

    #[test]
    fn a_dry_run_is_told_apart() {
        let zone = Zones::default().zone(&settings("$remote_user", OVERHEAD + 1));
        let facts = |user| Facts { addr: ClientAddr::Unix, user, said: &[] };
        let held = zone.count(&facts(b"u"), 1, true).unwrap();
        assert_eq!(zone.count(&facts(b"u"), 1, true).unwrap_err(), Excess::Connections);
        assert_eq!(zone.count(&facts(b"v"), 1, true).unwrap_err(), Excess::Memory);
        let expected = LimitConn {
            passed: 1,
            rejected_dry_run: 1,
            exhausted_dry_run: 1,
            keys: 1,
            ..LimitConn::default()
        };
        assert_eq!(zone.snapshot(), expected);
        drop(held);
    }

    #[test]
    fn a_zone_goes_on_counting_unless_it_has_become_another() {
        let zones = Zones::default();
        let zone = zones.zone(&settings("$remote_user", 4096));
        let held = count(&zone, "u", 1).unwrap();
        let same = zones.zone(&settings("$remote_user", 4096));
        assert_eq!(count(&same, "u", 1).unwrap_err(), Excess::Connections);
        for other in [settings("$remote_user", 8192), settings("$remote_addr$remote_user", 4096)] {
            assert!(count(&zones.zone(&other), "u", 1).unwrap().is_some());
        }
        drop(held);
        assert_eq!((zone.snapshot().keys, zones.snapshot()["z"].keys), (0, 0));
    }
}
