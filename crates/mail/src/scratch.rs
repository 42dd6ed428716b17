//! Buffers that belong to the thread: a session that waits holds none.

use std::cell::RefCell;
use std::io;
use std::thread::LocalKey;

use bytes::BytesMut;

use crate::link::Link;
use crate::wiped::append;

/// Bytes that one read takes at most. Larger reads save system calls on downloads.
pub const SIZE: usize = 256 * 1024;

/// As much as a reader may want, or the longest handshake message that rustls takes (64 kB), and a record on top.
const INCOMING: usize = SIZE + 20 * 1024;

/// [`SIZE`] after encryption: 16 or 17 records, each with less than 64 bytes of TLS's own, and a key update.
const OUTGOING: usize = SIZE + 2048;

/// A buffer of the thread. It cannot be kept, so it cannot be held while something is awaited.
type Buffer = RefCell<Box<[u8]>>;

thread_local! {
    static PLAIN: Buffer = buffer(SIZE);
    static TLS_INCOMING: Buffer = buffer(INCOMING);
    static TLS_OUTGOING: Buffer = buffer(OUTGOING);
}

fn buffer(size: usize) -> Buffer {
    RefCell::new(vec![0; size].into_boxed_slice())
}

/// Lends the thread's buffer to `with`.
pub fn lend<R>(with: impl FnOnce(&mut [u8]) -> R) -> R {
    lend_from(&PLAIN, with)
}

/// Lends the buffer in which TLS decrypts. It may be borrowed while [`lend`]'s is.
pub(crate) fn lend_incoming<R>(with: impl FnOnce(&mut [u8]) -> R) -> R {
    lend_from(&TLS_INCOMING, with)
}

/// Lends the buffer into which TLS encrypts. It may be borrowed while the other two are.
pub(crate) fn lend_outgoing<R>(with: impl FnOnce(&mut [u8]) -> R) -> R {
    lend_from(&TLS_OUTGOING, with)
}

fn lend_from<R>(buffer: &'static LocalKey<Buffer>, with: impl FnOnce(&mut [u8]) -> R) -> R {
    buffer.with_borrow_mut(|buffer| with(buffer))
}

/// Waits for bytes from `link` and appends them, at most `most`, to `into`; 0 is the end.
///
/// The bytes are wiped from the thread's buffer, since passwords come this way.
pub async fn read(link: &mut Link, into: &mut BytesMut, most: usize) -> io::Result<usize> {
    loop {
        link.readable().await?;
        let read: io::Result<usize> = lend(|buffer| {
            let most = most.min(buffer.len());
            let n = link.try_read(&mut buffer[..most])?;
            append(into, &buffer[..n]);
            proto::wipe(&mut buffer[..n]);
            Ok(n)
        });
        match read {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}
