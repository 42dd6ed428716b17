//! The stream to one peer, whatever it runs over.
//!
//! A link that waits owns no buffer, with TLS or without: whoever waits on it waits for readiness and brings a buffer
//! only when bytes are there.

mod fault;
mod handshake;
mod outbox;
mod role;
mod socket;
mod stream;
mod tls;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use proto::wipe;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::yield_now;
use tokio::time::timeout;

pub use self::fault::{HandshakeError, NotTls, TlsError};
pub use self::handshake::Facts;
use self::outbox::Account;
pub use self::outbox::{BATCH, deliver};
use self::socket::Socket;
use self::stream::Stream;
use self::tls::Tls;
use crate::address::{ClientAddr, Endpoint};
use crate::scratch;

/// A connected stream, in clear until a handshake has made it a TLS connection.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    tls: Option<Box<Tls>>,
}

impl From<TcpStream> for Link {
    fn from(stream: TcpStream) -> Self {
        Self { socket: Stream::Tcp(stream).into(), tls: None }
    }
}

impl From<UnixStream> for Link {
    fn from(stream: UnixStream) -> Self {
        Self { socket: Stream::Unix(stream).into(), tls: None }
    }
}

/// The stream of a link that belongs to no thread's runtime, on its way from one to another.
#[derive(Debug)]
pub enum Loose {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl From<Loose> for Link {
    /// A link at rest.
    fn from(loose: Loose) -> Self {
        Self { socket: loose.into(), tls: None }
    }
}

impl AsFd for Loose {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl From<Loose> for OwnedFd {
    fn from(loose: Loose) -> Self {
        match loose {
            Loose::Tcp(stream) => stream.into(),
            Loose::Unix(stream) => stream.into(),
        }
    }
}

impl Link {
    /// Connects to `endpoint`. TCP goes without Nagle's delay: a dialogue of small messages waits 40 ms for it.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        let mut link = Self::dial(endpoint).await?;
        link.writable().await?;
        link.socket.take_error()?;
        Ok(link)
    }

    /// Begins to connect to `endpoint`, as [`connect`](Self::connect) does.
    pub async fn dial(endpoint: &Endpoint) -> io::Result<Self> {
        Ok(Self { socket: Socket::dial(endpoint).await?, tls: None })
    }

    /// Waits until the peer that was [dialled](Self::dial) has spoken, or cannot be reached. That saves a turn where it
    /// speaks first; one that is connected and silent [is there](Self::is_connected) nevertheless.
    pub async fn spoken_to(&mut self) -> io::Result<()> {
        self.readable().await?;
        self.socket.take_error()
    }

    /// Whether there is another end.
    pub fn is_connected(&self) -> bool {
        self.socket.is_connected()
    }

    /// Takes it that a link which was accepted this moment has nothing to read yet. What there is already will show all
    /// the same, since the runtime has not been told of it so far.
    pub fn expect_silence(&self) {
        self.socket.expect_silence();
    }

    /// Takes the stream from its runtime, before a handshake has begun: what TLS knows would be lost.
    pub fn loosen(self) -> io::Result<Loose> {
        debug_assert!(self.tls.is_none(), "links move before their sessions begin");
        self.socket.loosen()
    }

    /// Whether nothing is on its way through the link in either direction, as far as it knows.
    pub fn is_quiet(&self) -> bool {
        self.socket.is_quiet() && self.tls.as_ref().is_none_or(|tls| tls.is_quiet())
    }

    /// Gives up its place in the runtime, until it is [woken](Self::wake). It must be [quiet](Self::is_quiet).
    pub fn rest(&mut self) -> io::Result<()> {
        self.socket.rest()
    }

    /// Takes a place in the runtime that this is called on.
    pub fn wake(&mut self) -> io::Result<()> {
        self.socket.wake()
    }

    /// The descriptor of a link at rest.
    pub fn resting(&self) -> Option<BorrowedFd<'_>> {
        self.socket.resting()
    }

    /// The other end, for a link that a client opened.
    pub fn client_addr(&self) -> io::Result<ClientAddr> {
        self.socket.client_addr()
    }

    /// This end, if it is TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr()
    }

    /// Turns SO_KEEPALIVE on or off; nothing on unix sockets.
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.socket.set_keepalive(on)
    }

    /// Waits until a read may give something.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Polls for [`readable`](Self::readable). Also sends what TLS has to say for itself.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => self.socket.poll_readable(cx),
            Some(tls) => tls.poll_readable(&self.socket, cx),
        }
    }

    /// Waits until a write may take something.
    pub async fn writable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// Polls for [`writable`](Self::writable).
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(cx)
    }

    /// Reads what is there; 0 is the end, `WouldBlock` is nothing.
    ///
    /// Over TLS the end of the socket is `UnexpectedEof` unless the peer has declared it (close_notify): somebody on
    /// the way may have cut the stream short. Mail protocols say themselves where things end, so that is no more than
    /// an end to them, but what came before it must not be taken for whole.
    pub fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.try_read(into),
            Some(tls) => tls.try_read(&self.socket, into),
        }
    }

    /// Waits for bytes, appends them to `into`, at most `most`, and leaves them where they are; 0 is the end.
    ///
    /// Only in clear: what precedes a handshake is looked at so that the handshake starts on a clean socket.
    pub async fn peek(&mut self, into: &mut BytesMut, most: usize) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            let peeked = scratch::lend(|buffer| {
                let room = buffer.len().min(most);
                let n = self.socket.try_peek(&mut buffer[..room])?;
                into.extend_from_slice(&buffer[..n]);
                Ok(n)
            });
            match peeked {
                Err(e) if is_nothing(&e) => {}
                other => return other,
            }
        }
    }

    /// Takes away `count` bytes that were [peeked](Self::peek) at.
    pub fn skip(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            let taken = scratch::lend(|buffer| {
                let room = buffer.len().min(count);
                self.socket.try_read(&mut buffer[..room])
            })?;
            count -= taken.max(1);
        }
        Ok(())
    }

    /// Writes what fits; `WouldBlock` is nothing. What was taken may still need a [`flush`](Self::poll_flush).
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.try_write(bytes),
            Some(tls) => tls.try_write(&self.socket, bytes),
        }
    }

    /// Ready when the socket has taken all that was written.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => self.socket.poll_flush(cx),
            Some(tls) => tls.poll_flush(&self.socket, cx),
        }
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(e) => return Err(e),
            }
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Whether the socket has taken all that was written.
    pub fn is_settled(&self) -> bool {
        self.socket.is_quiet() && self.tls.as_ref().is_none_or(|tls| !tls.is_owing())
    }

    /// Waits until it [has](Self::is_settled). What is dropped before is lost.
    pub async fn settle(&mut self) -> io::Result<()> {
        loop {
            poll_fn(|cx| self.poll_flush(cx)).await?;
            if self.is_settled() {
                return Ok(());
            }
            // It is posted, and goes out when all tasks have had their turn.
            yield_now().await;
        }
    }

    /// Says that nothing more will be written; the peer may still write.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// One attempt to say that nothing more will be written, before the link is dropped: TLS wants the end declared by
    /// both sides (RFC 8446, section 6.1). In clear the end of the socket says it.
    pub fn sign_off(&mut self, cx: &mut Context<'_>) {
        if let Some(tls) = &mut self.tls {
            let _ = tls.poll_shutdown(&self.socket, cx);
        }
    }

    /// Polls for [`shutdown`](Self::shutdown).
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => self.socket.poll_shutdown(cx),
            Some(tls) => tls.poll_shutdown(&self.socket, cx),
        }
    }

    /// Whether the end can be said by closing, since there is no TLS.
    pub fn is_clear(&self) -> bool {
        self.tls.is_none()
    }

    /// Closes a [clear](Self::is_clear) link when all that was written is sent, for a peer that has nothing more to say. If
    /// the socket does not take all at once, `heir` has the link, to [settle](Self::settle) it.
    pub fn leave(self, heir: impl FnOnce(Self) + Send + 'static) {
        debug_assert!(self.is_clear(), "TLS says when it ends");
        self.socket.leave(Box::new(heir));
    }

    /// Has the kernel forget the connection when the link is dropped, if nothing is on its way. That is for a peer which
    /// has closed it already: it need not be told that we have done the same.
    pub fn abandon(&self) {
        if self.is_quiet() {
            // Then it ends in order.
            let _ = self.socket.abandon();
        }
    }

    /// Ends a connection so that the last words arrive.
    pub async fn farewell(mut self) {
        self.linger().await;
    }

    /// Says the end, and stays for a moment so that what was said before arrives.
    pub async fn linger(&mut self) {
        let (patience, most) = LINGER;
        let _ = timeout(patience, self.part(most)).await;
    }

    /// Shuts down, then waits for the peer's end, at most `most` bytes long.
    ///
    /// Closing while there are unread bytes would reset the connection, and a reset destroys what the peer has not read
    /// yet. What comes is thrown away as it is: it is not worth decrypting.
    async fn part(&mut self, mut most: usize) -> io::Result<()> {
        self.shutdown().await?;
        while most > 0 {
            self.socket.readable().await?;
            let discarded: io::Result<usize> = scratch::lend(|buffer| {
                let room = buffer.len().min(most);
                let n = self.socket.try_read(&mut buffer[..room])?;
                buffer[..n].fill(0);
                Ok(n)
            });
            match discarded {
                Ok(0) => break,
                Ok(n) => most -= n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// How long, and for how many bytes, a peer is listened to that has been told all.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 256 * 1024);

impl From<Arc<Account>> for Link {
    fn from(account: Arc<Account>) -> Self {
        Self { socket: account.into(), tls: None }
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        loop {
            ready!(link.poll_readable(cx))?;
            // Not into `into` at once, which would have to be filled with zeros first.
            let read = scratch::lend(|buffer| {
                let room = buffer.len().min(into.remaining());
                let n = link.try_read(&mut buffer[..room])?;
                into.put_slice(&buffer[..n]);
                wipe(&mut buffer[..n]);
                Ok(())
            });
            match read {
                Err(e) if is_nothing(&e) => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let link = self.get_mut();
        loop {
            match link.try_write(bytes) {
                Err(e) if is_nothing(&e) => ready!(link.poll_writable(cx))?,
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(self.get_mut(), cx)
    }
}

fn is_nothing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests;
