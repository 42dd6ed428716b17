//! The exact bytes of an exchange, between hyper and the socket.
//!
//! hyper knows when a request may be sent, where an answer ends and whether the connection lives on; that is
//! all it is used for. The bytes are another matter. hyper writes header names in lower case or without the
//! space of an empty value, puts a slash in front of `?query`, and refuses values that the originals send;
//! when it reads, it drops a malformed header line without a trace, and an `Auth-Status` lost in that way would
//! be a success. So the request that goes out is ours, to the byte, in place of what hyper writes (which is
//! always the same empty GET), and the head of the answer is recorded as it came in. It also keeps passwords
//! out of hyper's output buffer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use proto::Secret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroizing;

use super::head;

/// Most bytes of an answer's head, status line and blank line included (the originals have 1024).
pub(super) const HEAD_LIMIT: usize = 16 * 1024;

/// Most lines of an answer's head. hyper gives up beyond 100 headers; this one counts every line.
pub(super) const LINE_LIMIT: usize = 100;

/// A socket whose requests come from a [`Tape`] and whose answers are recorded there.
pub(super) struct Wire<S> {
    stream: S,
    tape: Tape,
}

impl<S> Wire<S> {
    /// Puts `tape` between hyper and `stream`.
    pub(super) fn new(stream: S, tape: Tape) -> Self {
        Self { stream, tape }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let mut tape = this.tape.lock();
        tape.head.record(&buf.filled()[before..]);
        if tape.head.state == State::TooLarge {
            // hyper has a limit of its own, but it depends on how the bytes were cut into reads.
            return Poll::Ready(Err(io::Error::other("answer too large")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    /// Swallows hyper's request; [`poll_flush`](Self::poll_flush), which always follows, sends ours.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.tape.lock().request.poll_send(&mut this.stream, cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// What goes out and what came in, for one exchange at a time.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Exchange>>);

impl Tape {
    /// Starts an exchange: `request` goes out, the last answer is forgotten.
    pub(super) fn begin(&self, request: Secret) {
        let mut tape = self.lock();
        tape.request = Request { bytes: request, sent: 0 };
        tape.head.clear();
    }

    /// What was recorded since [`begin`](Self::begin). The recording is gone then.
    pub(super) fn heard(&self) -> Heard {
        let head = &mut self.lock().head;
        let bytes = Secret::new(std::mem::take(&mut head.bytes));
        match head.state {
            State::Complete => Heard::Head(bytes),
            State::TooLarge => Heard::TooLarge,
            State::Open if head.silent => Heard::Nothing,
            State::Open => Heard::Part(bytes),
        }
    }

    /// Whether nothing more has to be read to know the head, or to know that it is no good.
    pub(super) fn is_done(&self) -> bool {
        self.lock().head.state != State::Open
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an exchange has brought so far.
#[derive(Debug)]
pub(super) enum Heard {
    /// Not a byte.
    Nothing,
    /// Something, but not the end of a head.
    Part(Secret),
    /// A whole head, blank line included; informational ones are left out. May carry a password.
    Head(Secret),
    /// More than [`HEAD_LIMIT`] or [`LINE_LIMIT`].
    TooLarge,
}

#[derive(Default)]
struct Exchange {
    request: Request,
    head: Head,
}

/// A request on its way out.
#[derive(Default)]
struct Request {
    bytes: Secret,
    sent: usize,
}

impl Request {
    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(left @ [_, ..]) = self.bytes.expose().get(self.sent..) {
            let sent = ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        // Wipes it: from here on nobody needs the password.
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}

/// The head of an answer as it came in, line by line.
#[derive(Default)]
struct Head {
    bytes: Zeroizing<Vec<u8>>,
    /// Where the last line starts, in `bytes`.
    line: usize,
    lines: usize,
    /// Not a byte has come in since the request.
    silent: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Open,
    Complete,
    TooLarge,
}

impl Head {
    fn clear(&mut self) {
        self.silent = true;
        self.restart();
    }

    fn restart(&mut self) {
        self.bytes.clear();
        self.line = 0;
        self.lines = 0;
        self.state = State::Open;
    }

    /// Takes up what belongs to the head; what follows is the body and hyper's alone.
    fn record(&mut self, mut input: &[u8]) {
        self.silent &= input.is_empty();
        while self.state == State::Open && !input.is_empty() {
            let end = input.iter().position(|&b| b == b'\n').map_or(input.len(), |at| at + 1);
            let (part, rest) = input.split_at(end);
            input = rest;
            if self.bytes.len() + part.len() > HEAD_LIMIT {
                self.state = State::TooLarge;
                return;
            }
            self.bytes.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let blank = matches!(&self.bytes[self.line..], b"\n" | b"\r\n");
        self.line = self.bytes.len();
        self.lines += 1;
        if blank {
            self.end_head();
        } else if self.lines > LINE_LIMIT {
            self.state = State::TooLarge;
        }
    }

    /// Empty lines in front of a head are no head, and informational answers are not the answer
    /// (RFC 9110, section 15.2); hyper skips both as well.
    fn end_head(&mut self) {
        if self.lines == 1 || head::is_informational(&self.bytes) {
            self.restart();
        } else {
            self.state = State::Complete;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(pieces: &[&[u8]]) -> Heard {
        let tape = Tape::default();
        tape.begin(Secret::default());
        for piece in pieces {
            tape.lock().head.record(piece);
        }
        tape.heard()
    }

    fn whole(pieces: &[&[u8]]) -> Vec<u8> {
        match recorded(pieces) {
            Heard::Head(bytes) => bytes.expose().to_vec(),
            other => panic!("not a head: {other:?}"),
        }
    }

    #[test]
    fn the_head_ends_with_the_blank_line() {
        assert_eq!(
            whole(&[b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n"]),
            b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
        );
        assert_eq!(whole(&[b"A: b\n\nbody"]), b"A: b\n\n");
    }

    #[test]
    fn how_the_bytes_arrive_changes_nothing() {
        let answer = b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nA: b\r\n\nrest";
        for cut in 0..answer.len() {
            let (a, b) = answer.split_at(cut);
            assert_eq!(whole(&[a, b]), b"HTTP/1.1 200 OK\nA: b\r\n\n", "cut at {cut}");
        }
    }

    #[test]
    fn switching_protocols_is_an_answer() {
        assert_eq!(whole(&[b"HTTP/1.1 101 Oh\r\n\r\n"]), b"HTTP/1.1 101 Oh\r\n\r\n");
    }

    #[test]
    fn an_unfinished_head_is_told_from_silence() {
        assert!(matches!(recorded(&[]), Heard::Nothing));
        assert!(matches!(recorded(&[b"HTTP/1.1 100 Continue\r\n\r\n"]), Heard::Part(_)));
        assert!(matches!(recorded(&[b"A: b\r\n"]), Heard::Part(_)));
    }

    #[test]
    fn a_head_may_have_16_kb_and_not_a_byte_more() {
        let head = |size: usize| {
            let mut head = b"A: ".to_vec();
            head.resize(size - 4, b'x');
            head.extend_from_slice(b"\r\n\r\n");
            head
        };
        assert_eq!(whole(&[&head(HEAD_LIMIT)]).len(), HEAD_LIMIT);
        assert!(matches!(recorded(&[&head(HEAD_LIMIT + 1)]), Heard::TooLarge));
    }

    #[test]
    fn a_head_may_have_100_lines() {
        let head = |lines: usize| [b"A: b\n".repeat(lines), b"\n".to_vec()].concat();
        assert!(matches!(recorded(&[&head(LINE_LIMIT)]), Heard::Head(_)));
        assert!(matches!(recorded(&[&head(LINE_LIMIT + 1)]), Heard::TooLarge));
    }
}
