//! What peers send, made fit for a log line.

use std::fmt;

/// Bytes of a peer, made fit for a log line.
///
/// Control characters, quotes, backslashes and what is not UTF-8 become `\xHH`; everything else stays readable.
/// (The originals write all of it raw: a client can forge lines there.)
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || matches!(c, '"' | '\\') {
                    let mut utf8 = [0; 4];
                    hex(c.encode_utf8(&mut utf8).as_bytes(), f)?;
                } else {
                    fmt::Write::write_char(f, c)?;
                }
            }
            hex(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

/// Each byte as `\xHH`.
pub(super) fn hex(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_cannot_forge_a_line() {
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        assert_eq!(shown(b"u\r\nx\0"), r"u\x0D\x0Ax\x00");
        assert_eq!(shown(b"a\"b\\c"), r"a\x22b\x5Cc");
        assert_eq!(shown("käse ☃".as_bytes()), "käse ☃");
        assert_eq!(shown(b"\xff\xc3\x28\x7f"), r"\xFF\xC3(\x7F");
        assert_eq!(shown("\u{9b}".as_bytes()), r"\xC2\x9B");
    }
}
