//! What the backs of all protocols have in common: how a login at an upstream ends, and what one is doing.
//!
//! A back is a [`Dialogue`](crate::Dialogue) whose only question is its [`Outcome`], which nobody answers. End of
//! input and time-outs are the driver's.
//!
//! A back that is to begin TLS fails closed: an upstream that refuses, or says more in clear than it was asked for,
//! never sees a name or a password, and what it has said is not for the client (NO STARTTLS, section 4).

use bytes::{Bytes, BytesMut};

use crate::Protocol;

/// How a login at an upstream has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream has accepted the login.
    LoggedIn {
        /// What the client gets first, before anything that is relayed.
        reply: Bytes,
    },
    /// The upstream has said something else than it should.
    Refused {
        /// All that was received in answer to the last command, as it came, with its line ends.
        reply: Bytes,
        /// Where in `reply` the text begins that is worth logging.
        shown_from: usize,
    },
    /// The upstream does not begin TLS, or has said more in clear than it was asked. Not for the client.
    NoTls {
        /// What it has said instead of its go-ahead, or behind it.
        reply: Bytes,
    },
    /// The upstream's reply does not end within the limit.
    TooLong {
        /// What was received of it, as many bytes as the limit allows.
        reply: Bytes,
    },
    /// The upstream wants a password and none is known.
    NoPassword,
    /// The credentials cannot be said in this protocol without saying something else. Nothing of them was sent.
    Unsendable,
}

/// An upstream does not hear who the client is. What it needs is usually our address in one of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snub {
    /// SMTP: it refuses XCLIENT, which it has not announced to us. The login fails.
    Xclient,
    /// POP3: it refuses XCLIENT. The login goes on.
    Pop3Xclient,
    /// IMAP: it refuses ID. The login goes on.
    ImapId,
}

/// What a back is doing: the ` while …` of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing was received yet: the driver has connected, or still tries to.
    Connecting,
    /// Bytes of the upstream are being looked at.
    ReadingResponse,
    /// STARTTLS or STLS was sent last, or TLS is being begun.
    SendingStarttls,
    /// IMAP: ID was sent last.
    SendingId,
    /// IMAP: the LOGIN command was sent last.
    SendingLogin,
    /// IMAP, POP3: the user name was sent last.
    SendingUser,
    /// IMAP, POP3: the password was sent last.
    SendingPassword,
    /// SMTP: HELO or EHLO with our own name was sent last.
    SendingHelo,
    /// SMTP, POP3: XCLIENT was sent last.
    SendingXclient,
    /// SMTP: HELO or EHLO with the client's name was sent last.
    SendingClientHelo,
    /// SMTP: AUTH was sent last.
    SendingAuth,
    /// SMTP: the client's MAIL line was sent last.
    SendingMail,
    /// SMTP: the client's RCPT line was sent last.
    SendingRcpt,
}

/// How far the reply to the last command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Its end is not there yet, and it may still fit.
    Partial,
    /// All that is there is the reply.
    Complete,
    /// It cannot fit.
    TooLong,
}

impl Reading {
    /// A reply is complete when all that was received ends in CRLF, within `limit` bytes.
    ///
    /// Lines behind the first are part of the reply and go with it, so that what came too early is never taken for
    /// the answer to a later command.
    pub(crate) fn of(input: &[u8], limit: usize) -> Self {
        Self::by(input.ends_with(b"\r\n"), input.len(), limit)
    }

    /// The same for replies of several lines: the last one has no `-` behind its code (RFC 5321, section 4.2.1).
    pub(crate) fn of_lines(input: &[u8], limit: usize) -> Self {
        let last = input.strip_suffix(b"\r\n").map(|lines| match memchr::memrchr(b'\n', lines) {
            Some(at) => &lines[at + 1..],
            None => lines,
        });
        Self::by(last.is_some_and(|line| line.get(3) != Some(&b'-')), input.len(), limit)
    }

    /// For the reply that ends a login: complete with its own last line, whatever comes behind it. That is for the
    /// client, and how it arrives must not matter.
    pub(crate) fn of_last(input: &[u8], limit: usize, protocol: Protocol) -> Self {
        let visible = &input[..input.len().min(limit)];
        let goes_on = |line: &[u8]| protocol == Protocol::Smtp && line.get(3) == Some(&b'-');
        let is_last = |line: &[u8]| line.ends_with(b"\r\n") && !goes_on(line);
        let ended = visible.split_inclusive(|&byte| byte == b'\n').any(is_last);
        Self::by(ended, visible.len(), limit)
    }

    const fn by(ended: bool, length: usize, limit: usize) -> Self {
        match ended {
            true if length <= limit => Self::Complete,
            false if length < limit => Self::Partial,
            _ => Self::TooLong,
        }
    }
}

/// Whether `input` is a go-ahead for TLS: one line, whose first word is `word` and not the beginning of another.
pub(crate) fn is_go_ahead(input: &[u8], word: &[u8]) -> bool {
    let behind = input.strip_prefix(word);
    is_single_line(input) && behind.is_some_and(|rest| matches!(rest, [b' ', ..] | b"\r\n"))
}

/// Whether `input` is one line and nothing behind it: what must be before TLS. More would be taken for something that was
/// said inside it.
pub(crate) fn is_single_line(input: &[u8]) -> bool {
    input.ends_with(b"\r\n") && memchr::memchr(b'\n', input) == Some(input.len() - 1)
}

impl Outcome {
    /// The reply in `input` is no go-ahead for TLS.
    pub(crate) fn no_tls(input: &mut BytesMut) -> Self {
        Self::NoTls { reply: input.split().freeze() }
    }

    /// The reply in `input` is a refusal, all of whose text is shown.
    pub(crate) fn refused(input: &mut BytesMut) -> Self {
        Self::Refused { reply: input.split().freeze(), shown_from: 0 }
    }

    /// The reply in `input` has outgrown `limit`.
    pub(crate) fn too_long(input: &mut BytesMut, limit: usize) -> Self {
        let reply = input.split_to(input.len().min(limit)).freeze();
        input.clear();
        Self::TooLong { reply }
    }
}

#[cfg(fuzzing)]
pub mod fuzzing {
    //! How replies are framed, for its fuzz target only: not there in any other build.

    use super::Reading;
    use crate::Protocol;

    /// Whether the reply in `input` is complete, by each of the rules; `None` if it cannot fit.
    pub fn complete(input: &[u8], limit: usize) -> [Option<bool>; 4] {
        [
            Reading::of(input, limit),
            Reading::of_lines(input, limit),
            Reading::of_last(input, limit, Protocol::Pop3),
            Reading::of_last(input, limit, Protocol::Smtp),
        ]
        .map(|reading| match reading {
            Reading::Partial => Some(false),
            Reading::Complete => Some(true),
            Reading::TooLong => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_complete_at_crlf_however_short_it_is() {
        assert_eq!(Reading::of(b"", 8), Reading::Partial);
        assert_eq!(Reading::of(b"+\r", 8), Reading::Partial);
        assert_eq!(Reading::of(b"+\r\n", 8), Reading::Complete);
        assert_eq!(Reading::of(b"+OK\n", 8), Reading::Partial);
        assert_eq!(Reading::of(b"a\r\nb", 8), Reading::Partial);
        assert_eq!(Reading::of(b"a\r\nb\r\n", 8), Reading::Complete);
    }

    #[test]
    fn a_line_that_announces_another_ends_no_reply() {
        assert_eq!(Reading::of_lines(b"220-one\r\n", 20), Reading::Partial);
        assert_eq!(Reading::of_lines(b"220-one\r\n220 t\r", 20), Reading::Partial);
        assert_eq!(Reading::of_lines(b"220-one\r\n220 two\r\n", 20), Reading::Complete);
        assert_eq!(Reading::of_lines(b"220\r\n", 20), Reading::Complete);
        assert_eq!(Reading::of_lines(b"\r\n", 20), Reading::Complete);
        assert_eq!(Reading::of_lines(b"220-one\r\n", 9), Reading::TooLong);
    }

    #[test]
    fn the_last_reply_is_complete_with_its_own_end() {
        let pop3 = |input: &[u8]| Reading::of_last(input, 8, Protocol::Pop3);
        assert_eq!(pop3(b"+OK in\r\n+OK"), Reading::Complete);
        assert_eq!(pop3(b"+OK-in\r\n"), Reading::Complete);
        assert_eq!(pop3(b"+OK in\r"), Reading::Partial);
        assert_eq!(pop3(b"+OK more\r\n"), Reading::TooLong);
        let smtp = |input: &[u8]| Reading::of_last(input, 99, Protocol::Smtp);
        assert_eq!(smtp(b"250-a\r\n"), Reading::Partial);
        assert_eq!(smtp(b"250-a\r\n250 b\r\n2"), Reading::Complete);
    }

    #[test]
    fn a_reply_may_fill_the_limit_but_not_exceed_it() {
        assert_eq!(Reading::of(b"+OK abc\r\n", 9), Reading::Complete);
        assert_eq!(Reading::of(b"+OK abcd\r", 9), Reading::TooLong);
        assert_eq!(Reading::of(b"+OK abcd\r\n", 9), Reading::TooLong);
    }
}
