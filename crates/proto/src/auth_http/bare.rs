//! Answers without a status line: header lines from the first byte, as simple auth servers send them.
//!
//! The originals read them; to an HTTP library they would be the body of an HTTP/0.9 answer.

use memchr::memchr;
use thiserror::Error;

/// A header as it was received: name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Headers of a usual answer; more are no harm.
const USUAL: usize = 16;

/// Why there are no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BareError {
    /// The empty line behind the headers is still missing; more bytes may bring it.
    #[error("incomplete header")]
    Incomplete,
    /// A line is no header; no more bytes can help.
    #[error("invalid header")]
    Invalid,
}

/// Reads header lines up to the empty line; what stands behind it is ignored.
///
/// ```abnf
/// answer = *( header eol ) eol
/// header = name [ ":" *SP value *SP ]       ; without colon: the value is empty
/// name   = alphanumeric *( alphanumeric / "-" )
/// eol    = CRLF / LF
/// ```
///
/// Gentler than the originals in one thing: a header with another printable name is skipped, since it cannot be
/// one of ours. Control and 8-bit bytes in a name, a CR inside a line and folded lines make the answer invalid.
pub fn parse_bare(mut input: &[u8]) -> Result<Vec<Pair<'_>>, BareError> {
    let mut headers = Vec::with_capacity(USUAL);
    while let Some(end) = memchr(b'\n', input) {
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(headers);
        }
        headers.extend(parse_header(line)?);
        input = &input[end + 1..];
    }
    Err(BareError::Incomplete)
}

/// `None`: a header, but none that could mean anything to us.
fn parse_header(line: &[u8]) -> Result<Option<Pair<'_>>, BareError> {
    if line.starts_with(b" ") || memchr(b'\r', line).is_some() {
        return Err(BareError::Invalid);
    }
    let (name, value) = match memchr(b':', line) {
        Some(colon) => (&line[..colon], &line[colon + 1..]),
        None => (line, &b""[..]),
    };
    // A space before the colon must not hide a header from us: `Auth-Status : no` is a refusal.
    let name = trim_spaces(name);
    if is_plain(name) {
        Ok(Some((name, trim_spaces(value))))
    } else if name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        Ok(None)
    } else {
        Err(BareError::Invalid)
    }
}

fn is_plain(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Spaces only: the originals take a tab as data.
pub(super) fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> Result<Vec<(&str, &str)>, BareError> {
        let text = |bytes| str::from_utf8(bytes).unwrap();
        Ok(parse_bare(input.as_bytes())?.into_iter().map(|(n, v)| (text(n), text(v))).collect())
    }

    #[test]
    fn headers_are_read_up_to_the_empty_line() {
        for (input, headers) in [
            ("\r\n", vec![]),
            ("\nA: b\n", vec![]),
            ("A: b\r\nc-1:d\n\r\nE: f", vec![("A", "b"), ("c-1", "d")]),
            ("A:   b  c   \n\n", vec![("A", "b  c")]),
            ("A:\tb\n\n", vec![("A", "\tb")]),
            ("A:b:c\n\n", vec![("A", "b:c")]),
            ("foo\nA:\n\n", vec![("foo", ""), ("A", "")]),
            ("Auth-Status : no\n\n", vec![("Auth-Status", "no")]),
        ] {
            assert_eq!(parse(input), Ok(headers), "{input:?}");
        }
    }

    #[test]
    fn headers_of_others_are_skipped_whatever_their_names() {
        assert_eq!(parse("X_Y: 1\nA: b\n(x)/y: 2\nx y: 3\n-a: 4\n: 5\n\n"), Ok(vec![("A", "b")]));
    }

    #[test]
    fn lines_that_are_no_headers_make_the_answer_invalid() {
        for input in [
            "A: x\ry\n\n",
            "A: b\n folded\n\n",
            "\tA: b\n",
            "A\tB: c\n",
            "b\u{e9}: c\n",
            "\0: x\n",
            "A: b\r\r\n",
        ] {
            assert_eq!(parse(input), Err(BareError::Invalid), "{input:?}");
        }
    }

    #[test]
    fn an_answer_cut_anywhere_before_the_empty_line_is_incomplete() {
        let whole = "Auth-Status: OK\r\nAuth-Server: ::1\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Err(BareError::Incomplete), "{end}");
        }
        assert!(parse(whole).is_ok());
    }
}
