//! The head of an answer: status line, if any, and header lines.
//!
//! Status codes decide nothing (as in the originals); they are looked at for the log, to skip informational
//! answers, and for the end of the body. What the headers mean is `proto`'s business.

use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use proto::auth_http::{Answer, BareError, parse_bare};
use zeroize::Zeroizing;

use super::body::{Body, Version};

/// An answer that could be read.
pub(super) struct Parsed {
    /// The status code; 0 for an answer without status line.
    pub(super) status: u16,
    /// The headers.
    pub(super) answer: Answer,
    /// Those that were to be noted besides.
    pub(super) said: Vec<(Box<str>, Bytes)>,
    /// The body to read if the connection is to be used again, and if it can be.
    pub(super) body: Option<Body>,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The status line is none.
    Response,
    /// A header line is none.
    Header,
    /// The blank line is missing.
    Unfinished,
}

/// Reads a head as received; only the part up to the blank line is looked at.
///
/// No header line is dropped that could be one of ours, for an answer without `Auth-Status` is a success. Headers that
/// are `noted` are kept, by their names as variables write them.
pub(super) fn parse(head: &[u8], noted: &[Box<str>]) -> Result<Parsed, Flaw> {
    if !head.starts_with(STATUS_LINE) {
        return read(0, None, head, noted);
    }
    let (status, lines) = split_status_line(head)?;
    if memchr_iter(b'\n', lines).any(|end| is_fold(lines, end)) {
        // No server folds lines for good; where the answer ends is better not asked of one that does.
        return read(status, None, &unfold(lines), noted);
    }
    read(status, Version::of(head), lines, noted)
}

/// Whether the start of an answer is that of none, whatever may follow.
pub(super) fn is_hopeless(start: &[u8]) -> bool {
    start.starts_with(STATUS_LINE) && matches!(split_status_line(start), Err(Flaw::Response))
}

/// Whether `head` begins an informational answer, behind which the real one follows.
///
/// 101 is none: nothing of HTTP follows it.
pub(super) fn is_informational(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && matches!(status(head), Some(100 | 102..=199))
}

/// How a status line starts, if there is one.
const STATUS_LINE: &[u8] = b"HTTP/";

/// The status code, and the lines behind that of it.
fn split_status_line(head: &[u8]) -> Result<(u16, &[u8]), Flaw> {
    let end = memchr(b'\n', head).ok_or(Flaw::Unfinished)?;
    let (line, lines) = (&head[..end], &head[end + 1..]);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let status = status(head).filter(|_| memchr(b'\r', line).is_none()).ok_or(Flaw::Response)?;
    Ok((status, lines))
}

fn read(status: u16, version: Option<Version>, lines: &[u8], noted: &[Box<str>]) -> Result<Parsed, Flaw> {
    let headers = parse_bare(lines).map_err(|error| match error {
        BareError::Incomplete => Flaw::Unfinished,
        BareError::Invalid => Flaw::Header,
    })?;
    let said = headers.iter().filter_map(|(name, value)| note(name, value, noted)).collect();
    let body = version.and_then(|version| Body::announced(version, status, &headers));
    Ok(Parsed { status, answer: Answer::new(status, headers), said, body })
}

/// A header, if its name is among `noted`.
fn note(name: &[u8], value: &[u8], noted: &[Box<str>]) -> Option<(Box<str>, Bytes)> {
    let as_variable = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    let noted = noted.iter().find(|noted| name.iter().map(as_variable).eq(noted.bytes()))?;
    Some((noted.clone(), Bytes::copy_from_slice(value.trim_ascii())))
}

/// The code of a status line, of any version of HTTP.
fn status(head: &[u8]) -> Option<u16> {
    let space = head.iter().take(10).position(|&b| b == b' ')?;
    let (digits, end) = head.get(space + 1..)?.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(end, [b' ' | b'\r' | b'\n', ..]) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A line that starts with white space continues the one before it. `end` is where that one ends.
fn is_fold(lines: &[u8], end: usize) -> bool {
    matches!(lines.get(end + 1), Some(b' ' | b'\t'))
}

/// Puts spaces for each fold (RFC 9112, section 5.2), so that folding can hide nothing and spoil nothing.
fn unfold(lines: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(lines.to_vec());
    for end in memchr_iter(b'\n', lines).filter(|&end| is_fold(lines, end)) {
        text[end] = b' ';
        text[end + 1] = b' ';
        if let Some(cr) = end.checked_sub(1).filter(|&cr| text[cr] == b'\r') {
            text[cr] = b' ';
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(head: &[u8]) -> Option<Flaw> {
        parse(head, &[]).err()
    }

    #[test]
    fn the_status_line_is_optional_and_its_code_is_kept() {
        let status = |head: &[u8]| parse(head, &[]).map(|parsed| parsed.status);
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\n\r\n"), Ok(404));
        assert_eq!(status(b"HTTP/1.0 200\n\n"), Ok(200));
        assert_eq!(status(b"HTTP/2 204\r\n\r\n"), Ok(204));
        assert_eq!(status(b"Auth-Status: OK\r\n\r\n"), Ok(0));
    }

    #[test]
    fn a_status_line_that_is_none_is_an_invalid_response() {
        for line in
            ["HTTP/1.0 200 OK\rX", "HTTP/1.1 2x0", "HTTP/1.1 +20", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1"]
        {
            assert_eq!(flaw(format!("{line}\r\nA: b\r\n\r\n").as_bytes()), Some(Flaw::Response), "{line}");
        }
    }

    #[test]
    fn a_missing_blank_line_is_told_from_garbage() {
        assert_eq!(flaw(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Some(Flaw::Unfinished));
        assert_eq!(flaw(b"HTTP/1.1 200"), Some(Flaw::Unfinished));
        assert_eq!(flaw(b"Auth-Status: OK\r\n"), Some(Flaw::Unfinished));
        assert_eq!(flaw(b"\x00\x01\x02\n\xff\xfe"), Some(Flaw::Header));
    }

    #[test]
    fn headers_that_are_asked_for_are_noted_by_the_names_of_variables() {
        let noted = ["x_domain".into(), "quota".into(), "absent".into()];
        let head = b"HTTP/1.1 200 OK\r\nAuth-Pass: secret\r\nX-Domain:  example.org \r\nquota: \r\nx-domain: b\r\n\r\n";
        let said = parse(head, &noted).map(|parsed| parsed.said).ok();
        let header = |name: &str, value: &'static [u8]| (Box::from(name), Bytes::from_static(value));
        let expected = [header("x_domain", b"example.org"), header("quota", b""), header("x_domain", b"b")];
        assert_eq!(said.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_start_is_hopeless_as_soon_as_its_status_line_is_none() {
        for start in ["HTTP/1.1 2x0\r\n", "HTTP/1.1 200 OK\rX\r\nA: b\r\n", "HTTP/1.1\n"] {
            assert!(is_hopeless(start.as_bytes()), "{start:?}");
        }
        for start in ["", "HTT", "HTTP/1.1 2x0", "HTTP/1.1 200 OK\rX", "HTTP/1.1 200 OK\r\nA", "x\ry\n"] {
            assert!(!is_hopeless(start.as_bytes()), "{start:?}");
        }
    }

    #[test]
    fn the_end_of_the_body_is_known_only_of_plain_http_1() {
        let body = |head: &[u8]| parse(head, &[]).map(|parsed| parsed.body);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Ok(Some(Body::Counted(5))));
        for head in [
            &b"Content-Length: 5\r\n\r\n"[..],
            b"HTTP/2 200\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n z\r\n\r\n",
        ] {
            assert_eq!(body(head), Ok(None), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn only_http_1_has_informational_answers() {
        assert!(is_informational(b"HTTP/1.1 100 Continue\r\n\r\n"));
        assert!(is_informational(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"));
        for answer in
            [&b"HTTP/1.1 101 Switching\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/2 100\r\n", b"A: b\r\n"]
        {
            assert!(!is_informational(answer), "{}", answer.escape_ascii());
        }
    }

    #[test]
    fn folded_lines_are_joined_whole() {
        assert_eq!(*unfold(b"A: b\r\n c\r\nD: e\n\tf\r\n\r\n"), b"A: b   c\r\nD: e  f\r\n\r\n");
        assert_eq!(flaw(b"HTTP/1.1 200 OK\r\nX-Long: a\r\n b\r\nAuth-Status: OK\r\n\r\n"), None);
    }

    #[test]
    fn a_fold_right_behind_the_status_line_is_no_header() {
        assert_eq!(flaw(b"HTTP/1.1 200 OK\r\n Auth-Status: no\r\n\r\n"), Some(Flaw::Header));
    }
}
