//! One connection to an auth server: an exchange, and whether another may follow.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use proto::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time;

use super::head::{self, Flaw, Parsed};
use super::wire::{HEAD_LIMIT, Heard, LINE_LIMIT, Tape, Wire};

/// Longest body that is read, only to use the connection again.
const BODY_LIMIT: u64 = 64 * 1024;

/// How long a body may take; a new connection is cheaper than a longer wait.
const BODY_TIME: Duration = Duration::from_secs(1);

/// What a connection runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, driven by a task of its own that ends with it.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    tape: Tape,
    task: AbortHandle,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`.
    pub(super) async fn open(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let tape = Tape::default();
        let io = TokioIo::new(Wire::new(stream, tape.clone()));
        let (sender, driver) = http1::Builder::new()
            .http09_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(LINE_LIMIT)
            .max_buf_size(2 * HEAD_LIMIT)
            .handshake(io)
            .await?;
        let task = tokio::spawn(async move {
            // What went wrong is told to whoever waits for an answer; while nobody does, it is of no interest.
            let _: hyper::Result<()> = driver.await;
        });
        Ok(Self { sender, tape, task: task.abort_handle() })
    }

    /// Whether the server has closed it, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `request`, a complete head, and waits for the head of the answer; headers that are `noted` are kept.
    ///
    /// The head as received decides, whatever hyper thinks of it: a `Content-Length` that is none is no reason
    /// to turn a client away. hyper's opinion counts for using the connection again.
    pub(super) async fn exchange(&mut self, request: Secret, noted: &[Box<str>]) -> Result<Reply, Broken> {
        self.tape.begin(request);
        let (rest, error) = match self.sender.send_request(Request::new(Empty::new())).await {
            Ok(response) => {
                let (parts, mut body) = response.into_parts();
                let error = self.read_bare_head(&mut body).await.err();
                (is_worth_reading(&parts.headers, &body).then_some(body), error)
            }
            Err(error) => (None, Some(error)),
        };
        match self.tape.heard() {
            Heard::Head(head) => {
                let parsed = head::parse(head.expose(), noted).map_err(Broken::Flawed)?;
                Ok(Reply { parsed, rest })
            }
            Heard::Part(start) => Err(Broken::short(&start, Cause::of(error.as_ref()))),
            Heard::Nothing => Err(Broken::Silent(Cause::of(error.as_ref()))),
            Heard::TooLarge => Err(Broken::TooLarge),
        }
    }

    /// Reads on where hyper saw no status line and takes the header lines for a body (HTTP/0.9).
    async fn read_bare_head(&self, body: &mut Incoming) -> hyper::Result<()> {
        while !self.tape.is_done() {
            match body.frame().await {
                Some(frame) => frame.map(drop)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Reads the rest of an answer, to have the connection ready for the next request if it can be had.
    pub(super) async fn settle(mut self, rest: Incoming) -> Option<Self> {
        time::timeout(BODY_TIME, async {
            discard(rest).await?;
            self.sender.ready().await.ok()
        })
        .await
        .ok()??;
        Some(self)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer, of which the body has yet to come.
pub(super) struct Reply {
    /// The head.
    pub(super) parsed: Parsed,
    /// The body, if it is worth reading for the connection's sake.
    pub(super) rest: Option<Incoming>,
}

/// Why an exchange brought no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// Not a byte came back. On a connection that was used before it means nothing but that it was closed.
    Silent(Cause),
    /// The head broke off.
    Short(Cause),
    /// The head is too large.
    TooLarge,
    /// The head cannot be read.
    Flawed(Flaw),
}

impl Broken {
    /// `start` is all there is of a head. If that much is no HTTP, it says more than how it ended.
    fn short(start: &Secret, cause: Cause) -> Self {
        match head::parse(start.expose(), &[]) {
            Err(flaw @ (Flaw::Response | Flaw::Header)) => Self::Flawed(flaw),
            Ok(_) | Err(Flaw::Unfinished) => Self::Short(cause),
        }
    }
}

/// Why the bytes ended.
#[derive(Debug)]
pub(super) enum Cause {
    /// The server closed.
    Closed,
    /// The status line is none.
    Invalid,
    /// The system's reason.
    Io(io::Error),
}

impl Cause {
    fn of(error: Option<&hyper::Error>) -> Self {
        let Some(error) = error else { return Self::Closed };
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            // A TLS connection that ends without close_notify.
            Some(reason) if reason.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Some(reason) => Self::Io(copy(reason)),
            None if error.is_parse() => Self::Invalid,
            None => Self::Closed,
        }
    }
}

/// `io::Error` cannot be cloned, and hyper lends its own only.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Whether the end of a body is near. One that only ends with the connection is worth nothing.
fn is_worth_reading(headers: &HeaderMap, body: &Incoming) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || body.size_hint().exact().is_some_and(|size| size <= BODY_LIMIT)
}

/// Reads `body` to its end; `None` if it breaks off or is longer than its welcome.
async fn discard(mut body: Incoming) -> Option<()> {
    let mut read = 0_u64;
    while let Some(frame) = body.frame().await {
        let size = frame.ok()?.data_ref().map_or(0, Bytes::len);
        read = read.saturating_add(size as u64);
        if read > BODY_LIMIT {
            return None;
        }
    }
    Some(())
}
