//! TCP and unix sockets under one name, as far as test peers need them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

/// A connected stream of either family.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Reads what is there, or waits for it; 0 at the end.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(buffer),
            Self::Unix(stream) => (&*stream).read(buffer),
        }
    }

    /// Writes everything.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => (&*stream).write_all(bytes),
            Self::Unix(stream) => (&*stream).write_all(bytes),
        }
    }

    /// Bounds how long one read may take; `None` waits for ever.
    pub(crate) fn limit_reads(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(patience),
            Self::Unix(stream) => stream.set_read_timeout(patience),
        }
    }

    /// Bounds how long one write may take.
    pub(crate) fn limit_writes(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(patience)),
            Self::Unix(stream) => stream.set_write_timeout(Some(patience)),
        }
    }

    /// Ends one direction or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }

    /// Makes the next close send RST instead of FIN. Unix sockets have no such thing and just close.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        let Self::Tcp(stream) = self else { return Ok(()) };
        setsockopt(&stream.as_fd(), sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        Ok(())
    }
}

impl From<TcpStream> for Socket {
    /// Test peers send every write at once: where a test cuts, the network cuts.
    fn from(stream: TcpStream) -> Self {
        // A connection that is already gone again refuses the option; reading will tell.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }
}

/// Where a scripted server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// Connects to the server, to wake it from its wait for clients.
    pub(crate) fn knock(&self) {
        // A listener that is gone already needs no waking.
        match self {
            Self::Tcp(address) => drop(TcpStream::connect(address)),
            Self::Unix(path) => drop(UnixStream::connect(path)),
        }
    }
}

/// A listening socket of either family.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a loopback port of the system's choice.
    pub(crate) fn loopback() -> io::Result<(Self, Place)> {
        Self::at("127.0.0.1:0".parse().expect("a socket address"))
    }

    /// Listens on a TCP address; port 0 leaves the port to the system.
    pub(crate) fn at(address: SocketAddr) -> io::Result<(Self, Place)> {
        let listener = TcpListener::bind(address)?;
        let place = Place::Tcp(listener.local_addr()?);
        Ok((Self::Tcp(listener), place))
    }

    /// Listens on a unix socket that does not exist yet.
    pub(crate) fn unix(path: &Path) -> io::Result<(Self, Place)> {
        Ok((Self::Unix(UnixListener::bind(path)?), Place::Unix(path.to_owned())))
    }

    /// Waits for the next client.
    pub(crate) fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| stream.into()),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
        }
    }
}
