//! Listening sockets: opening them, and accepting from them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::address::{ClientAddr, Endpoint};
use crate::link::Link;
use crate::settings::Listen;
use crate::settings::listen::{Keepalive, SocketOptions};

/// `backlog` unless set (as the originals on Linux).
const BACKLOG: i32 = 511;

/// Pause after running out of descriptors (`accept_mutex_delay` of the originals).
pub const PAUSE: Duration = Duration::from_millis(500);

/// A bound address with a socket for each serving thread.
///
/// The sockets are copies of one, unless `reuseport` gives each thread its own queue.
#[derive(Debug)]
pub struct Bound {
    /// The directive.
    pub listen: Arc<Listen>,
    sockets: Vec<Socket>,
}

/// A system call that failed while a socket was being opened, as the originals name it.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed")]
pub struct OpenError {
    /// Such as `bind() to 0.0.0.0:143`.
    pub call: String,
    /// The system's reason.
    pub source: io::Error,
}

impl Bound {
    /// Opens what `listen` asks for, for `threads` serving threads.
    pub fn open(listen: Arc<Listen>, threads: usize) -> Result<Self, OpenError> {
        let first = open(&listen)?;
        let mut sockets = Vec::with_capacity(threads);
        for _ in 1..threads {
            let another = if listen.options.reuseport { open(&listen) } else { copy(&first) };
            sockets.push(another?);
        }
        sockets.push(first);
        Ok(Self { listen, sockets })
    }

    /// Takes over a socket that listens already, for one serving thread.
    pub fn adopt(listen: Arc<Listen>, socket: Socket) -> io::Result<Self> {
        if let Endpoint::Tcp(_) = listen.endpoint {
            no_delay(&socket)?;
        }
        socket.set_nonblocking(true)?;
        Ok(Self { listen, sockets: vec![socket] })
    }

    /// A socket for one serving thread; to be called on its runtime. `None` when each has got its own.
    pub fn take(&mut self) -> Option<Socket> {
        self.sockets.pop()
    }

    /// The address that was bound, which tells the port where the system chose it.
    pub fn local_addr(&self) -> Option<Endpoint> {
        let addr = self.sockets.first()?.local_addr().ok()?;
        match addr.as_socket() {
            Some(addr) => Some(Endpoint::Tcp(addr)),
            None => addr.as_pathname().map(|path| Endpoint::Unix(path.to_owned())),
        }
    }
}

fn failed(call: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let call = call.into();
    move |source| OpenError { call, source }
}

/// Sends without Nagle's delay. Accepted sockets inherit that (Linux), which saves a system call for each.
fn no_delay(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)
}

fn copy(socket: &Socket) -> Result<Socket, OpenError> {
    socket.try_clone().map_err(failed("dup()"))
}

fn open(listen: &Listen) -> Result<Socket, OpenError> {
    let endpoint = &listen.endpoint;
    let (domain, protocol) = match endpoint {
        Endpoint::Tcp(addr) => {
            let protocol = if listen.options.multipath { Protocol::MPTCP } else { Protocol::TCP };
            (Domain::for_address(*addr), Some(protocol))
        }
        Endpoint::Unix(_) => (Domain::UNIX, None),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), protocol)
        .map_err(failed(format!("socket() {endpoint}")))?;
    let address = match endpoint {
        Endpoint::Tcp(addr) => {
            socket.set_reuse_address(true).map_err(failed(format!("setsockopt(SO_REUSEADDR) {endpoint}")))?;
            no_delay(&socket).map_err(failed(format!("setsockopt(TCP_NODELAY) {endpoint}")))?;
            if addr.is_ipv6() {
                let only = listen.options.ipv6only.unwrap_or(true);
                socket.set_only_v6(only).map_err(failed(format!("setsockopt(IPV6_V6ONLY) {endpoint}")))?;
            }
            SockAddr::from(*addr)
        }
        Endpoint::Unix(path) => SockAddr::unix(path).map_err(failed(format!("bind() to {endpoint}")))?,
    };
    set_options(&socket, &listen.options).map_err(failed(format!("setsockopt() {endpoint}")))?;
    socket.bind(&address).map_err(failed(format!("bind() to {endpoint}")))?;
    if let Endpoint::Unix(path) = endpoint {
        open_to_all(path).map_err(failed(format!("chmod() \"{}\"", path.display())))?;
    }
    let backlog = listen.options.backlog.unwrap_or(BACKLOG);
    socket.listen(backlog).map_err(failed(format!("listen() to {endpoint}, backlog {backlog}")))?;
    Ok(socket)
}

/// Unix sockets get mode 0666 (as the originals): who may reach them is the directory's affair.
fn open_to_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

fn set_options(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(size) = options.rcvbuf {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.sndbuf {
        socket.set_send_buffer_size(size)?;
    }
    if options.reuseport {
        socket.set_reuse_port(true)?;
    }
    match options.keepalive {
        None => Ok(()),
        Some(Keepalive::Off) => socket.set_keepalive(false),
        Some(Keepalive::On { idle, interval, count }) => {
            socket.set_keepalive(true)?;
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = idle {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = interval {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(count) = count {
                keepalive = keepalive.with_retries(count);
            }
            socket.set_tcp_keepalive(&keepalive)
        }
    }
}

/// A socket that accepts on the runtime of one thread.
#[derive(Debug)]
pub enum Listener {
    /// For TCP.
    Tcp(TcpListener),
    /// For a unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Registers `socket` with the runtime that this is called on.
    pub fn new(socket: Socket, endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(_) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            Endpoint::Unix(_) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// The next client.
    pub async fn accept(&self) -> io::Result<(Link, ClientAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                Ok((Link::from(stream), ClientAddr::Tcp(addr)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Link::from(stream), ClientAddr::Unix))
            }
        }
    }
}

/// Whether an accept failed because the system has run out of something that others may give back.
pub fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
