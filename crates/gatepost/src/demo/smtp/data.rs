//! The message behind DATA: reading it up to the dot, and what a submission server writes above it.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memmem;

use super::super::store::{Refusal, Room, Store};
use super::super::wire::{End, Wire};
use super::super::{limits, mime};
use super::Client;

/// The end of data, and nothing else is (RFC 5321, section 4.1.1.4): a dot between bare line feeds is text.
const END: &[u8] = b"\r\n.\r\n";

/// Reads a message and takes the stuffed dots out. What is too large is read to its end and refused.
pub(super) async fn read(wire: &mut Wire, store: &Store) -> Result<Result<Vec<u8>, Refusal>, End> {
    let mut incoming = Incoming::new(store);
    loop {
        let mut chunk = wire.chunk(64 << 10).await?;
        if let Some(used) = incoming.take(&chunk) {
            wire.unread(chunk.split_off(used));
            return Ok(incoming.message());
        }
        if incoming.total > 2 * limits::MESSAGE {
            return Err(End::Lost("endless message"));
        }
    }
}

struct Incoming<'a> {
    store: &'a Store,
    room: Result<Room, Refusal>,
    /// Begins with the line end of DATA, so that a dot at once is an end like any other.
    bytes: Vec<u8>,
    total: usize,
}

impl<'a> Incoming<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, room: store.reserve(0), bytes: b"\r\n".to_vec(), total: 0 }
    }

    /// Adds `chunk`. Once the end is there, says how much of `chunk` belongs to it.
    fn take(&mut self, chunk: &[u8]) -> Option<usize> {
        let before = self.bytes.len();
        self.total = self.total.saturating_add(chunk.len());
        self.bytes.extend_from_slice(chunk);
        let scan = before.saturating_sub(END.len() - 1);
        if let Some(at) = memmem::find(&self.bytes[scan..], END) {
            let end = scan + at + END.len();
            self.bytes.truncate(end);
            self.keep_room();
            return Some(end - before);
        }
        self.keep_room();
        None
    }

    fn keep_room(&mut self) {
        let len = self.bytes.len();
        if let Ok(room) = &mut self.room
            && let Err(refusal) = room.cover(len, self.store)
        {
            self.room = Err(refusal);
        }
        if self.room.is_err() {
            // Only the place where the end may begin is worth keeping.
            self.bytes.drain(..len.saturating_sub(END.len() - 1));
        }
    }

    fn message(self) -> Result<Vec<u8>, Refusal> {
        self.room?;
        let text = &self.bytes[2..self.bytes.len() - 3];
        Ok(unstuffed(text))
    }
}

/// `text` without the first dot of each line that begins with one.
fn unstuffed(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.strip_prefix(b".").unwrap_or(text);
    while let Some(at) = memmem::find(rest, b"\r\n.") {
        plain.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// The header lines that go above `body`: the trace (RFC 5321, section 4.4), and what the client left out
/// (RFC 6409, section 8).
pub(super) fn header(client: &Client, sender: &str, body: &[u8], now: Timestamp) -> String {
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(TimeZone::UTC)).unwrap_or_default();
    let id = now.as_nanosecond();
    let helo = client.helo.as_deref().unwrap_or("unknown");
    let name = client.name.as_deref().unwrap_or("unknown");
    let address = client.address.map_or_else(|| "unknown".to_owned(), |address| format!("[{address}]"));
    let mut lines = format!(
        "Return-Path: <{sender}>\r\nReceived: from {helo} ({name} {address})\r\n\
         \tby store.example.org (gatepost demo store) with ESMTPA id {id};\r\n\t{date}\r\n"
    );
    let own = &body[..mime::header_len(body)];
    if mime::value(own, "Date").is_none() {
        // Writing to a String does not fail.
        let _ = write!(lines, "Date: {date}\r\n");
    }
    if mime::value(own, "Message-ID").is_none() {
        let _ = write!(lines, "Message-ID: <{id}@store.example.org>\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &[u8], step: usize) -> Result<Vec<u8>, Refusal> {
        let store = Store::new().unwrap();
        let mut incoming = Incoming::new(&store);
        let ended = text.chunks(step).any(|chunk| incoming.take(chunk).is_some());
        assert!(ended, "{} has an end", text.escape_ascii());
        incoming.message()
    }

    #[test]
    fn how_bytes_arrive_changes_nothing() {
        for (text, expected) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..a\r\n...\r\n.\r\n", b".a\r\n..\r\n"),
            (b"a\n.\nb\r\n.\nc\r\n.\r\n", b"a\n.\nb\r\n\nc\r\n"),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
        ] {
            for step in 1..=text.len() {
                assert_eq!(message(text, step).as_deref(), Ok(expected), "{} by {step}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_not_taken() {
        let store = Store::new().unwrap();
        let mut incoming = Incoming::new(&store);
        assert_eq!(incoming.take(b"a\r\n."), None);
        assert_eq!(incoming.take(b"\r\nQUIT\r\n"), Some(2));
    }

    #[test]
    fn a_message_too_large_is_refused_and_not_kept() {
        let store = Store::new().unwrap();
        let mut incoming = Incoming::new(&store);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..33 {
            assert_eq!(incoming.take(&chunk), None);
        }
        assert!(incoming.bytes.len() < END.len());
        assert_eq!(incoming.take(b"\r\n.\r\n"), Some(5));
        assert_eq!(incoming.message(), Err(Refusal::TooLarge));
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let now = Timestamp::UNIX_EPOCH;
        let client = Client { helo: Some("me".to_owned()), name: None, address: "192.0.2.1".parse().ok() };
        let bare = header(&client, "a@b", b"Subject: x\r\n\r\nDate: y\r\n", now);
        assert!(bare.starts_with("Return-Path: <a@b>\r\nReceived: from me (unknown [192.0.2.1])\r\n\tby "));
        assert!(bare.contains("\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <"));
        let whole = header(&client, "", b"date: x\r\nmessage-id: y\r\n\r\n", now);
        assert!(!whole.contains("Date:") && !whole.contains("Message-ID:"));
    }
}
