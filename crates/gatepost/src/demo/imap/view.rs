//! A selected mailbox as its client knows it.
//!
//! Message numbers mean what the client was told last, whatever others do in the meantime. So a view holds
//! the messages that it has told of, and compares with the mailbox when news may be told.

use std::fmt::Write;
use std::sync::Arc;

use super::super::limits;
use super::super::mailbox::{Flags, Mailbox, Mailboxes, Message};
use super::super::store::{Account, Refusal};
use super::command::{FlagChange, Messages};
use super::fetch;
use super::search::Candidate;
use super::set::{self, Set};

/// The selected mailbox.
pub(super) struct View {
    account: Arc<Account>,
    validity: u32,
    /// The state of the mailbox that the client has been told of completely.
    revision: u64,
    /// All messages below this UID have been told of.
    next_uid: u32,
    read_only: bool,
    entries: Vec<Entry>,
}

/// A message that the client knows.
pub(super) struct Entry {
    /// With the flags that the client was told.
    pub(super) message: Message,
    /// Whether this session was the first to hear of it.
    pub(super) recent: bool,
}

/// Whether a client may be told now that messages are gone (RFC 3501, section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    Told,
    Withheld,
}

impl View {
    /// Selects a mailbox; the answer of SELECT comes with it.
    pub(super) fn open(
        account: &Arc<Account>,
        name: &str,
        read_only: bool,
    ) -> Result<(Self, String), Refusal> {
        account.quietly(|mailboxes| {
            let mailbox = mailboxes.named(name)?;
            let (validity, next_uid) = (mailbox.validity(), mailbox.next_uid());
            let mut view = Self {
                account: Arc::clone(account),
                validity,
                revision: 0,
                next_uid: 1,
                read_only,
                entries: Vec::new(),
            };
            view.take_new(mailbox);
            view.revision = mailbox.revision();
            let answer = view.describe(next_uid);
            Ok((view, answer))
        })
    }

    /// Whether it was selected with EXAMINE.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn describe(&self, next_uid: u32) -> String {
        let all = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
        let permanent = if self.read_only { "" } else { all };
        let unseen = self.entries.iter().position(|entry| !entry.message.flags.contains(Flags::SEEN));
        let unseen =
            unseen.map(|index| format!("* OK [UNSEEN {}] first unseen\r\n", index + 1)).unwrap_or_default();
        format!(
            "* FLAGS ({all})\r\n{}{unseen}* OK [PERMANENTFLAGS ({permanent})] kept\r\n\
             * OK [UIDVALIDITY {}] as long as the demo lasts\r\n* OK [UIDNEXT {next_uid}] next\r\n",
            self.counts(),
            self.validity,
        )
    }

    fn counts(&self) -> String {
        let recent = self.entries.iter().filter(|entry| entry.recent).count();
        format!("* {} EXISTS\r\n* {recent} RECENT\r\n", self.entries.len())
    }

    /// Adds the messages that the client has not been told of, and says whether there are any.
    fn take_new(&mut self, mailbox: &mut Mailbox) -> bool {
        let start = mailbox.messages().partition_point(|message| message.uid < self.next_uid);
        let new = &mailbox.messages()[start..];
        let entry = |message: &Message| Entry {
            recent: message.uid >= mailbox.first_recent(),
            message: message.clone(),
        };
        self.entries.extend(new.iter().map(entry));
        let any = !new.is_empty();
        self.next_uid = mailbox.next_uid();
        if !self.read_only {
            mailbox.claim_recent();
        }
        any
    }

    /// What happened since the client was told last.
    pub(super) fn news(&mut self, expunges: Expunges) -> String {
        let account = Arc::clone(&self.account);
        account.quietly(|mailboxes| match mailboxes.valid(self.validity) {
            Some(mailbox) if mailbox.revision() == self.revision => String::new(),
            Some(mailbox) => self.compare(mailbox, expunges),
            // Somebody removed the mailbox, and so all that was in it.
            None if expunges == Expunges::Told => self.forget(|_| true),
            None => String::new(),
        })
    }

    fn compare(&mut self, mailbox: &mut Mailbox, expunges: Expunges) -> String {
        let gone = |entry: &Entry| mailbox.message(entry.message.uid).is_none();
        let mut news = String::new();
        let mut complete = true;
        match expunges {
            Expunges::Told => news += &self.forget(gone),
            Expunges::Withheld => complete = !self.entries.iter().any(gone),
        }
        news += &self.flag_news(mailbox);
        // A client that never lets itself be told what is gone does not hear of ever more either.
        if self.entries.len() <= limits::MESSAGES {
            if self.take_new(mailbox) {
                news += &self.counts();
            }
        } else {
            complete = false;
        }
        if complete {
            self.revision = mailbox.revision();
        }
        news
    }

    /// Drops the entries that are `gone`; each changes the numbers of those behind it.
    fn forget(&mut self, gone: impl Fn(&Entry) -> bool) -> String {
        let mut news = String::new();
        let mut number = 1_usize;
        self.entries.retain(|entry| {
            let stays = !gone(entry);
            if stays {
                number += 1;
            } else {
                // Writing to a String does not fail.
                let _ = write!(news, "* {number} EXPUNGE\r\n");
            }
            stays
        });
        news
    }

    fn flag_news(&mut self, mailbox: &Mailbox) -> String {
        let mut news = String::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let Some(now) = mailbox.message(entry.message.uid) else { continue };
            if now.flags != entry.message.flags {
                entry.message.flags = now.flags;
                news += &fetch::flags(index + 1, None, now.flags, entry.recent);
            }
        }
        news
    }

    /// The places of the messages that are meant. Numbers that there are not are passed over.
    pub(super) fn chosen(&self, messages: &Messages) -> Vec<usize> {
        self.candidates()
            .filter(|candidate| {
                let (number, last) = candidate.called(messages.by_uid);
                messages.set.contains(number, last)
            })
            .filter_map(|candidate| usize::try_from(candidate.number).ok()?.checked_sub(1))
            .collect()
    }

    /// All messages, as a search looks at them.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let last_number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let last_uid = self.entries.last().map_or(0, |entry| entry.message.uid);
        let numbered = (1..=last_number).zip(&self.entries);
        numbered.map(move |(number, entry)| Candidate { number, last_number, last_uid, entry })
    }

    /// The entry at a place of [`chosen`](Self::chosen).
    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Marks a message as \Seen, and says whether that is new.
    pub(super) fn mark_seen(&mut self, index: usize) -> bool {
        let Some(entry) = self.entries.get_mut(index) else { return false };
        if self.read_only || entry.message.flags.contains(Flags::SEEN) {
            return false;
        }
        let uid = entry.message.uid;
        let changed = self.account.change(|mailboxes| {
            mailboxes.valid(self.validity)?.change_flags(uid, |flags| flags.with(Flags::SEEN))
        });
        if let Some(flags) = changed {
            entry.message.flags = flags;
        }
        changed.is_some()
    }

    /// Changes flags; the answer tells the new ones, unless they are wanted silently.
    pub(super) fn change_flags(&mut self, messages: &Messages, change: &FlagChange) -> String {
        let chosen = self.chosen(messages);
        let account = Arc::clone(&self.account);
        account.change(|mailboxes| {
            let Some(mailbox) = mailboxes.valid(self.validity) else { return String::new() };
            let mut answer = String::new();
            for index in chosen {
                let Some(entry) = self.entries.get_mut(index) else { continue };
                let uid = entry.message.uid;
                let Some(flags) = mailbox.change_flags(uid, |old| change.apply(old)) else { continue };
                entry.message.flags = flags;
                if !change.silent {
                    answer += &fetch::flags(index + 1, messages.by_uid.then_some(uid), flags, entry.recent);
                }
            }
            answer
        })
    }

    /// Removes what is marked \Deleted, or what of it has these UIDs.
    pub(super) fn expunge(&mut self, uids: Option<&Set>) {
        let last = self.entries.last().map_or(0, |entry| entry.message.uid);
        self.account.change(|mailboxes| {
            if let Some(mailbox) = mailboxes.valid(self.validity) {
                mailbox.remove(|message| {
                    let meant = uids.is_none_or(|uids| uids.contains(message.uid, last));
                    meant && message.flags.contains(Flags::DELETED)
                });
            }
        });
    }

    /// Copies or moves messages; the code `[COPYUID ...]` tells where they are now (RFC 4315, RFC 6851).
    pub(super) fn copy(
        &self,
        messages: &Messages,
        name: &str,
        remove: bool,
    ) -> Result<Option<String>, Refusal> {
        let chosen = self.chosen(messages);
        self.account.change(|mailboxes| {
            let copies = self.still_there(mailboxes, &chosen);
            let target = mailboxes.named(name)?;
            target.check_room(copies.len())?;
            let old: Vec<_> = copies.iter().map(|message| message.uid).collect();
            let new: Vec<_> = copies.into_iter().map(|copy| target.append(copy)).collect::<Result<_, _>>()?;
            let validity = target.validity();
            if let Some(source) = mailboxes.valid(self.validity).filter(|_| remove) {
                source.remove(|message| old.binary_search(&message.uid).is_ok());
            }
            let code = || format!("[COPYUID {validity} {} {}]", set::print(&old), set::print(&new));
            Ok((!old.is_empty()).then(code))
        })
    }

    fn still_there(&self, mailboxes: &mut Mailboxes, chosen: &[usize]) -> Vec<Message> {
        let Some(source) = mailboxes.valid(self.validity) else { return Vec::new() };
        let known = chosen.iter().filter_map(|index| self.entry(*index));
        known.filter_map(|entry| source.message(entry.message.uid).cloned()).collect()
    }
}
