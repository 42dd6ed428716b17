//! Failed logins by network, in bounded memory, with no user's name and no password in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use proto::Credentials;
use tokio::time::Instant;

use crate::address::Prefix;

/// How long answers are held back, by how much there is to be held against the client: seconds.
const STEPS: [u64; 5] = [0, 2, 4, 8, 15];

/// How many failures of other users in the network weigh as much as one of the user's own.
const OTHERS: usize = 4;

/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_mins(15);

/// The most failures of one network that are remembered: four times as many as make a difference.
const MOST: usize = 64;

/// What a network costs, bytes: its places in two maps.
const NETWORK_COST: usize = 192;

/// What a failure costs, bytes, with the room that its list keeps free.
const FAILURE_COST: usize = 64;

/// What has become of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
}

/// The failed logins of all networks. When it is full, the network whose last failure is the oldest is forgotten.
pub(super) struct Table {
    size: usize,
    /// Random, and nowhere but in this process.
    key: Key,
    networks: Mutex<Networks>,
}

#[derive(Default)]
struct Networks {
    by_prefix: HashMap<Prefix, Network>,
    /// By the number of the last failure.
    by_age: BTreeMap<u64, Prefix>,
    next: u64,
    bytes: usize,
}

struct Network {
    /// The oldest first.
    failures: VecDeque<Failure>,
    number: u64,
}

/// Who has tried what: keyed hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    user: u64,
    /// Of user and password.
    password: u64,
}

struct Failure {
    attempt: Attempt,
    at: Instant,
}

impl Table {
    /// An empty table of at most `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let mut random = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).expect("the kernel has randomness once it is up");
        Self { size, key: Key::new(HMAC_SHA256, &*random), networks: Mutex::default() }
    }

    /// How many bytes it may take.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// How long to hold the answer to a login back, by what there was before it; then takes note of it.
    pub(super) fn settle(
        &self,
        ip: IpAddr,
        credentials: &Credentials,
        outcome: Outcome,
        now: Instant,
    ) -> Duration {
        let (prefix, attempt) = (Prefix::of(ip), self.attempt(credentials));
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks.forget_expired(prefix, now);
        let wait =
            networks.by_prefix.get(&prefix).map_or(Duration::ZERO, |network| network.wait(attempt.user));
        match outcome {
            Outcome::Succeeded => networks.forget(prefix, attempt.user),
            Outcome::Failed => networks.note(prefix, attempt, now, self.size),
        }
        wait
    }

    fn attempt(&self, credentials: &Credentials) -> Attempt {
        let user = [b"u", &*credentials.user];
        let length = credentials.user.len().to_le_bytes();
        let password = [b"p", &length[..], &*credentials.user, credentials.password.expose()];
        Attempt { user: self.hash(&user), password: self.hash(&password) }
    }

    /// Two that are taken for one by chance, of 2^64, are harmless.
    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut context = Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        let (first, _) = tag.as_ref().split_first_chunk().expect("a tag has 32 bytes");
        u64::from_le_bytes(*first)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Networks {
    /// Remembers a failure, unless it is one that is remembered already.
    fn note(&mut self, prefix: Prefix, attempt: Attempt, now: Instant, size: usize) {
        let network = self.remove(prefix).unwrap_or_else(|| Network { failures: VecDeque::new(), number: 0 });
        let mut failures = network.failures;
        if failures.iter().all(|failure| failure.attempt != attempt) {
            if failures.len() == MOST {
                failures.pop_front();
            }
            failures.push_back(Failure { attempt, at: now });
        }
        while self.bytes + cost(&failures) > size && self.remove_oldest() {}
        self.insert(prefix, failures);
    }

    /// Forgets all failures of a user in a network.
    fn forget(&mut self, prefix: Prefix, user: u64) {
        self.retain(prefix, |failure| failure.attempt.user != user);
    }

    /// Forgets what has been remembered for long enough, here and wherever it is next.
    fn forget_expired(&mut self, prefix: Prefix, now: Instant) {
        let is_fresh = |failure: &Failure| now.saturating_duration_since(failure.at) < MEMORY;
        self.retain(prefix, is_fresh);
        let oldest = self.by_age.values().next().and_then(|prefix| self.by_prefix.get(prefix));
        if oldest.and_then(|network| network.failures.back()).is_some_and(|last| !is_fresh(last)) {
            self.remove_oldest();
        }
    }

    fn retain(&mut self, prefix: Prefix, keep: impl Fn(&Failure) -> bool) {
        let Some(network) = self.by_prefix.get_mut(&prefix) else { return };
        if network.failures.iter().all(&keep) {
            return;
        }
        let number = network.number;
        self.bytes -= cost(&network.failures);
        network.failures.retain(keep);
        if network.failures.is_empty() {
            self.by_prefix.remove(&prefix);
            self.by_age.remove(&number);
        } else {
            self.bytes += cost(&network.failures);
        }
    }

    fn insert(&mut self, prefix: Prefix, failures: VecDeque<Failure>) {
        let number = self.next;
        self.next += 1;
        self.bytes += cost(&failures);
        self.by_age.insert(number, prefix);
        self.by_prefix.insert(prefix, Network { failures, number });
    }

    fn remove(&mut self, prefix: Prefix) -> Option<Network> {
        let network = self.by_prefix.remove(&prefix)?;
        self.by_age.remove(&network.number);
        self.bytes -= cost(&network.failures);
        Some(network)
    }

    /// `false`: there is none.
    fn remove_oldest(&mut self) -> bool {
        let oldest = self.by_age.values().next().copied();
        oldest.is_some_and(|prefix| self.remove(prefix).is_some())
    }
}

impl Network {
    fn wait(&self, user: u64) -> Duration {
        let own = self.failures.iter().filter(|failure| failure.attempt.user == user).count();
        let held_against = own.max(self.failures.len() / OTHERS);
        Duration::from_secs(STEPS[held_against.min(STEPS.len() - 1)])
    }
}

fn cost(failures: &VecDeque<Failure>) -> usize {
    NETWORK_COST + FAILURE_COST * failures.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::{Method, Secret};

    use super::*;

    /// A table, and a clock that the test moves.
    struct Gate {
        table: Table,
        now: Instant,
    }

    impl Gate {
        fn new() -> Self {
            Self { table: Table::new(1 << 20), now: Instant::now() }
        }

        /// Seconds that the answer to a login is held back.
        fn settle(&self, ip: &str, user: &str, password: &str, outcome: Outcome) -> u64 {
            let credentials = Credentials {
                method: Method::Plain,
                user: Bytes::copy_from_slice(user.as_bytes()),
                password: Secret::from(password.as_bytes()),
            };
            self.table.settle(ip.parse().unwrap(), &credentials, outcome, self.now).as_secs()
        }

        fn fails(&self, ip: &str, user: &str, password: &str) -> u64 {
            self.settle(ip, user, password, Outcome::Failed)
        }

        fn succeeds(&self, ip: &str, user: &str) -> u64 {
            self.settle(ip, user, "right", Outcome::Succeeded)
        }

        fn networks(&self) -> usize {
            self.table.networks.lock().unwrap().by_prefix.len()
        }
    }

    const HERE: &str = "192.0.2.1";

    #[test]
    fn every_guess_makes_the_next_answer_slower_whatever_it_is() {
        let gate = Gate::new();
        let waits: Vec<_> = (0..6).map(|n| gate.fails(HERE, "u", &n.to_string())).collect();
        assert_eq!(waits, [0, 2, 4, 8, 15, 15]);
        assert_eq!(gate.succeeds(HERE, "u"), 15, "a good answer tells nothing by coming sooner");
    }

    #[test]
    fn the_same_wrong_password_counts_once() {
        let gate = Gate::new();
        let waits: Vec<_> = (0..50).map(|_| gate.fails(HERE, "u", "old")).collect();
        assert_eq!((waits[0], &waits[1..]), (0, &[2; 49][..]));
        assert_eq!(gate.fails(HERE, "u", "older"), 2);
        assert_eq!(gate.fails(HERE, "u", "old"), 4);
    }

    #[test]
    fn a_good_login_forgets_the_failures_of_its_user_and_no_others() {
        let gate = Gate::new();
        for n in 0..3 {
            gate.fails(HERE, "u", &n.to_string());
            gate.fails(HERE, "v", &n.to_string());
        }
        assert_eq!(gate.succeeds(HERE, "u"), 8);
        assert_eq!((gate.succeeds(HERE, "u"), gate.succeeds(HERE, "v")), (0, 8));
        assert_eq!(gate.networks(), 0, "what is forgotten takes no room");
    }

    #[test]
    fn one_password_for_every_user_is_found_out_but_neighbours_are_given_some_credit() {
        let gate = Gate::new();
        let waits: Vec<_> = (0..20).map(|n| gate.fails(HERE, &format!("u{n}"), "123456")).collect();
        let expected = [0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 15, 15, 15, 15];
        assert_eq!(waits, expected);
        assert_eq!(gate.succeeds("192.0.2.77", "somebody"), 15);
    }

    #[test]
    fn a_network_pays_for_itself_only() {
        let gate = Gate::new();
        for n in 0..5 {
            gate.fails(HERE, "u", &n.to_string());
            gate.fails("2001:db8:0:100::1", "u", &n.to_string());
        }
        assert_eq!((gate.succeeds("192.0.3.1", "u"), gate.succeeds("2001:db8:0:200::1", "u")), (0, 0));
        assert_eq!((gate.fails("192.0.2.200", "u", "x"), gate.fails("2001:db8:0:1ff::", "u", "x")), (15, 15));
    }

    #[test]
    fn failures_are_forgotten_in_time() {
        let mut gate = Gate::new();
        for n in 0..4 {
            gate.fails(HERE, "u", &n.to_string());
            gate.now += Duration::from_mins(3);
        }
        gate.fails("198.51.100.1", "u", "x");
        // The first is fifteen minutes old.
        gate.now += Duration::from_mins(3);
        assert_eq!(gate.fails(HERE, "v", "x"), 0);
        assert_eq!(gate.fails(HERE, "u", "0"), 8);
        gate.now += Duration::from_mins(15);
        assert_eq!(gate.succeeds(HERE, "u"), 0);
        assert_eq!(gate.networks(), 0, "and so are networks that are never seen again");
    }

    #[test]
    fn a_full_table_forgets_the_network_that_has_been_quiet_for_longest() {
        let mut gate = Gate::new();
        gate.table = Table::new(3 * (NETWORK_COST + FAILURE_COST) + 2 * FAILURE_COST);
        for n in 0..3 {
            gate.fails("10.0.0.1", "u", &n.to_string());
        }
        gate.fails("10.0.1.1", "u", "x");
        gate.fails("10.0.2.1", "u", "x");
        gate.fails("10.0.0.1", "u", "0");
        gate.fails("10.0.3.1", "u", "x");
        assert_eq!(gate.networks(), 3);
        assert_eq!((gate.succeeds("10.0.1.1", "u"), gate.succeeds("10.0.0.1", "u")), (0, 8));
    }

    #[test]
    fn neither_one_network_nor_many_take_more_than_their_room() {
        let gate = Gate::new();
        for n in 0..10_000 {
            gate.fails(HERE, &n.to_string(), "x");
        }
        assert_eq!(
            gate.table.networks.lock().unwrap().by_prefix[&Prefix::of(HERE.parse().unwrap())].failures.len(),
            MOST
        );
        for n in 0..20_000_u32 {
            gate.fails(&std::net::Ipv4Addr::from_bits(n << 8).to_string(), "u", "x");
        }
        let networks = gate.table.networks.lock().unwrap();
        assert!(
            networks.bytes <= 1 << 20 && networks.by_prefix.len() > 4_000,
            "{}",
            networks.by_prefix.len()
        );
        assert_eq!(networks.by_age.len(), networks.by_prefix.len());
    }

    #[test]
    fn nothing_can_be_read_out_of_a_table() {
        let gate = Gate::new();
        gate.fails(HERE, "somebody", "hunter2");
        let networks = gate.table.networks.lock().unwrap();
        let attempt = networks.by_prefix.values().next().unwrap().failures[0].attempt;
        let other = Gate::new();
        let credentials = Credentials {
            method: Method::Plain,
            user: Bytes::from_static(b"somebody"),
            password: Secret::from(&b"hunter2"[..]),
        };
        assert_ne!(other.table.attempt(&credentials), attempt, "keys differ from process to process");
        assert_eq!(format!("{:?}", gate.table), "Table { size: 1048576, .. }");
    }
}
