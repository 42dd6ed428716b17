//! Bytes that must not be seen.

use std::fmt;

/// Fills `bytes` with zeros, also if nobody will read them again.
///
/// The usual `zeroize()` writes byte by byte, and a login wipes all that it has read and written.
pub fn wipe(bytes: &mut [u8]) {
    // A third of what a login wipes is empty.
    if !bytes.is_empty() {
        bytes.fill(0);
        zeroize::optimization_barrier(bytes);
    }
}

/// A password, token or digest: prints nothing in any build and is wiped when dropped.
#[derive(Clone, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes over `bytes`; the allocation itself is wiped on drop.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The secret itself. Whoever copies it out of here answers for the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// With the room behind the bytes, where there may have been others.
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.resize(self.0.capacity(), 0);
        wipe(&mut self.0);
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Compares in time that depends on the lengths only.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.expose(), other.expose());
        a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y))) == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing() {
        assert_eq!(format!("{:?}", Secret::from(&b"hunter2"[..])), "Secret");
    }

    #[test]
    fn secrets_are_equal_when_their_bytes_are() {
        assert_eq!(Secret::from(&b"a"[..]), Secret::from(&b"a"[..]));
        assert_ne!(Secret::from(&b"a"[..]), Secret::from(&b"b"[..]));
        assert_ne!(Secret::from(&b"a"[..]), Secret::from(&b""[..]));
    }
}
