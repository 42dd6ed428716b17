//! Runs any dialogue over a link: owns the reading, the sending and nothing else.
//!
//! Time belongs to the callers, who put a limit around each phase.

use std::io;

use bytes::BytesMut;
use proto::{Dialogue, Violation, Want, wipe};

use crate::link::Link;
use crate::scratch;
use crate::trouble::Call;
use crate::wiped::Wiped;

/// Bytes that one read before login takes at most.
const READ: usize = 16 * 1024;

/// How a stretch of conversation ended.
#[derive(Debug)]
pub enum Said<Q> {
    /// The dialogue asks this.
    Question(Q),
    /// The dialogue wants TLS; its go-ahead is sent, and what came in clear is dropped. After the handshake:
    /// [`Dialogue::secured`].
    Tls,
    /// The dialogue has said its last word, and it is sent.
    Closed,
}

/// How a stretch of conversation broke.
#[derive(Debug)]
pub enum Broken {
    /// The peer has said its last word, and all of it was answered.
    Ended,
    /// The socket failed.
    Io(Call, io::Error),
}

/// Converses until the dialogue needs something that no peer can give.
///
/// `input` holds what was received and not yet used; what is in it at the end of a login belongs to the upstream.
/// `note` hears of violations. Dropping the future loses nothing but bytes that were about to be sent.
pub async fn converse<D: Dialogue>(
    link: &mut Link,
    dialogue: &mut D,
    input: &mut BytesMut,
    mut note: impl FnMut(&D, Violation),
) -> Result<Said<D::Question>, Broken> {
    loop {
        if let Some(said) = speak(link, dialogue, input, &mut note).await? {
            return Ok(said);
        }
        listen(link, input).await?;
    }
}

/// Lets the dialogue say all that it can. `None`: it has to hear more.
pub async fn speak<D: Dialogue>(
    link: &mut Link,
    dialogue: &mut D,
    input: &mut BytesMut,
    mut note: impl FnMut(&D, Violation),
) -> Result<Option<Said<D::Question>>, Broken> {
    // An upstream is told passwords.
    let mut output = Wiped::new();
    loop {
        let want = dialogue.step(input, &mut output);
        link.write_all(&output).await.map_err(|e| Broken::Io(Call::Send, e))?;
        wipe(&mut output);
        output.clear();
        match want {
            Want::Note(violation) => note(dialogue, violation),
            Want::Answer(question) => return Ok(Some(Said::Question(question))),
            Want::Close => return Ok(Some(Said::Closed)),
            Want::Tls => {
                // RFC 3207, section 4.2: what came in clear behind the command must not be taken for TLS, nor for
                // something that was said inside it.
                wipe(input);
                *input = BytesMut::new();
                return Ok(Some(Said::Tls));
            }
            Want::Input => {
                if input.is_empty() {
                    // A session that waits holds no buffer.
                    *input = BytesMut::new();
                }
                return Ok(None);
            }
        }
    }
}

/// Waits until there is more to be heard.
pub async fn listen(link: &mut Link, input: &mut BytesMut) -> Result<(), Broken> {
    match scratch::read(link, input, READ).await {
        Ok(0) => Err(Broken::Ended),
        Ok(_) => Ok(()),
        // Nothing that came before the cut was a whole line, or it would have been answered.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Broken::Ended),
        Err(e) => Err(Broken::Io(Call::Recv, e)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::timeout;

    use super::*;

    /// Says hello, echoes lines, asks about `?`, remarks on `!` and leaves at `.`.
    struct Parrot {
        greeted: bool,
        answered: Option<&'static str>,
    }

    impl Dialogue for Parrot {
        type Question = BytesMut;
        type Answer = &'static str;

        fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<BytesMut> {
            if !self.greeted {
                self.greeted = true;
                output.extend_from_slice(b"hello\n");
            }
            if let Some(answer) = self.answered.take() {
                output.extend_from_slice(answer.as_bytes());
            }
            while let Some(end) = input.iter().position(|&b| b == b'\n') {
                let line = input.split_to(end + 1);
                match line[0] {
                    b'?' => return Want::Answer(line),
                    b'!' => return Want::Note(Violation::TooManyErrors),
                    b'.' => return Want::Close,
                    _ => output.extend_from_slice(&line),
                }
            }
            Want::Input
        }

        fn answer(&mut self, answer: &'static str) {
            self.answered = Some(answer);
        }

        fn secured(&mut self) {}
    }

    fn parrot() -> Parrot {
        Parrot { greeted: false, answered: None }
    }

    async fn heard(mut peer: UnixStream) -> String {
        let mut text = String::new();
        peer.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn replies_are_sent_before_a_question_is_asked_and_the_rest_of_the_input_is_kept() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let mut link = Link::from(ours);
        let (mut dialogue, mut input) = (parrot(), BytesMut::new());
        peer.write_all(b"a\n?who\nb\n.\n").await.unwrap();
        let said = converse(&mut link, &mut dialogue, &mut input, |_, _| {}).await.unwrap();
        assert!(matches!(&said, Said::Question(question) if question == "?who\n"), "{said:?}");
        assert_eq!(input, "b\n.\n");
        dialogue.answer("me\n");
        let said = converse(&mut link, &mut dialogue, &mut input, |_, _| {}).await.unwrap();
        assert!(matches!(said, Said::Closed));
        drop(link);
        assert_eq!(heard(peer).await, "hello\na\nme\nb\n");
    }

    #[tokio::test]
    async fn everything_received_before_the_end_is_answered() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let mut link = Link::from(ours);
        peer.write_all(b"a\nb\n!\nc\n").await.unwrap();
        peer.shutdown().await.unwrap();
        let mut notes = 0;
        let broken =
            converse(&mut link, &mut parrot(), &mut BytesMut::new(), |_, _| notes += 1).await.unwrap_err();
        assert!(matches!(broken, Broken::Ended));
        assert_eq!(notes, 1);
        drop(link);
        assert_eq!(heard(peer).await, "hello\na\nb\nc\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_conversation_that_waits_holds_no_buffer_and_can_be_given_up() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let mut link = Link::from(ours);
        let (mut dialogue, mut input) = (parrot(), BytesMut::new());
        peer.write_all(b"a\n").await.unwrap();
        let waiting = converse(&mut link, &mut dialogue, &mut input, |_, _| {});
        assert!(timeout(Duration::from_mins(1), waiting).await.is_err());
        assert_eq!(input.capacity(), 0);
        peer.write_all(b"half").await.unwrap();
        let waiting = converse(&mut link, &mut dialogue, &mut input, |_, _| {});
        assert!(timeout(Duration::from_mins(1), waiting).await.is_err());
        assert_eq!(input, "half");
    }
}
