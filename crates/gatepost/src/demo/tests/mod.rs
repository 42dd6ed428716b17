//! The demo store over real sockets: a scripted client here, real software in `tools`.

mod imap;
mod pop3;
mod smtp;
mod tools;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Backends, Plan, Ports, Store};

/// Longer than any answer takes; only a broken store waits that long.
const PATIENCE: Duration = Duration::from_secs(10);

async fn store() -> Backends {
    Store::start().await.expect("the store starts")
}

/// A client that knows lines and nothing else.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and reads the greeting, which has to begin with `greeting`.
    async fn greeted(address: SocketAddr, greeting: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the store listens");
        let mut client = Self(BufReader::new(stream));
        client.expect(greeting).await;
        client
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the store reads");
    }

    /// Reads lines up to the first that begins with `start`, and returns them all.
    async fn until(&mut self, start: &str) -> String {
        let mut seen = String::new();
        loop {
            let from = seen.len();
            let read = timeout(PATIENCE, self.0.read_line(&mut seen)).await;
            match read {
                Ok(Ok(count)) if count > 0 => {}
                other => panic!("{other:?} instead of {start:?} after {seen:?}"),
            }
            if seen[from..].starts_with(start) {
                return seen;
            }
        }
    }

    /// Reads one line, which has to begin with `start`.
    async fn expect(&mut self, start: &str) {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time").expect("a line");
        assert!(line.starts_with(start), "{line:?} instead of {start:?}");
    }

    /// Sends a line and reads up to the line that begins with `start`.
    async fn ask(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.until(start).await
    }

    /// Reads what is left; the store has to close.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end as well: the store does not read what it no longer wants.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("the store closes");
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// `end` comes after junk that no protocol understands.
async fn survives(address: SocketAddr, greeting: &str, end: &str) {
    for junk in [
        b"\0\0\0\0\r\n".repeat(100),
        b"\r\n".repeat(100),
        vec![b'x'; 1 << 20],
        vec![b'('; 60_000],
        b"a LOGIN {4294967295+}\r\n".to_vec(),
        b"\xff\xfe{99999999999999999999}\r\n".repeat(100),
    ] {
        let mut client = Client::greeted(address, greeting).await;
        // The store may close before all of it is written.
        let _ = client.0.write_all(&junk).await;
        let _ = client.0.get_mut().shutdown().await;
        client.rest().await;
    }
    let mut client = Client::greeted(address, greeting).await;
    client.send(end).await;
    client.rest().await;
}

#[tokio::test]
async fn junk_ends_sessions_and_nothing_else() {
    let store = store().await;
    survives(store.imap, "* OK", "a LOGOUT\r\n").await;
    survives(store.pop3, "+OK", "QUIT\r\n").await;
    survives(store.smtp, "220", "QUIT\r\n").await;
}

#[tokio::test]
async fn the_servers_end_with_their_handle() {
    let store = store().await;
    let mut client = Client::greeted(store.imap, "* OK").await;
    let address = store.imap;
    drop(store);
    assert_eq!(client.rest().await, "");
    // The listener goes when its task is dropped, which is at the next turn of the runtime.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_demo_tells_where_it_is_and_plans_a_proxy() {
    let mut text = Vec::new();
    let mut seen = None;
    let ports = Ports { imap: 0, pop3: 0, smtp: 0 };
    let proxy = |plan: Plan| {
        seen = Some((plan.imap.users_file(), plan.imap.backend, plan.imap.port.address));
        async move {
            // The store is up while the proxy runs.
            Client::greeted(plan.pop3.backend, "+OK").await;
            io::Result::Ok(())
        }
    };
    super::run(ports, &mut text, proxy).await.expect("a demo");
    let (users, backend, address) = seen.expect("the proxy ran");
    assert!(String::from_utf8(text).unwrap().contains(&format!("imap://{address}/")));
    let extra = format!("::::::host={} port={}\n", backend.ip(), backend.port());
    assert_eq!(users, format!("alice:{{PLAIN}}wonderland{extra}bob:{{PLAIN}}builder{extra}"));
}

#[tokio::test]
async fn a_demo_whose_proxy_fails_says_so() {
    let ports = Ports { imap: 0, pop3: 0, smtp: 0 };
    let proxy = |_| async { Err(io::Error::other("no proxy today")) };
    let trouble = super::run(ports, &mut Vec::new(), proxy).await.expect_err("no demo");
    assert_eq!(trouble.to_string(), "no proxy today");
}
