//! One end of a connection, read line by line without an allocation per line.
//!
//! Stubs and clients share it: both have to be cheaper than any proxy between them. It knows no protocol.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest line, in bytes. Neither end of the benchmark sends one half as long.
const LINE: usize = 4096;

/// A stream with a read buffer.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; LINE].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Writes all of `bytes`, in one system call if the socket takes them.
    ///
    /// Over TLS a write is done when its bytes are encrypted; only a flush waits until the socket has them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// The next line without its CRLF.
    pub(crate) async fn line(&mut self) -> io::Result<&[u8]> {
        let mut searched = self.start;
        let end = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                break searched + at;
            }
            let pending = self.end - self.start;
            self.fill().await?;
            searched = self.start + pending;
        };
        let line = &self.buffer[self.start..end];
        self.start = end + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Drops the next `count` bytes, reading them into `scratch` where they are not here yet.
    pub(crate) async fn skip(&mut self, count: u64, scratch: &mut [u8]) -> io::Result<()> {
        let here = (self.end - self.start).min(usize::try_from(count).unwrap_or(usize::MAX));
        self.start += here;
        let mut left = count - here as u64;
        while left > 0 {
            let most = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= something(self.stream.read(&mut scratch[..most]).await?)? as u64;
        }
        Ok(())
    }

    /// Reads on to the peer's end of the stream. Over TLS it may do without close_notify here, after its last word.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        loop {
            match self.stream.read(&mut self.buffer).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads once more, behind what is already here.
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line longer than the buffer"));
        }
        self.end += something(self.stream.read(&mut self.buffer[self.end..]).await?)?;
        Ok(())
    }
}

fn something(read: usize) -> io::Result<usize> {
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection"));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn lines_come_out_whole_however_they_arrive() {
        for size in 1..12 {
            let (near, far) = duplex(size);
            let writer = tokio::spawn(async move { Wire::new(far).send(b"one\r\ntwo\nthree\r\n").await });
            let mut wire = Wire::new(near);
            for expected in ["one", "two", "three"] {
                assert_eq!(wire.line().await.unwrap(), expected.as_bytes());
            }
            assert_eq!(wire.line().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            writer.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn skipped_bytes_may_be_here_or_still_to_come() {
        let (near, far) = duplex(64);
        let writer = tokio::spawn(async move {
            let mut far = Wire::new(far);
            far.send(b"head\r\n0123").await.unwrap();
            far.send(&[b'x'; 500]).await.unwrap();
            far.send(b"tail\r\n").await.unwrap();
        });
        let mut wire = Wire::new(near);
        assert_eq!(wire.line().await.unwrap(), b"head");
        wire.skip(504, &mut [0; 100]).await.unwrap();
        assert_eq!(wire.line().await.unwrap(), b"tail");
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused() {
        let (near, far) = duplex(LINE * 2);
        Wire::new(far).send(&vec![b'x'; LINE + 1]).await.unwrap();
        assert_eq!(Wire::new(near).line().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
