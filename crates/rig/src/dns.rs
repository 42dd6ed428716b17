//! A DNS server that plays what a test tells it, over UDP and TCP on one loopback port.
//!
//! Packets are put together by hand, so it can lie in every way that a test wants. A question that nobody gave it an
//! answer for is refused, and fails the test when the server is dropped.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::PATIENCE;

/// The type A.
pub const A: u16 = 1;
/// The type CNAME.
pub const CNAME: u16 = 5;
/// The type SOA.
pub const SOA: u16 = 6;
/// The type PTR.
pub const PTR: u16 = 12;
/// The type AAAA.
pub const AAAA: u16 = 28;

/// A running server. It ends when dropped.
pub struct DnsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A question that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name in lower case, without the last dot.
    pub name: String,
    /// The type.
    pub kind: u16,
    /// The id of the message.
    pub id: u16,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Where it came from.
    pub from: SocketAddr,
}

/// What to do with a question.
pub enum Play {
    /// Answer.
    Say(Reply),
    /// Answer, but to another id.
    SayToOtherId(Reply),
    /// Answer from another port.
    SayFromElsewhere(Reply),
    /// Answer as if another name had been asked for.
    SayOf(&'static str, Reply),
    /// Answer with exactly these bytes behind the id.
    SayBytes(Vec<u8>),
    /// Keep the answer until [`DnsServer::release`].
    Hold(Reply),
    /// Run this, and say nothing. Over TCP: close.
    Run(Box<dyn Fn() + Send>),
    /// Say nothing. Over TCP: close.
    Silence,
}

/// An answer being put together.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    flags: u16,
    answers: Vec<u8>,
    answer_count: u16,
    authorities: Vec<u8>,
    authority_count: u16,
    additionals: Vec<u8>,
    additional_count: u16,
    bare: bool,
}

impl Reply {
    /// An answer without records.
    pub fn empty() -> Self {
        Self::default()
    }

    /// An answer with one address.
    pub fn addr(name: &str, ttl: u32, ip: &str) -> Self {
        Self::empty().and_addr(name, ttl, ip)
    }

    /// An answer with one PTR record. `target` may hold any bytes; dots separate labels.
    pub fn ptr(name: &str, ttl: u32, target: impl AsRef<[u8]>) -> Self {
        Self::empty().and(name, PTR, ttl, &wire_name(target.as_ref()))
    }

    /// An answer with one CNAME record.
    pub fn cname(name: &str, ttl: u32, target: &str) -> Self {
        Self::empty().and_cname(name, ttl, target)
    }

    /// An error with this RCODE.
    pub fn error(code: u16) -> Self {
        Self { flags: code, ..Self::default() }
    }

    /// One more address.
    #[must_use]
    pub fn and_addr(self, name: &str, ttl: u32, ip: &str) -> Self {
        match ip.parse().expect("an address") {
            IpAddr::V4(ip) => self.and(name, A, ttl, &ip.octets()),
            IpAddr::V6(ip) => self.and(name, AAAA, ttl, &ip.octets()),
        }
    }

    /// One more CNAME record.
    #[must_use]
    pub fn and_cname(self, name: &str, ttl: u32, target: &str) -> Self {
        self.and(name, CNAME, ttl, &wire_name(target.as_bytes()))
    }

    /// One more record of any type.
    #[must_use]
    pub fn and(mut self, name: &str, kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.answers.extend(record(name, kind, ttl, data));
        self.answer_count += 1;
        self
    }

    /// A SOA record in the authority section.
    #[must_use]
    pub fn and_soa(mut self, ttl: u32, minimum: u32) -> Self {
        let numbers = [1, 7200, 3600, 86400, minimum].map(u32::to_be_bytes).concat();
        let data = [wire_name(b"ns.example"), wire_name(b"root.example"), numbers].concat();
        self.authorities.extend(record("example", SOA, ttl, &data));
        self.authority_count += 1;
        self
    }

    /// An address in the additional section.
    #[must_use]
    pub fn and_additional(mut self, name: &str, ttl: u32, ip: &str) -> Self {
        let Self { answers, answer_count, .. } = Self::addr(name, ttl, ip);
        self.additionals.extend(answers);
        self.additional_count += answer_count;
        self
    }

    /// With the flag that says: there is more, ask over TCP.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.flags |= 0x0200;
        self
    }

    /// Without the question that it answers.
    #[must_use]
    pub fn without_question(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Everything behind the id.
    fn bytes(&self, question: &[u8]) -> Vec<u8> {
        let question = if self.bare { &[] } else { question };
        // Response, recursion desired and available.
        let counts = [0x8180 | self.flags, 1 - u16::from(self.bare), self.answer_count, self.authority_count];
        let head = [counts[0], counts[1], counts[2], counts[3], self.additional_count]
            .map(u16::to_be_bytes)
            .concat();
        [&head, question, &self.answers, &self.authorities, &self.additionals].concat()
    }
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a short record");
    let facts = [&kind.to_be_bytes()[..], &IN, &ttl.to_be_bytes(), &length.to_be_bytes()].concat();
    [&wire_name(name.as_bytes()), &facts, data].concat()
}

/// The class IN.
const IN: [u8; 2] = [0, 1];

/// Labels with their lengths. The empty name is the root.
pub fn wire_name(name: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split(|byte| *byte == b'.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("a short label"));
        wire.extend(label);
    }
    wire.push(0);
    wire
}

impl DnsServer {
    /// A server that knows nothing yet.
    pub fn start() -> Self {
        let (udp, tcp) = sockets();
        let addr = udp.local_addr().expect("a bound socket has an address");
        let shared = Arc::<Shared>::default();
        let threads = vec![
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.serve_udp(&udp)
            }),
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.serve_tcp(&tcp)
            }),
        ];
        Self { addr, shared, threads }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Plays `plays`, one for each question for this name and type; the last one is played for all that follow.
    ///
    /// Replaces what was left of an earlier script for it.
    pub fn on(&self, name: &str, kind: u16, plays: impl IntoIterator<Item = Play>) {
        let mut plays: Vec<Play> = plays.into_iter().collect();
        plays.reverse();
        lock(&self.shared.script).insert((name.to_ascii_lowercase(), kind), plays);
    }

    /// Answers every question for this name and type.
    pub fn says(&self, name: &str, kind: u16, reply: Reply) {
        self.on(name, kind, [Play::Say(reply)]);
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// How many questions there were for this name and type.
    pub fn count(&self, name: &str, kind: u16) -> usize {
        self.asked().iter().filter(|asked| asked.name == name && asked.kind == kind).count()
    }

    /// Something that sends all answers that were held back so far.
    pub fn release(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            for held in lock(&shared.held).drain(..) {
                held.socket.send_to(&held.packet, held.to).expect("an answer can be sent");
            }
        }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Whatever waits wakes up and sees that it is over.
        let poke =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.addr));
        let poked = poke.is_ok() && TcpStream::connect(self.addr).is_ok();
        if poked {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
        let surprises = std::mem::take(&mut *lock(&self.shared.surprises));
        if !std::thread::panicking() {
            assert!(surprises.is_empty(), "nobody expected {surprises:?}");
        }
    }
}

/// The same port over UDP and TCP.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
        let addr = tcp.local_addr().expect("a listener has an address");
        if let Ok(udp) = UdpSocket::bind(addr) {
            return (udp, tcp);
        }
    }
}

/// The plays that are left for a question, the next one last.
type Script = HashMap<(String, u16), Vec<Play>>;

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    surprises: Mutex<Vec<Asked>>,
    held: Mutex<Vec<Held>>,
    stop: AtomicBool,
}

struct Held {
    socket: UdpSocket,
    to: SocketAddr,
    packet: Vec<u8>,
}

/// An answer on its way.
enum Out {
    Nothing,
    Packet(Vec<u8>),
    FromElsewhere(Vec<u8>),
    Held(Vec<u8>),
}

impl Shared {
    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let sent = match self.play(&buffer[..length], from, false) {
                Out::Nothing => Ok(0),
                Out::Packet(packet) => socket.send_to(&packet, from),
                Out::FromElsewhere(packet) => {
                    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|other| other.send_to(&packet, from))
                }
                Out::Held(packet) => socket.try_clone().map(|socket| {
                    lock(&self.held).push(Held { socket, to: from, packet });
                    0
                }),
            };
            sent.expect("an answer can be sent");
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        while let Ok((stream, from)) = listener.accept() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // A resolver that goes away is its own affair.
            let _ = self.converse(stream, from);
        }
    }

    fn converse(&self, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut question)?;
        if let Out::Packet(packet) = self.play(&question, from, true) {
            let length = u16::try_from(packet.len()).expect("an answer that fits");
            stream.write_all(&[&length.to_be_bytes(), &packet[..]].concat())?;
        }
        Ok(())
    }

    fn play(&self, packet: &[u8], from: SocketAddr, tcp: bool) -> Out {
        let Some((id, name, kind)) = parse(packet) else { return Out::Nothing };
        let asked = Asked { name, kind, id, tcp, from };
        lock(&self.asked).push(asked.clone());
        let mut script = lock(&self.script);
        let question = &packet[12..];
        let Some(plays) = script.get_mut(&(asked.name.clone(), kind)).filter(|plays| !plays.is_empty())
        else {
            lock(&self.surprises).push(asked);
            return Out::Packet(message(id, &Reply::error(5), question));
        };
        if plays.len() > 1 {
            return plays.pop().expect("there is one").out(id, question);
        }
        plays[0].out(id, question)
    }
}

impl Play {
    fn out(&self, id: u16, question: &[u8]) -> Out {
        match self {
            Self::Say(reply) => Out::Packet(message(id, reply, question)),
            Self::SayToOtherId(reply) => Out::Packet(message(id.wrapping_add(1), reply, question)),
            Self::SayFromElsewhere(reply) => Out::FromElsewhere(message(id, reply, question)),
            Self::SayOf(name, reply) => {
                let type_and_class = &question[question.len() - 4..];
                let other = [&wire_name(name.as_bytes()), type_and_class].concat();
                Out::Packet(message(id, reply, &other))
            }
            Self::SayBytes(bytes) => Out::Packet([&id.to_be_bytes(), &bytes[..]].concat()),
            Self::Hold(reply) => Out::Held(message(id, reply, question)),
            Self::Run(run) => {
                run();
                Out::Nothing
            }
            Self::Silence => Out::Nothing,
        }
    }
}

fn message(id: u16, reply: &Reply, question: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &reply.bytes(question)].concat()
}

/// Id, name and type of a question.
fn parse(packet: &[u8]) -> Option<(u16, String, u16)> {
    let (&[high, low], _) = packet.split_first_chunk()?;
    let mut rest = packet.get(12..)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            rest = after;
            break;
        }
        let (label, after) = after.split_at_checked((*length).into())?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
    let (&[kind_high, kind_low], _) = rest.split_first_chunk()?;
    Some((u16::from_be_bytes([high, low]), labels.join("."), u16::from_be_bytes([kind_high, kind_low])))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(id: u8, name: &[u8], kind: u16) -> Vec<u8> {
        let head = [0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&head, &wire_name(name)[..], &kind.to_be_bytes(), &IN].concat()
    }

    fn ask(server: &DnsServer, question: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        socket.send_to(question, server.addr()).expect("send");
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("an answer");
        buffer[..length].to_vec()
    }

    #[test]
    fn plays_follow_each_other_and_the_last_one_stays() {
        let server = DnsServer::start();
        let reply = Reply::addr("a.example", 60, "192.0.2.1");
        server.on("a.example", A, [Play::SayToOtherId(Reply::empty()), Play::Say(reply)]);
        let question = question(7, b"A.example", A);
        assert_eq!(ask(&server, &question)[..4], [0, 8, 0x81, 0x80]);
        for _ in 0..2 {
            let answer = ask(&server, &question);
            assert_eq!(answer[..12], [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            assert_eq!(answer[answer.len() - 6..], [0, 4, 192, 0, 2, 1]);
        }
        assert_eq!(server.count("a.example", A), 3);
    }

    #[test]
    fn the_same_port_answers_over_tcp() {
        let server = DnsServer::start();
        server.says("a.example", A, Reply::error(3).and_soa(5, 6));
        let question = question(9, b"a.example", A);
        let mut stream = TcpStream::connect(server.addr()).expect("connect");
        stream
            .write_all(&[&[0, u8::try_from(question.len()).expect("short")], &question[..]].concat())
            .expect("send");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert_eq!(answer[2..6], [0, 9, 0x81, 0x83]);
        assert!(server.asked()[0].tcp);
    }

    #[test]
    #[should_panic(expected = "nobody expected")]
    fn a_question_without_a_script_fails_the_test() {
        let server = DnsServer::start();
        assert_eq!(ask(&server, &question(1, b"surprise.example", PTR))[3] & 0x0f, 5);
    }
}
