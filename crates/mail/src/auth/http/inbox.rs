//! What has come in of an answer, and where its head ends.
//!
//! No I/O: [`Connection`](super::connection::Connection) reads into it. How the bytes arrive changes nothing.

use memchr::memchr;
use proto::wipe;

use super::head;
use crate::wiped::{self, Wiped};

/// Most bytes of an answer's head, status line and blank line included (the originals have 1024).
pub(super) const HEAD_LIMIT: usize = 16 * 1024;

/// Most lines of an answer's head.
pub(super) const LINE_LIMIT: usize = 100;

/// Most empty lines and informational answers before an answer.
const SKIP_LIMIT: usize = 100;

/// Any head, and one byte more that shows that it is too large.
const LARGEST: usize = HEAD_LIMIT + 1;

/// The answer that is being read. It may carry a password. Between answers it holds no buffer.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Wiped,
    /// Where the first line starts that is not whole, as far as is known.
    line: usize,
    lines: usize,
    skipped: usize,
    state: State,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// Not a byte.
    #[default]
    Silent,
    /// Something, but not the end of a head.
    Part,
    /// A whole head, blank line included; informational ones are left out.
    Whole,
    /// More than [`HEAD_LIMIT`] or [`LINE_LIMIT`], or too much before it.
    TooLarge,
}

impl Inbox {
    /// How many bytes it takes at most. Some, unless there is more than a head.
    pub(super) fn room(&self) -> usize {
        LARGEST - self.bytes.len()
    }

    /// Takes `bytes`, no more than there is [room](Self::room) for.
    pub(super) fn add(&mut self, bytes: &[u8]) -> State {
        wiped::append(&mut self.bytes, bytes);
        if self.state == State::Silent && !bytes.is_empty() {
            self.state = State::Part;
        }
        while self.state == State::Part {
            let Some(end) = memchr(b'\n', &self.bytes[self.line..]) else {
                if self.bytes.len() > HEAD_LIMIT {
                    self.state = State::TooLarge;
                }
                break;
            };
            self.end_line(self.line + end + 1);
        }
        self.state
    }

    /// Whether not a byte has come in, of anything.
    pub(super) fn is_silent(&self) -> bool {
        self.state == State::Silent
    }

    /// What there is of the head: all of it, if it is [whole](State::Whole).
    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..if self.state == State::Whole { self.line } else { self.bytes.len() }]
    }

    /// What came behind a whole head.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.line..]
    }

    /// Forgets what was read.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn end_line(&mut self, end: usize) {
        let is_blank = matches!(&self.bytes[self.line..end], b"\n" | b"\r\n");
        self.line = end;
        self.lines += 1;
        if end > HEAD_LIMIT || (!is_blank && self.lines > LINE_LIMIT) {
            self.state = State::TooLarge;
        } else if is_blank {
            self.end_head();
        }
    }

    /// Empty lines in front of a head are no head (RFC 9112, section 2.2), and informational answers are not the answer
    /// (RFC 9110, section 15.2).
    fn end_head(&mut self) {
        if self.lines > 1 && !head::is_informational(&self.bytes[..self.line]) {
            self.state = State::Whole;
        } else if self.skipped == SKIP_LIMIT {
            self.state = State::TooLarge;
        } else {
            self.skip();
        }
    }

    fn skip(&mut self) {
        let (line, left) = (self.line, self.bytes.len() - self.line);
        self.bytes.copy_within(line.., 0);
        wipe(&mut self.bytes[left..]);
        self.bytes.truncate(left);
        self.line = 0;
        self.lines = 0;
        self.skipped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Inbox {
        let mut inbox = Inbox::default();
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() && inbox.state != State::TooLarge {
                let n = inbox.room().min(piece.len());
                inbox.add(&piece[..n]);
                piece = &piece[n..];
                if inbox.state == State::Whole {
                    break;
                }
            }
        }
        inbox
    }

    /// The head and what came behind it.
    fn whole(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let inbox = read(pieces);
        assert_eq!(inbox.state, State::Whole);
        (inbox.head().to_vec(), inbox.rest().to_vec())
    }

    fn state(pieces: &[&[u8]]) -> State {
        read(pieces).state
    }

    #[test]
    fn the_head_ends_with_the_blank_line() {
        let answer = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
        let (head, rest) = whole(&[answer]);
        assert_eq!((&*head, &*rest), (&b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[..], &b"body\r\n\r\n"[..]));
        assert_eq!(whole(&[b"A: b\n\nbody"]).0, b"A: b\n\n");
    }

    #[test]
    fn how_the_bytes_arrive_changes_nothing() {
        let answer = b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nA: b\r\n\nrest";
        for cut in 0..answer.len() {
            let (a, b) = answer.split_at(cut);
            assert_eq!(whole(&[a, b]).0, b"HTTP/1.1 200 OK\nA: b\r\n\n", "cut at {cut}");
        }
        let single: Vec<_> = answer.chunks(1).collect();
        assert_eq!(whole(&single).0, b"HTTP/1.1 200 OK\nA: b\r\n\n");
    }

    #[test]
    fn switching_protocols_is_an_answer() {
        assert_eq!(whole(&[b"HTTP/1.1 101 Oh\r\n\r\n"]).0, b"HTTP/1.1 101 Oh\r\n\r\n");
    }

    #[test]
    fn an_unfinished_head_is_told_from_silence() {
        assert_eq!(state(&[]), State::Silent);
        assert_eq!(state(&[b"HTTP/1.1 100 Continue\r\n\r\n"]), State::Part);
        assert_eq!(state(&[b"A: b\r\n"]), State::Part);
    }

    #[test]
    fn a_head_may_have_16_kb_and_not_a_byte_more() {
        let head = |size: usize| {
            let mut head = b"A: ".to_vec();
            head.resize(size - 4, b'x');
            head.extend_from_slice(b"\r\n\r\n");
            head
        };
        assert_eq!(whole(&[&head(HEAD_LIMIT)]).0.len(), HEAD_LIMIT);
        assert_eq!(whole(&[b"\r\n", &head(HEAD_LIMIT)]).0.len(), HEAD_LIMIT);
        assert_eq!(state(&[&head(HEAD_LIMIT + 1)]), State::TooLarge);
        assert_eq!(state(&[&head(HEAD_LIMIT + 1)[..=HEAD_LIMIT]]), State::TooLarge);
        assert_eq!(state(&[&head(HEAD_LIMIT + 1)[..HEAD_LIMIT]]), State::Part);
    }

    #[test]
    fn a_head_may_have_100_lines() {
        let head = |lines: usize| [b"A: b\n".repeat(lines), b"\n".to_vec()].concat();
        assert_eq!(state(&[&head(LINE_LIMIT)]), State::Whole);
        assert_eq!(state(&[&head(LINE_LIMIT + 1)]), State::TooLarge);
    }

    #[test]
    fn no_server_may_say_for_ever_that_it_will_answer() {
        for skipped in [&b"\r\n"[..], b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\n"] {
            assert_eq!(state(&[&skipped.repeat(SKIP_LIMIT)]), State::Part);
            assert_eq!(state(&[&skipped.repeat(SKIP_LIMIT), b"A: b\n\n"]), State::Whole);
            assert_eq!(state(&[&skipped.repeat(SKIP_LIMIT + 1)]), State::TooLarge);
        }
    }

    #[test]
    fn nothing_is_kept_of_an_answer() {
        let mut inbox = read(&[b"HTTP/1.1 100 Continue\r\nAuth-Pass: x\r\n\r\nA: b\r\n\r\nrest"]);
        inbox.clear();
        assert_eq!((inbox.state, inbox.head().len(), inbox.rest().len()), (State::Silent, 0, 0));
        assert_eq!(inbox.bytes.capacity(), 0);
    }
}
