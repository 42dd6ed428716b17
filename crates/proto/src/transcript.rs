//! The harness of all dialogue tests: a script of what a peer sends and what must come of it.
//!
//! One script is played many times: with every send in one piece, cut in two at every place, and byte by byte.
//! Each time the same bytes and wants must come in the same order. `Want::Input` is not part of a script.
//!
//! ```ignore
//! Transcript::of(|| Front::new(settings(), false, SALT))
//!     .receives("+OK POP3 ready\r\n")
//!     .sends("USER u\r\nPASS p\r\nSTAT\r\n")
//!     .receives("+OK\r\n")
//!     .asks(login("u", "p"))
//!     .leaves("STAT\r\n")
//!     .check();
//! ```

mod seeds;

use std::any::type_name;
use std::fmt::Debug;

use bytes::{Bytes, BytesMut};

use crate::{
    Credentials, Dialogue, Limits, Login, Mechanism, Method, Refusal, Salt, Secret, Settings, Starttls,
    Violation, Want,
};

/// What makes the dialogue anew for each time that the script is played.
type Make<D> = Box<dyn Fn() -> D>;
/// What is to be looked at when all has been played.
type Inspect<D> = Box<dyn Fn(&D)>;

/// More steps in a row than any script needs without new input: the dialogue turns on the spot.
const MOST_STEPS: usize = 100_000;

/// A script, built move by move and then played by [`check`](Self::check).
pub(crate) struct Transcript<D: Dialogue> {
    make: Make<D>,
    moves: Vec<Move<D>>,
    held: usize,
}

enum Move<D: Dialogue> {
    Send(Vec<u8>),
    Answer(D::Answer),
    Secure,
    Expect(Seen<D::Question>),
    Leave(Vec<u8>),
    Inspect(Inspect<D>),
}

/// What can be seen of a dialogue from outside.
#[derive(Debug, Clone, PartialEq)]
enum Seen<Q> {
    Output(String),
    Tls,
    Question(Q),
    Note(Violation),
    Close,
}

/// Where the bytes that a script sends are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Nowhere,
    Before(usize),
    Everywhere,
}

impl<D> Transcript<D>
where
    D: Dialogue,
    D::Question: Clone + PartialEq + Debug,
    D::Answer: Clone,
{
    /// A script for the dialogues that `make` makes. It begins before the first step.
    pub(crate) fn of(make: impl Fn() -> D + 'static) -> Self {
        Self { make: Box::new(make), moves: Vec::new(), held: usize::MAX }
    }

    /// The peer sends these bytes.
    pub(crate) fn sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Move::Send(bytes.as_ref().to_vec()))
    }

    /// The peer gets these bytes.
    pub(crate) fn receives(self, bytes: impl AsRef<[u8]>) -> Self {
        self.expects(Seen::Output(show(bytes.as_ref())))
    }

    /// The peer sends one piece and gets the other.
    pub(crate) fn trades(self, sent: impl AsRef<[u8]>, received: impl AsRef<[u8]>) -> Self {
        self.sends(sent).receives(received)
    }

    /// The dialogue asks this.
    pub(crate) fn asks(self, question: D::Question) -> Self {
        self.expects(Seen::Question(question))
    }

    /// The driver answers the last question.
    pub(crate) fn answers(self, answer: D::Answer) -> Self {
        self.then(Move::Answer(answer))
    }

    /// The dialogue wants this to be logged.
    pub(crate) fn notes(self, violation: Violation) -> Self {
        self.expects(Seen::Note(violation))
    }

    /// The dialogue wants TLS; the driver drops the input that is left and reports TLS.
    pub(crate) fn upgrades(self) -> Self {
        self.expects(Seen::Tls).then(Move::Secure)
    }

    /// The dialogue wants the connection closed.
    pub(crate) fn closes(self) -> Self {
        self.expects(Seen::Close)
    }

    /// This much input is left for whoever comes next.
    pub(crate) fn leaves(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Move::Leave(bytes.as_ref().to_vec()))
    }

    /// The dialogue never wants more input while it holds this many bytes of it.
    pub(crate) fn holds_less_than(self, bytes: usize) -> Self {
        Self { held: bytes, ..self }
    }

    /// At this place, `inspect` looks at the dialogue.
    pub(crate) fn inspects(self, inspect: impl Fn(&D) + 'static) -> Self {
        self.then(Move::Inspect(Box::new(inspect)))
    }

    /// Plays the script in one piece, byte by byte, and cut at every place.
    pub(crate) fn check(self) {
        self.seed();
        let sent =
            self.moves.iter().map(|step| if let Move::Send(bytes) = step { bytes.len() } else { 0 }).sum();
        let cuts = (1..sent).map(Cut::Before);
        for cut in [Cut::Nowhere, Cut::Everywhere].into_iter().chain(cuts) {
            self.play(cut);
        }
    }

    /// Plays the script in one piece only: for scripts that are about when bytes come.
    pub(crate) fn check_uncut(self) {
        self.seed();
        self.play(Cut::Nowhere);
    }

    /// What the peer sends, as a seed for the fuzzer. A back's peer waits after everything; a client for TLS only.
    fn seed(&self) {
        let mut segments = vec![Vec::new()];
        let is_back = type_name::<D>().contains("::back::");
        for step in &self.moves {
            match step {
                Move::Send(bytes) => segments.last_mut().expect("never empty").extend_from_slice(bytes),
                Move::Expect(Seen::Output(_)) if is_back => segments.push(Vec::new()),
                Move::Secure => segments.push(Vec::new()),
                _ => {}
            }
        }
        segments.retain(|segment| !segment.is_empty());
        seeds::write(type_name::<D>(), &segments);
    }

    fn expects(self, seen: Seen<D::Question>) -> Self {
        self.then(Move::Expect(seen))
    }

    fn then(mut self, step: Move<D>) -> Self {
        self.moves.push(step);
        self
    }

    fn play(&self, cut: Cut) {
        let mut stage = Stage::new((self.make)(), self.held);
        let mut expected = Vec::new();
        let mut sent = 0;
        for step in &self.moves {
            if let Move::Expect(seen) = step {
                add(&mut expected, seen.clone());
                continue;
            }
            assert_eq!(stage.seen, expected, "cut {cut:?}");
            match step {
                Move::Send(bytes) => {
                    cut.pieces(bytes, sent).for_each(|piece| stage.receive(piece));
                    sent += bytes.len();
                }
                Move::Answer(answer) => stage.answer(answer.clone()),
                Move::Secure => stage.secure(),
                Move::Leave(left) => assert_eq!(show(&stage.input), show(left), "cut {cut:?}"),
                Move::Inspect(inspect) => inspect(&stage.dialogue),
                Move::Expect(_) => {}
            }
        }
        assert_eq!(stage.seen, expected, "cut {cut:?}");
    }
}

impl Cut {
    /// Cuts `bytes`, before which the script has sent `sent` others.
    fn pieces(self, bytes: &[u8], sent: usize) -> impl Iterator<Item = &[u8]> {
        let first = match self {
            Self::Nowhere => bytes.len(),
            Self::Before(place) => place.saturating_sub(sent).min(bytes.len()),
            Self::Everywhere => 0,
        };
        let size = if matches!(self, Self::Everywhere) { 1 } else { bytes.len().max(1) };
        let (head, tail) = bytes.split_at(first);
        Some(head).filter(|head| !head.is_empty()).into_iter().chain(tail.chunks(size))
    }
}

/// A dialogue with a driver that only writes down what it sees.
struct Stage<D: Dialogue> {
    dialogue: D,
    input: BytesMut,
    seen: Vec<Seen<D::Question>>,
    held: usize,
    /// Whether the dialogue waits for something else than input.
    paused: bool,
}

impl<D: Dialogue> Stage<D> {
    fn new(dialogue: D, held: usize) -> Self {
        let mut stage = Self { dialogue, input: BytesMut::new(), seen: Vec::new(), held, paused: false };
        stage.run();
        stage
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if !self.paused {
            self.run();
        }
    }

    fn answer(&mut self, answer: D::Answer) {
        self.dialogue.answer(answer);
        self.run();
    }

    fn secure(&mut self) {
        self.input.clear();
        self.dialogue.secured();
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..MOST_STEPS {
            if self.step() {
                return;
            }
        }
        panic!("the dialogue turns on the spot");
    }

    /// One step; whether it is the last for now.
    fn step(&mut self) -> bool {
        let mut output = BytesMut::new();
        let want = self.dialogue.step(&mut self.input, &mut output);
        if !output.is_empty() {
            add(&mut self.seen, Seen::Output(show(&output)));
        }
        self.paused = !matches!(want, Want::Input | Want::Note(_));
        let seen = match want {
            Want::Input => {
                assert!(self.input.len() < self.held, "the dialogue holds {} bytes", self.input.len());
                return true;
            }
            Want::Note(violation) => Seen::Note(violation),
            Want::Tls => Seen::Tls,
            Want::Answer(question) => Seen::Question(question),
            Want::Close => Seen::Close,
        };
        self.seen.push(seen);
        self.paused
    }
}

/// The salt of all tests; its challenge is `<1.2@mx.example>`.
pub(crate) const SALT: Salt = Salt { random: 1, time: 2 };

/// Settings with these mechanisms, without STARTTLS and with limits that are out of the way.
pub(crate) fn settings(mechanisms: &[Mechanism]) -> Settings {
    Settings {
        server_name: "mx.example".to_owned(),
        limits: Limits { line: 4096, errors: 100, commands: 1000 },
        capabilities: Vec::new(),
        mechanisms: mechanisms.iter().copied().collect(),
        starttls: Starttls::Off,
    }
}

/// The first attempt to log in with these credentials.
pub(crate) fn login(method: Method, user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Login {
    Login {
        credentials: Credentials {
            method,
            user: Bytes::copy_from_slice(user.as_ref()),
            password: Secret::from(password.as_ref()),
        },
        challenge: method.is_digest().then(|| Bytes::from_static(b"<1.2@mx.example>")),
        attempt: 1,
        helo: Bytes::new(),
        envelope: None,
    }
}

/// The first attempt to log in with a password.
pub(crate) fn plain(user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Login {
    login(Method::Plain, user, password)
}

/// The same login as another attempt.
pub(crate) fn again(attempt: u64, login: Login) -> Login {
    Login { attempt, ..login }
}

/// A refusal with this text and nothing else.
pub(crate) fn refusal(text: &'static str, retry: bool) -> Refusal {
    Refusal { text: Bytes::from_static(text.as_bytes()), code: None, challenge: None, retry }
}

/// Moves bytes between a front and a back until one of them wants something else than bytes.
///
/// Gives what the back wants and what the front wants, the one that goes on being `Want::Input`.
pub(crate) fn meet<B: Dialogue, F: Dialogue>(
    back: &mut B,
    front: &mut F,
) -> (Want<B::Question>, Want<F::Question>) {
    let (mut to_front, mut to_back) = (BytesMut::new(), BytesMut::new());
    for _ in 0..MOST_STEPS {
        let front_wants = front.step(&mut to_front, &mut to_back);
        let back_wants = back.step(&mut to_back, &mut to_front);
        if !matches!((&back_wants, &front_wants), (Want::Input, Want::Input)) {
            return (back_wants, front_wants);
        }
        assert!(!to_front.is_empty(), "front and back wait for each other");
    }
    panic!("front and back talk for ever");
}

/// Adjacent outputs are one: where the driver was in between says nothing.
fn add<Q>(trace: &mut Vec<Seen<Q>>, seen: Seen<Q>) {
    match (trace.last_mut(), seen) {
        (Some(Seen::Output(before)), Seen::Output(more)) => before.push_str(&more),
        (_, seen) => trace.push(seen),
    }
}

/// Bytes as a failed test should print them.
fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Echoes complete lines, asks about `?`, notes `!`, upgrades at `+`, closes at `.`.
    struct Echo;

    impl Dialogue for Echo {
        type Question = u8;
        type Answer = ();

        fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<u8> {
            let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return Want::Input };
            let line = input.split_to(end + 1);
            output.extend_from_slice(&line);
            match line[0] {
                b'?' => Want::Answer(line[1]),
                b'!' => Want::Note(Violation::TooManyErrors),
                b'+' => Want::Tls,
                b'.' => Want::Close,
                _ => self.step(input, output),
            }
        }

        fn answer(&mut self, (): ()) {}

        fn secured(&mut self) {}
    }

    fn script() -> Transcript<Echo> {
        Transcript::of(|| Echo)
            .trades("a\nb\n", "a\nb\n")
            .sends("?x\nc\n")
            .receives("?x\n")
            .asks(b'x')
            .answers(())
            .receives("c\n")
            .trades("!\n+\ndropped\n", "!\n")
            .notes(Violation::TooManyErrors)
            .receives("+\n")
            .upgrades()
            .trades(".\nleft", ".\n")
            .closes()
            .leaves("left")
    }

    #[test]
    fn a_true_script_passes() {
        script().holds_less_than(10).check();
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn an_output_too_few_fails() {
        script().receives("more").check();
    }

    #[test]
    #[should_panic(expected = "cut Everywhere")]
    fn a_dialogue_that_depends_on_how_bytes_arrive_fails() {
        /// Echoes what is there.
        struct Hasty;
        impl Dialogue for Hasty {
            type Question = ();
            type Answer = ();
            fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<()> {
                if !input.is_empty() {
                    output.extend_from_slice(&input.split());
                    output.extend_from_slice(b"|");
                }
                Want::Input
            }
            fn answer(&mut self, (): ()) {}
            fn secured(&mut self) {}
        }
        Transcript::of(|| Hasty).trades("ab", "ab|").check();
    }

    #[test]
    #[should_panic(expected = "holds 3 bytes")]
    fn a_dialogue_that_hoards_input_fails() {
        Transcript::of(|| Echo).holds_less_than(3).sends("abc").check();
    }
}
