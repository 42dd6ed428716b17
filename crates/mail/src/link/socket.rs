//! The socket under a link: a stream whose small writes may be gathered with those of others. It knows nothing of TLS.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::Loose;
use super::outbox::{self, Account, Heir};
use super::stream::Stream;
use crate::address::{ClientAddr, Endpoint};

/// A connected socket.
///
/// What it has taken is on its way; should the stream not take it after all, that shows as a full socket or an error in
/// the calls to come. [At rest](Self::rest) it can do nothing but be woken.
#[derive(Debug)]
pub(super) struct Socket(State);

#[derive(Debug)]
enum State {
    /// With a place in a runtime.
    Awake(Arc<Account>),
    /// Without one.
    AtRest(Loose),
    /// Broken when it was to rest or wake.
    Gone,
}

impl From<Stream> for Socket {
    fn from(stream: Stream) -> Self {
        Self(State::Awake(Arc::new(Account::new(stream))))
    }
}

impl From<Arc<Account>> for Socket {
    fn from(account: Arc<Account>) -> Self {
        Self(State::Awake(account))
    }
}

impl From<Loose> for Socket {
    /// At rest.
    fn from(loose: Loose) -> Self {
        Self(State::AtRest(loose))
    }
}

impl Socket {
    /// Begins to connect to `endpoint`; TCP without Nagle's delay. What becomes of it shows when the socket can be read
    /// or written.
    pub(super) async fn dial(endpoint: &Endpoint) -> io::Result<Self> {
        Stream::dial(endpoint).await.map(Self::from)
    }

    /// What has gone wrong behind our back, if anything; it is told once.
    pub(super) fn take_error(&self) -> io::Result<()> {
        self.stream()?.take_error()
    }

    /// Forgets that it may be readable, before the runtime has heard of it.
    pub(super) fn expect_silence(&self) {
        if let Ok(stream) = self.stream() {
            stream.expect_silence();
        }
    }

    /// Whether there is another end.
    pub(super) fn is_connected(&self) -> bool {
        self.stream().is_ok_and(Stream::is_connected)
    }

    fn account(&self) -> io::Result<&Arc<Account>> {
        match &self.0 {
            State::Awake(account) => Ok(account),
            State::AtRest(_) | State::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn stream(&self) -> io::Result<&Stream> {
        self.account().map(|account| &account.stream)
    }

    /// Takes the stream from its runtime. Nothing is on its way.
    pub(super) fn loosen(mut self) -> io::Result<Loose> {
        self.rest()?;
        self.take_resting().ok_or(io::ErrorKind::NotConnected.into())
    }

    /// The stream, at rest.
    pub(super) fn take_resting(&mut self) -> Option<Loose> {
        match mem::replace(&mut self.0, State::Gone) {
            State::AtRest(loose) => Some(loose),
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// Whether nothing is on its way, or owed.
    pub(super) fn is_quiet(&self) -> bool {
        self.account().is_ok_and(|account| account.is_clear())
    }

    /// Gives up its place in the runtime; it must be [quiet](Self::is_quiet).
    pub(super) fn rest(&mut self) -> io::Result<()> {
        if !self.is_quiet() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if let State::Awake(account) = mem::replace(&mut self.0, State::Gone) {
            let stream = Arc::into_inner(account).ok_or(io::ErrorKind::ResourceBusy)?.into_stream();
            self.0 = State::AtRest(stream.loosen()?);
        }
        Ok(())
    }

    /// Takes a place in the runtime that this is called on.
    pub(super) fn wake(&mut self) -> io::Result<()> {
        if let State::AtRest(loose) = mem::replace(&mut self.0, State::Gone) {
            *self = Stream::try_from(loose)?.into();
        }
        Ok(())
    }

    /// Its descriptor, at rest.
    pub(super) fn resting(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            State::AtRest(loose) => Some(loose.as_fd()),
            State::Awake(_) | State::Gone => None,
        }
    }

    /// The other end, as a client.
    pub(super) fn client_addr(&self) -> io::Result<ClientAddr> {
        self.stream()?.client_addr()
    }

    /// This end, if it is TCP.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.stream().ok()?.local_addr()
    }

    /// Turns SO_KEEPALIVE on or off; nothing on unix sockets.
    pub(super) fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.stream()?.set_keepalive(on)
    }

    /// Waits until a read will not block.
    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Polls for the same. Whoever waits for an answer also sees to it that the question goes out.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is wrong with writing, reading will show too.
        let _ = self.poll_flush(cx);
        self.stream()?.poll_readable(cx)
    }

    /// Polls until a write will not block.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.stream()?.poll_writable(cx)
    }

    /// Ready when nothing is owed. The task is woken if that changes later.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let account = self.account()?;
        if account.is_clear() {
            return Poll::Ready(Ok(()));
        }
        outbox::watch(account, cx);
        loop {
            match account.pay() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(account.stream.poll_writable(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    /// Reads what is there; 0 is the end, `WouldBlock` is nothing.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream()?.try_read(into)
    }

    /// Looks at what is there and leaves it there; 0 is the end, `WouldBlock` is nothing.
    pub(super) fn try_peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream()?.try_peek(into)
    }

    /// Writes what fits; `WouldBlock` is nothing. What was taken may still have to be [flushed](Self::poll_flush).
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let account = self.account()?;
        account.pay()?;
        if outbox::post(account, bytes) {
            return Ok(bytes.len());
        }
        // Whatever was posted before goes first.
        account.pay()?;
        account.stream.try_write(bytes)
    }

    /// Says that nothing more will be written, once everything is.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Poll::Ready(self.shutdown())
    }

    /// Says that nothing more will be written, without waiting.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        let account = self.account()?;
        if outbox::end(account) { Ok(()) } else { account.stream.shutdown() }
    }

    /// Closes when all is sent. If the stream does not take all at once, `heir` has it.
    pub(super) fn leave(mut self, heir: Heir) {
        if let State::Awake(account) = mem::replace(&mut self.0, State::Gone) {
            outbox::leave(account, heir);
        }
    }

    /// Has the kernel forget the connection when it is closed, instead of ending it in order.
    pub(super) fn abandon(&self) -> io::Result<()> {
        self.stream()?.abandon()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let State::Awake(account) = mem::replace(&mut self.0, State::Gone) {
            outbox::close(account);
        }
    }
}
