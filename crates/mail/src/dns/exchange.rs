//! Questions on the wire: to whom, how often, and which packets answer.
//!
//! Each sending has a socket, a port and an id of its own, all of them the system's random choice, and its socket is
//! connected, so packets from anywhere but the asked server are not seen at all. A forger has to guess 32 bits within
//! the time of an answer (RFC 5452).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use super::Failure;
use super::counters::Counters;
use super::message::{Answer, Question, Reading};
use super::servers::Servers;

/// A question without an answer is sent again after this time, to the next server (as the originals).
pub(super) const RESEND: Duration = Duration::from_secs(5);

/// The time that a server has to answer over TCP (as the originals).
const TCP_TIME: Duration = Duration::from_secs(5);

/// How many sendings of a question may still be answered. Late answers to earlier ones are not waited for.
const MOST_OPEN: usize = 4;

/// Longest packet over UDP. Without EDNS a server may send 512 bytes (RFC 1035, section 4.2.1); the originals take this.
const LONGEST_PACKET: usize = 4096;

/// The way to the DNS servers.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) servers: Servers,
    pub(super) counters: Arc<Counters>,
    pub(super) resend: Duration,
}

impl Exchange {
    /// Asks until somebody answers. How long to wait for that is the caller's affair.
    ///
    /// A server that fails is followed by the next one at once, until each has been asked.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let mut flight = Flight { question, sent: VecDeque::new() };
        let mut left = self.servers.count();
        loop {
            left = left.saturating_sub(self.send(&mut flight).await);
            match self.wait(&mut flight, left > 0).await {
                Waited::Answer(answer) => return Ok(answer),
                Waited::Failed(failure) if left == 0 => return Err(failure),
                Waited::Failed(_) | Waited::Nothing => {}
            }
        }
    }

    /// Sends to the next server, and if that fails to the one after it. Returns how many were tried.
    async fn send(&self, flight: &mut Flight<'_>) -> usize {
        for tried in 1..=2 {
            if let Ok(sent) = Sent::new(self.servers.next(), flight.question).await {
                self.counters.sent(flight.question.kind);
                flight.add(sent);
                return tried;
            }
        }
        2
    }

    /// Waits until the question is answered or has to be sent again, which is at once if `others` may do better.
    async fn wait(&self, flight: &mut Flight<'_>, others: bool) -> Waited {
        let resend = Instant::now() + self.resend;
        while let Ok((server, landed)) = timeout_at(resend, flight.next()).await {
            match self.complete(server, landed, flight.question).await {
                Waited::Nothing if !others => {}
                waited => return waited,
            }
        }
        Waited::Nothing
    }

    /// Gets the rest of what was cut, over TCP.
    async fn complete(&self, server: SocketAddr, landed: Landed, question: &Question) -> Waited {
        match landed {
            Landed::Answer(answer) => Waited::Answer(answer),
            Landed::Failed(failure) => Waited::Failed(failure),
            Landed::Lost => Waited::Nothing,
            Landed::Truncated => match timeout(TCP_TIME, self.ask_over_tcp(server, question)).await {
                Ok(Ok(Reading::Answer(answer))) => Waited::Answer(answer),
                Ok(Ok(Reading::Failed(failure))) => Waited::Failed(failure),
                _ => Waited::Nothing,
            },
        }
    }

    /// RFC 7766: two bytes of length before each message.
    async fn ask_over_tcp(&self, server: SocketAddr, question: &Question) -> io::Result<Reading> {
        let id = random_id()?;
        let packet = question.packet(id);
        let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&[&length.to_be_bytes(), &packet[..]].concat()).await?;
        self.counters.sent(question.kind);
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok(question.read(id, &answer))
    }
}

/// How waiting ended.
enum Waited {
    Answer(Answer),
    Failed(Failure),
    /// Nothing of use; the question goes out again.
    Nothing,
}

/// A question on its way, as often as it was sent.
struct Flight<'a> {
    question: &'a Question,
    sent: VecDeque<Sent>,
}

/// What came of one sending.
enum Landed {
    Answer(Answer),
    Failed(Failure),
    Truncated,
    /// There is no server, says the network.
    Lost,
}

impl Flight<'_> {
    fn add(&mut self, sent: Sent) {
        self.sent.truncate(MOST_OPEN - 1);
        self.sent.push_front(sent);
    }

    /// The next sending to land. Never, if none is on its way.
    async fn next(&mut self) -> (SocketAddr, Landed) {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Landed)> {
        for at in 0..self.sent.len() {
            if let Poll::Ready(landed) = self.sent[at].landed.as_mut().poll(cx) {
                let server = self.sent[at].server;
                self.sent.remove(at);
                return Poll::Ready((server, landed));
            }
        }
        Poll::Pending
    }
}

/// A question sent to one server.
struct Sent {
    server: SocketAddr,
    landed: Pin<Box<dyn Future<Output = Landed> + Send>>,
}

impl Sent {
    async fn new(server: SocketAddr, question: &Question) -> io::Result<Self> {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        let id = random_id()?;
        socket.send(&question.packet(id)).await?;
        let question = question.clone();
        Ok(Self { server, landed: Box::pin(async move { landing(&socket, id, &question).await }) })
    }
}

/// Waits for the answer. Packets that answer something else are passed over; the right one may still come.
async fn landing(socket: &UdpSocket, id: u16, question: &Question) -> Landed {
    let mut packet = [0; LONGEST_PACKET];
    loop {
        // That nobody listens there is told as an error, not as something to read.
        let Ok(ready) = socket.ready(Interest::READABLE | Interest::ERROR).await else { return Landed::Lost };
        match socket.try_recv(&mut packet) {
            Ok(length) => match question.read(id, &packet[..length]) {
                Reading::Foreign => {}
                Reading::Truncated => return Landed::Truncated,
                Reading::Failed(failure) => return Landed::Failed(failure),
                Reading::Answer(answer) => return Landed::Answer(answer),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ready.is_error() => {}
            Err(_) => return Landed::Lost,
        }
    }
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(u16::from_ne_bytes(id))
}
