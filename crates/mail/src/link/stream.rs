//! What TCP and unix streams have in common.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};

use nix::libc;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, SockRef, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::Loose;
use crate::address::{ClientAddr, Endpoint};

/// A connected stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

/// Calls a method of the stream inside, whichever it is.
macro_rules! each {
    ($stream_of:expr, $stream:ident => $body:expr) => {
        match $stream_of {
            Stream::Tcp($stream) => $body,
            Stream::Unix($stream) => $body,
        }
    };
}

impl TryFrom<Loose> for Stream {
    type Error = io::Error;

    /// Registers the stream with the runtime that this is called on.
    fn try_from(loose: Loose) -> io::Result<Self> {
        match loose {
            Loose::Tcp(stream) => TcpStream::from_std(stream).map(Self::Tcp),
            Loose::Unix(stream) => UnixStream::from_std(stream).map(Self::Unix),
        }
    }
}

impl Stream {
    /// Begins to connect to `endpoint`; TCP without Nagle's delay. What becomes of it shows when the stream can be read
    /// or written.
    pub(super) async fn dial(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(addr) => dial_tcp(*addr).map(Self::Tcp),
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }

    /// What has gone wrong behind our back, if the runtime has heard of anything; it is told once.
    pub(super) fn take_error(&self) -> io::Result<()> {
        let taken = each!(self, stream => stream.try_io(Interest::ERROR, || stream.take_error()));
        match taken {
            // Nothing: that costs no system call.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            taken => taken?.map_or(Ok(()), Err),
        }
    }

    /// Whether there is another end.
    pub(super) fn is_connected(&self) -> bool {
        each!(self, stream => stream.peer_addr().is_ok())
    }

    /// The other end, as a client.
    pub(super) fn client_addr(&self) -> io::Result<ClientAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(ClientAddr::Tcp),
            Self::Unix(_) => Ok(ClientAddr::Unix),
        }
    }

    /// This end, if it is TCP.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Turns SO_KEEPALIVE on or off; nothing on unix sockets.
    pub(super) fn set_keepalive(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).set_keepalive(on),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Polls until a read will not block.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read_ready(cx))
    }

    /// Polls until a write will not block.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_write_ready(cx))
    }

    /// Reads what is there; 0 is the end, `WouldBlock` is nothing.
    ///
    /// A read that leaves room has emptied the socket (epoll(7), question 9), so that it need not be asked again before
    /// it says that there is more: that saves every second system call of a dialogue.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let n = each!(self, stream => stream.try_read(into))?;
        if 0 < n && n < into.len() {
            self.expect_silence();
        }
        Ok(n)
    }

    /// Forgets that the runtime takes it for readable: the event that says so, and no later one.
    pub(super) fn expect_silence(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = each!(self, stream => stream.try_io(Interest::READABLE, nothing));
    }

    /// Looks at what is there and leaves it there; 0 is the end, `WouldBlock` is nothing.
    pub(super) fn try_peek(&self, into: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_io(Interest::READABLE, || {
            Ok(recv(stream.as_raw_fd(), into, MsgFlags::MSG_PEEK)?)
        }))
    }

    /// Writes what fits; `WouldBlock` is nothing.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_write(bytes))
    }

    /// Takes it from its runtime.
    pub(super) fn loosen(self) -> io::Result<Loose> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Loose::Tcp),
            Self::Unix(stream) => stream.into_std().map(Loose::Unix),
        }
    }

    /// Its descriptor, by number.
    pub(super) fn descriptor(&self) -> RawFd {
        each!(self, stream => stream.as_raw_fd())
    }

    /// Has the kernel forget the connection when it is closed, instead of ending it in order; nothing on unix sockets.
    pub(super) fn abandon(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        each!(self, stream => SockRef::from(stream).shutdown(Shutdown::Write))
    }
}

fn dial_tcp(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&addr.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e),
        _ => {}
    }
    TcpStream::from_std(socket.into())
}
