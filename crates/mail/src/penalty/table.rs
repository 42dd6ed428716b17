//! What logins have come to, by network and by user, in bounded memory, with no user's name and no password in it.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use proto::Credentials;
use tokio::time::Instant;

use super::failures::{Failure, Failures};
use super::homes::Homes;
use crate::address::Prefix;

/// How long answers are held back, by how much there is to be held against the client: seconds.
const STEPS: [u64; 5] = [0, 2, 4, 8, 15];

/// How many failures of other users in the network, or of the user in other networks, weigh as much as one of the
/// user's own there.
const OTHERS: usize = 4;

/// What has become of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
}

/// The failed logins of all networks and users, and where users have logged in well.
pub(super) struct Table {
    size: usize,
    /// Random, and nowhere but in this process.
    key: Key,
    memory: Mutex<Memory>,
}

/// Half of the table is for networks, a quarter each for users and their good networks. None pushes out the others: what
/// costs an attacker nothing, names, must not make room for itself.
struct Memory {
    networks: Failures,
    users: Failures,
    homes: Homes,
}

/// Who has tried what, and where: keyed hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    network: u64,
    user: u64,
    /// Of user and password.
    password: u64,
}

impl Table {
    /// An empty table of at most `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let mut random = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).expect("the kernel has randomness once it is up");
        let memory = Mutex::new(Memory::new(size, Instant::now()));
        Self { size, key: Key::new(HMAC_SHA256, &*random), memory }
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
        let attempt = self.attempt(Prefix::of(ip), credentials);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget_expired(attempt, now);
        let wait = memory.wait(attempt, now);
        match outcome {
            Outcome::Succeeded => memory.succeeded(attempt, now),
            Outcome::Failed => memory.failed(attempt, now),
        }
        wait
    }

    /// Users are told apart by more than the case of ASCII letters, or one that an authority takes for the same could be
    /// guessed at under many names.
    fn attempt(&self, prefix: Prefix, credentials: &Credentials) -> Attempt {
        let user = credentials.user.to_ascii_lowercase();
        let length = user.len().to_le_bytes();
        Attempt {
            network: self.hash(&[b"n", &prefix.bytes()]),
            user: self.hash(&[b"u", &user]),
            password: self.hash(&[b"p", &length, &user, credentials.password.expose()]),
        }
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

impl Memory {
    fn new(size: usize, now: Instant) -> Self {
        let failures = |room| Failures::new(room, OTHERS, STEPS.len() - 1);
        Self { networks: failures(size / 2), users: failures(size / 4), homes: Homes::new(size / 4, now) }
    }

    fn wait(&self, Attempt { network, user, .. }: Attempt, now: Instant) -> Duration {
        let (all, own) = self.networks.count(network, user);
        let anywhere = if self.homes.has(user, network, now) { 0 } else { self.users.count(user, network).0 };
        let held_against = own.max(all / OTHERS).max(anywhere / OTHERS);
        Duration::from_secs(STEPS[held_against.min(STEPS.len() - 1)])
    }

    fn forget_expired(&mut self, Attempt { network, user, .. }: Attempt, now: Instant) {
        self.networks.forget_expired(network, now);
        self.users.forget_expired(user, now);
    }

    /// What others have tried elsewhere still counts elsewhere: a telephone that asks for mail every minute must not make
    /// room for whoever guesses.
    fn succeeded(&mut self, Attempt { network, user, .. }: Attempt, now: Instant) {
        self.networks.forget(network, user);
        self.users.forget(user, network);
        self.homes.note(user, network, now);
    }

    fn failed(&mut self, Attempt { network, user, password }: Attempt, at: Instant) {
        self.networks.note(network, Failure { other: user, password, at });
        self.users.note(user, Failure { other: network, password, at });
    }
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

        /// How many networks and users are held anything against.
        fn remembered(&self) -> (usize, usize) {
            let memory = self.table.memory.lock().unwrap();
            (memory.networks.size().0, memory.users.size().0)
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
        assert_eq!(gate.remembered(), (0, 0), "what is forgotten takes no room");
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
    fn what_one_network_has_done_to_a_user_is_a_quarter_elsewhere() {
        let gate = Gate::new();
        for n in 0..5 {
            gate.fails(HERE, "u", &n.to_string());
            gate.fails("2001:db8:0:100::1", "v", &n.to_string());
        }
        assert_eq!((gate.succeeds("192.0.3.1", "w"), gate.succeeds("2001:db8:0:200::1", "w")), (0, 0));
        assert_eq!((gate.fails("192.0.3.1", "u", "x"), gate.fails("2001:db8:0:200::1", "v", "x")), (2, 2));
        assert_eq!((gate.fails("192.0.2.200", "u", "x"), gate.fails("2001:db8:0:1ff::", "v", "x")), (15, 15));
    }

    /// One of many networks.
    fn network(number: u8) -> String {
        format!("198.18.{number}.1")
    }

    #[test]
    fn guesses_from_many_networks_are_found_out() {
        let gate = Gate::new();
        let waits: Vec<_> = (0..20).map(|n| gate.fails(&network(n), "u", &n.to_string())).collect();
        assert_eq!(waits, [0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 15, 15, 15, 15]);
        assert_eq!(gate.fails(&network(99), "U", "x"), 15, "the same user, as many authorities see it");
        assert_eq!(gate.fails(&network(99), "v", "x"), 0, "another user");
    }

    #[test]
    fn the_same_wrong_password_from_many_networks_counts_once() {
        let gate = Gate::new();
        let waits: Vec<_> = (0..20).map(|n| gate.fails(&network(n), "u", "old")).collect();
        assert_eq!(waits, [0; 20]);
    }

    #[test]
    fn nobody_can_slow_a_user_down_where_it_has_logged_in() {
        let gate = Gate::new();
        assert_eq!(gate.succeeds(HERE, "u"), 0);
        for n in 0..20 {
            gate.fails(&network(n), "u", &n.to_string());
        }
        assert_eq!((gate.succeeds(HERE, "u"), gate.fails(HERE, "u", "typo")), (0, 0));
        assert_eq!(gate.fails(HERE, "u", "another"), 2, "its own failures count there too");
        assert_eq!(gate.succeeds(HERE, "u"), 4);
        // On a journey it is slow, once.
        let elsewhere = network(100);
        assert_eq!([gate.succeeds(&elsewhere, "u"), gate.succeeds(&elsewhere, "u")], [15, 0]);
        assert_eq!(gate.fails(&network(101), "u", "x"), 15, "which helps nobody else");
    }

    #[test]
    fn a_good_login_forgets_what_its_user_did_there_wherever_it_counts() {
        let gate = Gate::new();
        for n in 0..4 {
            gate.fails(HERE, "u", &n.to_string());
        }
        assert_eq!(gate.fails(&network(1), "u", "x"), 2);
        assert_eq!(gate.succeeds(HERE, "u"), 15);
        assert_eq!(gate.fails(&network(2), "u", "y"), 0);
    }

    #[test]
    fn names_that_are_made_up_push_out_nobody_who_is_being_guessed_at() {
        let gate = Gate::new();
        gate.succeeds(HERE, "home");
        for n in 0..16 {
            gate.fails(&network(n), "u", &n.to_string());
            gate.fails(&network(n), "home", &n.to_string());
        }
        for n in 0..20_000 {
            gate.fails(&network(200), &format!("x{n}"), "x");
        }
        assert_eq!(gate.succeeds(&network(100), "u"), 15);
        assert_eq!(gate.fails(&network(101), "home", "x"), 15);
        assert_eq!(gate.succeeds(HERE, "home"), 0);
    }

    #[test]
    fn failures_are_forgotten_in_time() {
        let mut gate = Gate::new();
        for n in 0..4 {
            gate.fails(HERE, "u", &n.to_string());
            gate.now += Duration::from_mins(3);
        }
        gate.fails("198.51.100.1", "w", "x");
        // The first is fifteen minutes old.
        gate.now += Duration::from_mins(3);
        assert_eq!(gate.fails(HERE, "v", "x"), 0);
        assert_eq!(gate.fails(HERE, "u", "0"), 8);
        gate.now += Duration::from_mins(15);
        // Each login looks after the oldest of those that weigh alike.
        assert_eq!([(); 2].map(|()| gate.succeeds(HERE, "u")), [0; 2]);
        assert_eq!(gate.remembered(), (0, 0), "and so are networks and users that are never seen again");
    }

    #[test]
    fn neither_networks_nor_users_take_more_than_their_room() {
        let gate = Gate::new();
        for n in 0..10_000 {
            gate.fails(HERE, &n.to_string(), "x");
        }
        for n in 0..20_000_u32 {
            gate.fails(&std::net::Ipv4Addr::from_bits(n << 8).to_string(), "u", &n.to_string());
        }
        let memory = gate.table.memory.lock().unwrap();
        let ((networks, most), (users, more)) = (memory.networks.size(), memory.users.size());
        assert!(most <= 1 << 19 && networks > 2_000, "{networks} in {most} bytes");
        assert!(more <= 1 << 18 && users > 900, "{users} in {more} bytes");
    }

    #[test]
    fn nothing_can_be_read_out_of_a_table() {
        let attempts = [Gate::new(), Gate::new()].map(|gate| {
            let credentials = Credentials {
                method: Method::Plain,
                user: Bytes::from_static(b"somebody"),
                password: Secret::from(&b"hunter2"[..]),
            };
            assert_eq!(format!("{:?}", gate.table), "Table { size: 1048576, .. }");
            gate.table.attempt(Prefix::of(HERE.parse().unwrap()), &credentials)
        });
        let [one, other] = attempts;
        assert_ne!(one.network, other.network, "keys differ from process to process");
        assert_ne!(one.user, other.user);
        assert_ne!(one.password, other.password);
    }
}
