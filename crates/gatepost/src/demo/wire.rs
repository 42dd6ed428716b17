//! A connection of the demo store: bounded lines in, buffered bytes out, and no wait without end.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::limits;

/// Answers are collected up to this size, in bytes.
const BATCH: usize = 16 << 10;

/// One client's connection.
pub(super) struct Wire {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    /// The rest of a line that was too long is still to come.
    skipping: bool,
    patience: Duration,
}

impl Wire {
    /// A connection whose client has not logged in yet.
    pub(super) fn new(stream: TcpStream) -> Self {
        // Without it answers wait for acknowledgements; a socket that refuses it works all the same.
        let _ = stream.set_nodelay(true);
        let (input, output) = (BytesMut::new(), Vec::new());
        Self { stream, input, output, skipping: false, patience: limits::PATIENCE_AT_LOGIN }
    }

    /// The client has logged in and may take its time.
    pub(super) fn trust(&mut self) {
        self.patience = limits::PATIENCE;
    }

    /// Where the client is; `None` once it is gone.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|peer| peer.ip())
    }

    /// The next line without its line end, LF or CRLF; what was said before goes out first.
    ///
    /// Once all is [flushed](Self::flush), it may be dropped while it waits; nothing is lost.
    pub(super) async fn line(&mut self, limit: usize) -> Result<Line, End> {
        loop {
            if let Some(end) = memchr(b'\n', &self.input) {
                let line = self.input.split_to(end + 1).freeze();
                let whole = !std::mem::take(&mut self.skipping) && line.len() <= limit;
                return Ok(if whole { Line::Whole(without_line_end(line)) } else { Line::TooLong });
            }
            if self.input.len() > limit {
                self.skipping = true;
                self.input.clear();
            }
            self.fill().await?;
        }
    }

    /// Exactly `len` bytes. The caller bounds `len`; memory grows as they come.
    pub(super) async fn exact(&mut self, len: usize) -> Result<Vec<u8>, End> {
        let mut bytes = Vec::with_capacity(len.min(64 << 10));
        while bytes.len() < len {
            let chunk = self.chunk(len - bytes.len()).await?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Reads `len` bytes for nothing.
    pub(super) async fn discard(&mut self, mut len: usize) -> Result<(), End> {
        while len > 0 {
            len -= self.chunk(len).await?.len();
        }
        Ok(())
    }

    /// Whatever is there, at least one byte and at most `most`.
    pub(super) async fn chunk(&mut self, most: usize) -> Result<BytesMut, End> {
        if self.input.is_empty() {
            self.fill().await?;
        }
        Ok(self.input.split_to(self.input.len().min(most)))
    }

    /// Gives bytes of the last [`chunk`](Self::chunk) back.
    pub(super) fn unread(&mut self, mut bytes: BytesMut) {
        bytes.unsplit(std::mem::take(&mut self.input));
        self.input = bytes;
    }

    /// Adds to the answer. Large pieces go out at once, without a copy.
    pub(super) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), End> {
        let bytes = bytes.as_ref();
        if self.output.len() + bytes.len() <= BATCH {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush().await?;
        self.write(bytes).await
    }

    /// Sends what was said.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let output = std::mem::take(&mut self.output);
        if output.is_empty() { Ok(()) } else { self.write(&output).await }
    }

    /// Says the last words, to whom they may still reach.
    pub(super) async fn farewell(&mut self, words: &str) {
        if self.say(words).await.is_ok() && self.flush().await.is_ok() {
            // The session is over either way.
            let _ = self.stream.shutdown().await;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        self.input.reserve(4 << 10);
        let read = timeout(self.patience, self.stream.read_buf(&mut self.input)).await;
        if read.map_err(|_| End::Silent)?? == 0 { Err(End::Closed) } else { Ok(()) }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        // Piece by piece, so that a slow reader of much has the time that each piece deserves.
        for piece in bytes.chunks(256 << 10) {
            timeout(limits::STALL, self.stream.write_all(piece)).await.map_err(|_| End::Deaf)??;
        }
        Ok(())
    }
}

/// What [`Wire::line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, its end taken off.
    Whole(Bytes),
    /// It was longer than the limit and has been read over.
    TooLong,
}

/// Why a session is over before its client said goodbye.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client closed the connection.
    #[error("closed by the client")]
    Closed,
    /// Nothing came for too long.
    #[error("the client was silent for too long")]
    Silent,
    /// The client does not read.
    #[error("the client reads nothing")]
    Deaf,
    /// The client broke the rules in a way that leaves no place to go on from.
    #[error("{0}")]
    Lost(&'static str),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn without_line_end(mut line: Bytes) -> Bytes {
    line.truncate(line.len() - 1);
    if line.ends_with(b"\r") {
        line.truncate(line.len() - 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Wire::new(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn lines_end_in_lf_or_crlf_and_keep_what_follows() {
        let (mut client, mut wire) = pair().await;
        client.write_all(b"one\r\ntwo\n\nabcdef").await.unwrap();
        for expected in ["one", "two", ""] {
            assert_eq!(wire.line(10).await.unwrap(), Line::Whole(expected.into()));
        }
        assert_eq!(wire.exact(4).await.unwrap(), b"abcd");
        drop(client);
        assert!(matches!(wire.line(10).await, Err(End::Closed)));
    }

    #[tokio::test]
    async fn a_long_line_is_read_over_whole() {
        let (mut client, mut wire) = pair().await;
        client.write_all(&b"x".repeat(100_000)).await.unwrap();
        client.write_all(b"\nnext\n").await.unwrap();
        assert_eq!(wire.line(10).await.unwrap(), Line::TooLong);
        assert_eq!(wire.line(10).await.unwrap(), Line::Whole("next".into()));
        assert!(wire.input.capacity() < 64 << 10);
    }

    #[tokio::test]
    async fn what_was_not_wanted_can_be_read_again() {
        let (mut client, mut wire) = pair().await;
        client.write_all(b"abcdef\n").await.unwrap();
        let mut chunk = wire.chunk(4).await.unwrap();
        wire.unread(chunk.split_off(1));
        assert_eq!(wire.line(10).await.unwrap(), Line::Whole("bcdef".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_not_waited_for_for_ever() {
        let (client, mut wire) = pair().await;
        assert!(matches!(wire.line(10).await, Err(End::Silent)));
        drop(client);
    }
}
