//! The stream to one peer, whatever it runs over.
//!
//! A link owns no buffer: whoever waits on it waits for readiness and brings a buffer only when bytes are there.

use std::io;
use std::task::{Context, Poll};

use tokio::net::{TcpStream, UnixStream};

use crate::address::{ClientAddr, Endpoint};

/// A connected stream. TLS will be a variant of its own.
#[derive(Debug)]
pub enum Link {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

/// A link that belongs to no thread's runtime, on its way from one to another.
#[derive(Debug)]
pub enum Loose {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl TryFrom<Loose> for Link {
    type Error = io::Error;

    /// Registers the stream with the runtime that this is called on.
    fn try_from(loose: Loose) -> io::Result<Self> {
        match loose {
            Loose::Tcp(stream) => TcpStream::from_std(stream).map(Self::Tcp),
            Loose::Unix(stream) => UnixStream::from_std(stream).map(Self::Unix),
        }
    }
}

/// Calls a method of the stream inside, whichever it is.
macro_rules! each {
    ($link:expr, $stream:ident => $body:expr) => {
        match $link {
            Link::Tcp($stream) => $body,
            Link::Unix($stream) => $body,
        }
    };
}

impl Link {
    /// Connects to `endpoint`. TCP goes without Nagle's delay: a dialogue of small messages waits 40 ms for it.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }

    /// Takes the stream from its runtime.
    pub fn loosen(self) -> io::Result<Loose> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Loose::Tcp),
            Self::Unix(stream) => stream.into_std().map(Loose::Unix),
        }
    }

    /// The other end, for a link that a client opened.
    pub fn client_addr(&self) -> io::Result<ClientAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(ClientAddr::Tcp),
            Self::Unix(_) => Ok(ClientAddr::Unix),
        }
    }

    /// Turns SO_KEEPALIVE on or off; nothing on unix sockets.
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).set_keepalive(on),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Waits until a read will not block.
    pub async fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable().await)
    }

    /// Waits until a write will not block.
    pub async fn writable(&self) -> io::Result<()> {
        each!(self, stream => stream.writable().await)
    }

    /// Polls for [`readable`](Self::readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read_ready(cx))
    }

    /// Polls for [`writable`](Self::writable).
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_write_ready(cx))
    }

    /// Reads what is there; 0 is the end, `WouldBlock` is nothing.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_read(into))
    }

    /// Writes what fits; `WouldBlock` is nothing.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_write(bytes))
    }

    /// Says that nothing more will be written.
    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            Self::Unix(stream) => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write),
        }
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
