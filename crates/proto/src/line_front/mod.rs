//! The front of a line protocol, but for its words: what POP3 and SMTP do alike between greeting and login.
//!
//! Framing, counting, SASL exchanges, questions and their answers are here, once. What a command means is said by
//! the protocol's [`Speech`]. IMAP is not one of these: its commands have tags and may span lines.

use std::fmt::Debug;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::client::Client;
use crate::line::{self, Command, Frame, Malformed};
use crate::sasl::{self, Exchange, Turn};
use crate::{
    Credentials, Dialogue, Envelope, Login, LoginAnswer, Method, Refusal, Salt, Settings, Violation, Want,
};

/// What one protocol says and understands, and what it has to remember from command to command.
pub(crate) trait Speech: Debug + Default {
    /// The verbs that are known before login.
    type Verb;

    /// The most arguments of a SASL response line.
    const MOST_ARGUMENTS: usize;
    /// What goes before a SASL prompt.
    const PROMPT: &'static [u8];
    /// The reply to any line that breaks the grammar or does not fit the state.
    const INVALID: &'static [u8];
    /// The reply when something of ours, of the authority or of the upstream is broken.
    const FAILED: &'static [u8];

    /// The greeting.
    fn greet(client: &Client, output: &mut BytesMut);
    /// A refusal in the authority's words.
    fn refuse(refusal: &Refusal, output: &mut BytesMut);
    /// To a login that is good, of a client with too many connections.
    fn limited(method: Method) -> &'static [u8];
    /// The verb that `word` is, in any letter case.
    fn verb(word: &[u8]) -> Option<Self::Verb>;
    /// A line without its end, by the protocol's grammar, which knows more where the client is trusted.
    fn parse(content: &[u8], trusted: bool) -> Result<Command<'_, Self::Verb>, Malformed>;
    /// What a command means here and now. Replies of its own are in `output`.
    fn execute(
        &mut self,
        client: &mut Client,
        command: &Command<'_, Self::Verb>,
        output: &mut BytesMut,
    ) -> Reaction;

    /// The name that the client has given itself.
    fn helo(&self) -> Bytes {
        Bytes::new()
    }
    /// A command broke the grammar: forgets what must not survive that.
    fn malformed(&mut self) {}
    /// TLS is up: forgets what was said in clear.
    fn secured(&mut self) {}
}

/// What comes of a command.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// It is answered.
    Done,
    /// It is answered, and this is to be logged.
    Note(Violation),
    /// It makes no sense here: [`Speech::INVALID`].
    Invalid,
    /// It has begun a SASL exchange.
    Sasl(Turn),
    /// It completes these credentials, with the transaction if it is one of SMTP.
    Ask(Credentials, Option<Envelope>),
    /// It is answered, and TLS comes next.
    Upgrade,
    /// It is answered, and was the last.
    Close,
}

/// The dialogue with a client before it is logged in.
///
/// The first [`step`](Dialogue::step) greets. Input that is left once a login was asked about belongs to the
/// upstream, or to the next attempt. A step while a question is open ends the session.
#[derive(Debug)]
pub(crate) struct LineFront<S> {
    client: Client,
    speech: S,
    state: State,
}

/// What is expected next, and what is known of the login that is under way. What is large is boxed: most clients wait for
/// their own next command, and there are many of them.
#[derive(Debug)]
enum State {
    /// The first step.
    New,
    /// A command.
    Command,
    /// A SASL response.
    Sasl(Exchange),
    /// The answer about a login by this method.
    Asked(Method),
    /// The step that tells the client of it.
    Answered(Method, Box<LoginAnswer>),
    /// The client's line behind an error challenge; then the refusal.
    Challenged(Method, Box<Refusal>),
    /// TLS.
    Upgrading,
    /// Nothing.
    Closing,
}

/// Whether to look at the next line, or what is wanted instead.
type Next = ControlFlow<Want<Login>>;

impl<S: Speech> LineFront<S> {
    pub(crate) fn new(settings: Arc<Settings>, secured: bool, salt: Salt) -> Self {
        Self { client: Client::new(settings, secured, salt), speech: S::default(), state: State::New }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn trust(&mut self) {
        self.client.trust();
    }

    pub(crate) const fn speech(&self) -> &S {
        &self.speech
    }

    /// Leaves the state, which closes the session unless what comes of it enters another.
    fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Next {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::New => {
                S::greet(&self.client, output);
                self.enter(State::Command)
            }
            State::Answered(method, answer) => self.conclude(method, *answer, output),
            State::Upgrading => {
                self.state = State::Upgrading;
                Break(Want::Tls)
            }
            State::Asked(_) | State::Closing => Break(Want::Close),
            waiting => self.read(waiting, input, output),
        }
    }

    fn read(&mut self, waiting: State, input: &mut BytesMut, output: &mut BytesMut) -> Next {
        let limit = self.client.settings.limits.line;
        match Frame::of(input, limit) {
            Frame::Partial => {
                self.state = waiting;
                Break(Want::Input)
            }
            Frame::TooLong => {
                output.extend_from_slice(S::INVALID);
                let seen = &input[..limit.min(input.len())];
                Break(Want::Note(Violation::TooLong {
                    seen: seen.len(),
                    start: harmless::<S>(&waiting, seen),
                }))
            }
            Frame::Line(length) => {
                let next = self.line(waiting, &input[..length], output);
                line::consume(input, length);
                next
            }
        }
    }

    fn line(&mut self, state: State, line: &[u8], output: &mut BytesMut) -> Next {
        let content = line::content(line);
        let response = || content.and_then(|content| line::response(content, S::MOST_ARGUMENTS));
        match state {
            State::Sasl(exchange) => match self.count(response()) {
                Ok(response) => self.turn(exchange.respond(response), output),
                Err(last) => self.reject(last, output),
            },
            State::Challenged(method, refusal) => match self.count(response()) {
                Ok(response) => self.acknowledge(method, &refusal, response, output),
                Err(last) => {
                    let next = self.reject(last, output);
                    self.end_unless(refusal.retry, next)
                }
            },
            _ => match self.count(content.and_then(|content| S::parse(content, self.client.trusted()))) {
                Ok(command) => self.command(&command, output),
                Err(last) => self.reject(last, output),
            },
        }
    }

    /// Counts a line by whether it keeps to the grammar. An error may carry the violation that ends the session.
    fn count<T>(&mut self, parsed: Result<T, Malformed>) -> Result<T, Option<Violation>> {
        if let Ok(parsed) = parsed {
            self.client.counters.command(&self.client.settings.limits)?;
            return Ok(parsed);
        }
        self.speech.malformed();
        self.client.counters.malformed(&self.client.settings.limits)?;
        Err(None)
    }

    /// Answers a line that is not executed.
    fn reject(&mut self, last: Option<Violation>, output: &mut BytesMut) -> Next {
        let next = self.invalid(output);
        let Some(violation) = last else { return next };
        self.state = State::Closing;
        Break(Want::Note(violation))
    }

    fn command(&mut self, command: &Command<'_, S::Verb>, output: &mut BytesMut) -> Next {
        match self.speech.execute(&mut self.client, command, output) {
            Reaction::Done => self.enter(State::Command),
            Reaction::Note(violation) => {
                self.state = State::Command;
                Break(Want::Note(violation))
            }
            Reaction::Invalid => self.invalid(output),
            Reaction::Sasl(turn) => self.turn(turn, output),
            Reaction::Ask(credentials, envelope) => self.ask(credentials, envelope),
            Reaction::Upgrade => self.enter(State::Upgrading),
            Reaction::Close => self.enter(State::Closing),
        }
    }

    fn turn(&mut self, turn: Turn, output: &mut BytesMut) -> Next {
        match turn {
            Turn::Prompt { exchange, prompt } => {
                if let Some(user) = exchange.user() {
                    self.client.set_name(Some(user.clone()));
                }
                self.prompt(&prompt, State::Sasl(exchange), output)
            }
            Turn::Credentials(credentials) => self.ask(credentials, None),
            Turn::Invalid(violation) => {
                let next = self.invalid(output);
                violation.map_or(next, |violation| Break(Want::Note(violation)))
            }
        }
    }

    fn ask(&mut self, credentials: Credentials, envelope: Option<Envelope>) -> Next {
        self.state = State::Asked(credentials.method);
        let login = self.client.login(credentials);
        Break(Want::Answer(Login { helo: self.speech.helo(), envelope, ..login }))
    }

    /// Tells the client what the authority or the upstream said.
    fn conclude(&mut self, method: Method, answer: LoginAnswer, output: &mut BytesMut) -> Next {
        match answer {
            LoginAnswer::Refused(mut refusal) => {
                match refusal.challenge.take().filter(|_| sasl::has_error_challenge(method)) {
                    Some(challenge) => {
                        self.prompt(&challenge, State::Challenged(method, Box::new(refusal)), output)
                    }
                    None => self.refuse(&refusal, output),
                }
            }
            LoginAnswer::Failed => {
                output.extend_from_slice(S::FAILED);
                self.enter(State::Closing)
            }
            LoginAnswer::Passed(words) => {
                output.extend_from_slice(&words);
                self.enter(State::Closing)
            }
            LoginAnswer::Limited => {
                output.extend_from_slice(S::limited(method));
                self.enter(State::Closing)
            }
        }
    }

    fn acknowledge(
        &mut self,
        method: Method,
        refusal: &Refusal,
        response: &[u8],
        output: &mut BytesMut,
    ) -> Next {
        if sasl::acknowledges(method, response) {
            return self.refuse(refusal, output);
        }
        let next = self.invalid(output);
        self.end_unless(refusal.retry, next)
    }

    fn refuse(&mut self, refusal: &Refusal, output: &mut BytesMut) -> Next {
        S::refuse(refusal, output);
        let next = self.enter(State::Command);
        self.end_unless(refusal.retry, next)
    }

    /// After a refused login the session goes on only if the client may try again.
    fn end_unless(&mut self, retry: bool, next: Next) -> Next {
        if !retry {
            self.state = State::Closing;
        }
        next
    }

    fn prompt(&mut self, base64: &[u8], state: State, output: &mut BytesMut) -> Next {
        line::write(output, &[S::PROMPT, base64]);
        self.enter(state)
    }

    fn invalid(&mut self, output: &mut BytesMut) -> Next {
        output.extend_from_slice(S::INVALID);
        self.enter(State::Command)
    }

    fn enter(&mut self, state: State) -> Next {
        self.state = state;
        Continue(())
    }
}

impl<S: Speech> Dialogue for LineFront<S> {
    type Question = Login;
    type Answer = LoginAnswer;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Login> {
        self.client.hear(input);
        loop {
            if let Break(want) = self.advance(input, output) {
                return want;
            }
        }
    }

    fn answer(&mut self, answer: LoginAnswer) {
        if let State::Asked(method) = self.state {
            self.state = State::Answered(method, Box::new(answer));
        }
    }

    fn secured(&mut self) {
        self.client.secure();
        self.speech.secured();
        self.state = State::Command;
    }
}

/// The part of a line that cannot fit which certainly holds no secret: its verb, if it is one.
fn harmless<S: Speech>(state: &State, seen: &[u8]) -> Bytes {
    let (word, _) = line::verb(seen);
    match state {
        State::Command if S::verb(word).is_some() => Bytes::copy_from_slice(word),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests;
