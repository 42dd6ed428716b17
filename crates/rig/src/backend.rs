//! A scripted mail server: what the proxy logs in to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::show;
use crate::server::{Serve, Server};
use crate::socket::{Listener, Place};
use crate::{PATIENCE, Script};

/// A server that plays one script per connection, then reads on until its peer ends.
///
/// Everything that it receives is kept per connection. Dropping it fails the test if a script met something else.
#[derive(Debug)]
pub struct Backend {
    server: Server,
}

impl Backend {
    /// Plays the same script on every connection.
    pub fn start(script: Script) -> Self {
        Self::serve(Listener::loopback(), vec![script])
    }

    /// Plays the first script on the first connection and so on; the last one on all further connections.
    pub fn start_each(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::serve(Listener::loopback(), scripts.into_iter().collect())
    }

    /// As [`Backend::start`], on an address of the test's choice.
    pub fn start_at(address: SocketAddr, script: Script) -> Self {
        Self::serve(Listener::at(address), vec![script])
    }

    /// As [`Backend::start`], on a unix socket that does not exist yet.
    pub fn start_unix(path: &Path, script: Script) -> Self {
        Self::serve(Listener::unix(path), vec![script])
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self.server.place() {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("this backend listens on {}", path.display()),
        }
    }

    /// The unix socket on which it listens.
    pub fn path(&self) -> PathBuf {
        match self.server.place() {
            Place::Unix(path) => path.clone(),
            Place::Tcp(address) => panic!("this backend listens on {address}"),
        }
    }

    /// How many connections there have been so far.
    pub fn connections(&self) -> usize {
        self.server.ledger().lock().connections.len()
    }

    /// Waits until connection `number` (from 0) has received `expected`, and nothing else before it.
    #[track_caller]
    pub fn expect_received(&self, number: usize, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let received = self.server.ledger().wait(|entries| {
            let entry = entries.connections.get(number)?;
            (entry.finished || entry.received.len() >= expected.len()).then(|| entry.received.clone())
        });
        let received = received.unwrap_or_else(|| self.received_so_far(number));
        assert!(
            received.starts_with(expected),
            "the backend's connection {number}\nexpected: {}\nreceived: {}",
            show(expected),
            show(&received)
        );
    }

    /// Waits until connection `number` (from 0) has ended; returns all that it received.
    #[track_caller]
    pub fn finished(&self, number: usize) -> Vec<u8> {
        let received = self.server.ledger().wait(|entries| {
            let entry = entries.connections.get(number)?;
            entry.finished.then(|| entry.received.clone())
        });
        received.unwrap_or_else(|| {
            let so_far = self.received_so_far(number);
            panic!("the backend's connection {number} goes on after {PATIENCE:?}: {}", show(&so_far))
        })
    }

    fn received_so_far(&self, number: usize) -> Vec<u8> {
        let entries = self.server.ledger().lock();
        entries.connections.get(number).map_or_else(Vec::new, |entry| entry.received.clone())
    }

    fn serve(bound: std::io::Result<(Listener, Place)>, scripts: Vec<Script>) -> Self {
        let serve: Arc<Serve> = Arc::new(move |number, wire| {
            let Some(script) = scripts.get(number).or(scripts.last()) else { return Ok(()) };
            wire.play(script)?;
            if !script.closes() {
                wire.linger();
            }
            Ok(())
        });
        Self { server: Server::start("the backend", bound, serve) }
    }
}

/// The dialogue of an IMAP login as the proxy leads it: literals, with the client's tag. Ends after the tagged OK.
pub fn imap_login(tag: &str, user: &str, password: &str) -> Script {
    Script::new()
        .say("* OK imap ready\r\n")
        .answer(format!("{tag} LOGIN {{{}}}\r\n", user.len()), "+ go\r\n")
        .answer(format!("{user} {{{}}}\r\n", password.len()), "+ go\r\n")
        .answer(format!("{password}\r\n"), format!("{tag} OK logged in\r\n"))
}

/// The dialogue of a POP3 login. Ends after the last `+OK`.
pub fn pop3_login(user: &str, password: &str) -> Script {
    Script::new()
        .say("+OK pop3 ready\r\n")
        .answer(format!("USER {user}\r\n"), "+OK password\r\n")
        .answer(format!("PASS {password}\r\n"), "+OK logged in\r\n")
}

/// The first part of an SMTP dialogue: greeting and the proxy's EHLO with its own name.
pub fn smtp_hello(server_name: &str) -> Script {
    Script::new()
        .say("220 smtp ready\r\n")
        .answer(format!("EHLO {server_name}\r\n"), "250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n")
}
