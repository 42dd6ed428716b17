//! Bytes as a person reads them in the report of a failed test.

/// How much of a long run of bytes is shown at either end.
const SHOWN: usize = 600;

/// Writes `bytes` as the inside of a Rust byte string: printable as it is, the rest escaped, the middle of long ones left out.
pub fn show(bytes: &[u8]) -> String {
    if bytes.len() <= 2 * SHOWN {
        return bytes.escape_ascii().to_string();
    }
    let (head, rest) = bytes.split_at(SHOWN);
    let (middle, tail) = rest.split_at(rest.len() - SHOWN);
    format!("{} [… {} bytes …] {}", head.escape_ascii(), middle.len(), tail.escape_ascii())
}

/// Where `needle` first occurs in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_shown_escaped() {
        assert_eq!(show(b"a OK\r\n\0\xff"), r"a OK\r\n\x00\xff");
    }

    #[test]
    fn the_middle_of_a_long_run_is_left_out() {
        let shown = show(&[b'x'; 2 * SHOWN + 7]);
        assert!(shown.contains("[… 7 bytes …]"), "{shown}");
    }

    #[test]
    fn finding_says_where_the_first_one_is() {
        assert_eq!(find(b"one\r\ntwo\r\n", b"\r\n"), Some(3));
        assert_eq!(find(b"one", b"\r\n"), None);
    }
}
