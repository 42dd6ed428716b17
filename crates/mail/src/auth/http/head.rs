//! The head of an answer: status line, if any, and header lines.
//!
//! Status codes decide nothing (as in the originals); they are looked at for the log, and to skip informational
//! answers. What the headers mean is `proto`'s business.

use bytes::Bytes;
use proto::auth_http::{Answer, BareError, parse_bare};
use zeroize::Zeroizing;

/// An answer that could be read.
pub(super) struct Parsed {
    /// The status code; 0 for an answer without status line.
    pub(super) status: u16,
    /// The headers.
    pub(super) answer: Answer,
    /// Those that were to be noted besides.
    pub(super) said: Vec<(Box<str>, Bytes)>,
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

/// Reads a head as recorded; only the part up to the blank line is looked at.
///
/// No header line is dropped that could be one of ours, for an answer without `Auth-Status` is a success. Headers that
/// are `noted` are kept, by their names as variables write them.
pub(super) fn parse(head: &[u8], noted: &[Box<str>]) -> Result<Parsed, Flaw> {
    if !head.starts_with(b"HTTP/") {
        return read(0, head, noted);
    }
    let end = head.iter().position(|&b| b == b'\n').ok_or(Flaw::Unfinished)?;
    let (line, lines) = (&head[..end], &head[end + 1..]);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let status = status(head).filter(|_| !line.contains(&b'\r')).ok_or(Flaw::Response)?;
    if lines.iter().zip(lines.iter().skip(1)).any(|(&end, &next)| is_fold(end, next)) {
        return read(status, &unfold(lines), noted);
    }
    read(status, lines, noted)
}

/// Whether `head` begins an informational answer, behind which the real one follows.
///
/// 101 is none: nothing of HTTP follows it.
pub(super) fn is_informational(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && matches!(status(head), Some(100 | 102..=199))
}

fn read(status: u16, lines: &[u8], noted: &[Box<str>]) -> Result<Parsed, Flaw> {
    let headers = parse_bare(lines).map_err(|error| match error {
        BareError::Incomplete => Flaw::Unfinished,
        BareError::Invalid => Flaw::Header,
    })?;
    let said = headers.iter().filter_map(|(name, value)| note(name, value, noted)).collect();
    Ok(Parsed { status, answer: Answer::new(status, headers), said })
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

/// A line that starts with white space continues the one before it.
fn is_fold(end: u8, next: u8) -> bool {
    end == b'\n' && matches!(next, b' ' | b'\t')
}

/// Puts spaces for each fold (RFC 9112, section 5.2), so that folding can hide nothing and spoil nothing.
fn unfold(lines: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(lines.to_vec());
    for at in 1..text.len() {
        if is_fold(text[at - 1], text[at]) {
            text[at - 1] = b' ';
            text[at] = b' ';
            if let Some(cr) = at.checked_sub(2).filter(|&cr| text[cr] == b'\r') {
                text[cr] = b' ';
            }
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
