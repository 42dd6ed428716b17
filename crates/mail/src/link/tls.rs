//! TLS over a socket, without a buffer when idle.
//!
//! Ciphertext passes through the thread's buffers. What cannot be used at once waits in buffers of the session that
//! exist only as long as something waits: part of a record, plaintext that the reader had no room for, ciphertext that
//! the socket did not take. Each is bounded: by one record or handshake flight, by one read, by one write.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::{Error, InvalidMessage};
use zeroize::Zeroizing;

use super::fault::TlsError;
use super::role::{End, Opened, Role};
use super::socket::Socket;
use crate::scratch;

/// The longest record: header, plaintext and the most that TLS 1.2 lets encryption add (RFC 5246, section 6.2.3).
const RECORD: usize = 5 + 16 * 1024 + 2048;

/// TLS on a socket that is passed to every call.
pub(super) struct Tls {
    role: Role,
    /// Received, but no whole record or handshake message yet.
    rest: Vec<u8>,
    /// Decrypted, but not read yet.
    unread: Unread,
    /// Encrypted, but not taken by the socket yet.
    owed: BytesMut,
    /// Set when nothing more will be read.
    end: Option<End>,
    /// Whether close_notify was sent.
    closed: bool,
}

/// Plaintext that its reader had no room for. Wiped when it is dropped, since passwords come this way.
#[derive(Default)]
struct Unread {
    bytes: Zeroizing<Vec<u8>>,
    /// How many of them have been read.
    taken: usize,
}

impl Tls {
    /// A connection whose handshake is still to be made.
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            rest: Vec::new(),
            unread: Unread::default(),
            owed: BytesMut::new(),
            end: None,
            closed: false,
        }
    }

    /// The connection below.
    pub(super) fn role(&self) -> &Role {
        &self.role
    }

    /// Why nothing more will be read, if it is so.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Sets off what the side that speaks first has to say.
    pub(super) fn begin(&mut self) {
        let Opened { end, .. } = self.role.open(&mut [], &mut |_| {}, &mut self.owed);
        self.end = end;
    }

    /// Whether nothing waits to be read or sent.
    pub(super) fn is_quiet(&self) -> bool {
        self.unread.is_empty() && !self.is_owing() && self.end.is_none()
    }

    /// Whether something waits to be sent.
    pub(super) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Forgets what was to be sent.
    pub(super) fn hush(&mut self) {
        self.owed = BytesMut::new();
    }

    /// Ready when there is plaintext, the end, or something on the socket.
    pub(super) fn poll_readable(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() || self.end.is_some() {
            return Poll::Ready(Ok(()));
        }
        // What reading left to say (an alert, say) goes out even if nobody writes. Errors are the writer's to see.
        let _ = self.poll_flush(socket, cx);
        socket.poll_readable(cx)
    }

    /// Reads plaintext; 0 is the end as the peer declared it, `UnexpectedEof` the end of the socket without that.
    ///
    /// At most one read of the socket: after `WouldBlock` there may be more on it, as readiness will tell.
    pub(super) fn try_read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        if !self.unread.is_empty() {
            return Ok(self.unread.read(into));
        }
        if self.end.is_none() {
            let read = self.receive(socket, into, |_| {})?;
            // What reading has to say should not wait for a write; what does not go now, waits.
            let _ = self.flush(socket);
            if read > 0 {
                return Ok(read);
            }
        }
        match &self.end {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(End::Closed) => Ok(0),
            Some(End::Cut) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(End::Failed(error)) => Err(TlsError(error.clone()).into()),
        }
    }

    /// Encrypts and sends. What is taken will be sent, in the end by [`poll_flush`](Self::poll_flush).
    ///
    /// `WouldBlock` while ciphertext from before waits for the socket, so no more than one write of it ever does.
    pub(super) fn try_write(&mut self, socket: &Socket, plain: &[u8]) -> io::Result<usize> {
        if self.closed || matches!(self.end, Some(End::Failed(_))) || self.role.state().is_handshaking() {
            // In the clear it must not go, whatever happened to the handshake.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.flush(socket)?;
        let plain = &plain[..plain.len().min(scratch::SIZE)];
        scratch::lend_outgoing(|room| {
            let sealed =
                self.role.seal(&mut self.rest, plain, room, &mut self.owed).map_err(io::Error::other)?;
            let sent = if self.owed.is_empty() { some(socket.try_write(&room[..sealed]))? } else { 0 };
            self.owed.extend_from_slice(&room[sent..sealed]);
            Ok(plain.len())
        })
    }

    /// Ready when the socket has taken everything.
    pub(super) fn poll_flush(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.flush(socket) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_writable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(()) => return socket.poll_flush(cx),
            }
        }
    }

    /// Says that nothing more will be written: close_notify (not after an error), then the socket's own end.
    pub(super) fn poll_shutdown(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            if !matches!(self.end, Some(End::Failed(_))) && !self.role.state().is_handshaking() {
                self.role.close(&mut self.rest, &mut self.owed);
            }
        }
        ready!(self.poll_flush(socket, cx))?;
        socket.poll_shutdown(cx)
    }

    /// Sends what is owed; `WouldBlock` if some of it has to wait.
    pub(super) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while !self.owed.is_empty() {
            match socket.try_write(&self.owed)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.owed.advance(n),
            }
        }
        self.owed = BytesMut::new();
        Ok(())
    }

    /// One read of the socket, shown to `hear` and decrypted. Says how much plaintext `into` has got, which may be
    /// none; what it has no room for is kept.
    pub(super) fn receive(
        &mut self,
        socket: &Socket,
        into: &mut [u8],
        hear: impl FnOnce(&[u8]),
    ) -> io::Result<usize> {
        scratch::lend_incoming(|buffer| {
            let kept = self.rest.len();
            // No more than `into` can hold, but enough for a record.
            let most = buffer.len().min(into.len().max(kept + RECORD));
            if kept == most {
                return Ok(self.fail(InvalidMessage::HandshakePayloadTooLarge.into()));
            }
            let n = socket.try_read(&mut buffer[kept..most])?;
            if n == 0 {
                self.end = Some(End::Cut);
                self.rest = Vec::new();
                return Ok(0);
            }
            hear(&buffer[kept..kept + n]);
            buffer[..kept].copy_from_slice(&self.rest);
            let read = self.open(&mut buffer[..kept + n], into);
            // It was decrypted in place.
            buffer[..kept + n].fill(0);
            Ok(read)
        })
    }

    /// Decrypts what is whole of `sealed` into `into` and keeps the rest.
    fn open(&mut self, sealed: &mut [u8], into: &mut [u8]) -> usize {
        let mut read = 0;
        let most = sealed.len();
        let unread = &mut self.unread.bytes;
        let mut plain = |bytes: &[u8]| {
            let (now, later) = bytes.split_at(bytes.len().min(into.len() - read));
            into[read..read + now.len()].copy_from_slice(now);
            read += now.len();
            if unread.is_empty() && !later.is_empty() {
                // At once for all that may come: a buffer that grows leaves copies behind that nobody wipes.
                unread.reserve_exact(most);
            }
            unread.extend_from_slice(later);
        };
        let Opened { used, end } = self.role.open(sealed, &mut plain, &mut self.owed);
        self.end = end;
        self.rest = match self.end {
            None => sealed[used..].to_vec(),
            // "Any data received after a closure alert has been received MUST be ignored" (RFC 8446, section 6.1).
            Some(_) => Vec::new(),
        };
        read
    }

    /// Bytes of memory that it holds beside its own state.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.rest.capacity() + self.unread.bytes.capacity() + self.owed.capacity()
    }

    fn fail(&mut self, error: Error) -> usize {
        self.end = Some(End::Failed(error));
        self.rest = Vec::new();
        0
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("unread", &(self.unread.bytes.len() - self.unread.taken))
            .field("owed", &self.owed.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Unread {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        let left = &self.bytes[self.taken..];
        let n = left.len().min(into.len());
        into[..n].copy_from_slice(&left[..n]);
        self.taken += n;
        if self.is_empty() {
            *self = Self::default();
        }
        n
    }
}

/// Nothing instead of `WouldBlock`.
fn some(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
