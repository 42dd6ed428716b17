//! Moves bytes both ways between a client and its upstream, unchanged.
//!
//! Nothing is parsed, counted or normalised here: line ends and dots inside a message are the end points' affair.

use std::future::poll_fn;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::link::Link;
use crate::rest;
use crate::scratch;
use crate::teller::Action;
use crate::trouble::{Call, Trouble, UpstreamTrouble};

/// Silence that ends a session whose client has said its last word, if `proxy_timeout` does not end it first.
///
/// An upstream that has not finished by then does not look at its connection.
const AFTER_CLIENT: Duration = Duration::from_mins(10);

/// How often to look whether a relay that could not rest, because somebody does not take what is theirs, can now.
const LOOK: Duration = Duration::from_mins(1);

/// Two links with a session between them.
#[derive(Debug)]
pub struct Relay {
    client: Link,
    upstream: Link,
    to_upstream: Flow,
    to_client: Flow,
    /// Set when nothing can be sent to the upstream any more; what it has already said is still delivered.
    deaf: Option<Box<Broken>>,
    /// `proxy_timeout`.
    timeout: Duration,
    /// When a byte was moved last.
    last: Instant,
}

/// Why a relay stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Both sides are done.
    Done,
    /// Neither side has said anything for a while, and nothing is on its way: the session may rest.
    Silence,
}

/// How a relay broke, and while doing what.
#[derive(Debug)]
pub struct Broken {
    /// What happened.
    pub trouble: Trouble,
    /// While doing what.
    pub action: Action,
    /// Whether the session nevertheless counts as done: the other side simply went away.
    pub done: bool,
}

/// Bytes that a flow reads at a time, at first and where the reader is slow: what it does not take has to be kept.
const SLOW: usize = 64 * 1024;

/// One direction: what was read and could not be written yet, and whether its end was seen and passed on.
#[derive(Debug)]
struct Flow {
    waiting: BytesMut,
    /// How much to read at a time: grows while all is taken at once.
    room: usize,
    ended: bool,
    closed: bool,
    /// Whether the last that was read is a goodbye.
    goodbye: bool,
    /// Whether the end is passed on by closing, since the reader has nothing more to say.
    parts: bool,
}

/// A failure of one direction.
struct Fault {
    call: Call,
    error: io::Error,
}

impl Relay {
    /// A relay that first gives `for_upstream` to the upstream and `for_client` to the client.
    pub fn new(
        client: Link,
        upstream: Link,
        for_upstream: BytesMut,
        for_client: BytesMut,
        timeout: Duration,
    ) -> Self {
        let flow =
            |waiting| Flow { waiting, room: SLOW, ended: false, closed: false, goodbye: false, parts: false };
        let (to_upstream, to_client) = (flow(for_upstream), flow(for_client));
        Self { client, upstream, to_upstream, to_client, deaf: None, timeout, last: Instant::now() }
    }

    /// Runs until both sides are done, one fails, or neither has said anything for `proxy_timeout`. Where sessions
    /// can rest it also stops when there is nothing to do; it can go on later.
    pub async fn run(&mut self) -> Result<Stop, Broken> {
        let looks = if rest::is_possible() { Instant::now() + rest::AFTER } else { self.deadline() };
        let mut clock = pin!(sleep_until(looks.min(self.deadline())));
        poll_fn(|cx| self.poll(cx, clock.as_mut())).await
    }

    /// Gives up what is of no use until one of the sides speaks again. It must be [silent](Stop::Silence).
    pub fn rest(&mut self) -> io::Result<()> {
        self.client.rest()?;
        self.upstream.rest()
    }

    /// Takes it back.
    pub fn wake(&mut self) -> io::Result<()> {
        self.client.wake()?;
        self.upstream.wake()
    }

    /// The descriptors of a relay at rest.
    pub fn resting(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [self.client.resting(), self.upstream.resting()]
    }

    /// When `proxy_timeout` ends it, unless one of the sides speaks before.
    pub fn deadline(&self) -> Instant {
        self.last + self.timeout
    }

    /// `proxy_timeout`.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ends the connection to the upstream, once it has [stopped](Stop::Done), and gives back the client's, which has to be
    /// ended so that the last words arrive. `true`: the client has said goodbye, and all of that was read.
    pub fn part(self) -> (Link, bool) {
        if self.to_client.ended {
            self.upstream.abandon();
        }
        (self.client, self.to_client.parts)
    }

    fn poll(&mut self, cx: &mut Context<'_>, clock: Pin<&mut Sleep>) -> Poll<Result<Stop, Broken>> {
        let mut moved = false;
        let up = self.to_upstream.poll(cx, &mut self.client, &mut self.upstream, &mut moved);
        self.to_client.parts = self.to_upstream.goodbye && self.client.is_clear();
        let down = self.to_client.poll(cx, &mut self.upstream, &mut self.client, &mut moved);
        match up {
            Poll::Ready(Err(fault)) if fault.call == Call::Send => {
                self.to_upstream.closed = true;
                self.deaf = Some(Box::new(fault.upwards()));
            }
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.upwards())),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if let Poll::Ready(ended) = down {
            // The upstream is gone and the client has its last word: nothing that the client says can matter.
            if ended.is_ok() && !self.to_upstream.closed {
                self.upstream.sign_off(cx);
            }
            let ended = ended.map(|()| Stop::Done).map_err(Fault::downwards);
            return Poll::Ready(self.deaf.take().map_or(ended, |broken| Err(*broken)));
        }
        if moved {
            self.last = Instant::now();
        }
        self.poll_silence(cx, clock)
    }

    /// Any byte in either direction restarts the clock. It is wound only when it has run down.
    fn poll_silence(&self, cx: &mut Context<'_>, mut clock: Pin<&mut Sleep>) -> Poll<Result<Stop, Broken>> {
        let last = self.last;
        let limit = if self.to_upstream.closed { self.timeout.min(AFTER_CLIENT) } else { self.timeout };
        if clock.deadline() > last + limit {
            clock.as_mut().reset(last + limit);
        }
        loop {
            ready!(clock.as_mut().poll(cx));
            let now = clock.deadline();
            if last + limit <= now {
                return Poll::Ready(Err(Broken {
                    trouble: Trouble::ClientTimedOut,
                    action: Action::Proxying,
                    done: false,
                }));
            }
            let look = match (rest::is_possible(), self.is_quiet()) {
                (true, true) if last + rest::AFTER <= now => return Poll::Ready(Ok(Stop::Silence)),
                (true, true) => last + rest::AFTER,
                (true, false) => now + LOOK,
                (false, _) => last + limit,
            };
            clock.as_mut().reset(look.min(last + limit));
        }
    }

    /// Whether it holds nothing and has seen no end.
    fn is_quiet(&self) -> bool {
        let flows = [&self.to_upstream, &self.to_client];
        flows.iter().all(|flow| flow.waiting.is_empty() && !flow.ended && !flow.closed)
            && self.deaf.is_none()
            && self.client.is_quiet()
            && self.upstream.is_quiet()
    }
}

impl Flow {
    /// Moves what can be moved; ready when the end of `from` has been passed on to `to`.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Link,
        to: &mut Link,
        moved: &mut bool,
    ) -> Poll<Result<(), Fault>> {
        while !self.closed {
            ready!(self.poll_flush(cx, to, moved)).map_err(Fault::send)?;
            if self.ended {
                if !self.parts {
                    // The peer may be gone already; then there is nobody to tell.
                    let _ = ready!(to.poll_shutdown(cx));
                }
                self.closed = true;
                break;
            }
            ready!(from.poll_readable(cx)).map_err(Fault::recv)?;
            self.pass(from, to, moved)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits. A flow that has nothing to write holds no buffer.
    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut Link, moved: &mut bool) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match to.try_write(&self.waiting) {
                Ok(n) => {
                    self.waiting.advance(n);
                    *moved = true;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(to.poll_writable(cx))?,
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        self.waiting = BytesMut::new();
        to.poll_flush(cx)
    }

    /// One read and one write; what the write leaves over waits.
    fn pass(&mut self, from: &mut Link, to: &mut Link, moved: &mut bool) -> Result<(), Fault> {
        scratch::lend(|buffer| {
            let room = self.room.min(buffer.len());
            let n = match from.try_read(&mut buffer[..room]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // TLS without close_notify: many clients and servers end like that.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true;
                    return Ok(());
                }
                Err(e) => return Err(Fault::recv(e)),
            };
            *moved = true;
            self.goodbye = is_goodbye(&buffer[..n]);
            let written = match to.try_write(&buffer[..n]) {
                Ok(written) => written,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                Err(e) => return Err(Fault::send(e)),
            };
            self.waiting.extend_from_slice(&buffer[written..n]);
            if written < n {
                self.room = SLOW;
            } else if n == room {
                self.room = (2 * room).min(scratch::SIZE);
            }
            Ok(())
        })
    }
}

/// Whether `bytes` end with a command by which a client leaves. Nothing depends on it but how its connection is closed.
fn is_goodbye(bytes: &[u8]) -> bool {
    let tail = bytes.len().saturating_sub(b" LOGOUT\r\n".len());
    let words = bytes[tail..].trim_ascii_end().rsplit(|byte| matches!(byte, b' ' | b'\n'));
    let last = words.take(1).next().unwrap_or_default();
    bytes.ends_with(b"\n") && [&b"QUIT"[..], b"LOGOUT"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

impl Fault {
    fn recv(error: io::Error) -> Self {
        Self { call: Call::Recv, error }
    }

    fn send(error: io::Error) -> Self {
        Self { call: Call::Send, error }
    }

    /// As a fault between client and upstream. A side that resets its connection is taken for one that closed it.
    fn upwards(self) -> Broken {
        let Self { call, error: source } = self;
        match call {
            Call::Recv => Broken {
                trouble: Trouble::Client { call, source },
                action: Action::ReadingClient,
                done: true,
            },
            Call::Send => Broken {
                trouble: UpstreamTrouble::Io { call, source }.into(),
                action: Action::SendingUpstream,
                done: false,
            },
        }
    }

    /// As a fault between upstream and client.
    fn downwards(self) -> Broken {
        let Self { call, error: source } = self;
        match call {
            Call::Recv => Broken {
                trouble: UpstreamTrouble::Io { call, source }.into(),
                action: Action::ReadingUpstream,
                done: true,
            },
            Call::Send => Broken {
                trouble: Trouble::Client { call, source },
                action: Action::SendingClient,
                done: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::task::JoinHandle;
    use tokio::time::sleep;

    use super::*;

    const TIMEOUT: Duration = Duration::from_hours(1);

    /// A relay at work between a client and an upstream that the test plays.
    struct Bench {
        client: UnixStream,
        upstream: UnixStream,
        relay: JoinHandle<Result<(), Broken>>,
    }

    impl Bench {
        fn new(for_upstream: &[u8], for_client: &[u8]) -> Self {
            let (client, ours) = UnixStream::pair().unwrap();
            let (theirs, upstream) = UnixStream::pair().unwrap();
            let (up, down) = (BytesMut::from(for_upstream), BytesMut::from(for_client));
            let mut relay = Relay::new(ours.into(), theirs.into(), up, down, TIMEOUT);
            Self { client, upstream, relay: tokio::spawn(async move { relay.run().await.map(drop) }) }
        }

        async fn ended(self) -> Result<(), (String, Action, bool)> {
            let ended = self.relay.await.unwrap();
            ended.map_err(|broken| (broken.trouble.to_string(), broken.action, broken.done))
        }
    }

    async fn read(stream: &mut UnixStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_moved_unchanged_whatever_they_look_like() {
        let odd = b"\n.\n\r.\r\r\n.\n\r\n.\r\n.\r\n\0\xff.\r\nMAIL FROM:<a>\r\n";
        let mut bench = Bench::new(b"", b"");
        bench.client.write_all(odd).await.unwrap();
        assert_eq!(read(&mut bench.upstream, odd.len()).await, odd);
        bench.upstream.write_all(odd).await.unwrap();
        assert_eq!(read(&mut bench.client, odd.len()).await, odd);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_over_from_the_login_goes_first() {
        let mut bench = Bench::new(b"b SELECT INBOX\r\n", b"a OK\r\n");
        bench.client.write_all(b"c NOOP\r\n").await.unwrap();
        assert_eq!(read(&mut bench.upstream, 24).await, b"b SELECT INBOX\r\nc NOOP\r\n");
        assert_eq!(read(&mut bench.client, 6).await, b"a OK\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_said_its_last_word_still_gets_the_answer() {
        let mut bench = Bench::new(b"", b"");
        bench.client.write_all(b"a LOGOUT\r\n").await.unwrap();
        bench.client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        bench.upstream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"a LOGOUT\r\n");
        sleep(Duration::from_mins(9)).await;
        bench.upstream.write_all(b"* BYE\r\n").await.unwrap();
        bench.upstream.shutdown().await.unwrap();
        assert_eq!(read(&mut bench.client, 7).await, b"* BYE\r\n");
        assert_eq!(bench.ended().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_closes_ends_the_session_with_its_last_word_delivered() {
        let mut bench = Bench::new(b"", b"");
        bench.upstream.write_all(b"* BYE\r\n").await.unwrap();
        bench.upstream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        bench.client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"* BYE\r\n");
        assert_eq!(bench.ended().await, Ok(()));
    }

    /// Whether a client that has said `last` may still be talking when its upstream has said the last word.
    async fn may_talk_on(last: &[u8]) -> bool {
        let (mut client, ours) = UnixStream::pair().unwrap();
        let (theirs, mut upstream) = UnixStream::pair().unwrap();
        let (up, down) = (BytesMut::new(), BytesMut::new());
        let mut relay = Relay::new(ours.into(), theirs.into(), up, down, TIMEOUT);
        let relay = tokio::spawn(async move {
            relay.run().await.unwrap();
            relay.part()
        });
        client.write_all(last).await.unwrap();
        read(&mut upstream, last.len()).await;
        upstream.write_all(b"bye\r\n").await.unwrap();
        drop(upstream);
        let (link, has_left) = relay.await.unwrap();
        let _link = Some(link).filter(|_| !has_left);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"bye\r\n");
        !has_left
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_said_goodbye_is_not_listened_to_any_more() {
        for last in ["a LOGOUT\r\n", "a.1 logout\n", "QUIT\r\n", "quit \r\n", "NOOP\r\nQUIT\r\n"] {
            assert!(!may_talk_on(last.as_bytes()).await, "{last:?}");
        }
        for last in [
            "a NOOP\r\n",
            "QUIT",
            "a LOGOUT",
            "RCPT TO:<quit>\r\n",
            "XQUIT\r\n",
            "QUIT\r\nx\r\n",
            "\r\n",
            "x",
        ] {
            assert!(may_talk_on(last.as_bytes()).await, "{last:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_on_both_sides_ends_a_session() {
        let begun = Instant::now();
        let bench = Bench::new(b"", b"");
        let ended = bench.ended().await;
        assert_eq!(ended, Err(("client timed out".to_owned(), Action::Proxying, false)));
        assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_in_either_direction_restarts_the_clock() {
        let mut bench = Bench::new(b"", b"");
        for _ in 0..5 {
            sleep(Duration::from_mins(50)).await;
            bench.upstream.write_all(b"* 1 EXISTS\r\n").await.unwrap();
            read(&mut bench.client, 12).await;
            sleep(Duration::from_mins(50)).await;
            bench.client.write_all(b"DONE\r\n").await.unwrap();
            read(&mut bench.upstream, 6).await;
        }
        let last = Instant::now();
        assert!(bench.ended().await.is_err());
        assert_eq!(last.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_does_not_notice_the_end_is_not_waited_for_all_day() {
        let begun = Instant::now();
        let mut bench = Bench::new(b"", b"");
        bench.client.shutdown().await.unwrap();
        assert!(bench.ended().await.is_err());
        assert_eq!(begun.elapsed().as_secs(), AFTER_CLIENT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_stops_the_upstream_instead_of_filling_memory() {
        let mut bench = Bench::new(b"", b"");
        let chunk: Vec<u8> = (0..=255).cycle().take(256 * 1024).collect();
        let mut sent = Vec::new();
        while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_secs(1), bench.upstream.write(&chunk)).await
        {
            sent.extend_from_slice(&chunk[..n]);
            assert!(sent.len() < 4 * 1024 * 1024, "the relay takes without end");
        }
        bench.upstream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        bench.client.read_to_end(&mut heard).await.unwrap();
        assert!(heard == sent, "{} bytes sent, {} heard", sent.len(), heard.len());
        assert_eq!(bench.ended().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_upstream_has_said_arrives_although_it_hears_no_more() {
        let mut bench = Bench::new(b"", b"");
        // Two writes are under way when the upstream goes: its own last word, and the client's that it will not hear.
        bench.client.write_all(b"a NOOP\r\n").await.unwrap();
        bench.upstream.write_all(b"* BYE too many errors\r\n").await.unwrap();
        let Bench { mut client, upstream, relay } = bench;
        drop(upstream);
        assert_eq!(read(&mut client, 23).await, b"* BYE too many errors\r\n");
        let broken = relay.await.unwrap().unwrap_err();
        assert_eq!((broken.action, broken.done), (Action::SendingUpstream, false));
    }
}
