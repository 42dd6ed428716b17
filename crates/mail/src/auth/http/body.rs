//! Where the body of an answer ends, so that another request may follow on the connection.
//!
//! The bodies of auth servers mean nothing. A mistake about their length would take bytes of one answer for the next
//! one, which is another user's, so a head that leaves a doubt has no length here, and its connection is closed.

/// Longest body that is read, chunk sizes and trailers included, only to use the connection again.
pub(super) const BODY_LIMIT: u64 = 64 * 1024;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Counted(u64),
    /// Chunks (RFC 9112, section 7.1), of which so many bytes have come.
    Chunked(Chunked, u64),
}

/// What some bytes were to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Part of it.
    Open,
    /// All that was missing.
    Ended,
    /// Too many, or not what was announced: nothing on this connection can be trusted any more.
    Spoiled,
}

/// HTTP's versions whose connections can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// That of an answer; `None` for any other, and for an answer without status line.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head.first_chunk()? {
            b"HTTP/1.0 " => Some(Self::Http10),
            b"HTTP/1.1 " => Some(Self::Http11),
            _ => None,
        }
    }
}

/// A header as it was received: name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

impl Body {
    /// The body that a head announces (RFC 9112, section 6.3); `None` if it ends with the connection, if the connection
    /// ends with it, if it is not worth reading, or if the head says anything unusual about it.
    pub(super) fn announced(version: Version, status: u16, headers: &[Pair<'_>]) -> Option<Self> {
        // 101: what follows is no HTTP. Other informational answers are skipped before they come here.
        if status < 200 || !persists(version, headers) {
            return None;
        }
        let mut lengths = values(headers, b"content-length");
        let mut codings = values(headers, b"transfer-encoding");
        let body = match (lengths.next(), codings.next()) {
            (None, None) if is_bodiless(status) => Self::Counted(0),
            (Some(length), None) => Self::Counted(parse_length(length)?),
            // HTTP/1.0 has no chunks: such an answer has faulty framing (RFC 9112, section 6.1).
            (None, Some(coding)) if version == Version::Http11 => parse_coding(coding)?,
            // Both of them is how answers are smuggled.
            _ => return None,
        };
        let is_repeated = lengths.next().is_some() || codings.next().is_some();
        let is_contradicted = is_bodiless(status) && body != Self::Counted(0);
        (!is_repeated && !is_contradicted).then_some(body)
    }

    /// Takes what has come in off what is still to come. [`Progress::Spoiled`] is final.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Progress {
        let size = bytes.len() as u64;
        let left = match self {
            Self::Counted(left) => left.checked_sub(size).map(Self::Counted),
            Self::Chunked(at, seen) => {
                let seen = *seen + size;
                at.after(bytes).filter(|_| seen <= BODY_LIMIT).map(|at| Self::Chunked(at, seen))
            }
        };
        let Some(left) = left else { return Progress::Spoiled };
        *self = left;
        match left {
            Self::Counted(0) | Self::Chunked(Chunked::End, _) => Progress::Ended,
            Self::Counted(_) | Self::Chunked(..) => Progress::Open,
        }
    }
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// At the first digit of a chunk's size.
    Start,
    /// In the size.
    Size(u64),
    /// Behind the size: extensions, which are skipped.
    Extension(u64),
    /// At the LF of the size line.
    SizeLf(u64),
    /// In the data.
    Data(u64),
    /// At the CR behind the data.
    DataCr,
    /// At the LF behind the data.
    DataLf,
    /// At the start of a line behind the last chunk.
    TrailerStart,
    /// In a trailer, which is skipped.
    Trailer,
    /// At the LF of a trailer.
    TrailerLf,
    /// At the last LF.
    LastLf,
    /// Behind it.
    End,
}

impl Chunked {
    fn after(self, bytes: &[u8]) -> Option<Self> {
        bytes.iter().try_fold(self, |at, &byte| at.after_byte(byte))
    }

    /// `None`: this cannot stand here. Lines end with CRLF and nothing else, since readers differ on anything else.
    fn after_byte(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, _) => Self::Size(digit(byte)?),
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size), b' ' | b'\t' | b';') => Self::Extension(size),
            (Self::Size(size), _) => Self::Size(grown(size, byte)?),
            (Self::SizeLf(0) | Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::Data(1), _) => Self::DataCr,
            (Self::Data(left), _) => Self::Data(left - 1),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::TrailerStart, b'\r') => Self::LastLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::LastLf, b'\n') => Self::End,
            (Self::Extension(size), _) if byte != b'\n' => Self::Extension(size),
            (Self::TrailerStart | Self::Trailer, _) if byte != b'\n' => Self::Trailer,
            _ => return None,
        })
    }
}

/// A chunk's size with one more digit; `None` if that is none, or if the chunk will not be read anyway.
fn grown(size: u64, byte: u8) -> Option<u64> {
    size.checked_mul(16)?.checked_add(digit(byte)?).filter(|&size| size <= BODY_LIMIT)
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn values<'a>(headers: &[Pair<'a>], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1)
}

/// Whether the server will take another request (RFC 9112, section 9.3).
fn persists(version: Version, headers: &[Pair<'_>]) -> bool {
    let says = |option: &[u8]| {
        let mut options = values(headers, b"connection").flat_map(|value| value.split(|&byte| byte == b','));
        options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option))
    };
    !says(b"close") && (version == Version::Http11 || says(b"keep-alive"))
}

/// 204 and 304 have no body, whatever their headers say.
fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// Digits and nothing else; `None` also for more than is read.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = Some(value).filter(|value| value.iter().all(u8::is_ascii_digit))?;
    str::from_utf8(digits).ok()?.parse().ok().filter(|&length| length <= BODY_LIMIT)
}

fn parse_coding(value: &[u8]) -> Option<Body> {
    value.eq_ignore_ascii_case(b"chunked").then_some(Body::Chunked(Chunked::Start, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: Body = Body::Chunked(Chunked::Start, 0);

    fn announced(version: Version, status: u16, lines: &[&str]) -> Option<Body> {
        let pair = |line: &&'static str| line.split_once(": ").expect("a header");
        let lines: Vec<&'static str> = lines.iter().map(|line| &*line.to_string().leak()).collect();
        let headers: Vec<_> = lines.iter().map(pair).map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        Body::announced(version, status, &headers)
    }

    /// What `bytes` are to `body`; the same however they come.
    fn taken(body: Body, bytes: &[u8]) -> Progress {
        let all = |pieces: &[&[u8]]| {
            let mut body = body;
            let mut progress = body.take(b"");
            for piece in pieces {
                progress = body.take(piece);
                if progress == Progress::Spoiled {
                    break;
                }
            }
            progress
        };
        let whole = all(&[bytes]);
        for cut in 0..bytes.len() {
            let (start, rest) = bytes.split_at(cut);
            assert_eq!(all(&[start, rest]), whole, "{} cut at {cut}", bytes.escape_ascii());
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(all(&single), whole, "{} byte by byte", bytes.escape_ascii());
        whole
    }

    #[test]
    fn a_body_is_known_by_one_length_or_one_coding() {
        for (lines, body) in [
            (&["Content-Length: 0"][..], Body::Counted(0)),
            (&["content-LENGTH: 0065536"], Body::Counted(65536)),
            (&["Transfer-Encoding: Chunked"], CHUNKED),
            (&["Connection: keep-alive, x", "Content-Length: 5"], Body::Counted(5)),
            (&["X-Content-Length: 7", "Content-Length: 5"], Body::Counted(5)),
        ] {
            assert_eq!(announced(Version::Http11, 200, lines), Some(body), "{lines:?}");
            assert_eq!(announced(Version::Http11, 500, lines), Some(body), "{lines:?}");
        }
    }

    #[test]
    fn whatever_leaves_a_doubt_has_no_end() {
        for lines in [
            &[][..],
            &["Content-Length: 65537"],
            &["Content-Length: 18446744073709551616"],
            &["Content-Length: "],
            &["Content-Length: +5"],
            &["Content-Length: -5"],
            &["Content-Length: 5,5"],
            &["Content-Length: 5 5"],
            &["Content-Length: 0x5"],
            &["Content-Length: \t5"],
            &["Content-Length: 5", "Content-Length: 5"],
            &["Content-Length: 5", "Transfer-Encoding: chunked"],
            &["Transfer-Encoding: chunked", "Content-Length: 5"],
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            &["Transfer-Encoding: gzip, chunked"],
            &["Transfer-Encoding: identity"],
            &["Transfer-Encoding: "],
            &["Connection: close", "Content-Length: 5"],
            &["Connection: keep-alive", "Connection: x, CLOSE", "Content-Length: 5"],
        ] {
            assert_eq!(announced(Version::Http11, 200, lines), None, "{lines:?}");
        }
    }

    #[test]
    fn http_1_0_has_to_ask_for_more_and_has_no_chunks() {
        for (lines, body) in [
            (&["Content-Length: 5"][..], None),
            (&["Content-Length: 5", "Connection: Keep-Alive"], Some(Body::Counted(5))),
            (&["Content-Length: 5", "Connection: keep-alive, close"], None),
            (&["Transfer-Encoding: chunked", "Connection: keep-alive"], None),
        ] {
            assert_eq!(announced(Version::Http10, 200, lines), body, "{lines:?}");
        }
        for (head, version) in [
            (&b"HTTP/1.0 200 OK\r\n"[..], Some(Version::Http10)),
            (b"HTTP/1.1 200", Some(Version::Http11)),
            (b"HTTP/1.1", None),
            (b"HTTP/1.10 200", None),
            (b"HTTP/1.2 200 OK", None),
            (b"HTTP/2 200 OK", None),
            (b"Auth-Status: OK", None),
        ] {
            assert_eq!(Version::of(head), version, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        let of = |status, lines| announced(Version::Http11, status, lines);
        for status in [204, 304] {
            assert_eq!(of(status, &[]), Some(Body::Counted(0)));
            assert_eq!(of(status, &["Content-Length: 0"]), Some(Body::Counted(0)));
            assert_eq!(of(status, &["Content-Length: 5"]), None);
            assert_eq!(of(status, &["Transfer-Encoding: chunked"]), None);
        }
        assert_eq!(of(101, &["Content-Length: 0"]), None);
    }

    #[test]
    fn a_length_is_counted_to_the_byte() {
        assert_eq!(taken(Body::Counted(0), b""), Progress::Ended);
        assert_eq!(taken(Body::Counted(0), b"H"), Progress::Spoiled);
        assert_eq!(taken(Body::Counted(5), b"hell"), Progress::Open);
        assert_eq!(taken(Body::Counted(5), b"hello"), Progress::Ended);
        assert_eq!(taken(Body::Counted(5), b"hello\n"), Progress::Spoiled);
    }

    #[test]
    fn chunks_end_with_the_blank_line_behind_the_last() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "05\r\n\r\n0\r\n\r\n000\r\n\r\n",
            "5;a=\"b c\";d\r\nhello\r\n1 ; x\r\n!\r\n0\t;z\r\n\r\n",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n",
        ] {
            assert_eq!(taken(CHUNKED, body.as_bytes()), Progress::Ended, "{body:?}");
            assert_eq!(taken(CHUNKED, &body.as_bytes()[..body.len() - 1]), Progress::Open, "{body:?}");
            assert_eq!(taken(CHUNKED, format!("{body}HTTP/1.1").as_bytes()), Progress::Spoiled, "{body:?}");
        }
    }

    #[test]
    fn what_are_no_chunks_spoils_the_connection() {
        for body in [
            "\r\n",
            ";x\r\n",
            " 5\r\n",
            "x\r\n",
            "5x\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5\n",
            "5;a\n",
            "5\r\r\n",
            "5;\rx",
            "5\r\nhello!\r\n",
            "5\r\nhello\n",
            "5\r\nhello\rx",
            "0\r\n\n",
            "0\r\nX: y\n",
            "0\r\nX: y\rz",
            "0\r\n\rx",
            "10001\r\n",
            "ffffffffffffffffffffffff\r\n",
        ] {
            assert_eq!(taken(CHUNKED, body.as_bytes()), Progress::Spoiled, "{body:?}");
        }
    }

    #[test]
    fn sizes_extensions_and_trailers_count_too() {
        let limit = usize::try_from(BODY_LIMIT).expect("a small number");
        let padded = |start: &str, size: usize, end: &str| {
            format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
        };
        for (start, end) in [("0;", "\r\n\r\n"), ("0\r\nX: ", "\r\n\r\n"), ("1;", "\r\nx\r\n0\r\n\r\n")] {
            let take = |size| { CHUNKED }.take(padded(start, size, end).as_bytes());
            assert_eq!(take(limit), Progress::Ended, "{start:?}");
            assert_eq!(take(limit + 1), Progress::Spoiled, "{start:?}");
        }
        let data = |size: usize| format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
        assert_eq!({ CHUNKED }.take(data(limit - 13).as_bytes()), Progress::Ended);
        assert_eq!({ CHUNKED }.take(data(limit - 12).as_bytes()), Progress::Spoiled);
    }
}
