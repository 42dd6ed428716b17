//! `gatepost demo`: the proxy in front of a small mail store, both in this process, nothing else installed.
//!
//! The store is enough for curl, mutt and the mail modules of Python to list, read, search and send, and
//! says no to the rest. It keeps everything in memory, within [`limits`]. It is no mail server: no TLS, no
//! quota, no queue, two users whose passwords are printed.

mod guide;
mod imap;
mod limits;
mod mailbox;
mod mime;
mod plain;
mod pop3;
mod ports;
mod proxy;
mod samples;
mod smtp;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) use self::ports::Claim;
pub(crate) use self::proxy::main;
pub(crate) use self::store::Store;
use self::wire::Wire;

/// Starts the store, finds ports for the proxy, tells the reader on `out` what to type, and runs `proxy`.
///
/// The demo is over when `proxy` is.
pub(crate) async fn run<P>(
    wanted: Ports,
    out: &mut impl Write,
    proxy: impl FnOnce(Plan) -> P,
) -> Result<(), Trouble>
where
    P: Future<Output = io::Result<()>>,
{
    let backends = Store::start().await?;
    let plan = Plan {
        imap: Front::claim(wanted.imap, backends.imap)?,
        pop3: Front::claim(wanted.pop3, backends.pop3)?,
        smtp: Front::claim(wanted.smtp, backends.smtp)?,
    };
    guide::write(out, &plan).map_err(Trouble::Output)?;
    // `backends` lives until here: its servers end with it.
    proxy(plan).await.map_err(Trouble::Proxy)
}

/// The ports that the proxy listens on if they are free; otherwise the next ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) imap: u16,
    pub(crate) pop3: u16,
    pub(crate) smtp: u16,
}

impl Ports {
    /// The well-known ports, lifted out of the range that only root may bind.
    pub(crate) const USUAL: Self = Self { imap: 1143, pop3: 1110, smtp: 1587 };
}

/// What the proxy of the demo is to do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// IMAP clients, and where their mailboxes are.
    pub(crate) imap: Front,
    /// POP3 clients, likewise.
    pub(crate) pop3: Front,
    /// SMTP clients, likewise; the store takes XCLIENT with LOGIN as well as AUTH PLAIN.
    pub(crate) smtp: Front,
}

/// One protocol of the proxy.
#[derive(Debug)]
pub(crate) struct Front {
    /// Where clients connect.
    pub(crate) port: Claim,
    /// Where the store speaks the same protocol.
    pub(crate) backend: SocketAddr,
}

impl Front {
    fn claim(wanted: u16, backend: SocketAddr) -> Result<Self, Trouble> {
        let port = ports::claim(wanted).map_err(|error| Trouble::Port { wanted, error })?;
        Ok(Self { port, backend })
    }

    /// The file for `auth_user_file`, a line for each user that leads to this protocol of the store.
    pub(crate) fn users_file(&self) -> String {
        let (host, port) = (self.backend.ip(), self.backend.port());
        let line = |(user, password)| format!("{user}:{{PLAIN}}{password}::::::host={host} port={port}\n");
        store::USERS.map(line).concat()
    }
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The samples do not fit into the store.
    #[error("the store cannot be filled: {0}")]
    Samples(#[from] store::Refusal),
    /// The store has no socket to listen on.
    #[error("the store cannot listen: {0}")]
    Store(#[from] io::Error),
    /// No port is free for the proxy.
    #[error("no free port from {wanted} on: {error}")]
    Port {
        /// The first that was tried.
        wanted: u16,
        /// What the last one said.
        error: io::Error,
    },
    /// The reader cannot be told anything.
    #[error("cannot write: {0}")]
    Output(#[source] io::Error),
    /// The proxy ended with an error.
    #[error("{0}")]
    Proxy(#[source] io::Error),
}

/// Where the store listens. Dropping it ends the servers and their sessions.
pub(crate) struct Backends {
    /// IMAP, plain.
    pub(crate) imap: SocketAddr,
    /// POP3, plain.
    pub(crate) pop3: SocketAddr,
    /// SMTP submission, plain.
    pub(crate) smtp: SocketAddr,
    /// Held for its drop.
    _servers: JoinSet<()>,
}

impl Store {
    /// Starts a store on free ports of loopback, served by tasks of the current runtime.
    pub(crate) async fn start() -> Result<Backends, Trouble> {
        let store = Self::new()?;
        let mut servers = JoinSet::new();
        let imap = serve(&mut servers, &store, imap::serve).await?;
        let pop3 = serve(&mut servers, &store, pop3::serve).await?;
        let smtp = serve(&mut servers, &store, smtp::serve).await?;
        Ok(Backends { imap, pop3, smtp, _servers: servers })
    }
}

/// Adds the server of one protocol, and says where it listens.
async fn serve<S>(
    servers: &mut JoinSet<()>,
    store: &Store,
    session: impl Fn(Wire, Store) -> S + Send + 'static,
) -> io::Result<SocketAddr>
where
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let store = store.clone();
    servers.spawn(accept(listener, move |wire| session(wire, store.clone())));
    Ok(address)
}

async fn accept<S>(listener: TcpListener, session: impl Fn(Wire) -> S)
where
    S: Future<Output = ()> + Send + 'static,
{
    let mut sessions = JoinSet::new();
    loop {
        while sessions.try_join_next().is_some() {}
        if sessions.len() >= limits::SESSIONS {
            sessions.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                sessions.spawn(session(Wire::new(stream)));
            }
            // Out of descriptors, most likely: the queue is still there when some are free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
