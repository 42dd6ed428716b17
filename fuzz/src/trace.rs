//! What can be seen of a dialogue from outside, in its order.

use std::fmt;

use bytes::BytesMut;
use proto::{Dialogue, Violation, Want};

/// More steps in a row than any input of the fuzzer needs: the dialogue turns on the spot.
const MOST_STEPS: usize = 100_000;

/// One thing that was seen.
#[derive(Clone, PartialEq)]
pub enum Seen<Q> {
    /// Bytes for the peer. Adjacent ones are one: where a read ended says nothing.
    Output(Vec<u8>),
    /// TLS is wanted.
    Tls,
    /// This question.
    Question(Q),
    /// This is to be logged.
    Note(Violation),
    /// The end.
    Close,
}

impl<Q: fmt::Debug> fmt::Debug for Seen<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(bytes) => write!(f, "output \"{}\"", bytes.escape_ascii()),
            Self::Tls => write!(f, "tls"),
            Self::Question(question) => write!(f, "question {question:?}"),
            Self::Note(violation) => write!(f, "note {violation:?}"),
            Self::Close => write!(f, "close"),
        }
    }
}

/// What a dialogue waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// More input.
    Input,
    /// TLS.
    Tls,
    /// The answer to the question seen last.
    Answer,
    /// Nothing.
    Over,
}

/// A dialogue with its input, and what was seen of it.
#[derive(Debug)]
pub struct Stage<D: Dialogue> {
    /// The dialogue.
    pub dialogue: D,
    /// What it has not consumed yet.
    pub input: BytesMut,
    /// What was seen.
    pub seen: Vec<Seen<D::Question>>,
    limit: usize,
    steps: usize,
}

impl<D: Dialogue> Stage<D> {
    /// A dialogue that has not begun. It may hold less input than `limit` while it waits for more.
    pub fn new(dialogue: D, limit: usize) -> Self {
        Self { dialogue, input: BytesMut::new(), seen: Vec::new(), limit, steps: 0 }
    }

    /// Steps until the dialogue waits for something.
    pub fn run(&mut self) -> Waits {
        loop {
            self.steps += 1;
            assert!(self.steps < MOST_STEPS, "the dialogue turns on the spot");
            let mut output = BytesMut::new();
            let want = self.dialogue.step(&mut self.input, &mut output);
            self.say(&output);
            let (seen, waits) = match want {
                Want::Input => {
                    let held = self.input.len();
                    assert!(held < self.limit, "wants more, holds {held} of {} bytes", self.limit);
                    return Waits::Input;
                }
                Want::Note(violation) => {
                    self.seen.push(Seen::Note(violation));
                    continue;
                }
                Want::Tls => (Seen::Tls, Waits::Tls),
                Want::Answer(question) => (Seen::Question(question), Waits::Answer),
                Want::Close => (Seen::Close, Waits::Over),
            };
            self.seen.push(seen);
            return waits;
        }
    }

    fn say(&mut self, output: &[u8]) {
        match self.seen.last_mut() {
            _ if output.is_empty() => {}
            Some(Seen::Output(before)) => before.extend_from_slice(output),
            _ => self.seen.push(Seen::Output(output.to_vec())),
        }
    }
}
