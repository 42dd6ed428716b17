//! Reading IMAP commands off the wire: lines and literals with limits first, meaning second.

use std::collections::VecDeque;

use super::super::limits;
use super::super::store::{Refusal, Room, Store};
use super::super::wire::{End, Line, Wire};

/// A command as it was sent: its lines in a row, and apart from them the literals, in order.
#[derive(Default)]
pub(super) struct Input {
    /// A literal leaves its announcement here: `{3}` or `{3+}`.
    pub(super) text: Vec<u8>,
    /// One for each announcement at a line's end.
    pub(super) literals: VecDeque<Literal>,
}

/// The bytes of a literal.
pub(super) struct Literal {
    pub(super) bytes: Vec<u8>,
    /// Set aside for it in the store, if it is a message.
    pub(super) room: Option<Room>,
}

/// What came.
pub(super) enum Intake {
    /// A command to look at.
    Command(Input),
    /// A command whose literal was not taken.
    Refused(Input, Refusal),
}

/// Reads one command, asking for its literals where the client waits to be asked (RFC 3501, section 7.5;
/// RFC 7888).
pub(super) async fn command(wire: &mut Wire, store: &Store, logged_in: bool) -> Result<Intake, End> {
    let limit = if logged_in { limits::LINE } else { limits::LINE_AT_LOGIN };
    let mut input = Input::default();
    let mut refused = None;
    loop {
        let Line::Whole(line) = wire.line(limit.saturating_sub(input.text.len())).await? else {
            // What follows might be a literal, which must not be taken for commands.
            return Err(End::Lost("command line too long"));
        };
        input.text.extend_from_slice(&line);
        let Some(announced) = Announced::behind(&line) else { break };
        if input.literals.len() >= limits::LITERALS {
            return Err(End::Lost("too many literals"));
        }
        match admit(store, &input.text, announced.len, logged_in) {
            Ok(room) => {
                if announced.waits {
                    wire.say("+ go ahead\r\n").await?;
                }
                let bytes = wire.exact(announced.len).await?;
                input.literals.push_back(Literal { bytes, room });
            }
            // The client gets the answer instead of "go ahead", and the command is over.
            Err(refusal) if announced.waits => return Ok(Intake::Refused(input, refusal)),
            Err(_) if announced.len > limits::MESSAGE => return Err(End::Lost("literal too large")),
            Err(refusal) => {
                wire.discard(announced.len).await?;
                input.literals.push_back(Literal { bytes: Vec::new(), room: None });
                refused = refused.or(Some(refusal));
            }
        }
    }
    Ok(match refused {
        None => Intake::Command(input),
        Some(refusal) => Intake::Refused(input, refusal),
    })
}

/// Whether a literal of this length may come. Messages take room in the store from the first byte on.
fn admit(store: &Store, text: &[u8], len: usize, logged_in: bool) -> Result<Option<Room>, Refusal> {
    if len <= limits::LITERAL {
        return Ok(None);
    }
    let verb = text.split(|&b| b == b' ').nth(1).unwrap_or_default();
    let is_message = logged_in && verb.eq_ignore_ascii_case(b"APPEND");
    if is_message { store.reserve(len).map(Some) } else { Err(Refusal::TooLarge) }
}

/// A literal that is to come.
#[derive(Debug, PartialEq, Eq)]
struct Announced {
    len: usize,
    /// The client sends it when it is asked to; otherwise at once (LITERAL+).
    waits: bool,
}

impl Announced {
    /// What the end of `line` announces.
    fn behind(line: &[u8]) -> Option<Self> {
        let inner = line.strip_suffix(b"}")?;
        let digits = &inner[memchr::memrchr(b'{', inner)? + 1..];
        let (digits, waits) = match digits.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (digits, true),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // A number that does not fit is larger than any limit.
        let len = str::from_utf8(digits).ok()?.parse().unwrap_or(usize::MAX);
        Some(Self { len, waits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_announced_at_the_end_of_a_line_only() {
        for (line, expected) in [
            ("a LOGIN {5}", Some((5, true))),
            ("a LOGIN {5+}", Some((5, false))),
            ("{99999999999999999999999999}", Some((usize::MAX, true))),
            ("{5} ", None),
            ("{}", None),
            ("{+}", None),
            ("{-5}", None),
            ("5}", None),
            ("", None),
        ] {
            let expected = expected.map(|(len, waits)| Announced { len, waits });
            assert_eq!(Announced::behind(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn only_messages_of_users_may_be_large() {
        let store = Store::new().unwrap();
        assert!(admit(&store, b"a LOGIN {9}", 9, false).is_ok());
        let large = limits::LITERAL + 1;
        assert!(admit(&store, b"a append x {9}", large, true).is_ok_and(|room| room.is_some()));
        assert_eq!(admit(&store, b"a append x {9}", large, false).err(), Some(Refusal::TooLarge));
        assert_eq!(admit(&store, b"a LIST {9}", large, true).err(), Some(Refusal::TooLarge));
        assert_eq!(admit(&store, b"a append x {9}", usize::MAX, true).err(), Some(Refusal::TooLarge));
    }
}
