//! The one contract of all dialogues, fronts and backs of every protocol.

use bytes::BytesMut;

use crate::Violation;

/// A conversation with one peer, as a state machine over bytes.
///
/// A driver owns the socket and the clock. It calls [`step`](Self::step), sends everything in `output`, acts on
/// the [`Want`], and calls `step` again. How the peer's bytes were cut into reads must change nothing.
pub trait Dialogue {
    /// What only the outside can decide, such as whether a login is good.
    type Question;
    /// What the outside says to a [`Self::Question`].
    type Answer;

    /// Consumes what it can of `input`, appends replies to `output`.
    ///
    /// The driver sends all of `output` before it acts on the result. Bytes left in `input` belong to later
    /// steps, or, once the session is logged in, to the upstream. A dialogue that wants input has either
    /// consumed all of it or holds less than its limit there: `input` cannot grow without bound.
    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Self::Question>;

    /// Resolves the [`Want::Answer`] returned last. Replies appear in the output of the next `step`.
    fn answer(&mut self, answer: Self::Answer);

    /// TLS is up, after [`Want::Tls`]: forgets what the protocol says must be forgotten.
    ///
    /// The driver has already dropped all input that came in clear.
    fn secured(&mut self);
}

/// What a [`Dialogue`] needs before it can go on.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<Q> {
    /// More bytes from the peer.
    Input,
    /// The TLS handshake, now that the go-ahead is in `output`; then [`Dialogue::secured`].
    Tls,
    /// An answer to this question by [`Dialogue::answer`].
    Answer(Q),
    /// This to be logged; nothing else, the next step follows at once.
    Note(Violation),
    /// The end of the connection, once `output` is sent.
    Close,
}
