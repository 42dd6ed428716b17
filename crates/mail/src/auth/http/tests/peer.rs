//! An auth server that plays what a test tells it. It knows nothing of HTTP but the blank line.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::address::Target;
use crate::auth::Pending;

/// What a connection runs over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// Answer, and wait for the next request.
    Answer(Vec<u8>),
    /// Answer in two pieces, some time apart, and wait for the next request.
    TwoPieces([Vec<u8>; 2], Duration),
    /// Answer, and close.
    AnswerAndClose(Vec<u8>),
    /// Answer byte by byte, with a pause before each, and close.
    Trickle(Vec<u8>, Duration),
    /// Answer, and be gone without TLS's farewell.
    AnswerAndVanish(Vec<u8>),
    /// Close without a word.
    Close,
    /// Say nothing, do nothing.
    Silence,
}

impl Play {
    pub(super) fn answer(text: impl AsRef<[u8]>) -> Self {
        Self::Answer(text.as_ref().to_vec())
    }

    pub(super) fn answer_and_close(text: impl AsRef<[u8]>) -> Self {
        Self::AnswerAndClose(text.as_ref().to_vec())
    }
}

/// A running server; it ends when dropped.
pub(super) struct Peer {
    target: Target,
    shared: Arc<Shared>,
    task: AbortHandle,
}

enum Listener {
    /// With the directory that the socket is in, which goes with it.
    Unix {
        listener: UnixListener,
        _dir: TempDir,
    },
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
}

impl Listener {
    /// A handshake that fails, or that the client does not begin, ends nothing but itself.
    async fn accept(&self) -> io::Result<Accepting> {
        Ok(match self {
            Self::Unix { listener, .. } => Accepting::ready(listener.accept().await?.0),
            Self::Tcp(listener) => Accepting::ready(listener.accept().await?.0),
            Self::Tls(listener, acceptor) => {
                let handshake = acceptor.accept(listener.accept().await?.0);
                Accepting(Box::pin(async { Ok(Box::new(handshake.await?) as Box<dyn Stream>) }))
            }
        })
    }
}

/// A connection that may still have to shake hands.
struct Accepting(Pending<'static, io::Result<Box<dyn Stream>>>);

impl Accepting {
    fn ready(stream: impl Stream + 'static) -> Self {
        Self(Box::pin(async { Ok(Box::new(stream) as Box<dyn Stream>) }))
    }
}

struct Shared {
    plays: Mutex<VecDeque<Play>>,
    seen: watch::Sender<Seen>,
}

/// What a server has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Connections accepted.
    pub(super) opened: usize,
    /// Connections that the client closed.
    pub(super) closed: usize,
    /// Plays that were played to their end without closing.
    pub(super) answers: usize,
    /// The heads of all requests.
    pub(super) requests: Vec<Vec<u8>>,
}

impl Peer {
    /// A server on a unix socket. It plays one of `plays` per request, the last one for ever.
    pub(super) fn unix(plays: impl IntoIterator<Item = Play>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("auth");
        let listener = Listener::Unix { listener: UnixListener::bind(&path).expect("a socket"), _dir: dir };
        Self::start(Target::Unix(path), listener, plays)
    }

    /// The same on TCP.
    pub(super) async fn tcp(plays: impl IntoIterator<Item = Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let target = Target::Ip(listener.local_addr().expect("an address"));
        Self::start(target, Listener::Tcp(listener), plays)
    }

    /// The same on TCP, behind TLS.
    pub(super) async fn tls(acceptor: TlsAcceptor, plays: impl IntoIterator<Item = Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let target = Target::Ip(listener.local_addr().expect("an address"));
        Self::start(target, Listener::Tls(listener, acceptor), plays)
    }

    fn start(target: Target, listener: Listener, plays: impl IntoIterator<Item = Play>) -> Self {
        let shared = Arc::new(Shared {
            plays: Mutex::new(plays.into_iter().collect()),
            seen: watch::Sender::new(Seen::default()),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok(stream) = listener.accept().await {
                connections.spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { target, shared, task: task.abort_handle() }
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    /// Where it listens, if on TCP.
    pub(super) fn addr(&self) -> SocketAddr {
        match self.target {
            Target::Ip(addr) => addr,
            _ => panic!("not on TCP"),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until what it has seen is as `wanted`.
    pub(super) async fn sees(&self, wanted: impl FnMut(&Seen) -> bool) {
        self.shared.seen.subscribe().wait_for(wanted).await.expect("the server lives");
    }

    /// The first line in any request that starts with `name`.
    pub(super) fn header(&self, request: usize, name: &str) -> Option<String> {
        let seen = self.seen();
        let text = String::from_utf8_lossy(&seen.requests[request]).into_owned();
        text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, accepting: Accepting) -> io::Result<()> {
        self.seen.send_modify(|seen| seen.opened += 1);
        let mut stream = accepting.0.await?;
        let result = self.play_all(&mut stream).await;
        // Closing before everything is read resets the connection.
        let is_close = |kind| matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
        if result.as_ref().is_err_and(|error| is_close(error.kind())) {
            self.seen.send_modify(|seen| seen.closed += 1);
        }
        result
    }

    async fn play_all(&self, stream: &mut Box<dyn Stream>) -> io::Result<()> {
        loop {
            let request = read_head(stream).await?;
            self.seen.send_modify(|seen| seen.requests.push(request));
            match self.next_play() {
                Play::Answer(bytes) => stream.write_all(&bytes).await?,
                Play::TwoPieces([first, second], pause) => {
                    stream.write_all(&first).await?;
                    stream.flush().await?;
                    sleep(pause).await;
                    stream.write_all(&second).await?;
                }
                Play::AnswerAndClose(bytes) => {
                    stream.write_all(&bytes).await?;
                    return stream.shutdown().await;
                }
                Play::AnswerAndVanish(bytes) => {
                    stream.write_all(&bytes).await?;
                    return stream.flush().await;
                }
                Play::Trickle(bytes, pause) => {
                    for byte in bytes {
                        sleep(pause).await;
                        stream.write_all(&[byte]).await?;
                    }
                    return stream.shutdown().await;
                }
                Play::Close => return stream.shutdown().await,
                Play::Silence => {}
            }
            stream.flush().await?;
            self.seen.send_modify(|seen| seen.answers += 1);
        }
    }

    fn next_play(&self) -> Play {
        let mut plays = self.plays.lock().expect("not poisoned");
        match plays.len() {
            1 => plays[0].clone(),
            _ => plays.pop_front().expect("a play"),
        }
    }
}

async fn read_head(stream: &mut Box<dyn Stream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
