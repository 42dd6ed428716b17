//! The mail store itself: two users, their mailboxes and messages, all in memory.
//!
//! It knows no protocol. `imap`, `pop3` and `smtp` are views of it; what one changes, the others hear of.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::mailbox::{Mailboxes, Message};
use super::{limits, mime, samples};

/// The domain that the store takes mail for.
pub(super) const DOMAIN: &str = "example.org";

/// Names and passwords of the users. They are printed, so they are no secrets.
pub(super) const USERS: [(&str, &str); 2] = [("alice", "wonderland"), ("bob", "builder")];

/// All mail of all users; clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    accounts: Arc<[Arc<Account>]>,
    room: Arc<Semaphore>,
}

impl Store {
    /// A store with its two users and the messages that they begin with.
    pub(super) fn new() -> Result<Self, Refusal> {
        let accounts = USERS.map(|(name, password)| Arc::new(Account::new(name, password)));
        let store = Self { accounts: Arc::new(accounts), room: Arc::new(Semaphore::new(limits::ROOM)) };
        samples::fill(&store)?;
        Ok(store)
    }

    /// The account of `user`, if the password is right. Names are compared without regard to case.
    pub(super) fn login(&self, user: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        self.account(user).filter(|account| account.password.as_bytes() == password)
    }

    /// The account called `user`.
    pub(super) fn account(&self, user: &[u8]) -> Option<Arc<Account>> {
        self.accounts.iter().find(|a| user.eq_ignore_ascii_case(a.name.as_bytes())).cloned()
    }

    /// The account that mail for `address` goes to: `alice@example.org`.
    pub(super) fn recipient(&self, address: &[u8]) -> Option<Arc<Account>> {
        let at = memchr::memrchr(b'@', address)?;
        let here = address[at + 1..].eq_ignore_ascii_case(DOMAIN.as_bytes());
        if here { self.account(&address[..at]) } else { None }
    }

    /// Sets room for `bytes` more bytes aside, before they are read.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Room, Refusal> {
        if bytes > limits::MESSAGE {
            return Err(Refusal::TooLarge);
        }
        let permits = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| Refusal::Full)?;
        Ok(Room(permit))
    }

    /// Makes `raw` fit to be kept: line ends become CRLF, and what no protocol could show again is refused.
    ///
    /// The room is given back when the last copy of the result is gone.
    pub(super) fn content(&self, raw: Vec<u8>, mut room: Room) -> Result<Bytes, Refusal> {
        if memchr::memchr(0, &raw).is_some() {
            return Err(Refusal::Nul);
        }
        let data = mime::with_crlf(raw);
        if mime::header_len(&data) > limits::HEADER {
            return Err(Refusal::Header);
        }
        room.cover(data.len().max(limits::MESSAGE_LEAST), self)?;
        Ok(Bytes::from_owner(Kept { data, _room: room }))
    }
}

/// A part of the store's memory, set aside until this is dropped.
pub(super) struct Room(OwnedSemaphorePermit);

impl Room {
    /// Grows to `bytes` in all, where it is smaller.
    pub(super) fn cover(&mut self, bytes: usize, store: &Store) -> Result<(), Refusal> {
        if bytes > limits::MESSAGE {
            return Err(Refusal::TooLarge);
        }
        let missing = bytes.saturating_sub(self.0.num_permits());
        if missing > 0 {
            self.0.merge(store.reserve(missing)?.0);
        }
        Ok(())
    }
}

/// The bytes of a message, with the room that they take.
struct Kept {
    data: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// One user and their mail.
pub(super) struct Account {
    name: &'static str,
    password: &'static str,
    mailboxes: Mutex<Mailboxes>,
    /// Says that something changed, not what: each session compares with what it has told its client.
    changes: watch::Sender<()>,
}

impl Account {
    fn new(name: &'static str, password: &'static str) -> Self {
        Self { name, password, mailboxes: Mutex::new(Mailboxes::new()), changes: watch::Sender::new(()) }
    }

    /// The user's name.
    #[cfg(test)]
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Works on the mailboxes without telling anyone.
    pub(super) fn quietly<R>(&self, work: impl FnOnce(&mut Mailboxes) -> R) -> R {
        // Nothing is left half done by a panic elsewhere, so a poisoned lock is as good as any.
        work(&mut self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the mailboxes and wakes every session that waits for changes.
    pub(super) fn change<R>(&self, work: impl FnOnce(&mut Mailboxes) -> R) -> R {
        let result = self.quietly(work);
        self.changes.send_replace(());
        result
    }

    /// Wakes at each change from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Puts `message` into INBOX.
    pub(super) fn deliver(&self, message: Message) -> Result<(), Refusal> {
        self.change(|mailboxes| mailboxes.named("INBOX")?.append(message)).map(|_| ())
    }
}

/// Why the store does not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such mailbox")]
    NoMailbox,
    #[error("there is such a mailbox already")]
    Exists,
    #[error("a mailbox cannot have this name")]
    Name,
    #[error("INBOX stays where it is")]
    Inbox,
    #[error("there are mailboxes below it")]
    HasChildren,
    #[error("too many mailboxes")]
    Mailboxes,
    #[error("too many messages in this mailbox")]
    Messages,
    #[error("the demo store is full")]
    Full,
    #[error("the message is too large")]
    TooLarge,
    #[error("the header of the message is too large")]
    Header,
    #[error("the message has a NUL in it")]
    Nul,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new().expect("the samples fit")
    }

    #[test]
    fn a_user_logs_in_with_the_password_only() {
        assert!(store().login(b"Alice", b"wonderland").is_some());
        assert!(store().login(b"alice", b"builder").is_none());
        assert!(store().login(b"carol", b"").is_none());
    }

    #[test]
    fn mail_is_taken_for_users_of_the_domain_only() {
        assert_eq!(store().recipient(b"bob@Example.ORG").map(|a| a.name()), Some("bob"));
        for stranger in [&b"bob"[..], b"bob@", b"@example.org", b"bob@example.com", b"a@bob@example.org"] {
            assert!(store().recipient(stranger).is_none(), "{}", stranger.escape_ascii());
        }
    }

    #[test]
    fn room_is_bounded_and_comes_back_with_the_last_copy() {
        let store = store();
        let before = store.room.available_permits();
        let content = store.content(b"\n".repeat(5_000), store.reserve(5_000).unwrap()).unwrap();
        let copy = content.slice(2..4);
        assert_eq!(store.room.available_permits(), before - 10_000);
        drop(content);
        assert_eq!(store.room.available_permits(), before - 10_000);
        drop(copy);
        assert_eq!(store.room.available_permits(), before);
    }

    #[test]
    fn the_smallest_message_counts_for_something() {
        let store = store();
        let before = store.room.available_permits();
        let _content = store.content(Vec::new(), store.reserve(0).unwrap()).unwrap();
        assert_eq!(store.room.available_permits(), before - limits::MESSAGE_LEAST);
    }

    #[test]
    fn a_full_store_refuses() {
        let store = store();
        let kept: Vec<_> = (0..7).map(|_| store.reserve(limits::MESSAGE).expect("room for seven")).collect();
        assert_eq!(store.reserve(limits::MESSAGE).err(), Some(Refusal::Full));
        assert_eq!(store.reserve(limits::MESSAGE + 1).err(), Some(Refusal::TooLarge));
        drop(kept);
        assert!(store.reserve(limits::MESSAGE).is_ok());
    }

    #[test]
    fn what_no_protocol_can_show_is_refused() {
        let store = store();
        let nul = store.content(b"a: \0\r\n".to_vec(), store.reserve(6).unwrap());
        assert_eq!(nul.err(), Some(Refusal::Nul));
        let header = store.content(vec![b'a'; limits::HEADER + 1], store.reserve(0).unwrap());
        assert_eq!(header.err(), Some(Refusal::Header));
    }
}
