//! The stubs: mail servers and an auth service that do next to nothing, in one process with one thread.
//!
//! Whatever a proxy costs has to be the proxy's own, so everything behind it is as cheap as can be. Ends when its
//! standard input does, and so with the process that started it.

mod auth;
mod imap;
mod pop3;
mod smtp;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::wire::Wire;

/// The user whose password is always wrong, and who is told so an hour later.
pub(crate) const PATIENT_USER: &str = "patient@bench.test";

/// Each mail server listens on this many addresses 127.0.0.N, and the auth service names them in turn. So the
/// proxies' search for a free port stays short when thousands of sessions are held.
const ADDRESSES: u8 = 8;

/// Where the stubs listen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Places {
    pub(crate) auth: SocketAddr,
    pub(crate) imap: u16,
    pub(crate) pop3: u16,
    pub(crate) smtp: u16,
}

/// Says on standard output where the stubs are, and serves until standard input ends.
pub(crate) fn serve() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let imap = mail_server(imap::serve).await?;
        let pop3 = mail_server(pop3::serve).await?;
        let smtp = mail_server(smtp::serve).await?;
        let auth = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let places = Places { auth: auth.local_addr()?, imap, pop3, smtp };
        let answers = auth::Answers::new(&places);
        tokio::spawn(accept(auth, move |stream| auth::serve(stream, answers.clone())));
        announce(&places)?;
        end_of_input().await;
        Ok(())
    })
}

/// A mail server on a free port of all its addresses.
async fn mail_server<F>(serve: fn(TcpStream) -> F) -> io::Result<u16>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listeners = loop {
        match listen_everywhere().await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => break other?,
        }
    };
    let port = listeners[0].local_addr()?.port();
    for listener in listeners {
        tokio::spawn(accept(listener, serve));
    }
    Ok(port)
}

async fn listen_everywhere() -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for address in addresses().skip(1) {
        listeners.push(TcpListener::bind((address, port)).await?);
    }
    Ok(listeners)
}

fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (1..=ADDRESSES).map(|last| Ipv4Addr::new(127, 0, 0, last))
}

/// Serves every connection in a task of its own.
///
/// A session that fails was given up by its peer, who knows; nobody else has to. A failed accept (out of
/// descriptors) ends the listener, which the peers notice as refused connections.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        // Fails only for a connection that is gone, and its session finds that out.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream));
    }
}

fn announce(places: &Places) -> io::Result<()> {
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, places)?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Waits for the end of standard input. It may be a pipe or a file, which only a thread can wait for alike.
async fn end_of_input() {
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // A failed read is an end as good as any.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(ended);
    });
    // It is the dropped sender that tells.
    let _ = end.await;
}

/// Reads commands of one line, and sends `answer(verb)` to each until the client says `QUIT`.
async fn answer_lines(wire: &mut Wire<TcpStream>, answer: impl Fn(&[u8]) -> Answer) -> io::Result<()> {
    loop {
        let line = wire.line().await?;
        match answer(verb(line)) {
            Answer::Line(reply) => wire.send(reply).await?,
            Answer::Message { go_on, taken } => {
                wire.send(go_on).await?;
                while wire.line().await? != b"." {}
                wire.send(taken).await?;
            }
            Answer::Last(reply) => return wire.send(reply).await,
        }
    }
}

/// What follows a command.
enum Answer {
    /// A reply.
    Line(&'static [u8]),
    /// A reply, a message up to the line with a dot, another reply.
    Message { go_on: &'static [u8], taken: &'static [u8] },
    /// A reply, and the end of the session.
    Last(&'static [u8]),
}

/// The first word of a command.
fn verb(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b' ').next().unwrap_or_default()
}
