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

/// A bound address: one socket that all serving threads share, or with `reuseport` one for each, with its own queue.
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
        let count = if listen.options.reuseport { threads.max(1) } else { 1 };
        let sockets = (0..count).map(|_| open(&listen)).collect::<Result<_, _>>()?;
        Ok(Self { listen, sockets })
    }

    /// Takes over sockets that listen already.
    pub fn adopt(listen: Arc<Listen>, sockets: Vec<Socket>) -> io::Result<Self> {
        if let Endpoint::Tcp(_) = listen.endpoint {
            sockets.iter().try_for_each(no_delay)?;
        }
        sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        Ok(Self { listen, sockets })
    }

    /// The same sockets under a new configuration. Options that can be changed while clients queue are changed;
    /// `ipv6only`, `multipath` and `reuseport` stay what they are (as the originals).
    ///
    /// More threads get more sockets, if they have their own; fewer threads share them, since closing one would lose
    /// the clients in its queue.
    pub fn renew(&self, listen: Arc<Listen>, threads: usize) -> Result<Self, OpenError> {
        let own = |socket: &Socket| {
            let socket = socket.try_clone().map_err(failed("dup()"))?;
            change_options(&socket, &self.listen.options, &listen)?;
            Ok(socket)
        };
        let mut sockets = self.sockets.iter().map(own).collect::<Result<Vec<_>, OpenError>>()?;
        if self.listen.options.reuseport && listen.options.reuseport {
            while sockets.len() < threads {
                sockets.push(open(&listen)?);
            }
        }
        Ok(Self { listen, sockets })
    }

    /// The sockets.
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
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

/// Changes what differs between `before` and the options of `listen`.
fn change_options(socket: &Socket, before: &SocketOptions, listen: &Listen) -> Result<(), OpenError> {
    let (options, endpoint) = (&listen.options, &listen.endpoint);
    let differing = SocketOptions {
        rcvbuf: options.rcvbuf.filter(|_| options.rcvbuf != before.rcvbuf),
        sndbuf: options.sndbuf.filter(|_| options.sndbuf != before.sndbuf),
        keepalive: options.keepalive.filter(|_| options.keepalive != before.keepalive),
        ..SocketOptions::default()
    };
    set_options(socket, &differing).map_err(failed(format!("setsockopt() {endpoint}")))?;
    if options.backlog != before.backlog {
        listen_on(socket, listen)?;
    }
    Ok(())
}

/// Sends without Nagle's delay. Accepted sockets inherit that (Linux), which saves a system call for each.
fn no_delay(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)
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
    listen_on(&socket, listen)?;
    Ok(socket)
}

fn listen_on(socket: &Socket, listen: &Listen) -> Result<(), OpenError> {
    let (endpoint, backlog) = (&listen.endpoint, listen.options.backlog.unwrap_or(BACKLOG));
    socket.listen(backlog).map_err(failed(format!("listen() to {endpoint}, backlog {backlog}")))
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
    ///
    /// The runtime takes a new stream for readable, which saves a turn where the client speaks first. Where it has to be
    /// greeted, that would only cost a read of nothing.
    pub async fn accept(&self, speaks_first: bool) -> io::Result<(Link, ClientAddr)> {
        let (link, client) = match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                (Link::from(stream), ClientAddr::Tcp(addr))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                (Link::from(stream), ClientAddr::Unix)
            }
        };
        if !speaks_first {
            link.expect_silence();
        }
        Ok((link, client))
    }
}

/// Whether an accept failed because the system has run out of something that others may give back.
pub fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Door;

    fn listen(endpoint: &Endpoint, options: &SocketOptions) -> Arc<Listen> {
        let door = Door { server: 0, ssl: false, proxy_protocol: false };
        Arc::new(Listen { endpoint: endpoint.clone(), door, exact: Vec::new(), options: options.clone() })
    }

    #[test]
    fn a_new_configuration_changes_the_options_of_a_socket_that_stays() {
        let any = Endpoint::Tcp("127.0.0.1:0".parse().unwrap());
        let before = SocketOptions { rcvbuf: Some(20_000), ..SocketOptions::default() };
        let bound = Bound::open(listen(&any, &before), 1).unwrap();
        let at = bound.local_addr().unwrap();
        let keepalive = Keepalive::On { idle: Some(Duration::from_secs(77)), interval: None, count: None };
        let options = SocketOptions {
            rcvbuf: Some(40_000),
            sndbuf: Some(30_000),
            keepalive: Some(keepalive),
            backlog: Some(3),
            ..before
        };
        let renewed = bound.renew(listen(&any, &options), 1).unwrap();
        // There is one socket behind both. Linux counts buffers twice (socket(7)).
        let socket = &bound.sockets()[0];
        assert_eq!(socket.recv_buffer_size().unwrap(), 80_000);
        assert_eq!(socket.send_buffer_size().unwrap(), 60_000);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
        assert_eq!(renewed.local_addr(), Some(at));
        // What a configuration does not mention stays as it is.
        bound.renew(listen(&any, &SocketOptions::default()), 1).unwrap();
        assert_eq!(socket.recv_buffer_size().unwrap(), 80_000);
    }

    #[test]
    fn each_thread_has_a_socket_of_its_own_if_wished_and_none_is_closed_for_want_of_threads() {
        let endpoint = Endpoint::Tcp(rig::port::free());
        let options = SocketOptions { reuseport: true, ..SocketOptions::default() };
        let bound = Bound::open(listen(&endpoint, &options), 2).unwrap();
        let count = |threads| bound.renew(listen(&endpoint, &options), threads).unwrap().sockets().len();
        assert_eq!((bound.sockets().len(), count(4), count(1)), (2, 4, 2));
    }
}
