//! Mailboxes, messages and flags as IMAP numbers them; POP3 shows INBOX only.
//!
//! Plain data without locks: `store` shares it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::Timestamp;

use super::limits;
use super::store::Refusal;

/// The mailboxes of one user, by name; "/" separates levels.
pub(super) struct Mailboxes {
    by_name: BTreeMap<String, Mailbox>,
    next_validity: u32,
}

impl Mailboxes {
    /// INBOX and Sent, both empty.
    pub(super) fn new() -> Self {
        // UIDVALIDITY has to grow from run to run, or clients would trust what they cached (RFC 3501, 2.3.1.1).
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |age| age.as_secs());
        let mut mailboxes =
            Self { by_name: BTreeMap::new(), next_validity: u32::try_from(now).unwrap_or(1).max(1) };
        mailboxes.add("INBOX".to_owned());
        mailboxes.add("Sent".to_owned());
        mailboxes
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The mailbox called `name`; INBOX in any case (RFC 3501, section 5.1).
    pub(super) fn named(&mut self, name: &str) -> Result<&mut Mailbox, Refusal> {
        self.by_name.get_mut(canonical(name)).ok_or(Refusal::NoMailbox)
    }

    /// The mailbox with this UIDVALIDITY, whatever it is called by now.
    pub(super) fn valid(&mut self, validity: u32) -> Option<&mut Mailbox> {
        self.by_name.values_mut().find(|mailbox| mailbox.validity == validity)
    }

    /// Makes an empty mailbox.
    pub(super) fn create(&mut self, name: &str) -> Result<(), Refusal> {
        let name = self.vacant(name)?;
        if self.by_name.len() >= limits::MAILBOXES {
            return Err(Refusal::Mailboxes);
        }
        self.add(name);
        Ok(())
    }

    /// Removes a mailbox with all that is in it.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        let name = canonical(name);
        if name == "INBOX" {
            return Err(Refusal::Inbox);
        }
        if self.by_name.keys().any(|other| is_below(other, name)) {
            return Err(Refusal::HasChildren);
        }
        self.by_name.remove(name).map(|_| ()).ok_or(Refusal::NoMailbox)
    }

    /// Gives a mailbox another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Refusal> {
        let from = canonical(from);
        if from == "INBOX" {
            return Err(Refusal::Inbox);
        }
        if self.by_name.keys().any(|other| is_below(other, from)) {
            return Err(Refusal::HasChildren);
        }
        let to = self.vacant(to)?;
        let mailbox = self.by_name.remove(from).ok_or(Refusal::NoMailbox)?;
        self.by_name.insert(to, mailbox);
        Ok(())
    }

    /// `name` as a new mailbox may have it.
    fn vacant(&self, name: &str) -> Result<String, Refusal> {
        // A client may end a name with the separator to say that there will be names below it.
        let name = canonical(name.strip_suffix('/').unwrap_or(name));
        let parts_are_named = name.split('/').all(|part| !part.is_empty());
        let plain = name.bytes().all(|b| matches!(b, b' '..=b'~') && !b"%*\"\\".contains(&b));
        if !parts_are_named || !plain || name.len() > limits::NAME {
            return Err(Refusal::Name);
        }
        if self.by_name.contains_key(name) { Err(Refusal::Exists) } else { Ok(name.to_owned()) }
    }

    fn add(&mut self, name: String) {
        self.by_name.insert(name, Mailbox::new(self.next_validity));
        self.next_validity = self.next_validity.wrapping_add(1).max(1);
    }
}

fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

/// Messages in the order of their UIDs.
pub(super) struct Mailbox {
    validity: u32,
    next_uid: u32,
    first_recent: u32,
    revision: u64,
    messages: Vec<Message>,
}

impl Mailbox {
    fn new(validity: u32) -> Self {
        Self { validity, next_uid: 1, first_recent: 1, revision: 0, messages: Vec::new() }
    }

    /// UIDVALIDITY; no two mailboxes of a user have the same.
    pub(super) fn validity(&self) -> u32 {
        self.validity
    }

    /// UIDNEXT.
    pub(super) fn next_uid(&self) -> u32 {
        self.next_uid
    }

    /// The lowest UID that no session has been told of.
    pub(super) fn first_recent(&self) -> u32 {
        self.first_recent
    }

    /// From now on all messages have been told of: they are \Recent to whoever asks now, and to nobody else.
    pub(super) fn claim_recent(&mut self) {
        self.first_recent = self.next_uid;
    }

    /// Grows with every change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// All messages, lowest UID first.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The message with this UID.
    pub(super) fn message(&self, uid: u32) -> Option<&Message> {
        self.position(uid).map(|at| &self.messages[at])
    }

    /// Whether `more` messages fit in.
    pub(super) fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let fits = self.messages.len().saturating_add(more) <= limits::MESSAGES;
        let numbered = u32::try_from(more).is_ok_and(|more| self.next_uid.checked_add(more).is_some());
        if fits && numbered { Ok(()) } else { Err(Refusal::Messages) }
    }

    /// Adds `message` under the next UID, and returns that.
    pub(super) fn append(&mut self, message: Message) -> Result<u32, Refusal> {
        self.check_room(1)?;
        let uid = self.next_uid;
        self.next_uid += 1;
        self.revision += 1;
        self.messages.push(Message { uid, ..message });
        Ok(uid)
    }

    /// Gives a message other flags; `None` if it is gone.
    pub(super) fn change_flags(&mut self, uid: u32, change: impl FnOnce(Flags) -> Flags) -> Option<Flags> {
        let at = self.position(uid)?;
        let message = &mut self.messages[at];
        let flags = change(message.flags);
        if flags != message.flags {
            message.flags = flags;
            self.revision += 1;
        }
        Some(flags)
    }

    /// Removes the messages that are `doomed`.
    pub(super) fn remove(&mut self, mut doomed: impl FnMut(&Message) -> bool) {
        let before = self.messages.len();
        self.messages.retain(|message| !doomed(message));
        if self.messages.len() != before {
            self.revision += 1;
        }
    }

    fn position(&self, uid: u32) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }
}

/// One message; a clone shares the content.
#[derive(Clone)]
pub(super) struct Message {
    /// Given by the mailbox; 0 before that.
    pub(super) uid: u32,
    /// What has been done with it.
    pub(super) flags: Flags,
    /// When it came: INTERNALDATE.
    pub(super) date: Timestamp,
    /// Header and body, every line ended by CRLF.
    pub(super) content: Bytes,
}

impl Message {
    /// A message that no mailbox has numbered yet.
    pub(super) fn new(content: Bytes, flags: Flags, date: Timestamp) -> Self {
        Self { uid: 0, flags, date, content }
    }
}

/// A set of the system flags of RFC 3501, section 2.3.2. \Recent is a matter of sessions, not of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ANSWERED: Self = Self(1);
    pub(super) const FLAGGED: Self = Self(2);
    pub(super) const DELETED: Self = Self(4);
    pub(super) const SEEN: Self = Self(8);
    pub(super) const DRAFT: Self = Self(16);

    const NAMES: [(&str, Self); 5] = [
        ("\\Answered", Self::ANSWERED),
        ("\\Flagged", Self::FLAGGED),
        ("\\Deleted", Self::DELETED),
        ("\\Seen", Self::SEEN),
        ("\\Draft", Self::DRAFT),
    ];

    /// The flag called `name`, in any case.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let same = |(known, _): &&(&str, Self)| name.eq_ignore_ascii_case(known.as_bytes());
        Self::NAMES.iter().find(same).map(|(_, flag)| *flag)
    }

    /// The names of all flags in the set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| name)
    }

    /// Whether all of `other` is in the set.
    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without `other`.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(Bytes::from_static(b"\r\n"), Flags::NONE, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn uids_are_never_used_again() {
        let mut mailbox = Mailbox::new(1);
        assert_eq!(mailbox.append(message()), Ok(1));
        assert_eq!(mailbox.append(message()), Ok(2));
        mailbox.remove(|m| m.uid == 2);
        assert_eq!(mailbox.append(message()), Ok(3));
        assert!(mailbox.message(2).is_none());
    }

    #[test]
    fn a_mailbox_has_a_bound() {
        let mut mailbox = Mailbox::new(1);
        for _ in 0..limits::MESSAGES {
            mailbox.append(message()).unwrap();
        }
        assert_eq!(mailbox.append(message()), Err(Refusal::Messages));
    }

    #[test]
    fn only_a_change_makes_a_new_revision() {
        let mut mailbox = Mailbox::new(1);
        mailbox.append(message()).unwrap();
        let revision = mailbox.revision();
        mailbox.change_flags(1, |flags| flags.without(Flags::SEEN));
        mailbox.remove(|_| false);
        assert_eq!(mailbox.revision(), revision);
        mailbox.change_flags(1, |flags| flags.with(Flags::SEEN));
        assert_ne!(mailbox.revision(), revision);
    }

    #[test]
    fn names_are_checked_and_inbox_stays() {
        let mut mailboxes = Mailboxes::new();
        for name in ["", "/", "a//b", "a*", "a\"b", "a\tb", "\u{e4}", &"x".repeat(limits::NAME + 1)] {
            assert_eq!(mailboxes.create(name), Err(Refusal::Name), "{name}");
        }
        assert_eq!(mailboxes.create("inbox"), Err(Refusal::Exists));
        assert_eq!(mailboxes.delete("Inbox"), Err(Refusal::Inbox));
        assert_eq!(mailboxes.rename("INBOX", "old"), Err(Refusal::Inbox));
    }

    #[test]
    fn a_mailbox_with_others_below_it_stays() {
        let mut mailboxes = Mailboxes::new();
        mailboxes.create("a").unwrap();
        mailboxes.create("a/b").unwrap();
        assert_eq!(mailboxes.delete("a"), Err(Refusal::HasChildren));
        assert_eq!(mailboxes.rename("a", "c"), Err(Refusal::HasChildren));
        assert_eq!(mailboxes.delete("a/b"), Ok(()));
        assert_eq!(mailboxes.rename("a", "c"), Ok(()));
        assert_eq!(mailboxes.delete("a"), Err(Refusal::NoMailbox));
    }

    #[test]
    fn mailboxes_have_a_bound() {
        let mut mailboxes = Mailboxes::new();
        for n in 2..limits::MAILBOXES {
            mailboxes.create(&format!("box {n}")).unwrap();
        }
        assert_eq!(mailboxes.create("one more"), Err(Refusal::Mailboxes));
    }

    #[test]
    fn flags_are_found_by_name_in_any_case() {
        assert_eq!(Flags::named(b"\\sEEN"), Some(Flags::SEEN));
        assert_eq!(Flags::named(b"\\Recent"), None);
        let both = Flags::SEEN.with(Flags::DRAFT);
        assert_eq!(both.names().collect::<Vec<_>>(), ["\\Seen", "\\Draft"]);
        assert_eq!(both.without(Flags::SEEN), Flags::DRAFT);
    }
}
