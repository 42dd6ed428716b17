//! POP3 (RFC 1939) with CAPA (RFC 2449) over a user's INBOX.
//!
//! The messages are those of the moment of login. Unlike RFC 1939, section 3 has it, the INBOX is not locked:
//! somebody who plays with two clients at once should not be turned away.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr_iter;

use super::limits;
use super::mailbox::Message;
use super::mime;
use super::store::{Account, Store};
use super::wire::{End, Line, Wire};

/// Serves one client to its end.
pub(super) async fn serve(wire: Wire, store: Store) {
    let mut session = Session { wire, store, state: State::Nameless, errors: 0 };
    if let Err(End::Silent | End::Lost(_)) = session.run().await {
        session.wire.farewell("-ERR closing the connection\r\n").await;
    }
}

struct Session {
    wire: Wire,
    store: Store,
    state: State,
    errors: u32,
}

enum State {
    Nameless,
    Named(Bytes),
    LoggedIn(Maildrop),
    Done,
}

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        self.wire.say("+OK gatepost demo store ready\r\n").await?;
        while !matches!(self.state, State::Done) {
            match self.wire.line(limits::LINE_AT_LOGIN).await? {
                Line::Whole(line) => self.obey(&line).await?,
                Line::TooLong => self.refuse("line too long").await?,
            }
        }
        self.wire.flush().await
    }

    async fn obey(&mut self, line: &Bytes) -> Result<(), End> {
        let (verb, argument) = split_word(line);
        match verb.to_ascii_uppercase().as_slice() {
            b"CAPA" => self.wire.say(CAPA).await,
            b"QUIT" => self.quit().await,
            b"USER" => self.user(line.slice_ref(argument)).await,
            b"PASS" => self.pass(argument).await,
            verb => match &mut self.state {
                State::LoggedIn(maildrop) => match maildrop.answer(verb, argument) {
                    Ok(answer) => answer.send(&mut self.wire).await,
                    Err(reason) => self.refuse(reason).await,
                },
                _ => self.refuse("not possible before login").await,
            },
        }
    }

    async fn user(&mut self, name: Bytes) -> Result<(), End> {
        if matches!(self.state, State::LoggedIn(_)) {
            return self.refuse("logged in already").await;
        }
        self.state = State::Named(name);
        self.wire.say("+OK and the password?\r\n").await
    }

    async fn pass(&mut self, password: &[u8]) -> Result<(), End> {
        let State::Named(user) = &self.state else { return self.refuse("USER comes first").await };
        let Some(account) = self.store.login(user, password) else {
            self.state = State::Nameless;
            return self.refuse("[AUTH] wrong user or password").await;
        };
        self.state = State::LoggedIn(Maildrop::open(account));
        self.wire.trust();
        self.wire.say("+OK logged in\r\n").await
    }

    async fn quit(&mut self) -> Result<(), End> {
        if let State::LoggedIn(maildrop) = std::mem::replace(&mut self.state, State::Done) {
            maildrop.remove_deleted();
        }
        self.wire.say("+OK goodbye\r\n").await
    }

    async fn refuse(&mut self, reason: &'static str) -> Result<(), End> {
        self.errors += 1;
        if self.errors > limits::ERRORS {
            return Err(End::Lost("too many errors"));
        }
        self.wire.say(format!("-ERR {reason}\r\n")).await
    }
}

const CAPA: &str =
    "+OK\r\nTOP\r\nUIDL\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\nIMPLEMENTATION gatepost-demo\r\n.\r\n";

/// The messages of one session.
struct Maildrop {
    account: Arc<Account>,
    validity: u32,
    messages: Vec<Entry>,
}

struct Entry {
    message: Message,
    deleted: bool,
}

impl Maildrop {
    fn open(account: Arc<Account>) -> Self {
        let entry = |message: &Message| Entry { message: message.clone(), deleted: false };
        let (validity, messages) = account.quietly(|mailboxes| match mailboxes.named("INBOX") {
            Ok(inbox) => (inbox.validity(), inbox.messages().iter().map(entry).collect()),
            Err(_) => (0, Vec::new()),
        });
        Self { account, validity, messages }
    }

    fn answer(&mut self, verb: &[u8], argument: &[u8]) -> Result<Answer, &'static str> {
        match verb {
            b"NOOP" => Ok(Answer::Line("+OK".to_owned())),
            b"STAT" => Ok(Answer::Line(format!("+OK {}", self.total()))),
            b"LIST" => self.list(argument, |_, entry| octets(&entry.message.content).to_string()),
            b"UIDL" => self.list(argument, |drop, entry| format!("{}.{}", drop.validity, entry.message.uid)),
            b"RETR" => Ok(Answer::Content(self.entry(argument)?.message.content.clone())),
            b"TOP" => self.top(argument),
            b"DELE" => self.delete(argument),
            b"RSET" => {
                self.messages.iter_mut().for_each(|entry| entry.deleted = false);
                Ok(Answer::Line(format!("+OK {}", self.total())))
            }
            _ => Err("no such command"),
        }
    }

    /// Number and size of the messages that are left.
    fn total(&self) -> String {
        let left = self.messages.iter().filter(|entry| !entry.deleted);
        let (count, size) = left.fold((0, 0), |(n, size), e| (n + 1, size + octets(&e.message.content)));
        format!("{count} {size}")
    }

    fn list(&self, argument: &[u8], show: fn(&Self, &Entry) -> String) -> Result<Answer, &'static str> {
        if !argument.is_empty() {
            let entry = self.entry(argument)?;
            return Ok(Answer::Line(format!(
                "+OK {} {}",
                argument.trim_ascii().escape_ascii(),
                show(self, entry)
            )));
        }
        let left = self.messages.iter().enumerate().filter(|(_, entry)| !entry.deleted);
        let lines: Vec<_> =
            left.map(|(index, entry)| format!("{} {}\r\n", index + 1, show(self, entry))).collect();
        Ok(Answer::Lines(lines.concat()))
    }

    fn top(&self, argument: &[u8]) -> Result<Answer, &'static str> {
        let (number, lines) = split_word(argument);
        let content = &self.entry(number)?.message.content;
        let lines = number_in(lines).ok_or("not a number of lines")?;
        let body = mime::header_len(content);
        let end = match lines.checked_sub(1) {
            None => body,
            Some(last) => {
                memchr_iter(b'\n', &content[body..]).nth(last).map_or(content.len(), |at| body + at + 1)
            }
        };
        Ok(Answer::Content(content.slice(..end)))
    }

    fn delete(&mut self, argument: &[u8]) -> Result<Answer, &'static str> {
        let index = self.index(argument)?;
        self.messages[index].deleted = true;
        Ok(Answer::Line("+OK deleted at QUIT".to_owned()))
    }

    fn entry(&self, number: &[u8]) -> Result<&Entry, &'static str> {
        self.index(number).map(|index| &self.messages[index])
    }

    fn index(&self, number: &[u8]) -> Result<usize, &'static str> {
        let index = number_in(number).and_then(|number| number.checked_sub(1));
        let there = |index: &usize| self.messages.get(*index).is_some_and(|entry| !entry.deleted);
        index.filter(there).ok_or("no such message")
    }

    /// What DELE marked goes now: the update state of RFC 1939, section 6.
    fn remove_deleted(self) {
        let doomed: Vec<_> = self.messages.iter().filter(|e| e.deleted).map(|e| e.message.uid).collect();
        if doomed.is_empty() {
            return;
        }
        self.account.change(|mailboxes| {
            if let Some(inbox) = mailboxes.valid(self.validity) {
                inbox.remove(|message| doomed.binary_search(&message.uid).is_ok());
            }
        });
    }
}

enum Answer {
    Line(String),
    Lines(String),
    Content(Bytes),
}

impl Answer {
    async fn send(self, wire: &mut Wire) -> Result<(), End> {
        match self {
            Self::Line(line) => wire.say(line + "\r\n").await,
            Self::Lines(lines) => wire.say(format!("+OK\r\n{lines}.\r\n")).await,
            Self::Content(content) => {
                wire.say(format!("+OK {} octets\r\n", octets(&content))).await?;
                stuffed(wire, &content).await?;
                wire.say(".\r\n").await
            }
        }
    }
}

/// Sends `content` with a second dot before each line that begins with one.
async fn stuffed(wire: &mut Wire, content: &[u8]) -> Result<(), End> {
    let mut rest = content;
    if rest.starts_with(b".") {
        wire.say(".").await?;
    }
    while let Some(at) = memchr::memmem::find(rest, b"\n.") {
        wire.say(&rest[..=at]).await?;
        wire.say(".").await?;
        rest = &rest[at + 1..];
    }
    wire.say(rest).await?;
    if content.ends_with(b"\n") || content.is_empty() { Ok(()) } else { wire.say("\r\n").await }
}

/// The size of `content` as it goes out, the dots that are stuffed in not counted (RFC 1939, section 11).
fn octets(content: &[u8]) -> usize {
    let complete = content.ends_with(b"\n") || content.is_empty();
    content.len() + if complete { 0 } else { 2 }
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

fn number_in(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits.trim_ascii()).ok()?.parse().ok()
}
