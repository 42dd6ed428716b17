//! Lines: where one ends, whether it fits, and how it falls into words. Shared by POP3, SMTP and SASL responses.
//!
//! Framing comes first and knows no meaning, so that input of any kind never loses the place. IMAP has its own
//! words (quotes and literals) but the same line ends.

use bytes::{Buf as _, BytesMut};

use crate::wipe;

/// A line, or an argument list, that breaks the grammar. It is answered and counted, never executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed command")]
pub struct Malformed;

/// How far the line at the beginning of the input has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Its end is not there yet, and it may still fit.
    Partial,
    /// It is complete with this many bytes, line end included.
    Line(usize),
    /// It cannot fit.
    TooLong,
}

impl Frame {
    /// Looks for the LF that ends the first line of `input`, within `limit` bytes, line end included.
    ///
    /// That a line is too long is known as soon as `limit` bytes without an LF are there. A limit of 0 acts as 1.
    pub fn of(input: &[u8], limit: usize) -> Self {
        let limit = limit.max(1);
        let visible = &input[..input.len().min(limit)];
        match memchr::memchr(b'\n', visible) {
            Some(at) => Self::Line(at + 1),
            None if visible.len() == limit => Self::TooLong,
            None => Self::Partial,
        }
    }
}

/// A framed line without its end, which is CRLF or LF alone. CR anywhere else breaks the grammar.
pub fn content(line: &[u8]) -> Result<&[u8], Malformed> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\r', line).is_some() { Err(Malformed) } else { Ok(line) }
}

/// The verb of a command and all that follows it, separating spaces included.
///
/// Whether the verb is one is for the caller to find out; it may be empty.
pub fn verb(content: &[u8]) -> (&[u8], &[u8]) {
    content.split_at(memchr::memchr(b' ', content).unwrap_or(content.len()))
}

/// The verb that `word` is, in any letter case, among those that a protocol knows.
pub fn known<Verb: Copy>(word: &[u8], verbs: &[(&str, Verb)]) -> Option<Verb> {
    verbs.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, verb)| *verb)
}

/// Text without the spaces before it.
pub fn trim_start(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

/// Text without the spaces behind it.
pub fn trim_end(text: &[u8]) -> &[u8] {
    let spaces = text.iter().rev().take_while(|byte| **byte == b' ').count();
    &text[..text.len() - spaces]
}

/// A command that keeps to the grammar. Whether it makes sense is for the state to say.
#[derive(Debug)]
pub struct Command<'a, Verb> {
    /// The verb, known and spelled in any letter case.
    pub verb: Verb,
    /// What follows it.
    pub arguments: Arguments<'a>,
    /// The whole line without its end.
    pub raw: &'a [u8],
}

/// The most arguments that a command of any protocol may have.
const CAPACITY: usize = 11;

/// The arguments of a command, as a rule split at spaces. They hold any bytes but CR and LF; none is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arguments<'a> {
    words: [&'a [u8]; CAPACITY],
    count: usize,
}

impl<'a> Arguments<'a> {
    /// Splits the text behind a verb. Runs of spaces count as one; those at the end count for nothing.
    ///
    /// More than `most` arguments, which is at most 11, break the grammar.
    pub fn split(text: &'a [u8], most: usize) -> Result<Self, Malformed> {
        let mut arguments = Self::default();
        for word in text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
            let place = arguments.words[..most.min(CAPACITY)].get_mut(arguments.count).ok_or(Malformed)?;
            *place = word;
            arguments.count += 1;
        }
        Ok(arguments)
    }

    /// All of `text` as one argument, or none if it is empty.
    pub fn whole(text: &'a [u8]) -> Self {
        let mut arguments = Self { count: usize::from(!text.is_empty()), ..Self::default() };
        arguments.words[0] = text;
        arguments
    }

    /// The arguments in their order.
    pub fn as_slice(&self) -> &[&'a [u8]] {
        &self.words[..self.count]
    }
}

/// The first argument of a SASL response line: all that counts of it.
///
/// It is empty when the line is, or begins with a space. Further arguments are tolerated up to `most` in all.
pub fn response(content: &[u8], most: usize) -> Result<&[u8], Malformed> {
    let (first, rest) = verb(content);
    Arguments::split(rest, most.saturating_sub(1))?;
    Ok(first)
}

/// Takes the first `length` bytes out of `input`. They may be a login, so they are wiped.
pub fn consume(input: &mut BytesMut, length: usize) {
    wipe(&mut input[..length]);
    input.advance(length);
}

/// Appends a line made of `pieces`, and its end.
///
/// At once for all of it: a buffer that grows leaves copies behind that nobody wipes.
pub fn write(output: &mut BytesMut, pieces: &[&[u8]]) {
    output.reserve(pieces.iter().map(|piece| piece.len()).sum::<usize>() + 2);
    for piece in pieces {
        output.extend_from_slice(piece);
    }
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_with_its_end_or_is_known_too_long_at_the_limit() {
        for (input, limit, frame) in [
            (&b""[..], 8, Frame::Partial),
            (b"NOOP\r", 8, Frame::Partial),
            (b"NOOP\r\n", 8, Frame::Line(6)),
            (b"NOOP\nNOOP\n", 8, Frame::Line(5)),
            (b"NOOPxx\r\n", 8, Frame::Line(8)),
            (b"NOOPxxx\r", 8, Frame::TooLong),
            (b"NOOPxxx\r\n", 8, Frame::TooLong),
            (b"\n", 0, Frame::Line(1)),
            (b"", 0, Frame::Partial),
            (b"x", 0, Frame::TooLong),
        ] {
            assert_eq!(Frame::of(input, limit), frame, "{input:?}");
        }
    }

    #[test]
    fn a_line_ends_in_crlf_or_lf_and_holds_no_other_cr() {
        assert_eq!(content(b"NOOP\r\n"), Ok(&b"NOOP"[..]));
        assert_eq!(content(b"NOOP\n"), Ok(&b"NOOP"[..]));
        assert_eq!(content(b"\n"), Ok(&b""[..]));
        for line in [&b"NOOP\r\r\n"[..], b"NOOP\rX\r\n", b"\rNOOP\n"] {
            assert_eq!(content(line), Err(Malformed), "{line:?}");
        }
    }

    #[test]
    fn runs_of_spaces_separate_once_and_nothing_else_does() {
        let arguments = Arguments::split(b"  a\tb   \0c\xff  ", 3).expect("two arguments");
        assert_eq!(arguments.as_slice(), [&b"a\tb"[..], b"\0c\xff"]);
        assert!(Arguments::split(b"   ", 3).expect("none").as_slice().is_empty());
    }

    #[test]
    fn one_argument_too_many_breaks_the_grammar() {
        for most in [1, 3, 11] {
            let text = " x".repeat(most);
            assert_eq!(Arguments::split(text.as_bytes(), most).expect("all fit").as_slice().len(), most);
            let text = " x".repeat(most + 1);
            assert_eq!(Arguments::split(text.as_bytes(), most).map(|_| ()), Err(Malformed));
        }
    }

    #[test]
    fn only_the_first_argument_of_a_response_counts() {
        assert_eq!(response(b"", 3), Ok(&b""[..]));
        assert_eq!(response(b" dQ==", 3), Ok(&b""[..]));
        assert_eq!(response(b"dQ== x  y ", 3), Ok(&b"dQ=="[..]));
        assert_eq!(response(b"dQ== x y z", 3), Err(Malformed));
    }

    #[test]
    fn only_spaces_are_trimmed() {
        assert_eq!(trim_start(b"  \t p "), b"\t p ");
        assert_eq!(trim_end(b" p \t  "), b" p \t");
        assert_eq!(trim_end(b"   "), b"");
    }
}
