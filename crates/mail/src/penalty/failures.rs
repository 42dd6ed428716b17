//! Failed logins by what they have in common, in bounded memory.
//!
//! Knows keys and passwords as keyed hashes only, and no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// How long a failure is remembered.
pub(super) const MEMORY: Duration = Duration::from_mins(15);

/// The most failures under one key that are remembered: four times as many as make a difference.
pub(super) const MOST: usize = 64;

/// What a key costs, bytes: its places in two maps.
pub(super) const KEY_COST: usize = 192;

/// What a failure costs, bytes, with the room that its list keeps free.
pub(super) const FAILURE_COST: usize = 64;

/// The failures under one key: the oldest first, no password twice.
type List = VecDeque<Failure>;

/// A wrong password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// The user, in the list of a network; the network, in that of a user.
    pub(super) other: u64,
    /// Of user and password: nobody else's is the same.
    pub(super) password: u64,
    /// When it was tried first.
    pub(super) at: Instant,
}

/// Failures by key: by network, or by user.
///
/// When it is full it forgets where there was least, and of that what has been quiet for longest. So whoever wants
/// something forgotten has to do as much elsewhere, again and again.
pub(super) struct Failures {
    /// Bytes.
    room: usize,
    /// How many failures make a list weigh more than another.
    unit: usize,
    /// The heaviest weight.
    heaviest: usize,
    lists: HashMap<u64, Listed>,
    /// The lightest first, and of those the one that has been quiet for longest.
    by_rank: BTreeMap<Rank, u64>,
    /// The number of the next list that is noted in.
    next: u64,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    weight: usize,
    number: u64,
}

struct Listed {
    list: List,
    rank: Rank,
}

impl Failures {
    /// None yet, and never more than `room` bytes. A list weighs one more for every `unit` failures, up to `heaviest`.
    pub(super) fn new(room: usize, unit: usize, heaviest: usize) -> Self {
        Self { room, unit, heaviest, lists: HashMap::new(), by_rank: BTreeMap::new(), next: 0, bytes: 0 }
    }

    /// How many there are under `key`, and how many of them are `other`'s.
    pub(super) fn count(&self, key: u64, other: u64) -> (usize, usize) {
        self.lists.get(&key).map_or((0, 0), |Listed { list, .. }| {
            (list.len(), list.iter().filter(|failure| failure.other == other).count())
        })
    }

    /// Remembers a failure, unless this password is remembered already.
    pub(super) fn note(&mut self, key: u64, failure: Failure) {
        let mut list = self.remove(key).map(|listed| listed.list).unwrap_or_default();
        if list.iter().all(|known| known.password != failure.password) {
            if list.len() == MOST {
                list.pop_front();
            }
            list.push_back(failure);
        }
        while self.bytes + cost(&list) > self.room && self.remove_lightest() {}
        let number = self.next;
        self.next += 1;
        self.insert(key, list, number);
    }

    /// Forgets those under `key` that are `other`'s.
    pub(super) fn forget(&mut self, key: u64, other: u64) {
        self.retain(key, |failure| failure.other != other);
    }

    /// Forgets what has been remembered for long enough, under `key` and wherever it is next.
    pub(super) fn forget_expired(&mut self, key: u64, now: Instant) {
        let is_fresh = |failure: &Failure| now.saturating_duration_since(failure.at) < MEMORY;
        self.retain(key, is_fresh);
        for weight in 0..=self.heaviest {
            let quietest = self.by_rank.range(Rank { weight, number: 0 }..).next().map(|(_, key)| *key);
            let Some(key) = quietest else { return };
            if self.lists[&key].list.back().is_some_and(|last| !is_fresh(last)) {
                self.remove(key);
            }
        }
    }

    fn retain(&mut self, key: u64, keep: impl Fn(&Failure) -> bool) {
        if self.lists.get(&key).is_none_or(|listed| listed.list.iter().all(&keep)) {
            return;
        }
        let Some(Listed { mut list, rank }) = self.remove(key) else { return };
        list.retain(keep);
        if !list.is_empty() {
            // It has been quiet for as long as before.
            self.insert(key, list, rank.number);
        }
    }

    fn insert(&mut self, key: u64, list: List, number: u64) {
        let rank = Rank { weight: (list.len() / self.unit).min(self.heaviest), number };
        self.bytes += cost(&list);
        self.by_rank.insert(rank, key);
        self.lists.insert(key, Listed { list, rank });
    }

    fn remove(&mut self, key: u64) -> Option<Listed> {
        let listed = self.lists.remove(&key)?;
        self.by_rank.remove(&listed.rank);
        self.bytes -= cost(&listed.list);
        Some(listed)
    }

    /// `false`: there is none.
    fn remove_lightest(&mut self) -> bool {
        let lightest = self.by_rank.values().next().copied();
        lightest.is_some_and(|key| self.remove(key).is_some())
    }

    /// How many keys there are, and the bytes that they count for, for tests.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.by_rank.len(), self.lists.len());
        (self.lists.len(), self.bytes)
    }
}

fn cost(list: &List) -> usize {
    KEY_COST + FAILURE_COST * list.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for a number of keys with one failure each.
    fn for_keys(keys: usize) -> Failures {
        Failures::new(keys * (KEY_COST + FAILURE_COST), 4, 4)
    }

    fn failure(password: u64, at: Instant) -> Failure {
        Failure { other: 0, password, at }
    }

    #[test]
    fn when_it_is_full_the_key_that_has_been_quiet_for_longest_goes_first() {
        let (mut failures, now) = (for_keys(3), Instant::now());
        for key in [1, 2, 3, 1] {
            failures.note(key, failure(key, now));
        }
        failures.note(4, failure(4, now));
        assert_eq!([1, 2, 3, 4].map(|key| failures.count(key, 0).0), [1, 0, 1, 1]);
        assert_eq!(failures.size().0, 3);
    }

    #[test]
    fn a_key_with_much_against_it_stays_longer_than_any_with_little() {
        let (mut failures, now) = (for_keys(12), Instant::now());
        for password in 0..8 {
            failures.note(1, failure(password, now));
        }
        for key in 2..1000 {
            failures.note(key, failure(key, now));
        }
        assert_eq!(failures.count(1, 0).0, 8);
        // Among those that weigh alike it is the oldest.
        for key in 1000..1100 {
            for password in 0..8 {
                failures.note(key, failure(password, now));
            }
        }
        assert_eq!(failures.count(1, 0).0, 0);
        assert!(failures.size().1 <= 12 * (KEY_COST + FAILURE_COST));
    }

    #[test]
    fn no_key_takes_all_the_room() {
        let (mut failures, now) = (for_keys(100), Instant::now());
        for password in 0..1000 {
            failures.note(1, failure(password, now));
        }
        assert_eq!(failures.count(1, 0), (MOST, MOST));
        assert_eq!(failures.size(), (1, KEY_COST + MOST * FAILURE_COST));
    }

    #[test]
    fn what_is_too_old_goes_whatever_it_weighs() {
        let (mut failures, start) = (for_keys(100), Instant::now());
        for (key, number) in [(1, 1), (2, 5), (3, 9), (4, 20)] {
            (0..number).for_each(|password| failures.note(key, failure(password, start)));
        }
        failures.forget_expired(9, start + MEMORY - Duration::from_secs(1));
        assert_eq!(failures.size().0, 4);
        failures.forget_expired(9, start + MEMORY);
        assert_eq!(failures.size(), (0, 0));
    }

    #[test]
    fn what_is_left_of_a_key_is_as_old_as_before() {
        let (mut failures, now) = (for_keys(3), Instant::now());
        failures.note(1, failure(1, now));
        failures.note(1, Failure { other: 7, password: 2, at: now });
        failures.note(2, failure(3, now));
        failures.forget(1, 7);
        assert_eq!(failures.count(1, 0), (1, 1));
        failures.note(3, failure(4, now));
        failures.note(4, failure(5, now));
        assert_eq!([1, 2, 3, 4].map(|key| failures.count(key, 0).0), [0, 1, 1, 1]);
    }
}
