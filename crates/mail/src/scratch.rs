//! One read buffer per thread: a session that waits holds none.

use std::cell::RefCell;
use std::io;

use bytes::BytesMut;

use crate::link::Link;

/// Bytes that one read takes at most. Larger reads save system calls on downloads.
pub const SIZE: usize = 64 * 1024;

/// Lends the thread's buffer to `with`, which cannot keep it: it cannot be held while something is awaited.
pub fn lend<R>(with: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
    }
    SCRATCH.with_borrow_mut(|buffer| with(buffer))
}

/// Waits for bytes from `link` and appends them, at most `most`, to `into`; 0 is the end.
///
/// The bytes are wiped from the thread's buffer, since passwords come this way.
pub async fn read(link: &Link, into: &mut BytesMut, most: usize) -> io::Result<usize> {
    loop {
        link.readable().await?;
        let read: io::Result<usize> = lend(|buffer| {
            let most = most.min(buffer.len());
            let n = link.try_read(&mut buffer[..most])?;
            into.extend_from_slice(&buffer[..n]);
            zeroize::Zeroize::zeroize(&mut buffer[..n]);
            Ok(n)
        });
        match read {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}
