//! The socket under a link: a stream whose small writes may be gathered with those of others. It knows nothing of TLS.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::Loose;
use super::outbox::{self, Account};
use super::stream::Stream;
use crate::address::{ClientAddr, Endpoint};

/// A connected socket.
///
/// What it has taken is on its way; should the stream not take it after all, that shows as a full socket or an error in
/// the calls to come.
#[derive(Debug)]
pub(super) struct Socket(
    /// There until it is dropped.
    Option<Arc<Account>>,
);

impl From<Stream> for Socket {
    fn from(stream: Stream) -> Self {
        Self(Some(Arc::new(Account::new(stream))))
    }
}

impl Socket {
    /// Connects to `endpoint`; TCP without Nagle's delay.
    pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Stream::connect(endpoint).await.map(Self::from)
    }

    fn account(&self) -> &Arc<Account> {
        self.0.as_ref().expect("a socket has a stream until it is dropped")
    }

    fn stream(&self) -> &Stream {
        &self.account().stream
    }

    /// Takes the stream from its runtime. Nothing was written yet.
    pub(super) fn loosen(mut self) -> io::Result<Loose> {
        let stream = self.0.take().and_then(Arc::into_inner).map(Account::into_stream);
        stream.ok_or(io::ErrorKind::ResourceBusy)?.loosen()
    }

    /// The other end, as a client.
    pub(super) fn client_addr(&self) -> io::Result<ClientAddr> {
        self.stream().client_addr()
    }

    /// This end, if it is TCP.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.stream().local_addr()
    }

    /// Turns SO_KEEPALIVE on or off; nothing on unix sockets.
    pub(super) fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.stream().set_keepalive(on)
    }

    /// Waits until a read will not block.
    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Polls for the same. Whoever waits for an answer also sees to it that the question goes out.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is wrong with writing, reading will show too.
        let _ = self.poll_flush(cx);
        self.stream().poll_readable(cx)
    }

    /// Polls until a write will not block.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.stream().poll_writable(cx)
    }

    /// Ready when nothing is owed. The task is woken if that changes later.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outbox::watch(self.account(), cx);
        loop {
            match self.account().pay() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(self.stream().poll_writable(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    /// Reads what is there; 0 is the end, `WouldBlock` is nothing.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream().try_read(into)
    }

    /// Looks at what is there and leaves it there; 0 is the end, `WouldBlock` is nothing.
    pub(super) fn try_peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream().try_peek(into)
    }

    /// Writes what fits; `WouldBlock` is nothing. What was taken may still have to be [flushed](Self::poll_flush).
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.account().pay()?;
        if outbox::post(self.account(), bytes) {
            return Ok(bytes.len());
        }
        // Whatever was posted before goes first.
        self.account().pay()?;
        self.stream().try_write(bytes)
    }

    /// Says that nothing more will be written, once everything is.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Poll::Ready(self.shutdown())
    }

    /// Says that nothing more will be written, without waiting.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        if outbox::end(self.account()) { Ok(()) } else { self.stream().shutdown() }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(account) = self.0.take() {
            outbox::close(account);
        }
    }
}
