//! The bare flow: the least that a proxy has to do for a session, as a mark of what any proxy can reach on a machine.
//!
//! It is no proxy. It knows what this benchmark's stubs and clients say and nothing else, it believes everybody, it has no
//! limits, no log and no TLS, and it ends if something is not as it expects. What it does, it does in the cheapest way that
//! is known (docs/performance.md): one thread, epoll, and the ring by which gatepost sends and closes.

mod words;

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, connect, recv, send,
    socket_with,
};
use system::ring::{Job, Ring};

use words::{ALL, Words, question, server};

/// Room for one read.
const READ: usize = 256 * 1024;

/// Longer sends are not gathered.
const LONGEST: usize = 8192;

/// Sends and closes that go out at once.
const FULL: usize = 64;

/// So many of them show that there is much to do: then the others are let run first.
const MANY: usize = 3;

/// Events that are taken at a time.
const EVENTS: usize = 256;

/// Serves where the environment says, as peers are told to. Never ends but by a failure.
pub(crate) fn serve() -> io::Result<()> {
    if env::var_os("BENCH_CERTIFICATE").is_some() {
        return Err(io::Error::other("the bare flow has no TLS"));
    }
    if variable::<usize>("BENCH_WORKERS")? != 1 {
        return Err(io::Error::other("the bare flow has one thread"));
    }
    let mut flow = Flow::new()?;
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        let much = flow.letters.len() + flow.closing.len() >= MANY;
        flow.flush();
        flow.free.append(&mut flow.left);
        if much {
            thread::yield_now();
        }
        match epoll::wait(&flow.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (data, flags) = (event.data, event.flags);
            flow.turn(Place::from(data.u64()), flags.contains(epoll::EventFlags::RDHUP))?;
        }
    }
}

/// A value of the environment.
fn variable<T: FromStr>(name: &str) -> io::Result<T> {
    let value = env::var(name).ok().and_then(|value| value.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{name} is not set, or wrong")))
}

/// Whose descriptor it is that something has happened to.
#[derive(Clone, Copy, Debug)]
enum Place {
    Listener(usize),
    Client(usize),
    Upstream(usize),
    Auth(usize),
}

impl From<u64> for Place {
    fn from(word: u64) -> Self {
        let number = usize::try_from(word >> 2).unwrap_or_default();
        match word & 3 {
            0 => Self::Listener(number),
            1 => Self::Client(number),
            2 => Self::Upstream(number),
            _ => Self::Auth(number),
        }
    }
}

impl From<Place> for u64 {
    fn from(place: Place) -> Self {
        let (number, kind) = match place {
            Place::Listener(number) => (number, 0),
            Place::Client(number) => (number, 1),
            Place::Upstream(number) => (number, 2),
            Place::Auth(number) => (number, 3),
        };
        number as Self * 4 + kind
    }
}

/// How far a session has come.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The client has got so many replies.
    Greeted(usize),
    /// The auth service has been asked.
    Asking,
    /// The upstream has been told so many of the words of a login.
    LoggingIn(usize),
    Relaying,
    Over,
}

#[derive(Debug)]
struct Session {
    words: &'static Words,
    /// Until it is over.
    client: Option<Rc<OwnedFd>>,
    upstream: Option<Rc<OwnedFd>>,
    phase: Phase,
}

/// What has to be sent to one peer.
#[derive(Debug)]
struct Letter {
    to: Rc<OwnedFd>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Flow {
    epoll: OwnedFd,
    ring: Ring,
    buffer: Vec<u8>,
    listeners: Vec<TcpListener>,
    auth: SocketAddr,
    /// Connections to the auth service, with the session that waits for each.
    asked: Vec<(Rc<OwnedFd>, usize)>,
    /// Those which nobody waits for.
    idle: Vec<usize>,
    sessions: Vec<Session>,
    /// Numbers of sessions that are over.
    free: Vec<usize>,
    /// The same, but there may be events of theirs.
    left: Vec<usize>,
    letters: Vec<Letter>,
    closing: Vec<Rc<OwnedFd>>,
    /// Empty buffers for letters to come.
    spare: Vec<Vec<u8>>,
}

impl Flow {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut listeners = Vec::new();
        for (number, words) in ALL.iter().enumerate() {
            let listener = TcpListener::bind(variable::<SocketAddr>(words.place)?)?;
            listener.set_nonblocking(true)?;
            // Those who are accepted inherit it.
            set_tcp_nodelay(&listener, true)?;
            epoll::add(&epoll, &listener, data(Place::Listener(number)), epoll::EventFlags::IN)?;
            listeners.push(listener);
        }
        Ok(Self {
            epoll,
            ring: Ring::new(u32::try_from(FULL).expect("it is small")),
            buffer: vec![0; READ],
            listeners,
            auth: variable("BENCH_AUTH")?,
            asked: Vec::new(),
            idle: Vec::new(),
            sessions: Vec::new(),
            free: Vec::new(),
            left: Vec::new(),
            letters: Vec::new(),
            closing: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// What an event asks for. `ends`: the peer has said its last word.
    fn turn(&mut self, place: Place, ends: bool) -> io::Result<()> {
        match place {
            Place::Listener(number) => self.accept(number),
            Place::Client(number) => self.read(number, false, ends),
            Place::Upstream(number) => self.read(number, true, ends),
            Place::Auth(number) => self.answered(number),
        }
    }

    fn accept(&mut self, number: usize) -> io::Result<()> {
        let words = &ALL[number];
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let client = match accept_with(&self.listeners[number], flags) {
                Ok(client) => Rc::new(client),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.post(&client, words.greeting);
            let session =
                Session { words, client: Some(Rc::clone(&client)), upstream: None, phase: Phase::Greeted(0) };
            let number = if let Some(number) = self.free.pop() {
                self.sessions[number] = session;
                number
            } else {
                self.sessions.push(session);
                self.sessions.len() - 1
            };
            self.watch(&client, Place::Client(number))?;
        }
    }

    fn watch(&self, whom: &OwnedFd, place: Place) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, whom, data(place), flags)?)
    }

    /// Reads all that a client or an upstream has said.
    fn read(&mut self, number: usize, from_upstream: bool, ends: bool) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let Session { client, upstream, .. } = &self.sessions[number];
            // Whoever is over has neither.
            let Some(from) = (if from_upstream { upstream } else { client }) else { break };
            match recv(&**from, &mut *buffer, RecvFlags::empty()) {
                Ok((_, n @ 1..)) => {
                    self.heard(number, from_upstream, &buffer[..n])?;
                    match n {
                        READ => {}
                        _ if ends => self.end(number),
                        _ => break,
                    }
                }
                Err(Errno::AGAIN) => break,
                Ok(_) | Err(_) => self.end(number),
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn heard(&mut self, number: usize, from_upstream: bool, said: &[u8]) -> io::Result<()> {
        let Session { words, ref client, ref upstream, phase } = self.sessions[number];
        let (Some(client), upstream) = (client.clone(), upstream.clone()) else { return Ok(()) };
        let next = match (phase, upstream) {
            (Phase::Greeted(told), _) if told < words.replies.len() => {
                self.post(&client, words.replies[told]);
                Phase::Greeted(told + 1)
            }
            (Phase::Greeted(_), _) => {
                self.ask(number, &question(words, said))?;
                Phase::Asking
            }
            (Phase::LoggingIn(told), Some(upstream)) if told < words.logins.len() => {
                self.post(&upstream, words.logins[told]);
                Phase::LoggingIn(told + 1)
            }
            (Phase::LoggingIn(_), _) => {
                self.post(&client, words.welcome.unwrap_or(said));
                Phase::Relaying
            }
            (Phase::Relaying, Some(upstream)) => {
                self.post(if from_upstream { &client } else { &upstream }, said);
                Phase::Relaying
            }
            (phase, _) => phase,
        };
        self.sessions[number].phase = next;
        Ok(())
    }

    fn ask(&mut self, number: usize, question: &[u8]) -> io::Result<()> {
        let place = if let Some(place) = self.idle.pop() {
            place
        } else {
            let connection = dial(self.auth)?;
            poll(&mut [PollFd::new(&connection, PollFlags::OUT)], None)?;
            self.watch(&connection, Place::Auth(self.asked.len()))?;
            self.asked.push((Rc::new(connection), number));
            self.asked.len() - 1
        };
        self.asked[place].1 = number;
        let connection = Rc::clone(&self.asked[place].0);
        self.post(&connection, question);
        Ok(())
    }

    /// Connects to where the auth service says. A client that is refused hears nothing more.
    fn answered(&mut self, place: usize) -> io::Result<()> {
        let (connection, number) = &self.asked[place];
        let (number, buffer) = (*number, &mut self.buffer[..LONGEST]);
        let n = match recv(&**connection, &mut *buffer, RecvFlags::empty()) {
            Ok((_, n @ 1..)) => n,
            Err(Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(_) => return Err(io::Error::other("the auth service has gone")),
        };
        let found = server(&buffer[..n]);
        self.idle.push(place);
        let is_there = matches!(self.sessions[number].phase, Phase::Asking);
        if !is_there {
            self.left.push(number);
        } else if let Some(found) = found {
            let upstream = Rc::new(dial(found)?);
            self.watch(&upstream, Place::Upstream(number))?;
            self.sessions[number].upstream = Some(upstream);
            self.sessions[number].phase = Phase::LoggingIn(0);
        } else {
            self.sessions[number].phase = Phase::Over;
        }
        Ok(())
    }

    fn end(&mut self, number: usize) {
        let session = &mut self.sessions[number];
        // Nobody else gets the number, and with it the answer, while one is on its way.
        let is_asking = matches!(session.phase, Phase::Asking);
        session.phase = Phase::Over;
        if let Some(upstream) = session.upstream.take() {
            // It has closed, or is to forget a client that has gone.
            let _ = set_socket_linger(&*upstream, Some(Duration::ZERO));
            self.closing.push(upstream);
        }
        self.closing.extend(session.client.take());
        if !is_asking {
            self.left.push(number);
        }
    }

    fn post(&mut self, to: &Rc<OwnedFd>, bytes: &[u8]) {
        if bytes.len() > LONGEST || self.letters.len() + self.closing.len() >= FULL {
            self.flush();
        }
        if bytes.len() > LONGEST {
            return insist(to, bytes);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.letters.push(Letter { to: Rc::clone(to), bytes: buffer });
    }

    /// Sends and closes everything.
    fn flush(&mut self) {
        let jobs = self.letters.iter().map(|Letter { to, bytes }| Job::Send {
            to: to.as_raw_fd(),
            bytes,
            more: false,
        });
        let sent = self.ring.run(jobs.collect());
        for (Letter { to, bytes }, sent) in self.letters.drain(..).zip(sent) {
            match sent {
                Ok(n) => insist(&to, &bytes[n..]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => insist(&to, &bytes),
                // It has gone, which its next event says too.
                Err(_) => {}
            }
            self.spare.push(bytes);
        }
        let closing = self.closing.drain(..).filter_map(Rc::into_inner).map(Job::Close);
        self.ring.run(closing.collect());
    }
}

fn data(place: Place) -> epoll::EventData {
    epoll::EventData::new_u64(place.into())
}

/// Begins to connect.
fn dial(to: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Sends all of `bytes`, however long that takes. Everybody else waits; stubs and clients read whatever they are told.
fn insist(to: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let done = match send(to, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => poll(&mut [PollFd::new(to, PollFlags::OUT)], None).map(|_| 0),
            sent => sent,
        };
        match done {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // It has gone, which its next event says too.
            Err(_) => return,
        }
    }
}
