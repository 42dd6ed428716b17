//! Messages as bytes with places in them: header fields (RFC 5322) and parts (RFC 2045, 2046).
//!
//! Nothing is decoded, for IMAP shows everything as it was sent. Whatever the bytes are, there is an answer;
//! what makes no sense is one opaque part.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem};

use super::limits;

/// `raw` with every line ended by CRLF. A last line without any end stays so.
pub(super) fn with_crlf(raw: Vec<u8>) -> Vec<u8> {
    let bare = |at: &usize| *at == 0 || raw[at - 1] != b'\r';
    let missing = memchr_iter(b'\n', &raw).filter(bare).count();
    if missing == 0 {
        return raw;
    }
    let mut whole = Vec::with_capacity(raw.len() + missing);
    let mut start = 0;
    for end in memchr_iter(b'\n', &raw).filter(bare) {
        whole.extend_from_slice(&raw[start..end]);
        whole.extend_from_slice(b"\r\n");
        start = end + 1;
    }
    whole.extend_from_slice(&raw[start..]);
    whole
}

/// Length of the header with the empty line that ends it.
pub(super) fn header_len(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// One field of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// What stands before the colon.
    pub(super) name: &'a [u8],
    /// What stands behind it, still folded.
    pub(super) value: &'a [u8],
    /// The whole field with its line ends.
    pub(super) raw: &'a [u8],
}

/// The fields of a header, in order; lines that are none are passed over.
pub(super) fn fields(mut header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        while !header.is_empty() && !header.starts_with(b"\r\n") {
            let (raw, rest) = header.split_at(field_len(header));
            header = rest;
            if let Some(colon) = memchr(b':', raw) {
                let name = raw[..colon].trim_ascii_end();
                return Some(Field { name, value: &raw[colon + 1..], raw });
            }
        }
        None
    })
}

/// The value of the first field called `name`, unfolded and without the space around it.
pub(super) fn value(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let field = fields(header).find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(unfolded(field.value))
}

/// `value` on one line: line ends go, the white space behind them stays (RFC 5322, section 2.2.3).
pub(super) fn unfolded(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()
}

/// Length of the first field: a line and the lines behind it that begin with white space.
fn field_len(header: &[u8]) -> usize {
    memchr_iter(b'\n', header)
        .map(|end| end + 1)
        .find(|&next| !matches!(header.get(next), Some(b' ' | b'\t')))
        .unwrap_or(header.len())
}

/// Names and values, as in `name="value"`.
pub(super) type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

/// What a part says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// Such as `text`.
    pub(super) kind: Vec<u8>,
    /// Such as `plain`.
    pub(super) subtype: Vec<u8>,
    /// Names and values behind it.
    pub(super) parameters: Parameters,
}

impl Media {
    /// What a part is that says nothing (RFC 2045, section 5.2).
    fn plain() -> Self {
        let parameters = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
        Self { kind: b"text".to_vec(), subtype: b"plain".to_vec(), parameters }
    }

    fn of(header: &[u8]) -> Self {
        let Some((media, parameters)) = value(header, "Content-Type").map(|value| parameterised(&value))
        else {
            return Self::plain();
        };
        let Some(slash) = memchr(b'/', &media) else { return Self::plain() };
        let (kind, subtype) =
            (media[..slash].trim_ascii().to_vec(), media[slash + 1..].trim_ascii().to_vec());
        Self { kind, subtype, parameters }
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    fn boundary(&self) -> Option<&[u8]> {
        let named = |(name, _): &&(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"boundary");
        self.parameters
            .iter()
            .find(named)
            .map(|(_, value)| value.as_slice())
            .filter(|value| !value.is_empty())
    }
}

/// A value and its parameters, as in `attachment; filename="a.csv"` (RFC 2045, section 5.1).
pub(super) fn parameterised(value: &[u8]) -> (Vec<u8>, Parameters) {
    let mut pieces = outside_quotes(value, b';');
    let first = pieces.next().unwrap_or_default().trim_ascii().to_vec();
    let parameter = |piece: &[u8]| {
        let equals = memchr(b'=', piece)?;
        Some((piece[..equals].trim_ascii().to_vec(), unquoted(piece[equals + 1..].trim_ascii())))
    };
    (first, pieces.filter_map(parameter).collect())
}

/// The pieces of `text` between separators that stand outside quotes.
fn outside_quotes(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |&b| {
        let plain = !std::mem::take(&mut escaped);
        quoted ^= plain && b == b'"';
        escaped = plain && quoted && b == b'\\';
        !quoted && b == separator
    })
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inner) = text.strip_prefix(b"\"") else { return text.to_vec() };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(b) = bytes.next() {
        match b {
            b'"' => break,
            b'\\' => plain.extend(bytes.next()),
            b => plain.push(b),
        }
    }
    plain
}

/// A message or a part of one; the ranges count from the beginning of the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Header with the empty line.
    pub(super) header: Range<usize>,
    /// All behind it.
    pub(super) body: Range<usize>,
    /// What the part says that it is.
    pub(super) media: Media,
    /// What is in it.
    pub(super) inside: Inside,
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inside {
    /// Bytes.
    Bytes,
    /// Parts, at least one.
    Parts(Vec<Part>),
    /// A message.
    Message(Box<Part>),
}

impl Part {
    /// Finds the parts of a whole message.
    pub(super) fn of(message: &[u8]) -> Self {
        Parser { message, parts_left: limits::PARTS }.part(0..message.len(), limits::PART_DEPTH)
    }

    /// The part called `path`, such as 2.1 (RFC 3501, section 6.4.5). An empty path is the message.
    pub(super) fn at(&self, path: &[u32]) -> Option<&Self> {
        let Some((&number, rest)) = path.split_first() else { return Some(self) };
        let part = self.numbered(number)?;
        match &part.inside {
            _ if rest.is_empty() => Some(part),
            Inside::Bytes => None,
            Inside::Parts(_) => part.at(rest),
            Inside::Message(message) => message.at(rest),
        }
    }

    /// A part of a message. What is not a multipart has one part, itself.
    fn numbered(&self, number: u32) -> Option<&Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        match &self.inside {
            Inside::Parts(parts) => parts.get(index),
            Inside::Bytes | Inside::Message(_) => (index == 0).then_some(self),
        }
    }
}

struct Parser<'a> {
    message: &'a [u8],
    parts_left: usize,
}

impl Parser<'_> {
    fn part(&mut self, range: Range<usize>, depth: usize) -> Part {
        // Headers are copied when they are shown, so what is too large to be one is not.
        let len = Some(header_len(&self.message[range.clone()])).filter(|len| *len <= limits::HEADER);
        let body = range.start + len.unwrap_or(0)..range.end;
        let header = range.start..body.start;
        let media = Media::of(&self.message[header.clone()]);
        let inside = if depth == 0 { Inside::Bytes } else { self.inside(&media, &body, depth - 1) };
        Part { header, body, media, inside }
    }

    fn inside(&mut self, media: &Media, body: &Range<usize>, depth: usize) -> Inside {
        if media.is("message") && media.subtype.eq_ignore_ascii_case(b"rfc822") {
            return Inside::Message(Box::new(self.part(body.clone(), depth)));
        }
        let boundary = media.boundary().filter(|_| media.is("multipart"));
        let ranges = boundary.map(|boundary| self.between(boundary, body)).unwrap_or_default();
        if ranges.is_empty() {
            return Inside::Bytes;
        }
        Inside::Parts(ranges.into_iter().map(|range| self.part(range, depth)).collect())
    }

    /// The ranges between the lines `--boundary` and up to `--boundary--` (RFC 2046, section 5.1.1).
    fn between(&mut self, boundary: &[u8], body: &Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut open = None;
        let mut line = body.start;
        while line < body.end && self.parts_left > 0 {
            let next = memchr(b'\n', &self.message[line..body.end]).map_or(body.end, |at| line + at + 1);
            if let Some(last) = delimiter(&self.message[line..next], boundary) {
                // The line end before the delimiter belongs to the delimiter.
                found.extend(open.map(|start: usize| start..line.saturating_sub(2).max(start)));
                self.parts_left -= 1;
                open = Some(next).filter(|_| !last);
                if last {
                    break;
                }
            }
            line = next;
        }
        found.extend(open.map(|start| start..body.end));
        found
    }
}

/// Whether `line` is a delimiter, and if so, whether it is the last.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?.trim_ascii_end();
    match rest {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &[u8] = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=\"a;b\"\r\n\r\npreamble\r\n\
        --a;b\r\n\r\none\r\n--a;b \r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntwo\r\n--a;b--\r\nrest";

    fn text<'a>(message: &'a [u8], path: &[u32]) -> Option<&'a [u8]> {
        Part::of(message).at(path).map(|part| &message[part.body.clone()])
    }

    #[test]
    fn bare_line_feeds_become_crlf() {
        assert_eq!(with_crlf(b"\na\r\nb\n\rc\n\nd".to_vec()), b"\r\na\r\nb\r\n\rc\r\n\r\nd");
        assert_eq!(with_crlf(b"a\r\n".to_vec()), b"a\r\n");
    }

    #[test]
    fn fields_keep_their_folded_lines() {
        let header = b"A: 1\r\n 2\r\nno field\r\nb : \t3\r\n\r\nC: 4\r\n";
        let found: Vec<_> = fields(header).map(|field| (field.name, unfolded(field.value))).collect();
        assert_eq!(found, [(&b"A"[..], b"1 2".to_vec()), (b"b", b"3".to_vec())]);
        assert_eq!(fields(header).next().map(|field| field.raw), Some(&b"A: 1\r\n 2\r\n"[..]));
        assert_eq!(value(header, "a"), Some(b"1 2".to_vec()));
    }

    #[test]
    fn parts_are_found_by_number() {
        assert_eq!(text(MIXED, &[1]), Some(&b"one"[..]));
        assert_eq!(text(MIXED, &[2]), Some(&b"Subject: inner\r\n\r\ntwo"[..]));
        assert_eq!(text(MIXED, &[2, 1]), Some(&b"two"[..]));
        for missing in [&[0][..], &[3], &[1, 1], &[2, 2], &[2, 1, 1], &[u32::MAX]] {
            assert_eq!(text(MIXED, missing), None, "{missing:?}");
        }
    }

    #[test]
    fn a_plain_message_has_one_part() {
        assert_eq!(text(b"a: b\r\n\r\nbody", &[1]), Some(&b"body"[..]));
        assert_eq!(text(b"a: b\r\n\r\nbody", &[1, 1]), None);
        assert_eq!(text(b"no header at all", &[1]), Some(&b""[..]));
        assert_eq!(text(b"", &[]), Some(&b""[..]));
    }

    #[test]
    fn parts_that_lack_their_delimiters_are_bytes() {
        for message in [
            &b"Content-Type: multipart/mixed\r\n\r\n--\r\n"[..],
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing",
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--",
        ] {
            assert_eq!(Part::of(message).inside, Inside::Bytes, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn parts_side_by_side_and_nested_are_bounded() {
        let wide =
            [&b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"[..], &b"--x\r\n".repeat(5000)].concat();
        assert!(matches!(Part::of(&wide).inside, Inside::Parts(parts) if parts.len() <= limits::PARTS));
        let deep = b"Content-Type: message/rfc822\r\n\r\n".repeat(5000);
        assert!(Part::of(&deep).at(&[1; limits::PART_DEPTH + 2]).is_none());
    }

    #[test]
    fn a_part_has_no_header_too_large_to_be_copied() {
        let header = [b"A: ", vec![b'a'; limits::HEADER].as_slice(), b"\r\n\r\n"].concat();
        let message = [&b"Content-Type: message/rfc822\r\n\r\n"[..], &header].concat();
        let Inside::Message(inner) = Part::of(&message).inside else { panic!("a message in a message") };
        assert!(inner.header.is_empty());
        assert_eq!(inner.body.len(), header.len());
    }

    #[test]
    fn quoted_parameters_may_hold_separators_and_escapes() {
        let (value, parameters) = parameterised(b"attachment; filename=\"a;\\\"b\\\".csv\" ; x = y; broken");
        assert_eq!(value, b"attachment");
        let expected = [(b"filename".to_vec(), b"a;\"b\".csv".to_vec()), (b"x".to_vec(), b"y".to_vec())];
        assert_eq!(parameters, expected);
    }
}
