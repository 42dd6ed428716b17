//! Where users have logged in well: networks in which nobody slows them down by guessing elsewhere.
//!
//! A table of fixed size, in buckets by user. Only a good login writes to it, so made-up names push nobody out; and
//! whoever logs in as one user from everywhere pushes out no other's networks but some of those few in the same bucket.

use std::time::Duration;

use tokio::time::Instant;

/// How long a good login is remembered: longer than a holiday.
const MEMORY: Duration = Duration::from_hours(30 * 24);

/// The most networks of one user.
pub(super) const MOST: usize = 8;

/// How many networks a bucket has room for, of whomever.
const SLOTS: usize = 2 * MOST;

type Bucket = [Slot; SLOTS];

/// Networks by user, as keyed hashes. Of those that compete for a place the one without a login for longest is forgotten.
pub(super) struct Homes {
    /// Made when they are needed.
    buckets: Box<[Option<Box<Bucket>>]>,
    born: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The half of the user's hash that does not choose the bucket.
    user: u32,
    /// Seconds since the table was made; 0 if the place is free.
    last: u32,
    network: u64,
}

impl Homes {
    /// None yet, and never more than `room` bytes.
    pub(super) fn new(room: usize, now: Instant) -> Self {
        let buckets = (room / (size_of::<Bucket>() + size_of::<Option<Box<Bucket>>>())).max(1);
        // The first second is 1.
        let born = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        Self { buckets: (0..buckets).map(|_| None).collect(), born }
    }

    /// Whether `user` has logged in well in `network` lately.
    pub(super) fn has(&self, user: u64, network: u64, now: Instant) -> bool {
        let (index, user) = self.place(user);
        let is_it = |slot: &Slot| slot.is_of(user) && slot.network == network && self.is_fresh(slot, now);
        self.buckets[index].as_ref().is_some_and(|bucket| bucket.iter().any(is_it))
    }

    /// `user` has logged in well in `network`.
    pub(super) fn note(&mut self, user: u64, network: u64, now: Instant) {
        let (index, user) = self.place(user);
        let last = self.second(now);
        let bucket = self.buckets[index].get_or_insert_default();
        *choose(bucket, user, network) = Slot { user, last, network };
    }

    fn place(&self, user: u64) -> (usize, u32) {
        let [a, b, c, d, tag @ ..] = user.to_le_bytes();
        let index = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default();
        (index % self.buckets.len(), u32::from_le_bytes(tag))
    }

    fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.born).as_secs()).unwrap_or(u32::MAX).max(1)
    }

    fn is_fresh(&self, slot: &Slot, now: Instant) -> bool {
        u64::from(self.second(now) - slot.last.min(self.second(now))) < MEMORY.as_secs()
    }
}

impl Slot {
    const fn is_of(&self, user: u32) -> bool {
        self.last > 0 && self.user == user
    }
}

/// The place for a network of `user`: the one that it has already; if the user has [`MOST`], that of the user's
/// oldest; else the oldest of all, which may be free.
fn choose(bucket: &mut Bucket, user: u32, network: u64) -> &mut Slot {
    let known = bucket.iter().position(|slot| slot.is_of(user) && slot.network == network);
    let is_full = bucket.iter().filter(|slot| slot.is_of(user)).count() >= MOST;
    let may_go = |slot: &Slot| !is_full || slot.is_of(user);
    let oldest = || (0..SLOTS).filter(|&at| may_go(&bucket[at])).min_by_key(|&at| bucket[at].last);
    let at = known.or_else(oldest).unwrap_or_default();
    &mut bucket[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another user of the same bucket, if there is but one.
    const fn user(number: u64) -> u64 {
        number << 32
    }

    #[test]
    fn a_user_is_at_home_where_it_has_logged_in_and_nobody_else_is() {
        let now = Instant::now();
        let mut homes = Homes::new(1 << 16, now);
        homes.note(user(1), 10, now);
        assert!(homes.has(user(1), 10, now));
        assert!(!homes.has(user(1), 11, now) && !homes.has(user(2), 10, now) && !homes.has(0, 0, now));
    }

    #[test]
    fn a_login_is_remembered_for_a_month_and_each_renews_it() {
        let start = Instant::now();
        let mut homes = Homes::new(0, start);
        homes.note(user(1), 10, start);
        let later = start + MEMORY - Duration::from_secs(1);
        assert!(homes.has(user(1), 10, later) && !homes.has(user(1), 10, start + MEMORY));
        homes.note(user(1), 10, later);
        assert!(homes.has(user(1), 10, start + MEMORY));
    }

    #[test]
    fn of_many_networks_a_user_keeps_the_last_eight() {
        let start = Instant::now();
        let mut homes = Homes::new(0, start);
        homes.note(user(1), 99, start);
        for network in 0..20 {
            homes.note(user(2), network, start + Duration::from_secs(network));
        }
        let now = start + Duration::from_mins(1);
        let kept: Vec<_> = (0..20).filter(|&network| homes.has(user(2), network, now)).collect();
        assert_eq!(kept, [12, 13, 14, 15, 16, 17, 18, 19]);
        assert!(homes.has(user(1), 99, now), "another user has lost nothing");
    }

    #[test]
    fn a_full_bucket_forgets_whose_login_is_the_oldest() {
        let start = Instant::now();
        let mut homes = Homes::new(0, start);
        for number in 0..=16 {
            homes.note(user(number), 10, start + Duration::from_secs(number));
        }
        let now = start + Duration::from_mins(1);
        let lost: Vec<_> = (0..=16).filter(|&number| !homes.has(user(number), 10, now)).collect();
        assert_eq!(lost, [0]);
    }

    #[test]
    fn it_takes_no_more_than_its_room() {
        let now = Instant::now();
        let mut homes = Homes::new(8 << 10, now);
        for number in 0..10_000_u64 {
            homes.note(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 10, now);
        }
        let made = homes.buckets.iter().flatten().count();
        let bytes = made * size_of::<Bucket>() + size_of_val(&*homes.buckets);
        assert!((7 << 10..=8 << 10).contains(&bytes), "{bytes}");
    }
}
