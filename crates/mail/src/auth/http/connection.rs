//! One connection to an auth server: an exchange, and whether another may follow.
//!
//! Hand-written, in the task of whoever asks: an answer is one read for the usual server, and a library that can do all
//! of HTTP more than doubles what a question costs. The request goes out as the originals write it, to the byte; no library would
//! keep the letter case of the names, the space of an empty value and values that RFC 9110 does not allow.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proto::{Secret, wipe};
use tokio::io::AsyncWrite as _;
use tokio::time;

use super::body::{Body, Progress};
use super::head::{self, Flaw, Parsed};
use super::inbox::{Inbox, State};
use crate::link::Link;
use crate::scratch;

/// How long a body may take; a new connection is cheaper than a longer wait.
const BODY_TIME: Duration = Duration::from_secs(1);

/// A connection. Nothing watches over it while it is idle.
pub(super) struct Connection {
    link: Link,
    inbox: Inbox,
}

impl Connection {
    /// Speaks HTTP/1.1 over `link`.
    pub(super) fn new(link: Link) -> Self {
        Self { link, inbox: Inbox::default() }
    }

    /// Whether nothing has come in since the last answer: neither the end, nor anything that nobody has asked for and
    /// that would be taken for the next answer.
    pub(super) fn is_quiet(&mut self) -> bool {
        matches!(self.link.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same; as long as it is, the task is woken when it may not be any more.
    pub(super) fn stays_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.link.poll_readable(cx) {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if self.is_quiet() => {}
                Poll::Ready(_) => return false,
            }
        }
    }

    /// Sends `request`, a complete head, and waits for the head of the answer; headers that are `noted` are kept. After
    /// an error the connection is of no more use.
    pub(super) async fn exchange(&mut self, request: Secret, noted: &[Box<str>]) -> Result<Reply, Broken> {
        let mut request = Request { bytes: request, sent: 0, error: None };
        poll_fn(|cx| self.poll_exchange(&mut request, cx)).await?;
        let reply = self.reply(&request, noted);
        self.inbox.clear();
        reply
    }

    /// Ready when there is a whole head, or when it is no use to wait for it.
    ///
    /// A server may answer before it has heard all, so sending and receiving go on at the same time.
    fn poll_exchange(&mut self, request: &mut Request, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // It keeps what goes wrong: whoever takes no more may have answered all the same.
        let _ = request.poll_send(&mut self.link, cx);
        loop {
            // This flushes too.
            let read = match ready!(self.link.poll_readable(cx)) {
                Ok(()) => self.read(),
                Err(error) => Err(error),
            };
            match read {
                Ok(None) => return Poll::Ready(Err(self.cut_off(request, Cause::Closed))),
                Ok(Some(state)) => match state {
                    State::Whole => return Poll::Ready(Ok(())),
                    State::TooLarge => return Poll::Ready(Err(Broken::TooLarge)),
                    State::Silent | State::Part if head::is_hopeless(self.inbox.head()) => {
                        return Poll::Ready(Err(Broken::Flawed(Flaw::Response)));
                    }
                    State::Silent | State::Part => {}
                },
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(self.cut_off(request, e.into()))),
            }
        }
    }

    /// Reads what is there, and says how far the answer has come; `None` is the end.
    fn read(&mut self) -> io::Result<Option<State>> {
        let Self { link, inbox } = self;
        scratch::lend(|buffer| {
            let room = inbox.room().min(buffer.len());
            let n = link.try_read(&mut buffer[..room])?;
            let state = inbox.add(&buffer[..n]);
            wipe(&mut buffer[..n]);
            Ok((n > 0).then_some(state))
        })
    }

    fn reply(&self, request: &Request, noted: &[Box<str>]) -> Result<Reply, Broken> {
        let parsed = head::parse(self.inbox.head(), noted).map_err(Broken::Flawed)?;
        let next = match parsed.body {
            Some(mut body) if request.is_sent() => match body.take(self.inbox.rest()) {
                Progress::Ended => Next::Ready,
                Progress::Open => Next::After(body),
                // Response splitting, or a server that loses count.
                Progress::Spoiled => Next::Never,
            },
            _ => Next::Never,
        };
        Ok(Reply { parsed, next })
    }

    /// If what there is of a head is no HTTP, that says more than how it ended.
    fn cut_off(&self, request: &mut Request, cause: Cause) -> Broken {
        let cause = match request.error.take() {
            Some(error) if matches!(cause, Cause::Closed) => Cause::Io(error),
            _ => cause,
        };
        if self.inbox.is_silent() {
            return Broken::Silent(cause);
        }
        match head::parse(self.inbox.head(), &[]) {
            Err(flaw @ (Flaw::Response | Flaw::Header)) => Broken::Flawed(flaw),
            Ok(_) | Err(Flaw::Unfinished) => Broken::Short(cause),
        }
    }

    /// Reads the rest of an answer, to have the connection ready for the next request if it can be had.
    pub(super) async fn settle(mut self, mut body: Body) -> Option<Self> {
        let ended = time::timeout(BODY_TIME, poll_fn(|cx| self.poll_discard(&mut body, cx))).await;
        matches!(ended, Ok(Ok(Progress::Ended))).then_some(self)
    }

    fn poll_discard(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        loop {
            ready!(self.link.poll_readable(cx))?;
            let progress: io::Result<_> = scratch::lend(|buffer| {
                let n = self.link.try_read(buffer)?;
                // An end is no progress.
                let progress = if n == 0 { Progress::Spoiled } else { body.take(&buffer[..n]) };
                wipe(&mut buffer[..n]);
                Ok(progress)
            });
            match progress {
                Ok(Progress::Open) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

/// A request on its way out. It holds the password, so it is wiped when it is sent.
struct Request {
    bytes: Secret,
    sent: usize,
    error: Option<io::Error>,
}

impl Request {
    fn poll_send(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(left @ [_, ..]) = self.bytes.expose().get(self.sent..) {
            match ready!(Pin::new(&mut *link).poll_write(cx, left)) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) => return self.fail(error),
            }
        }
        self.bytes = Secret::default();
        Poll::Ready(())
    }

    fn fail(&mut self, error: io::Error) -> Poll<()> {
        self.bytes = Secret::default();
        self.error = Some(error);
        Poll::Ready(())
    }

    fn is_sent(&self) -> bool {
        self.bytes.is_empty() && self.error.is_none()
    }
}

/// An answer, of which the body may have yet to come.
pub(super) struct Reply {
    /// The head.
    pub(super) parsed: Parsed,
    /// What that means for the next request.
    pub(super) next: Next,
}

/// When a connection may be used for another request.
pub(super) enum Next {
    /// At once.
    Ready,
    /// When this has been read.
    After(Body),
    /// Not at all.
    Never,
}

/// Why an exchange brought no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// Not a byte came back. On a connection that was used before it means nothing but that it was closed.
    Silent(Cause),
    /// The head broke off.
    Short(Cause),
    /// The head is too large.
    TooLarge,
    /// The head cannot be read.
    Flawed(Flaw),
}

/// Why the bytes ended.
#[derive(Debug)]
pub(super) enum Cause {
    /// The server closed.
    Closed,
    /// The system's reason.
    Io(io::Error),
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A TLS connection that ends without close_notify.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}
