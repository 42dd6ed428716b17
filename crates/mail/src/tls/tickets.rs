//! Session tickets: sessions that the client keeps, under keys that only we have (RFC 5077, RFC 8446 section 4.6.1).
//!
//! A ticket is built as RFC 5077, section 4, recommends: the name of the key, an initialisation vector, the
//! session under AES-CBC, and an HMAC over all of it. The HMAC also covers the [`Context`] of the server, so that
//! a ticket of a server with other certificates or another opinion of client certificates is no ticket at all,
//! although the keys are the same. The time of issue is inside, as rustls does not ask how old a session is.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::cipher::{
    AES_128, AES_256, AES_CBC_IV_LEN, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, rand};
use proto::Secret;
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use super::environment::{is_to_come, seconds};
use super::mistake::Mistake;
use super::sessions::Context;

const NAME: usize = 16;
const TAG: usize = 32;
const TIME: usize = 8;
/// What a key file holds at most: name, HMAC key, AES-256 key.
const LONG_FILE: usize = 80;
const SHORT_FILE: usize = 48;
/// Longest life of a ticket that TLS 1.3 allows, seconds (RFC 8446, section 4.6.1).
const LONGEST_LIFE: u64 = 7 * 24 * 60 * 60;

/// One key, of a file or random.
pub(super) struct TicketKey {
    name: [u8; NAME],
    encrypting: PaddedBlockEncryptingKey,
    decrypting: PaddedBlockDecryptingKey,
    hmac: hmac::Key,
}

impl TicketKey {
    /// The key in a file of the originals: 48 bytes (name, AES-128 key, HMAC key of 16 bytes) or 80 bytes (name,
    /// HMAC key of 32 bytes, AES-256 key).
    pub(super) fn from_file(path: &Path, content: &[u8]) -> Result<Self, Mistake> {
        Self::from_bytes(content).ok_or_else(|| Mistake::TicketKeySize(path.to_owned()))
    }

    fn from_bytes(content: &[u8]) -> Option<Self> {
        let (name, keys) = content.split_first_chunk::<NAME>()?;
        let (algorithm, aes, mac) = match content.len() {
            SHORT_FILE => (&AES_128, &keys[..16], &keys[16..]),
            LONG_FILE => (&AES_256, &keys[32..], &keys[..32]),
            _ => return None,
        };
        let key = || UnboundCipherKey::new(algorithm, aes).ok();
        Some(Self {
            name: *name,
            encrypting: PaddedBlockEncryptingKey::cbc_pkcs7(key()?).ok()?,
            decrypting: PaddedBlockDecryptingKey::cbc_pkcs7(key()?).ok()?,
            hmac: hmac::Key::new(hmac::HMAC_SHA256, mac),
        })
    }

    fn tag(&self, context: &Context, ticket: &[u8]) -> hmac::Tag {
        let mut hmac = hmac::Context::with_key(&self.hmac);
        hmac.update(context.as_ref());
        hmac.update(ticket);
        hmac.sign()
    }

    fn seal(&self, context: &Context, mut session: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
        let decryption = self.encrypting.encrypt(&mut *session).ok()?;
        let iv: &[u8] = (&decryption).try_into().ok()?;
        let mut ticket = [&self.name, iv, &session].concat();
        let tag = self.tag(context, &ticket);
        ticket.extend_from_slice(tag.as_ref());
        // A session with a very long chain of client certificates; it will have to do without.
        u16::try_from(ticket.len()).is_ok().then_some(ticket)
    }

    fn open(&self, context: &Context, ticket: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (sealed, tag) = ticket.split_last_chunk::<TAG>()?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(self.tag(context, sealed).as_ref(), &tag[..])) {
            return None;
        }
        let (iv, session) = sealed.get(NAME..)?.split_first_chunk::<AES_CBC_IV_LEN>()?;
        let mut session = Zeroizing::new(session.to_vec());
        let decryption = DecryptionContext::Iv128(FixedLength::from(iv));
        let length = self.decrypting.decrypt(&mut session, decryption).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

/// Random keys for servers without key files: one for the life of a process, so that tickets survive a reload. A process
/// that may die lets another one keep them for the next.
///
/// A key encrypts for as long as the longest session timeout of all servers and decrypts for as long again; then
/// it is gone, and with it whatever was encrypted under it.
#[derive(Default)]
pub struct Keyring {
    ring: Mutex<Ring>,
    /// Hears of each new key.
    keeper: Option<Keeper>,
}

/// Keeps keys beyond the life of a process.
pub type Keeper = Box<dyn Fn(KeptKey) + Send + Sync>;

/// A random key as it leaves the process.
#[derive(Debug, Clone)]
pub struct KeptKey {
    /// When it was made, seconds since 1970.
    pub made: u64,
    /// What a file of 80 bytes would hold.
    pub key: Secret,
}

#[derive(Debug, Default)]
struct Ring {
    /// How long a key encrypts, seconds.
    period: u64,
    /// The newest first.
    keys: VecDeque<Made>,
}

#[derive(Debug)]
struct Made {
    at: u64,
    key: Arc<TicketKey>,
}

impl Keyring {
    /// No keys yet; they are made when they are needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys `kept` by a process before; what is no key is left out. `keeper` hears of new ones.
    pub fn kept(kept: &[KeptKey], keeper: Keeper) -> Self {
        let made = |kept: &KeptKey| {
            let key = Arc::new(TicketKey::from_bytes(kept.key.expose())?);
            Some(Made { at: kept.made, key })
        };
        let mut keys: Vec<Made> = kept.iter().filter_map(made).collect();
        keys.sort_by_key(|made| std::cmp::Reverse(made.at));
        Self { ring: Mutex::new(Ring { period: 0, keys: keys.into() }), keeper: Some(keeper) }
    }

    /// From now on tickets live for `timeout` seconds, at least.
    fn serve(&self, timeout: u64) {
        let mut ring = self.lock();
        ring.period = ring.period.max(timeout).max(1);
    }

    /// Makes the first key, if there are to be tickets, so that its keeper has it before anybody is served.
    pub(super) fn begin(&self, now: u64) {
        if self.lock().period > 0 {
            // Without one there are no tickets.
            let _ = self.newest(now);
        }
    }

    fn newest(&self, now: u64) -> Option<Arc<TicketKey>> {
        let mut ring = self.lock();
        ring.forget(now);
        if ring.keys.front().is_none_or(|made| now.saturating_sub(made.at) > ring.period) {
            let key = Arc::new(self.random(now)?);
            ring.keys.push_front(Made { at: now, key });
        }
        ring.keys.front().map(|made| Arc::clone(&made.key))
    }

    fn named(&self, name: &[u8], now: u64) -> Option<Arc<TicketKey>> {
        let mut ring = self.lock();
        ring.forget(now);
        ring.keys.iter().find(|made| made.key.name == *name).map(|made| Arc::clone(&made.key))
    }

    /// A new key, of which the keeper hears before anything is encrypted under it.
    fn random(&self, now: u64) -> Option<TicketKey> {
        let mut bytes = Zeroizing::new([0; LONG_FILE]);
        rand::fill(&mut *bytes).ok()?;
        let key = TicketKey::from_bytes(&*bytes)?;
        if let Some(keep) = &self.keeper {
            keep(KeptKey { made: now, key: Secret::from(&bytes[..]) });
        }
        Some(key)
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("ring", &self.ring).finish_non_exhaustive()
    }
}

impl Ring {
    /// Drops keys under which no ticket can be alive. A key that is yet to be made is of a clock that has been put back,
    /// and would encrypt until the time comes.
    fn forget(&mut self, now: u64) {
        let life = self.period.saturating_mul(2);
        self.keys.retain(|made| !is_to_come(made.at, now) && now.saturating_sub(made.at) <= life);
    }
}

/// Makes and reads the tickets of one server.
#[derive(Debug)]
pub(super) struct Ticketer {
    keys: Keys,
    context: Context,
    /// Seconds.
    timeout: u64,
    clock: Arc<dyn TimeProvider>,
}

#[derive(Debug)]
enum Keys {
    /// Of files: the first encrypts, all decrypt.
    Files(Vec<TicketKey>),
    Ring(Arc<Keyring>),
}

impl Ticketer {
    /// Under the keys of `files`, or if there are none under those of `ring`.
    pub(super) fn new(
        files: Vec<TicketKey>,
        ring: &Arc<Keyring>,
        context: Context,
        timeout: Duration,
        clock: Arc<dyn TimeProvider>,
    ) -> Self {
        let timeout = timeout.as_secs().min(LONGEST_LIFE);
        let keys = if files.is_empty() {
            ring.serve(timeout);
            Keys::Ring(Arc::clone(ring))
        } else {
            Keys::Files(files)
        };
        Self { keys, context, timeout, clock }
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Zeroizing<Vec<u8>>> {
        let name = ticket.get(..NAME)?;
        match &self.keys {
            Keys::Files(keys) => keys.iter().find(|key| key.name == *name)?.open(&self.context, ticket),
            Keys::Ring(ring) => ring.named(name, now)?.open(&self.context, ticket),
        }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.timeout).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = seconds(&*self.clock);
        let session = Zeroizing::new([&now.to_be_bytes(), plain].concat());
        match &self.keys {
            Keys::Files(keys) => keys.first()?.seal(&self.context, session),
            Keys::Ring(ring) => ring.newest(now)?.seal(&self.context, session),
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let now = seconds(&*self.clock);
        let session = self.open(ticket, now)?;
        let (issued, plain) = session.split_first_chunk::<TIME>()?;
        let issued = u64::from_be_bytes(*issued);
        let alive = !is_to_come(issued, now) && now.saturating_sub(issued) <= self.timeout;
        alive.then(|| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::environment::SKEW;
    use crate::tls::testing::Clock;

    const TIMEOUT: Duration = Duration::from_mins(5);

    fn context(name: &str) -> Context {
        Context::new().with(name.as_bytes())
    }

    fn key(fill: u8, length: usize) -> TicketKey {
        TicketKey::from_file(Path::new("/k"), &vec![fill; length]).expect("a key")
    }

    fn ticketer(files: Vec<TicketKey>, ring: &Arc<Keyring>, name: &str, clock: &Clock) -> Ticketer {
        Ticketer::new(files, ring, context(name), TIMEOUT, Arc::new(clock.clone()))
    }

    #[test]
    fn tickets_come_back_as_what_they_were_made_from() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        for files in [vec![], vec![key(1, 48)], vec![key(2, 80)]] {
            let ticketer = ticketer(files, &ring, "a", &clock);
            for session in [&b""[..], b"session", &[7; 5000]] {
                let ticket = ticketer.encrypt(session).expect("a ticket");
                assert!(session.is_empty() || !ticket.windows(session.len()).any(|window| window == session));
                assert_eq!(ticketer.decrypt(&ticket).as_deref(), Some(session));
            }
        }
    }

    #[test]
    fn the_same_session_never_makes_the_same_ticket() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let ticketer = ticketer(vec![], &ring, "a", &clock);
        assert_ne!(ticketer.encrypt(b"session"), ticketer.encrypt(b"session"));
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let old = ticketer(vec![key(1, 48)], &ring, "a", &clock);
        let both = ticketer(vec![key(2, 80), key(1, 48)], &ring, "a", &clock);
        let new = ticketer(vec![key(2, 80)], &ring, "a", &clock);
        assert!(both.decrypt(&old.encrypt(b"s").expect("a ticket")).is_some());
        assert!(new.decrypt(&both.encrypt(b"s").expect("a ticket")).is_some());
        assert!(new.decrypt(&old.encrypt(b"s").expect("a ticket")).is_none());
    }

    #[test]
    fn tickets_do_not_cross_to_servers_of_another_kind() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let files = || vec![key(1, 80)];
        let pairs = [
            (ticketer(files(), &ring, "a", &clock), ticketer(files(), &ring, "b", &clock)),
            (ticketer(vec![], &ring, "a", &clock), ticketer(vec![], &ring, "b", &clock)),
        ];
        for (a, b) in pairs {
            let ticket = a.encrypt(b"s").expect("a ticket");
            assert!(a.decrypt(&ticket).is_some());
            assert!(b.decrypt(&ticket).is_none());
        }
    }

    #[test]
    fn tickets_that_were_tampered_with_are_none() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let ticketer = ticketer(vec![key(1, 48)], &ring, "a", &clock);
        let ticket = ticketer.encrypt(b"session").expect("a ticket");
        for index in 0..ticket.len() {
            let mut other = ticket.clone();
            other[index] ^= 1;
            assert_eq!(ticketer.decrypt(&other), None, "byte {index}");
            assert_eq!(ticketer.decrypt(&ticket[..index]), None, "{index} bytes");
        }
    }

    #[test]
    fn tickets_expire() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        for files in [vec![], vec![key(1, 48)]] {
            let ticketer = ticketer(files, &ring, "a", &clock);
            let ticket = ticketer.encrypt(b"s").expect("a ticket");
            clock.advance(TIMEOUT.as_secs());
            assert!(ticketer.decrypt(&ticket).is_some());
            clock.advance(1);
            assert!(ticketer.decrypt(&ticket).is_none());
        }
    }

    #[test]
    fn tickets_from_the_future_are_none() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let here = ticketer(vec![key(1, 48)], &ring, "a", &clock);
        let ahead = Clock::default();
        let there = ticketer(vec![key(1, 48)], &ring, "a", &ahead);
        ahead.advance(SKEW);
        assert!(here.decrypt(&there.encrypt(b"s").expect("a ticket")).is_some());
        ahead.advance(1);
        assert!(here.decrypt(&there.encrypt(b"s").expect("a ticket")).is_none());
    }

    #[test]
    fn random_keys_outlive_a_configuration_and_are_renewed() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let before = ticketer(vec![], &ring, "a", &clock);
        let ticket = before.encrypt(b"s").expect("a ticket");
        let after = ticketer(vec![], &ring, "a", &clock);
        assert!(after.decrypt(&ticket).is_some());

        clock.advance(TIMEOUT.as_secs());
        let last = before.encrypt(b"s").expect("a ticket");
        assert_eq!(last[..NAME], ticket[..NAME], "the key still encrypts");
        clock.advance(1);
        let next = before.encrypt(b"s").expect("a ticket");
        assert_ne!(next[..NAME], ticket[..NAME], "a new key encrypts");
        clock.advance(TIMEOUT.as_secs() - 1);
        assert!(after.decrypt(&last).is_some(), "the old key still decrypts");
        clock.advance(1);
        after.decrypt(&next).expect("a session");
        let names = ring.lock().keys.len();
        assert_eq!(names, 1, "the old key is gone");
    }

    #[test]
    fn kept_keys_serve_the_next_process_and_no_longer_than_they_would_have_here() {
        let (clock, kept) = (Clock::default(), Arc::new(Mutex::new(Vec::new())));
        let keeper = || -> Keeper {
            let kept = Arc::clone(&kept);
            Box::new(move |key| kept.lock().expect("not poisoned").push(key))
        };
        let next_process = || {
            let known = kept.lock().expect("not poisoned").clone();
            Arc::new(Keyring::kept(&known, keeper()))
        };
        let first = ticketer(vec![], &next_process(), "a", &clock);
        let ticket = first.encrypt(b"s").expect("a ticket");
        clock.advance(TIMEOUT.as_secs());
        let second = ticketer(vec![], &next_process(), "a", &clock);
        assert!(second.decrypt(&ticket).is_some());
        let last = second.encrypt(b"s").expect("a ticket");
        assert_eq!(kept.lock().expect("not poisoned").len(), 1, "the key that there was still encrypts");
        clock.advance(1);
        let new = second.encrypt(b"s").expect("a ticket");
        let third = ticketer(vec![], &next_process(), "a", &clock);
        assert!(third.decrypt(&last).is_some() && third.decrypt(&new).is_some());
        assert_eq!(third.encrypt(b"s").expect("a ticket")[..NAME], new[..NAME], "the newest encrypts");
        clock.advance(TIMEOUT.as_secs());
        let fourth = ticketer(vec![], &next_process(), "a", &clock);
        assert!(fourth.decrypt(&last).is_none() && fourth.decrypt(&new).is_some());
    }

    #[test]
    fn the_first_key_is_kept_before_anybody_needs_it() {
        let (told, clock) = (Arc::new(Mutex::new(0)), Clock::default());
        let count = Arc::clone(&told);
        let ring = Arc::new(Keyring::kept(&[], Box::new(move |_| *count.lock().unwrap() += 1)));
        ring.begin(0);
        assert_eq!(*told.lock().unwrap(), 0, "nobody makes tickets");
        let ticketer = ticketer(vec![], &ring, "a", &clock);
        let now = seconds(&clock);
        ring.begin(now);
        ring.begin(now);
        assert!(ticketer.encrypt(b"s").is_some());
        assert_eq!(*told.lock().unwrap(), 1);
    }

    #[test]
    fn a_clock_that_is_put_back_prolongs_nothing() {
        const YEAR: u64 = 365 * 24 * 60 * 60;
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let ticketer = ticketer(vec![], &ring, "a", &clock);
        clock.advance(YEAR);
        let ahead = ticketer.encrypt(b"s").expect("a ticket");
        clock.put_back(YEAR);
        assert!(ticketer.decrypt(&ahead).is_none());
        let ticket = ticketer.encrypt(b"s").expect("a ticket");
        assert_ne!(ticket[..NAME], ahead[..NAME], "that key would encrypt for a year");
        clock.advance(TIMEOUT.as_secs() + 1);
        let next = ticketer.encrypt(b"s").expect("a ticket");
        assert_ne!(next[..NAME], ticket[..NAME], "keys are renewed as ever");
        clock.advance(YEAR - TIMEOUT.as_secs());
        assert!(ticketer.decrypt(&ahead).is_none(), "when its time comes its key is gone");
    }

    #[test]
    fn a_clock_that_is_put_right_by_seconds_changes_nothing() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let ticketer = ticketer(vec![], &ring, "a", &clock);
        let ticket = ticketer.encrypt(b"s").expect("a ticket");
        clock.put_back(SKEW);
        assert!(ticketer.decrypt(&ticket).is_some());
        assert_eq!(ticketer.encrypt(b"s").expect("a ticket")[..NAME], ticket[..NAME]);
    }

    #[test]
    fn what_was_kept_and_is_no_key_is_left_out() {
        let kept = [0, 79, 81].map(|length| KeptKey { made: 1, key: Secret::new(vec![0; length]) });
        assert_eq!(Keyring::kept(&kept, Box::new(|_| {})).lock().keys.len(), 0);
    }

    #[test]
    fn the_longest_timeout_sets_the_pace() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        let long = Ticketer::new(vec![], &ring, context("a"), TIMEOUT * 10, Arc::new(clock.clone()));
        let short = ticketer(vec![], &ring, "b", &clock);
        let ticket = long.encrypt(b"s").expect("a ticket");
        clock.advance(TIMEOUT.as_secs() * 10);
        assert!(short.encrypt(b"s").is_some());
        assert!(long.decrypt(&ticket).is_some());
        assert_eq!((long.lifetime(), short.lifetime()), (3000, 300));
    }

    #[test]
    fn key_files_have_one_of_two_lengths() {
        for length in [0, 47, 49, 79, 81] {
            let mistake = TicketKey::from_file(Path::new("/k"), &vec![0; length]).expect_err("a mistake");
            assert_eq!(mistake.to_string(), "\"/k\" must be 48 or 80 bytes");
        }
    }

    #[test]
    fn a_session_too_long_for_a_ticket_gets_none() {
        let (clock, ring) = (Clock::default(), Arc::new(Keyring::new()));
        assert_eq!(ticketer(vec![], &ring, "a", &clock).encrypt(&vec![0; 65_536]), None);
    }
}
