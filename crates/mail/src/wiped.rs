//! A buffer for what may be a login: it leaves no copy behind when it grows or goes, and prints none of it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytes::BytesMut;
use proto::wipe;

/// Bytes to or from somebody who is not logged in yet.
#[derive(Default)]
pub struct Wiped(BytesMut);

impl Wiped {
    /// Nothing, and no room.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Deref for Wiped {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}

/// Appends `bytes`. If there is no room, all moves to a larger place, and the smaller one is wiped.
pub fn append(buffer: &mut BytesMut, bytes: &[u8]) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() && !buffer.is_empty() {
        let mut larger = BytesMut::with_capacity(needed.next_power_of_two());
        larger.extend_from_slice(buffer);
        wipe(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_printed() {
        let mut buffer = Wiped::new();
        buffer.extend_from_slice(b"hunter2");
        assert_eq!(format!("{buffer:?}"), "Wiped(7 bytes)");
    }

    #[test]
    fn what_is_appended_is_there_however_it_grows() {
        let mut buffer = BytesMut::new();
        for byte in 0..=255 {
            append(&mut buffer, &[byte]);
        }
        assert!(buffer.iter().copied().eq(0..=255));
        append(&mut buffer, &[7; 1000]);
        assert_eq!((buffer.len(), &buffer[256..]), (1256, &[7; 1000][..]));
    }
}
