//! A scripted HTTP server: what the proxy asks where a user belongs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::bytes::{find, show};
use crate::server::{Serve, Server};
use crate::socket::{Listener, Place};
use crate::wire::Wire;
use crate::{PATIENCE, Script, secrets};

/// A server that reads requests up to the blank line and plays a script in answer to each.
///
/// A connection stays open after an answer for as long as the peer wants, unless the script closes it.
#[derive(Debug)]
pub struct AuthServer {
    server: Server,
    asked: Arc<Asked>,
}

/// One request, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Every byte, from the request line to the blank line.
    pub raw: Vec<u8>,
    /// The connection on which it came, from 0.
    pub connection: usize,
}

impl Request {
    /// The request as text, for comparison; bytes that are not UTF-8 are escaped.
    pub fn text(&self) -> String {
        String::from_utf8(self.raw.clone()).unwrap_or_else(|_| self.raw.escape_ascii().to_string())
    }

    /// The first line, without its end.
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// All behind the first line: header lines and the blank line.
    pub fn headers(&self) -> String {
        self.text().split_once("\r\n").map_or_else(String::new, |(_, rest)| rest.to_owned())
    }

    /// The value of a header, by its exact name and to the byte; `None` if there is no such line.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let from = find(&self.raw, format!("\r\n{name}: ").as_bytes())? + name.len() + 4;
        let value = &self.raw[from..];
        Some(&value[..find(value, b"\r\n")?])
    }

    /// The value of a header as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

#[derive(Debug, Default)]
struct Asked {
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: Request) {
        self.lock().push(request);
        self.changed.notify_all();
    }
}

impl AuthServer {
    /// Answers each request as the closure says.
    pub fn start(answer: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self::serve(Listener::loopback(), answer)
    }

    /// Answers every request alike.
    pub fn always(answer: Script) -> Self {
        Self::start(move |_| answer.clone())
    }

    /// Answers the first request with the first script and so on. A request for which none is left gets no answer.
    pub fn queue(answers: impl IntoIterator<Item = Script>) -> Self {
        let left: Mutex<VecDeque<_>> = Mutex::new(answers.into_iter().collect());
        Self::start(move |_| {
            left.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()
                .unwrap_or_else(|| Script::new().close())
        })
    }

    /// As [`AuthServer::start`], on a unix socket that does not exist yet.
    pub fn start_unix(path: &Path, answer: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self::serve(Listener::unix(path), answer)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self.server.place() {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("this auth server listens on {}", path.display()),
        }
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.asked.lock().clone()
    }

    /// How many connections there have been so far.
    pub fn connections(&self) -> usize {
        self.server.ledger().lock().connections.len()
    }

    /// Waits for request `number` (from 0).
    #[track_caller]
    pub fn request(&self, number: usize) -> Request {
        let (requests, _) = self
            .asked
            .changed
            .wait_timeout_while(self.asked.lock(), PATIENCE, |requests| requests.len() <= number)
            .unwrap_or_else(PoisonError::into_inner);
        let found = requests.get(number).cloned();
        drop(requests);
        found.unwrap_or_else(|| {
            panic!("there was no request {number} within {PATIENCE:?}; {}", self.received())
        })
    }

    /// Waits until the peer has closed connection `number` (from 0).
    #[track_caller]
    pub fn finished(&self, number: usize) {
        let finished =
            self.server.ledger().wait(|entries| entries.connections.get(number)?.finished.then_some(()));
        assert!(finished.is_some(), "connection {number} to the auth server goes on after {PATIENCE:?}");
    }

    fn received(&self) -> String {
        let entries = self.server.ledger().lock();
        let connections: Vec<_> = entries.connections.iter().map(|entry| show(&entry.received)).collect();
        format!("received on {} connections:\n{}", connections.len(), connections.join("\n"))
    }

    fn serve(
        bound: std::io::Result<(Listener, Place)>,
        answer: impl Fn(&Request) -> Script + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::<Asked>::default();
        let serve: Arc<Serve> = Arc::new({
            let asked = Arc::clone(&asked);
            move |connection, wire| {
                while let Some(raw) = next_request(wire) {
                    let request = Request { raw, connection };
                    let script = answer(&request);
                    learn(&request, &script);
                    asked.note(request);
                    wire.play(&script)?;
                    if script.closes() {
                        break;
                    }
                }
                Ok(())
            }
        });
        Self { server: Server::start("the auth server", bound, serve), asked }
    }
}

/// A password stands in no log from now on, unless this server itself repeats it where it does not belong.
fn learn(request: &Request, script: &Script) {
    let password = request.value("Auth-Pass").unwrap_or_default();
    if !password.is_empty() && !script.says(password) {
        secrets::learn(request.value("Auth-User").unwrap_or_default(), password);
    }
}

/// Reads up to the blank line; `None` once the peer ended, which it may at any time.
fn next_request(wire: &mut Wire) -> Option<Vec<u8>> {
    wire.patient_until(b"\r\n\r\n")
}

/// An answer of status 200 with the given header lines (`Name: value`), without a body.
pub fn answer(headers: &[&str]) -> Script {
    let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
    Script::new().say(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n"))
}

/// The user may log in, and belongs to `backend`.
pub fn allow(backend: SocketAddr) -> Script {
    allow_with(backend, &[])
}

/// The same with further header lines.
pub fn allow_with(backend: SocketAddr, headers: &[&str]) -> Script {
    let server = format!("Auth-Server: {}", backend.ip());
    let port = format!("Auth-Port: {}", backend.port());
    answer(&[&["Auth-Status: OK", &server, &port], headers].concat())
}

/// The user may not log in, for the reason `text`. Without `Auth-Wait`, so the session ends.
pub fn refuse(text: &str) -> Script {
    answer(&[&format!("Auth-Status: {text}")])
}

/// The same with `Auth-Wait`, so the client may try again after `seconds`.
pub fn refuse_for(seconds: u32, text: &str) -> Script {
    answer(&[&format!("Auth-Status: {text}"), &format!("Auth-Wait: {seconds}")])
}
